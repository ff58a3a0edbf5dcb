"""Convolution and its gradients on NumPy arrays: one C call for a whole batch.

Activations are (N, H, W, C), or (H, W, C) for one sample; weights (KH, KW, C / groups, K). Arrays
are float32 or float64, one type in a call, and the result has that type. Gradients of parameters are summed over the
batch in sample order. Formulas, and the order of additions, are in csrc/include/cge.h.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from convgrad_embedded import _again, _arguments, _arrays, _core
from convgrad_embedded._arrays import Padding, Pair
from convgrad_embedded._core import Real, Shape

# ---- convolution -----------------------------------------------------------------------------------------------------


def _conv2d(
    in_size: tuple[int, int],
    in_c: int,
    out_c: int,
    kernel_size: Pair,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> tuple[Any, Shape]:
    kernel, stride, dilation = (
        _arrays.pair(name, value) for name, value in (("kernel_size", kernel_size), ("stride", stride), ("dilation", dilation))
    )
    fields = {
        "in_h": in_size[0], "in_w": in_size[1], "in_c": in_c, "out_c": out_c,
        "kernel_h": kernel[0], "kernel_w": kernel[1],
        "stride_h": stride[0], "stride_w": stride[1],
        "dilation_h": dilation[0], "dilation_w": dilation[1],
        "groups": _arrays.integer("groups", groups, 1),
        **_arrays.padding(padding, in_size, kernel, stride, dilation),
    }  # fmt: skip
    return _core.geometry("conv2d", fields)


def _conv2d_weights(w: ArrayLike, like: Real | None = None) -> Real:
    array: Real = _arrays.shaped("w", _arrays.real("w", w, like), ("KH", "KW", "C/groups", "K"))
    return array


def _check_channels(x: Real, w: Real, groups: int) -> None:
    """ValueError if w does not go with the channels of x, with a hint for arrays in PyTorch's order."""
    try:
        _arrays.shaped("w", w, w.shape[:2] + (_channels_per_group(x.shape[3], groups), w.shape[3]))
    except ValueError as error:
        channels = w.shape[1] * groups  # if w is (K, C / groups, KH, KW)
        if channels not in (x.shape[1], x.shape[3]):
            raise
        pictures = "" if channels == x.shape[3] else "np.moveaxis(x, 1, -1) and "
        turned = f"{pictures}np.transpose(w, (2, 3, 1, 0))"
        raise ValueError(f"{error}; channels first become channels last by {turned}") from None


