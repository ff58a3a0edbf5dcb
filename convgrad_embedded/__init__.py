"""Convolutional networks that train on microcontrollers, driven from NumPy: one C core, the same bits everywhere."""

from convgrad_embedded import datasets
from convgrad_embedded._convolution import (
    conv2d_bias_grad,
    conv2d_forward,
    conv2d_input_grad,
    conv2d_weight_grad,
    manual_convolution_gradient,
    manual_convolution_gradient_rgb,
    manual_convolution_multi_filter_gradients,
)
from convgrad_embedded._core import VERSION as __version__
from convgrad_embedded._core import NotFiniteError, kernel_set
from convgrad_embedded._gradcheck import GradientCheck, GradientCheckError
from convgrad_embedded._layers import (
    SGD,
    AvgPool2d,
    Conv2d,
    Dense,
    Flatten,
    GlobalAvgPool2d,
    Layer,
    LeakyReLU,
    MaxPool2d,
    ReLU,
    Sigmoid,
    Tanh,
)
from convgrad_embedded._network import Evaluation, Network
from convgrad_embedded._operators import (
    avgpool2d_forward,
    avgpool2d_input_grad,
    dense_bias_grad,
    dense_forward,
    dense_input_grad,
    dense_weight_grad,
    leaky_relu_forward,
    leaky_relu_input_grad,
    maxpool2d_forward,
    maxpool2d_input_grad,
    mean_squared_error_forward,
    mean_squared_error_input_grad,
    relu_forward,
    relu_input_grad,
    sigmoid_forward,
    sigmoid_input_grad,
    softmax_cross_entropy_forward,
    softmax_cross_entropy_input_grad,
    softmax_forward,
    tanh_forward,
    tanh_input_grad,
)

__all__ = [
    "__version__", "datasets", "kernel_set",
    "Network", "Evaluation", "GradientCheck", "GradientCheckError", "NotFiniteError", "SGD",
    "Layer", "Conv2d", "Dense", "MaxPool2d", "AvgPool2d", "GlobalAvgPool2d", "ReLU", "LeakyReLU", "Sigmoid", "Tanh", "Flatten",
    "conv2d_forward", "conv2d_weight_grad", "conv2d_bias_grad", "conv2d_input_grad",
    "manual_convolution_gradient", "manual_convolution_multi_filter_gradients", "manual_convolution_gradient_rgb",
    "dense_forward", "dense_weight_grad", "dense_bias_grad", "dense_input_grad",
    "maxpool2d_forward", "maxpool2d_input_grad", "avgpool2d_forward", "avgpool2d_input_grad",
    "relu_forward", "relu_input_grad", "leaky_relu_forward", "leaky_relu_input_grad",
    "sigmoid_forward", "sigmoid_input_grad", "tanh_forward", "tanh_input_grad", "softmax_forward",
    "softmax_cross_entropy_forward", "softmax_cross_entropy_input_grad",
    "mean_squared_error_forward", "mean_squared_error_input_grad",
]  # fmt: skip
