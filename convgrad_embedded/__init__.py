"""Convolutional networks that train on microcontrollers, driven from NumPy: one C core, the same bits everywhere.

>>> import convgrad_embedded as cge
>>> net = cge.Network((8, 8, 1), [cge.Conv2d(4, 3), cge.ReLU(), cge.Dense(10)], "softmax_cross_entropy", cge.SGD(0.05))
>>> net.param_count, cge.__version__.count(".")
(1490, 2)
"""

from typing import TYPE_CHECKING

from convgrad_embedded import _names, callbacks, data, datasets, metrics, models, schedules
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
from convgrad_embedded._core import NotFiniteError, arithmetic, kernel_set
from convgrad_embedded._evaluation import Evaluation, OutputsEvaluation
from convgrad_embedded._gradcheck import GradientCheck, GradientCheckError
from convgrad_embedded._graph import Input
from convgrad_embedded._layers import (
    ELU,
    GELU,
    Add,
    AvgPool2d,
    BatchNorm,
    ChannelSlice,
    Concat,
    Conv2d,
    ConvTranspose2d,
    Crop2d,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    GlobalMaxPool2d,
    GroupNorm,
    HardSigmoid,
    HardSwish,
    InstanceNorm,
    Layer,
    LayerNorm,
    LeakyReLU,
    MaxPool2d,
    PReLU,
    ReLU,
    ReLU6,
    Scale,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
    Upsample2d,
    ZeroPad2d,
)
from convgrad_embedded._loss_operators import (
    binary_cross_entropy_forward,
    binary_cross_entropy_input_grad,
    distillation_forward,
    distillation_input_grad,
    huber_forward,
    huber_input_grad,
    mean_absolute_error_forward,
    mean_absolute_error_input_grad,
    smoothed_cross_entropy_forward,
    smoothed_cross_entropy_input_grad,
)
from convgrad_embedded._losses import (
    BinaryCrossEntropy,
    Distillation,
    Huber,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    MultiOutput,
    SoftmaxCrossEntropy,
)
from convgrad_embedded._network import Network
from convgrad_embedded._normalisation import (
    group_norm_bias_grad,
    group_norm_forward,
    group_norm_input_grad,
    group_norm_weight_grad,
)
from convgrad_embedded._operators import (
    avgpool2d_forward,
    avgpool2d_input_grad,
    dense_bias_grad,
    dense_forward,
    dense_input_grad,
    dense_weight_grad,
    dropout_forward,
    dropout_input_grad,
    elu_forward,
    elu_input_grad,
    gelu_forward,
    gelu_input_grad,
    hard_sigmoid_forward,
    hard_sigmoid_input_grad,
    hard_swish_forward,
    hard_swish_input_grad,
    leaky_relu_forward,
    leaky_relu_input_grad,
    maxpool2d_forward,
    maxpool2d_input_grad,
    mean_squared_error_forward,
    mean_squared_error_input_grad,
    prelu_forward,
    prelu_input_grad,
    prelu_weight_grad,
    relu6_forward,
    relu6_input_grad,
    relu_forward,
    relu_input_grad,
    sigmoid_forward,
    sigmoid_input_grad,
    silu_forward,
    silu_input_grad,
    softmax_cross_entropy_forward,
    softmax_cross_entropy_input_grad,
    softmax_forward,
    softmax_input_grad,
    softplus_forward,
    softplus_input_grad,
    tanh_forward,
    tanh_input_grad,
)
from convgrad_embedded._optimizers import SGD, Adagrad, Adam, AdamW, RMSprop
from convgrad_embedded._plan import Plan
from convgrad_embedded._plots import plot_confusion, plot_filters, plot_history
from convgrad_embedded._series import AvgPool1d, Conv1d, ConvTranspose1d, DepthwiseConv2d, MaxPool1d, SeparableConv2d
from convgrad_embedded._sources import include_dir, source_files
from convgrad_embedded._timeline import plot_memory
from convgrad_embedded._transposed import (
    conv_transpose2d_bias_grad,
    conv_transpose2d_forward,
    conv_transpose2d_input_grad,
    conv_transpose2d_weight_grad,
)

__all__ = [
    "__version__", "callbacks", "data", "datasets", "metrics", "models", "schedules",
    "kernel_set", "include_dir", "source_files",
    "Network", "arithmetic", "Evaluation", "OutputsEvaluation", "GradientCheck", "GradientCheckError", "NotFiniteError", "Plan",
    "SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "plot_memory", "plot_history", "plot_filters", "plot_confusion",
    "Layer", "Conv2d", "Dense", "MaxPool2d", "AvgPool2d", "GlobalAvgPool2d", "ReLU", "LeakyReLU", "Sigmoid", "Tanh", "Flatten",
    "ReLU6", "HardSigmoid", "ELU", "Softplus", "Softmax", "HardSwish", "SiLU", "GELU", "PReLU",
    "GlobalMaxPool2d", "ZeroPad2d", "Crop2d", "ChannelSlice", "Upsample2d",
    "ConvTranspose2d", "ConvTranspose1d", "Conv1d", "MaxPool1d", "AvgPool1d", "DepthwiseConv2d", "SeparableConv2d",
    "Input", "Add", "Concat", "GroupNorm", "InstanceNorm", "LayerNorm", "BatchNorm", "Scale", "Dropout",
    "conv2d_forward", "conv2d_weight_grad", "conv2d_bias_grad", "conv2d_input_grad",
    "conv_transpose2d_forward", "conv_transpose2d_weight_grad", "conv_transpose2d_bias_grad", "conv_transpose2d_input_grad",
    "manual_convolution_gradient", "manual_convolution_multi_filter_gradients", "manual_convolution_gradient_rgb",
    "dense_forward", "dense_weight_grad", "dense_bias_grad", "dense_input_grad",
    "maxpool2d_forward", "maxpool2d_input_grad", "avgpool2d_forward", "avgpool2d_input_grad",
    "relu_forward", "relu_input_grad", "leaky_relu_forward", "leaky_relu_input_grad",
    "sigmoid_forward", "sigmoid_input_grad", "tanh_forward", "tanh_input_grad", "softmax_forward", "softmax_input_grad",
    "relu6_forward", "relu6_input_grad", "hard_sigmoid_forward", "hard_sigmoid_input_grad", "elu_forward", "elu_input_grad",
    "softplus_forward", "softplus_input_grad", "hard_swish_forward", "hard_swish_input_grad", "silu_forward", "silu_input_grad",
    "gelu_forward", "gelu_input_grad", "prelu_forward", "prelu_weight_grad", "prelu_input_grad",
    "softmax_cross_entropy_forward", "softmax_cross_entropy_input_grad",
    "mean_squared_error_forward", "mean_squared_error_input_grad",
    "Loss", "SoftmaxCrossEntropy", "BinaryCrossEntropy", "MeanSquaredError", "MeanAbsoluteError", "Huber",
    "Distillation", "MultiOutput",
    "binary_cross_entropy_forward", "binary_cross_entropy_input_grad",
    "mean_absolute_error_forward", "mean_absolute_error_input_grad", "huber_forward", "huber_input_grad",
    "smoothed_cross_entropy_forward", "smoothed_cross_entropy_input_grad",
    "distillation_forward", "distillation_input_grad",
    "group_norm_forward", "group_norm_weight_grad", "group_norm_bias_grad", "group_norm_input_grad",
    "dropout_forward", "dropout_input_grad",
]  # fmt: skip


if not TYPE_CHECKING:  # which knows what there is

    def __getattr__(name: str) -> object:
        raise AttributeError(_names.missing_from_package(name, __all__))