def conv2d_forward(
    x: ArrayLike,
    w: ArrayLike,
    b: ArrayLike | None = None,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Real:
    """y = w * x + b: (N, OH, OW, K) for x (N, H, W, C), w (KH, KW, C / groups, K) and b (K,); None is a b of zeros.

        y[oh, ow, k] = b[k] + sum_kh sum_kw sum_c x[ih, iw, c] w[kh, kw, c, k],  ih = oh stride - top + kh dilation, iw alike

    stride and dilation: int or (h, w). padding: int, (h, w), ((top, bottom), (left, right)), "valid" (0) or "same". groups
    divides C and K; filter k reads the channels of group k // (K / groups). OH = (H + top + bottom - dilation (KH - 1) - 1) //
    stride + 1. ValueError if shapes do not belong together, or the kernel is larger than the padded image.

    >>> x, w = np.arange(9.0).reshape(3, 3, 1), np.ones((2, 2, 1, 1))
    >>> cge.conv2d_forward(x, w)[:, :, 0]
    array([[ 8., 12.],
           [20., 24.]])
    """
    images = _arrays.images("x", x)
    weights = _conv2d_weights(w, images)
    count, in_h, in_w, in_c = images.shape
    _check_channels(images, weights, groups)
    bias = None if b is None else _arrays.shaped("b", _arrays.real("b", b, images), (weights.shape[3],))
    g, out = _conv2d((in_h, in_w), in_c, weights.shape[3], weights.shape[:2], stride, padding, dilation, groups)
    y = np.empty((count, *out), images.dtype)
    result = _arrays.like_batch(y, x)
    operands = [(images, True), (weights, False), (bias, False), (y, True)]
    _again.run("conv2d_forward", count, [g], operands, result.shape)
    return result


def conv2d_weight_grad(
    x: ArrayLike,
    dy: ArrayLike,
    kernel_size: Pair,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Real:
    """dL/dw (KH, KW, C / groups, K), summed over the batch, from x (N, H, W, C) and dL/dy (N, OH, OW, K).

        dw[kh, kw, c, k] = sum_oh sum_ow dy[oh, ow, k] x[ih, iw, c],  ih = oh stride - top + kh dilation, iw alike

    kernel_size is (KH, KW), or one number for both. Other arguments as conv2d_forward's. ValueError if dy has not the shape of
    its output.

    >>> x, dy = np.arange(9.0).reshape(3, 3, 1), np.ones((2, 2, 1))
    >>> cge.conv2d_weight_grad(x, dy, 2)[:, :, 0, 0]
    array([[ 8., 12.],
           [20., 24.]])
    """
    images = _arrays.images("x", x)
    count, in_h, in_w, in_c = images.shape
    out_c = _arrays.images("dy", dy, like=images).shape[-1]
    g, out = _conv2d((in_h, in_w), in_c, out_c, kernel_size, stride, padding, dilation, groups)
    grads = _arrays.images("dy", dy, like=images, shape=out, count=count)
    dw = np.zeros((g.kernel_h, g.kernel_w, in_c // groups, out_c), images.dtype)
    _again.run("conv2d_weight_grad", count, [g], [(images, True), (grads, True), (dw, False)], dw.shape)
    return dw


def conv2d_bias_grad(dy: ArrayLike) -> Real:
    """dL/db (K,): dL/dy (N, OH, OW, K) summed over the batch, rows and columns.

    >>> cge.conv2d_bias_grad(np.ones((5, 2, 2, 3)))
    array([20., 20., 20.])
    """
    grads = _arrays.images("dy", dy)
    count, out_h, out_w, out_c = grads.shape
    g, _ = _conv2d((out_h, out_w), 1, out_c, 1, 1, 0, 1, 1)  # any geometry with this output
    db = np.zeros(out_c, grads.dtype)
    _again.run("conv2d_bias_grad", count, [g], [(grads, True), (db, False)], db.shape)
    return db


def conv2d_input_grad(
    w: ArrayLike,
    dy: ArrayLike,
    input_size: Pair,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Real:
    """dL/dx (N, H, W, C) from w (KH, KW, C / groups, K) and dL/dy (N, OH, OW, K).

        dx[ih, iw, c] = sum_kh sum_kw sum_k dy[oh, ow, k] w[kh, kw, c, k],  ih = oh stride - top + kh dilation, iw alike

    input_size is (H, W), or one number for both. Other arguments as conv2d_forward's. ValueError if dy has not the shape of its
    output.

    >>> w, dy = np.ones((2, 2, 1, 1)), np.ones((2, 2, 1))
    >>> cge.conv2d_input_grad(w, dy, 3)[:, :, 0]
    array([[1., 2., 1.],
           [2., 4., 2.],
           [1., 2., 1.]])
    """
    weights = _conv2d_weights(w)
    kernel_h, kernel_w, per_group, out_c = weights.shape
    in_c = per_group * _arrays.integer("groups", groups, 1)
    size = _arrays.pair("input_size", input_size)
    g, out = _conv2d(size, in_c, out_c, (kernel_h, kernel_w), stride, padding, dilation, groups)
    grads = _arrays.images("dy", dy, like=weights, shape=out)
    dx = np.empty((len(grads), *size, in_c), weights.dtype)
    result = _arrays.like_batch(dx, dy)
    _again.run("conv2d_input_grad", len(grads), [g], [(weights, False), (grads, True), (dx, True)], result.shape)
    return result


def _channels_per_group(in_c: int, groups: int) -> int:
    if in_c % _arrays.integer("groups", groups, 1):
        raise ValueError(f"groups: expected a divisor of x's {in_c} channels, got {groups}")
    return in_c // groups


# ---- the three questions that the project began with -----------------------------------------------------------------


def manual_convolution_gradient(input_map: ArrayLike, kernel: ArrayLike, output_grad: ArrayLike) -> Real:
    """dL/dkernel (kh, kw) of a valid convolution of input_map (H, W), from output_grad (H - kh + 1, W - kw + 1).

        dW[m, n] = sum_i sum_j  output_grad[i, j] * input_map[i + m, j + n]

    Float64; of `kernel` only the shape matters.

    Other shapes are a ValueError.

    >>> cge.manual_convolution_gradient(np.arange(9).reshape(3, 3), np.zeros((2, 2)), np.ones((2, 2)))
    array([[ 8., 12.],
           [20., 24.]])
    """
    x = _float64("input_map", input_map, "H", "W")
    kernel_size = _float64("kernel", kernel, "kh", "kw").shape
    grads = _output_grads("output_grad", output_grad, x.shape, kernel_size)
    return _weight_grad(x, grads[:, :, None], kernel_size)[:, :, 0]


def manual_convolution_multi_filter_gradients(input_map: ArrayLike, kernels: ArrayLike, output_grads: ArrayLike) -> Real:
    """The same for K filters: (K, kh, kw) from input_map (H, W) and output_grads (K, oh, ow).

    >>> dw = cge.manual_convolution_multi_filter_gradients(np.eye(3), np.zeros((4, 2, 2)), np.ones((4, 2, 2)))
    >>> dw.shape, dw[0]
    ((4, 2, 2), array([[2., 1.],
           [1., 2.]]))
    """
    x = _float64("input_map", input_map, "H", "W")
    filters, *kernel_size = _float64("kernels", kernels, "K", "kh", "kw").shape
    grads = _output_grads("output_grads", output_grads, x.shape, kernel_size, filters)
    dw = _weight_grad(x, grads.transpose(1, 2, 0), kernel_size)
    return np.ascontiguousarray(dw.transpose(2, 0, 1))


def manual_convolution_gradient_rgb(input_map: ArrayLike, kernel: ArrayLike, output_grad: ArrayLike) -> Real:
    """The same for a kernel shared by the three channels of input_map (H, W, 3): summed over channels.

    A row R G B R G B ... is one channel three times as wide; its taps lie three columns apart, and each output gradient
    counts for three neighbouring columns. The additions keep the order i, j, channel.

    >>> cge.manual_convolution_gradient_rgb(np.ones((3, 3, 3)), np.zeros((2, 2)), np.ones((2, 2)))
    array([[12., 12.],
           [12., 12.]])
    """
    x = _float64("input_map", input_map, "H", "W", 3)
    kernel_size = _float64("kernel", kernel, "kh", "kw").shape
    grads = _output_grads("output_grad", output_grad, x.shape, kernel_size)
    interleaved = x.reshape(x.shape[0], -1)
    return _weight_grad(interleaved, np.repeat(grads, 3, axis=1)[:, :, None], kernel_size, dilation_w=3)[:, :, 0]


def _float64(name: str, value: ArrayLike, *shape: int | str) -> Real:
    array = np.asarray(value)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{name}: expected real numbers for float64, got {_arrays.describe(array)}")
    result: Real = _arrays.shaped(name, array.astype(np.float64), shape) if shape else array.astype(np.float64)
    return result


def _output_grads(name: str, value: ArrayLike, size: Sequence[int], kernel_size: Sequence[int], *filters: int) -> Real:
    """(*filters, oh, ow), if these are the sizes that a convolution without padding has."""
    (in_h, in_w), (kernel_h, kernel_w) = size[:2], kernel_size
    if kernel_h > in_h or kernel_w > in_w:
        raise ValueError(f"kernel: expected at most the size of input_map {(in_h, in_w)}, got {(kernel_h, kernel_w)}")
    grads = _float64(name, value)
    expected = (*filters, in_h - kernel_h + 1, in_w - kernel_w + 1)
    if grads.shape != expected:
        sizes = f"input_map {(in_h, in_w)} and kernel {(kernel_h, kernel_w)}"
        raise ValueError(f"{name}: expected shape {expected} for {sizes}, got {grads.shape}")
    return grads


def _weight_grad(x: Real, grads: Real, kernel_size: Sequence[int], dilation_w: int = 1) -> Real:
    """(kh, kw, K) from x (H, W) and grads (oh, ow, K)."""
    return conv2d_weight_grad(x[:, :, None], grads, tuple(kernel_size), dilation=(1, dilation_w))[:, :, 0, :]


_arguments.check_functions(globals())
_again.quick(globals(), [f"conv2d_{name}" for name in ("forward", "weight_grad", "bias_grad", "input_grad")])
