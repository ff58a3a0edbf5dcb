"""PyTorch's own samples of its operators (OpInfo), in float64: all that our operators can express, and why not the others.

Forward and each gradient, of a random dL/dy, agree within 1e-12 of the largest number. COUNTS says how many samples are
expressed; a sample that no longer is fails the test, and so does one that newly is.
"""

import math
import warnings

import numpy as np
import oracles
import pytest
from graphs import one_layer

import convgrad_embedded as cge

torch = oracles.need("torch")
oracles.need("expecttest")  # which the module below imports

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torch.testing._internal.common_methods_invocations import op_db

CLOSE = 1e-12
OPS = {
    f"{op.name.removeprefix('nn.functional.')}{f' {op.variant_test_name}' if op.variant_test_name else ''}": op for op in op_db
}


class Other(Exception):
    """Why an operator of ours cannot express a sample."""


def expect(condition, otherwise):
    if not condition:
        raise Other(otherwise)


def first(x, axes):
    """Channels last become channels first; `axes` of space, and maybe no batch."""
    return np.moveaxis(x, -1, 1 if x.ndim == axes + 2 else 0)


def last(x, axes):
    return np.moveaxis(x, 1 if x.ndim == axes + 2 else 0, -1)


# ---- adapters: arrays and settings as PyTorch has them -> y, and a function of dy that gives gradients by name ---------------


def pictures(x, axes):
    """(N, H, W, C) of a batch or one sample, with an axis of 1 for W where there is one of space; and the way back."""
    expect(x.ndim in (axes + 1, axes + 2) and axes in (1, 2), "not a batch of series or pictures, nor one")
    expect(x.size > 0, "no sample")
    batched = x.ndim == axes + 2

    def there(a):
        a = last(a, axes)[:, :, None] if axes == 1 and batched else last(a, axes)[:, None] if axes == 1 else last(a, axes)
        return a if batched else a[None]

    def back(a):
        a = a if batched else a[0]
        return first(a.squeeze(-2) if axes == 1 else a, axes)

    return there, back


def pair(value, axes, rest):
    value = tuple(value) if isinstance(value, (tuple, list)) else (value,) * axes
    value *= axes if len(value) == 1 else 1
    return value + (rest,) * (2 - axes)


