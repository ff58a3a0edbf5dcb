"""torch.autograd.gradcheck over our operators: PyTorch's central differences of our forward passes, our gradients."""

import pytest
from oracles import need

import convgrad_embedded as cge

torch = need("torch")

CONV = dict(stride=(2, 1), padding=((0, 1), (2, 1)), dilation=(1, 2), groups=2)
UP = dict(stride=(2, 1), padding=1, output_padding=(1, 0), dilation=(1, 2), groups=2)
POOL = dict(kernel_size=(2, 3), stride=(2, 1), padding=((1, 0), (0, 1)))
LABELS = [2, 0, 3]
OF_OUTPUT = ("relu", "leaky_relu", "sigmoid", "tanh", "relu6", "hard_sigmoid", "elu", "softplus")  # their gradient reads y
OF_INPUT = ("hard_swish", "silu", "gelu")


def function(forward, backward):
    """A function of PyTorch: forward(*arrays) gives y, backward(*arrays, y, dy) a gradient of each array."""

    class Ours(torch.autograd.Function):
        @staticmethod
        def forward(context, *tensors):
            y = torch.from_numpy(forward(*(tensor.numpy() for tensor in tensors)))
            context.save_for_backward(*tensors, y)
            return y

        @staticmethod
        def backward(context, dy):
            saved = [tensor.numpy() for tensor in context.saved_tensors]
            return tuple(map(torch.from_numpy, backward(*saved, dy.contiguous().numpy())))

    return Ours.apply


def loss(name, *target, **settings):
    forward, gradient = getattr(cge, f"{name}_forward"), getattr(cge, f"{name}_input_grad")
    return (
        lambda x: forward(x, *target, **settings),
        lambda x, y, dy: [gradient(x, *target, **settings) * dy[:, None]],
    )


def activation(name):
    forward, gradient = getattr(cge, f"{name}_forward"), getattr(cge, f"{name}_input_grad")
    return forward, lambda x, y, dy: [gradient(x if name in OF_INPUT else y, dy)]


TARGET = torch.rand(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).numpy()
OPERATORS = {  # shapes of the arrays, forward, backward
    "conv2d": (
        [(2, 6, 7, 4), (3, 3, 2, 6), (6,)],
        (
            lambda x, w, b: cge.conv2d_forward(x, w, b, **CONV),
            lambda x, w, b, y, dy: [
                cge.conv2d_input_grad(w, dy, x.shape[1:3], **CONV),
                cge.conv2d_weight_grad(x, dy, w.shape[:2], **CONV),
                cge.conv2d_bias_grad(dy),
            ],
        ),
    ),
    "conv_transpose2d": (
        [(2, 3, 4, 4), (3, 3, 3, 4), (6,)],
        (
            lambda x, w, b: cge.conv_transpose2d_forward(x, w, b, **UP),
            lambda x, w, b, y, dy: [
                cge.conv_transpose2d_input_grad(w, dy, x.shape[1:3], **UP),
                cge.conv_transpose2d_weight_grad(x, dy, w.shape[:2], **UP),
                cge.conv_transpose2d_bias_grad(dy),
            ],
        ),
    ),
    "dense": (
        [(3, 5), (5, 4), (4,)],
        (
            cge.dense_forward,
            lambda x, w, b, y, dy: [cge.dense_input_grad(w, dy), cge.dense_weight_grad(x, dy), cge.dense_bias_grad(dy)],
        ),
    ),
    "maxpool2d": (
        [(2, 5, 6, 3)],
        (lambda x: cge.maxpool2d_forward(x, **POOL), lambda x, y, dy: [cge.maxpool2d_input_grad(x, dy, **POOL)]),
    ),
    "avgpool2d": (
        [(2, 5, 6, 3)],
        (lambda x: cge.avgpool2d_forward(x, **POOL), lambda x, y, dy: [cge.avgpool2d_input_grad(dy, x.shape[1:3], **POOL)]),
    ),
    "group_norm": (
        [(2, 3, 4, 6), (6,), (6,)],
        (
            lambda x, w, b: cge.group_norm_forward(x, 2, w, b),
            lambda x, w, b, y, dy: [
                cge.group_norm_input_grad(x, dy, 2, w),
                cge.group_norm_weight_grad(x, dy, 2),
                cge.group_norm_bias_grad(dy),
            ],
        ),
    ),
    "prelu": (
        [(3, 4, 5), (5,)],
        (cge.prelu_forward, lambda x, w, y, dy: [cge.prelu_input_grad(x, w, dy), cge.prelu_weight_grad(x, dy, len(w))]),
    ),
    "dropout": (
        [(3, 4, 5)],
        (lambda x: cge.dropout_forward(x, 0.4, 7), lambda x, y, dy: [cge.dropout_input_grad(dy, 0.4, 7)]),
    ),
    "softmax": ([(3, 4)], (cge.softmax_forward, lambda x, y, dy: [cge.softmax_input_grad(y, dy)])),
    **{name: ([(3, 4, 5)], activation(name)) for name in (*OF_OUTPUT, *OF_INPUT)},
    "softmax_cross_entropy": ([(3, 4)], loss("softmax_cross_entropy", LABELS)),
    "smoothed_cross_entropy": ([(3, 4)], loss("smoothed_cross_entropy", LABELS, label_smoothing=0.1)),
    "distillation": ([(3, 4)], loss("distillation", LABELS, TARGET, temperature=2.0, alpha=0.25)),
    **{
        name: ([(3, 4)], loss(name, TARGET))
        for name in ("mean_squared_error", "mean_absolute_error", "huber", "binary_cross_entropy")
    },
}


@pytest.mark.parametrize("name", OPERATORS)
def test_gradients_pass_pytorchs_check(name):
    shapes, passes = OPERATORS[name]
    generator = torch.Generator().manual_seed(0)
    arrays = [torch.randn(shape, dtype=torch.float64, generator=generator).requires_grad_() for shape in shapes]
    assert torch.autograd.gradcheck(function(*passes), arrays)


def test_a_wrong_gradient_does_not_pass():
    forward, _ = OPERATORS["dense"][1]
    wrong = function(forward, lambda x, w, b, y, dy: [cge.dense_input_grad(w, dy), cge.dense_weight_grad(x, dy), dy.sum(0) * 2])
    arrays = [torch.ones(shape, dtype=torch.float64).requires_grad_() for shape in OPERATORS["dense"][0]]
    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        torch.autograd.gradcheck(wrong, arrays)


def test_every_operator_is_checked():
    assert set(OPERATORS) == {name[: -len("_forward")] for name in cge.__all__ if name.endswith("_forward")}
