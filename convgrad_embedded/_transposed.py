"""Transposed convolution and its gradients on NumPy arrays, with the conventions of _convolution.py.

Weights are (KH, KW, K / groups, C): those of the convolution that goes the other way, from K channels to C.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from convgrad_embedded import _again, _arguments, _arrays, _core
from convgrad_embedded._arrays import Padding, Pair
from convgrad_embedded._core import Real, Shape


def _conv_transpose2d(
    in_shape: Shape,
    out_c: int,
    kernel_size: Pair,
    stride: Pair,
    padding: Padding,
    output_padding: Pair,
    dilation: Pair,
    groups: int,
) -> tuple[Any, Shape]:
    in_h, in_w, in_c = in_shape
    kernel, stride, dilation = (
        _arrays.pair(name, value) for name, value in (("kernel_size", kernel_size), ("stride", stride), ("dilation", dilation))
    )
    fields = {
        "in_h": in_h, "in_w": in_w, "in_c": in_c, "out_c": out_c,
        "kernel_h": kernel[0], "kernel_w": kernel[1],
        "stride_h": stride[0], "stride_w": stride[1],
        "dilation_h": dilation[0], "dilation_w": dilation[1],
        "groups": _arrays.integer("groups", groups, 1),
        **_arrays.transposed_padding(padding, kernel, stride, dilation, output_padding),
    }  # fmt: skip
    return _core.geometry("conv_transpose2d", fields)


def _weights(w: ArrayLike, in_c: int, like: Real | None = None) -> Real:
    array: Real = _arrays.shaped("w", _arrays.real("w", w, like), ("KH", "KW", "K/groups", in_c or "C"))
    return array


def _per_group(name: str, channels: int, groups: int) -> int:
    if channels % _arrays.integer("groups", groups, 1):
        raise ValueError(f"groups: expected a divisor of {name}'s {channels} channels, got {groups}")
    return channels // groups


def conv_transpose2d_forward(
    x: ArrayLike,
    w: ArrayLike,
    b: ArrayLike | None = None,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    output_padding: Pair = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Real:
    """conv2d's input gradient, and b: (N, OH, OW, K) for x (N, H, W, C), w (KH, KW, K / groups, C) and b (K,), None for none.

        y[oh, ow, k] = b[k] + sum_kh sum_kw sum_c x[ih, iw, c] w[kh, kw, k, c],  oh = ih stride - top + kh dilation, ow alike

    stride, dilation and output_padding: int or (h, w). padding: int, (h, w), ((top, bottom), (left, right)), what the output
    leaves out, "valid" (0) or "same". output_padding: rows below and columns at the right, less than stride or dilation.
    OH = (H - 1) stride - top - bottom + dilation (KH - 1) + output_padding + 1, with "same" OH = H stride. groups divides C and
    K, and filter k reads the channels of group k // (K / groups). ValueError if shapes do not belong together, or nothing is
    left.

    >>> cge.conv_transpose2d_forward(np.ones((2, 2, 1)), np.ones((2, 2, 1, 1)))[:, :, 0]
    array([[1., 2., 1.],
           [2., 4., 2.],
           [1., 2., 1.]])
    """
    images = _arrays.images("x", x)
    _per_group("x", images.shape[3], groups)
    weights = _weights(w, images.shape[3], images)
    filters = weights.shape[2] * groups
    bias = None if b is None else _arrays.shaped("b", _arrays.real("b", b, images), (filters,))
    settings = (weights.shape[:2], stride, padding, output_padding, dilation, groups)
    g, out = _conv_transpose2d(images.shape[1:], filters, *settings)
    y = np.empty((len(images), *out), images.dtype)
    result = _arrays.like_batch(y, x)
    operands = [(images, True), (weights, False), (bias, False), (y, True)]
    _again.run("conv_transpose2d_forward", len(y), [g], operands, result.shape)
    return result


def conv_transpose2d_weight_grad(
    x: ArrayLike,
    dy: ArrayLike,
    kernel_size: Pair,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    output_padding: Pair = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Real:
    """dL/dw (KH, KW, K / groups, C), summed over the batch, from x (N, H, W, C) and dL/dy (N, OH, OW, K).

        dw[kh, kw, k, c] = sum_ih sum_iw x[ih, iw, c] dy[oh, ow, k],  oh = ih stride - top + kh dilation, ow alike

    kernel_size is (KH, KW), or one number for both. Other arguments as conv_transpose2d_forward's. ValueError if dy has not the
    shape of its output.

    >>> x, dy = np.ones((2, 2, 1)), np.arange(9.0).reshape(3, 3, 1)
    >>> cge.conv_transpose2d_weight_grad(x, dy, 2)[:, :, 0, 0]
    array([[ 8., 12.],
           [20., 24.]])
    """
    images = _arrays.images("x", x)
    _per_group("x", images.shape[3], groups)
    filters = _arrays.images("dy", dy, like=images).shape[-1]
    per_group = _per_group("dy", filters, groups)
    settings = (kernel_size, stride, padding, output_padding, dilation, groups)
    g, out = _conv_transpose2d(images.shape[1:], filters, *settings)
    grads = _arrays.images("dy", dy, like=images, shape=out, count=len(images))
    dw = np.zeros((g.kernel_h, g.kernel_w, per_group, images.shape[3]), images.dtype)
    _again.run("conv_transpose2d_weight_grad", len(images), [g], [(images, True), (grads, True), (dw, False)], dw.shape)
    return dw


def conv_transpose2d_bias_grad(dy: ArrayLike) -> Real:
    """dL/db (K,): dL/dy (N, OH, OW, K) summed over the batch, rows and columns.

    >>> cge.conv_transpose2d_bias_grad(np.ones((5, 2, 2, 3)))
    array([20., 20., 20.])
    """
    grads = _arrays.images("dy", dy)
    filters = grads.shape[-1]
    g, _ = _conv_transpose2d((*grads.shape[1:3], 1), filters, 1, 1, 0, 0, 1, 1)  # any geometry with this output
    db = np.zeros(filters, grads.dtype)
    _again.run("conv_transpose2d_bias_grad", len(grads), [g], [(grads, True), (db, False)], db.shape)
    return db


def conv_transpose2d_input_grad(
    w: ArrayLike,
    dy: ArrayLike,
    input_size: Pair,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    output_padding: Pair = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Real:
    """dL/dx (N, H, W, C) from w (KH, KW, K / groups, C) and dL/dy (N, OH, OW, K). conv2d's forward pass.

        dx[ih, iw, c] = sum_kh sum_kw sum_k dy[oh, ow, k] w[kh, kw, k, c],  oh = ih stride - top + kh dilation, ow alike

    input_size is (H, W), or one number for both. Other arguments as conv_transpose2d_forward's. ValueError if dy has not the
    shape of its output.

    >>> w, dy = np.ones((2, 2, 1, 1)), np.arange(9.0).reshape(3, 3, 1)
    >>> cge.conv_transpose2d_input_grad(w, dy, 2)[:, :, 0]
    array([[ 8., 12.],
           [20., 24.]])
    """
    weights = _weights(w, 0)
    kernel_h, kernel_w, per_group, in_c = weights.shape
    _per_group("w", in_c, groups)
    size = _arrays.pair("input_size", input_size)
    settings = ((kernel_h, kernel_w), stride, padding, output_padding, dilation, groups)
    g, out = _conv_transpose2d((*size, in_c), per_group * groups, *settings)
    grads = _arrays.images("dy", dy, like=weights, shape=out)
    dx = np.empty((len(grads), *size, in_c), weights.dtype)
    result = _arrays.like_batch(dx, dy)
    _again.run("conv_transpose2d_input_grad", len(dx), [g], [(weights, False), (grads, True), (dx, True)], result.shape)
    return result


_arguments.check_functions(globals())
_again.quick(globals(), [f"conv_transpose2d_{name}" for name in ("forward", "weight_grad", "bias_grad", "input_grad")])