def conv(axes, x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    there, back = pictures(x, axes)
    kernel = w.transpose(*range(2, 2 + axes), 1, 0).reshape(*w.shape[2:], *(1,) * (2 - axes), w.shape[1], w.shape[0])
    options = {"stride": pair(stride, axes, 1), "dilation": pair(dilation, axes, 1), "groups": groups}
    options["padding"] = padding if isinstance(padding, str) else pair(padding, axes, 0)
    own = there(x)

    def gradients(dy):
        dy = there(dy)
        dw = cge.conv2d_weight_grad(own, dy, kernel.shape[:2], **options)
        dw = dw.reshape(*w.shape[2:], *dw.shape[2:]).transpose(axes + 1, axes, *range(axes))
        return {"x": back(cge.conv2d_input_grad(kernel, dy, own.shape[1:3], **options)), "w": dw, "b": cge.conv2d_bias_grad(dy)}

    return back(cge.conv2d_forward(own, kernel, b, **options)), gradients


def conv_transpose(axes, x, w, b=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    there, back = pictures(x, axes)
    kernel = w.transpose(*range(2, 2 + axes), 1, 0).reshape(*w.shape[2:], *(1,) * (2 - axes), w.shape[1], w.shape[0])
    options = {"stride": pair(stride, axes, 1), "padding": pair(padding, axes, 0), "dilation": pair(dilation, axes, 1)}
    options.update(output_padding=pair(output_padding, axes, 0), groups=groups)
    own = there(x)

    def gradients(dy):
        dy = there(dy)
        dw = cge.conv_transpose2d_weight_grad(own, dy, kernel.shape[:2], **options)
        dw = dw.reshape(*w.shape[2:], *dw.shape[2:]).transpose(axes + 1, axes, *range(axes))
        dx = cge.conv_transpose2d_input_grad(kernel, dy, own.shape[1:3], **options)
        return {"x": back(dx), "w": dw, "b": cge.conv_transpose2d_bias_grad(dy)}

    return back(cge.conv_transpose2d_forward(own, kernel, b, **options)), gradients


def linear(x, w, b=None):
    expect(x.size > 0 and w.size > 0, "no sample")
    expect(w.ndim == 2, "weights that are a vector")
    rows = x.reshape(-1, x.shape[-1])

    def gradients(dy):
        dy = dy.reshape(-1, w.shape[0])
        dx = cge.dense_input_grad(w.T, dy).reshape(x.shape)
        return {"x": dx, "w": cge.dense_weight_grad(rows, dy).T, "b": cge.dense_bias_grad(dy)}

    return cge.dense_forward(rows, w.T, b).reshape(*x.shape[:-1], w.shape[0]), gradients


def per_picture(layer, x):
    """A layer without parameters, picture by picture."""
    there, back = pictures(x, 2)
    own = np.ascontiguousarray(there(x))
    out_shape = cge.Network(own.shape[1:], [layer]).layer_infos[0].out_shape
    y = np.stack([one_layer(layer, picture)[0].reshape(out_shape) for picture in own])

    def gradients(dy):
        return {"x": back(np.stack([one_layer(layer, *both)[1] for both in zip(own, there(dy))]))}

    return back(y), gradients


def max_pool(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    expect(pair(dilation, 2, 1) == (1, 1), "dilation")
    expect(not return_indices, "indices asked for")
    there, back = pictures(x, 2)
    own, kernel = there(x), pair(kernel_size, 2, 1)
    sizes = {"stride": None if stride is None else pair(stride, 2, 1), "padding": pair(padding, 2, 0)}
    fields = cge.MaxPool2d(kernel, **sizes, ceil_mode=ceil_mode).c_row(own.shape[1:3]).fields  # ceil_mode as padding
    sizes["padding"] = tuple(
        tuple(fields.get(f"pad_{side}", 0) for side in axis) for axis in (("top", "bottom"), ("left", "right"))
    )

    def gradients(dy):
        return {"x": back(cge.maxpool2d_input_grad(own, there(dy), kernel, **sizes))}

    return back(cge.maxpool2d_forward(own, kernel, **sizes)), gradients


def avg_pool(x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None):
    expect(divisor_override is None, "a divisor of its own")
    expect(not (ceil_mode and count_include_pad and padding), "ceil_mode with count_include_pad")
    sizes = {"stride": stride or None, "padding": pair(padding, 2, 0), "ceil_mode": ceil_mode}
    counted = count_include_pad and not ceil_mode
    return per_picture(cge.AvgPool2d(pair(kernel_size, 2, 1), **sizes, count_include_pad=counted), x)


def adaptive_avg_pool(x, output_size):
    expect(pair(output_size, 2, 1) == (1, 1), "more than one output")
    return avg_pool(x, x.shape[-2:])


def pad(x, pad, mode="constant", value=None):
    expect(not value, "a value other than 0")
    expect(2 <= len(pad) <= 4 and len(pad) % 2 == 0 and x.ndim in (3, 4), "other axes than height and width")
    sides = ((0, 0), *zip(pad[::2], pad[1::2]))[-1:0:-1] if len(pad) == 4 else ((0, 0), tuple(pad))
    expect(min(pad) >= 0 or max(pad) <= 0, "one side longer, another shorter")
    layer = cge.ZeroPad2d(sides) if min(pad) >= 0 else cge.Crop2d(tuple(tuple(-side for side in axis) for axis in sides))
    return per_picture(layer, x)


def interpolate(x, size=None, scale_factor=None, mode="nearest", align_corners=None, recompute_scale_factor=None):
    expect(x.ndim == 4, "not a batch of pictures")
    expect(not align_corners, "align_corners")
    factors = (0, 0)
    if size is not None:
        factors = tuple(after / before for after, before in zip(pair(size, 2, 1), x.shape[2:]))
    elif scale_factor is not None:
        factors = pair(scale_factor, 2, 1)
    expect(all(factor >= 1 and factor == int(factor) for factor in factors), "a scale that is no whole number")
    return per_picture(cge.Upsample2d(tuple(map(int, factors)), mode=mode), x)


def activation(name, reads_x=False):
    forward, input_grad = getattr(cge, f"{name}_forward"), getattr(cge, f"{name}_input_grad")

    def adapter(x, *settings, inplace=False, **named):
        expect(x.size > 0, "no number")
        y = forward(x, *settings, **named)
        return y, lambda dy: {"x": input_grad(x if reads_x else y, dy, *settings, **named)}

    return adapter


def gelu(x, approximate="none"):
    expect(approximate == "none", "the approximation by tanh")
    return activation("gelu", reads_x=True)(x)


def softplus(x, beta=1, threshold=20):
    expect((beta, threshold) == (1, 20), "another beta or threshold")
    return activation("softplus")(x)


def leaky_relu(x, negative_slope=0.01, inplace=False):
    expect(negative_slope >= 0, "a negative slope")
    return activation("leaky_relu")(x, negative_slope)


def elu(x, alpha=1.0, inplace=False):
    return activation("elu")(x, alpha)


def prelu(x, weight):
    w = weight
    expect(x.size > 0 and x.ndim > 0, "a scalar, or no number")
    expect(x.ndim >= 2 or w.size == 1, "no axis of channels")
    own = np.moveaxis(x, 1, -1) if x.ndim > 1 else x
    back = (lambda a: np.moveaxis(a, -1, 1)) if x.ndim > 1 else (lambda a: a)

    def gradients(dy):
        dy = np.moveaxis(dy, 1, -1) if x.ndim > 1 else dy
        dw = cge.prelu_weight_grad(own, dy, w.size)
        return {"x": back(cge.prelu_input_grad(own, w.reshape(-1), dy)), "w": dw.reshape(w.shape)}

    return back(cge.prelu_forward(own, w.reshape(-1))), gradients


def softmax(x, dim, dtype=None):
    expect(x.ndim > 0 and x.size > 0 and dtype is None, "a scalar, no number, or another type")
    rows = np.moveaxis(x, dim, -1)
    y = cge.softmax_forward(rows.reshape(-1, rows.shape[-1]))

    def back(a):
        return np.moveaxis(a.reshape(rows.shape), -1, dim)

    def gradients(dy):
        return {"x": back(cge.softmax_input_grad(y, np.moveaxis(dy, dim, -1).reshape(y.shape)))}

    return back(y), gradients


def normalised(x, shape, groups, w, b, eps, per_channel):
    """Group normalisation of x in `shape`, (N, H, W, C), which per_channel undoes."""
    own = per_channel(x).reshape(shape)

    def gradients(dy):
        dy = per_channel(dy).reshape(shape)
        dx = cge.group_norm_input_grad(own, dy, groups, w, eps=eps)
        return {"x": dx, "w": cge.group_norm_weight_grad(own, dy, groups, eps=eps), "b": cge.group_norm_bias_grad(dy)}

    return cge.group_norm_forward(own, groups, w, b, eps=eps), gradients


def of_channels(x, groups, w, b, eps):
    expect(x.size > 0, "no number")
    expect(eps > 0, "eps that is not above 0")
    count, channels = x.shape[:2]
    y, gradients = normalised(x, (count, -1, 1, channels), groups, w, b, eps, lambda a: np.moveaxis(a, 1, -1))

    def back(a):
        return np.moveaxis(a.reshape(count, *x.shape[2:], channels), -1, 1)

    def all_gradients(dy):
        found = gradients(dy)
        return {**found, "x": back(found["x"])}

    return back(y), all_gradients


def group_norm(x, num_groups, weight=None, bias=None, eps=1e-5):
    return of_channels(x, num_groups, weight, bias, eps)


def instance_norm(x, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True, momentum=0.1, eps=1e-5):
    expect(use_input_stats, "running statistics")
    return of_channels(x, x.shape[1], weight, bias, eps)


def layer_norm(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    expect(x.size > 0, "no number")
    expect(eps > 0, "eps that is not above 0")
    size = math.prod(normalized_shape)
    w, b = (None if a is None else a.reshape(-1) for a in (weight, bias))
    y, gradients = normalised(x, (-1, 1, 1, size), 1, w, b, eps, lambda a: a)

    def all_gradients(dy):
        found = gradients(dy)
        found["x"] = found["x"].reshape(x.shape)
        return {key: value if key == "x" else value.reshape(normalized_shape) for key, value in found.items()}

    return y.reshape(x.shape), all_gradients


def reduced(losses, grads, shape, reduction):
    """Of each row's loss and its gradient."""
    shares = {"none": 1, "sum": 1, "mean": 1 / losses.size}
    expect(reduction in shares, f"reduction {reduction}")
    y = losses.reshape(shape) if reduction == "none" else losses.sum() * shares[reduction]
    return y, lambda dy: grads * (np.reshape(dy, -1)[:, None] if reduction == "none" else dy * shares[reduction])


def of_elements(name, x, target, reduction="mean", *settings):
    """Each number is a sample of one number."""
    expect(x.shape == target.shape, "shapes that are stretched")
    expect(x.size > 0, "no number")
    rows, targets = x.reshape(-1, 1), target.reshape(-1, 1)
    losses = getattr(cge, f"{name}_forward")(rows, targets, *settings)
    grads = getattr(cge, f"{name}_input_grad")(rows, targets, *settings)
    y, gradient = reduced(losses, grads, x.shape, reduction)
    return y, lambda dy: {"x": gradient(dy).reshape(x.shape)}


def loss(name):
    def adapter(x, target, reduction="mean", weight=None):
        expect(weight is None, "weights of elements")
        return of_elements(name, x, target, reduction)

    return adapter


def huber(x, target, reduction="mean", weight=None, delta=1.0):
    expect(weight is None, "weights of elements")
    return of_elements("huber", x, target, reduction, delta)


def binary_cross_entropy(x, target, weight=None, reduction="mean", pos_weight=None):
    expect(weight is None and pos_weight is None, "weights of elements")
    expect(target.min(initial=0) >= 0 and target.max(initial=0) <= 1, "targets outside 0 .. 1")
    return of_elements("binary_cross_entropy", x, target, reduction)


def cross_entropy(x, target, weight=None, reduction="mean", ignore_index=-100, label_smoothing=0.0):
    expect(target.dtype.kind == "i", "probabilities as targets")
    expect(weight is None and not (target == ignore_index).any(), "weights of classes, or labels that are left out")
    expect(x.size > 0, "no sample")
    rows = (x if x.ndim == 1 else np.moveaxis(x, 1, -1)).reshape(-1, x.shape[min(x.ndim - 1, 1)])
    labels = target.reshape(-1)
    losses = cge.smoothed_cross_entropy_forward(rows, labels, label_smoothing)
    grads = cge.smoothed_cross_entropy_input_grad(rows, labels, label_smoothing)
    y, gradient = reduced(losses, grads, target.shape, reduction)

    def back(a):
        return a.reshape(x.shape) if x.ndim == 1 else np.moveaxis(a.reshape(x.shape[0], *x.shape[2:], -1), -1, 1)

    return y, lambda dy: {"x": back(gradient(dy))}


ADAPTERS = {
    "conv1d": lambda *a, **k: conv(1, *a, **k),
    "conv2d": lambda *a, **k: conv(2, *a, **k),
    "conv_transpose1d": lambda *a, **k: conv_transpose(1, *a, **k),
    "conv_transpose2d": lambda *a, **k: conv_transpose(2, *a, **k),
    "linear": linear,
    "max_pool2d": max_pool,
    "avg_pool2d": avg_pool,
    "adaptive_avg_pool2d": adaptive_avg_pool,
    "pad constant": pad,
    "interpolate nearest": interpolate,
    "interpolate bilinear": interpolate,
    "relu": activation("relu"),
    "relu6": activation("relu6"),
    "leaky_relu": leaky_relu,
    "elu": elu,
    "prelu": prelu,
    "silu": activation("silu", reads_x=True),
    "gelu": gelu,
    "hardswish": activation("hard_swish", reads_x=True),
    "hardsigmoid": activation("hard_sigmoid"),
    "softplus": softplus,
    "sigmoid": activation("sigmoid"),
    "tanh": activation("tanh"),
    "softmax": softmax,
    "group_norm": group_norm,
    "instance_norm": instance_norm,
    "layer_norm": layer_norm,
    "cross_entropy": cross_entropy,
    "binary_cross_entropy_with_logits": binary_cross_entropy,
    "mse_loss": loss("mean_squared_error"),
    "l1_loss": loss("mean_absolute_error"),
    "huber_loss": huber,
}
LEFT_OUT = [  # relatives by name that are other operators
    "interpolate area", "interpolate bicubic", "interpolate linear", "interpolate nearest-exact", "interpolate trilinear",
    "linear_cross_entropy", "linear_cross_entropy chunked", "linear_cross_entropy chunked_none",
    "max_pool2d_with_indices_backward", "pad circular", "pad reflect", "pad replicate", "pad replicate_negative",
    "silu complex", "softmax with_dtype", "tanhshrink",
]  # fmt: skip
NAMES = {  # of an operator's arrays, in PyTorch's order: those that we have gradients of
    **dict.fromkeys(["conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d", "linear"], "xwb"),
    "prelu": "xw",
}
OF_KEYWORDS = {"weight": "w", "bias": "b"}
DEFAULTS = {"leaky_relu": {"negative_slope": 0.01}}  # PyTorch's, which binary32 does not hold exactly
SIXTH_OF_A_FLOAT = {"hardsigmoid": 1e-7, "hardswish": 1e-7}  # PyTorch multiplies by a float32's 1/6 there


def plain(value):
    return value.detach().numpy().copy() if isinstance(value, torch.Tensor) else value


def binary32(value):
    """Settings such as alpha and eps are binary32 numbers here, in float64 operators too."""
    return float(np.float32(value)) if isinstance(value, float) else value


def close(got, want, tolerance):
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape
    scale = max(np.abs(want).max(initial=0), 1)
    assert np.abs(got - want).max(initial=0) <= tolerance * scale


def check(name, op, sample):
    """Raises Other if the sample cannot be expressed."""
    given = [sample.input, *map(binary32, sample.args)]
    keywords = {key: binary32(value) for key, value in {**DEFAULTS.get(name, {}), **sample.kwargs}.items()}
    tensors = {letter: t for letter, t in zip(NAMES.get(name, "x"), given) if isinstance(t, torch.Tensor)}
    tensors.update({OF_KEYWORDS[key]: t for key, t in keywords.items() if key in OF_KEYWORDS and t is not None})
    named = {key: plain(value) for key, value in keywords.items()}
    y, gradients = ADAPTERS[name](*map(plain, given), **named)
    want = op.op(*given, **keywords)
    close(y, plain(want), CLOSE)
    learned = {letter: t for letter, t in tensors.items() if t.requires_grad}
    dy = torch.tensor(np.random.default_rng(0).normal(size=want.shape))
    found = gradients(plain(dy) if dy.ndim else float(dy))
    for letter, gradient in zip(learned, torch.autograd.grad(want, list(learned.values()), dy, allow_unused=True)):
        close(found[letter], plain(gradient), SIXTH_OF_A_FLOAT.get(name, CLOSE))


COUNTS = {
    "conv1d": {"expressed": 10},
    "conv2d": {"expressed": 30},
    "conv_transpose1d": {"expressed": 10},
    "conv_transpose2d": {"expressed": 12},
    "linear": {"expressed": 14, "no sample": 4},
    "max_pool2d": {"expressed": 360, "indices asked for": 360, "dilation": 720},
    "avg_pool2d": {"expressed": 1, "a divisor of its own": 5, "ceil_mode with count_include_pad": 1},
    "adaptive_avg_pool2d": {"expressed": 0, "more than one output": 10},
    "pad constant": {"expressed": 1, "a value other than 0": 50},
    "interpolate nearest": {"expressed": 0, "not a batch of pictures": 15, "a scale that is no whole number": 8},
    "interpolate bilinear": {"expressed": 0, "align_corners": 8, "a scale that is no whole number": 16},
    "relu": {"expressed": 4},
    "relu6": {"expressed": 2, "no number": 1},
    "leaky_relu": {"expressed": 9},
    "elu": {"expressed": 2, "no number": 1},
    "prelu": {"expressed": 18, "a scalar, or no number": 7},
    "silu": {"expressed": 2, "no number": 1},
    "gelu": {"expressed": 4, "the approximation by tanh": 4},
    "hardswish": {"expressed": 4},
    "hardsigmoid": {"expressed": 2, "no number": 1},
    "softplus": {"expressed": 0, "another beta or threshold": 3},
    "sigmoid": {"expressed": 2, "no number": 1},
    "tanh": {"expressed": 1},
    "softmax": {"expressed": 5, "a scalar, no number, or another type": 2},
    "group_norm": {"expressed": 13, "eps that is not above 0": 4, "no number": 4},
    "instance_norm": {"expressed": 9},
    "layer_norm": {"expressed": 4, "eps that is not above 0": 1, "no number": 1},
    "cross_entropy": {"expressed": 7, "probabilities as targets": 10, "weights of classes, or labels that are left out": 4},
    "binary_cross_entropy_with_logits": {"expressed": 8, "weights of elements": 18},
    "mse_loss": {"expressed": 6},
    "l1_loss": {"expressed": 6},
    "huber_loss": {"expressed": 9},
}


@pytest.mark.parametrize("name", ADAPTERS)
def test_every_sample_that_our_operators_can_express(name):
    counts = {"expressed": 0}
    for sample in OPS[name].sample_inputs("cpu", torch.float64, requires_grad=True):
        try:
            check(name, OPS[name], sample)
            reason = "expressed"
        except Other as other:
            reason = str(other)
        counts[reason] = counts.get(reason, 0) + 1
    assert counts == COUNTS.get(name)


def test_all_operators_that_have_samples_are_compared():
    """What is left out by name has no operator here."""
    related = [name for name in OPS if any(name.startswith(ours.split()[0]) for ours in ADAPTERS)]
    assert sorted(set(related) - set(ADAPTERS)) == LEFT_OUT
