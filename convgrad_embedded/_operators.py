"""Dense layers, pooling, activations and losses on NumPy arrays, with the conventions of _convolution.py.

Vectors are (N, n), or (n,) for one sample. Activations take any shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Callable

import numpy as np
from numpy.typing import ArrayLike

from convgrad_embedded import _arrays, _core
from convgrad_embedded._arrays import Padding, Pair
from convgrad_embedded._core import Real, Shape

# ---- dense -----------------------------------------------------------------------------------------------------------


def dense_forward(x: ArrayLike, w: ArrayLike, b: ArrayLike | None = None) -> Real:
    """y (N, out) = x (N, in) w (in, out) + b (out,)."""
    rows = _vectors("x", x)
    count, size = rows.shape
    weights = _arrays.shaped("w", _arrays.real("w", w, rows), (size, "out"))
    bias = None if b is None else _arrays.shaped("b", _arrays.real("b", b, rows), (weights.shape[1],))
    y = np.empty((count, weights.shape[1]), rows.dtype)
    _core.run("dense_forward", y.dtype, count, weights.shape, (rows, True), (weights, False), (bias, False), (y, True))
    return _arrays.like_batch(y, x, 2)


def dense_weight_grad(x: ArrayLike, dy: ArrayLike) -> Real:
    """dL/dw (in, out), summed over the batch."""
    rows = _vectors("x", x)
    grads = _vectors("dy", dy, like=rows, count=len(rows))
    dw = np.zeros((rows.shape[1], grads.shape[1]), rows.dtype)
    _core.run("dense_weight_grad", dw.dtype, len(rows), dw.shape, (rows, True), (grads, True), (dw, False))
    return dw


def dense_bias_grad(dy: ArrayLike) -> Real:
    """dL/db (out,), summed over the batch."""
    grads = _vectors("dy", dy)
    db = np.zeros(grads.shape[1], grads.dtype)
    _core.run("dense_bias_grad", db.dtype, len(grads), db.shape, (grads, True), (db, False))
    return db


def dense_input_grad(w: ArrayLike, dy: ArrayLike) -> Real:
    """dL/dx (N, in)."""
    weights = _arrays.shaped("w", _arrays.real("w", w), ("in", "out"))
    grads = _vectors("dy", dy, like=weights, size=weights.shape[1])
    dx = np.empty((len(grads), weights.shape[0]), weights.dtype)
    _core.run("dense_input_grad", dx.dtype, len(grads), weights.shape, (weights, False), (grads, True), (dx, True))
    return _arrays.like_batch(dx, dy, 2)


def _vectors(
    name: str, value: ArrayLike, *, like: Real | None = None, count: int | None = None, size: int | None = None
) -> Real:
    """(N, n) or (n,), as (N, n)."""
    array = _arrays.real(name, value, like)
    n: int | str = size or "n"
    shapes: list[Sequence[int | str]] = [(count or "N", n)]
    if count in (None, 1):
        shapes.append((n,))
    result: Real = _arrays.shaped(name, array, *shapes).reshape(-1, array.shape[-1])
    return result


# ---- pooling ---------------------------------------------------------------------------------------------------------


def _pool2d(in_shape: Shape, kernel_size: Pair, stride: Pair | None, padding: Padding) -> tuple[Any, Shape]:
    kernel = _arrays.pair("kernel_size", kernel_size)
    steps = kernel if stride is None else _arrays.pair("stride", stride)
    fields = {
        "in_h": in_shape[0], "in_w": in_shape[1], "in_c": in_shape[2],
        "kernel_h": kernel[0], "kernel_w": kernel[1],
        "stride_h": steps[0], "stride_w": steps[1],
        **_arrays.padding(padding, in_shape[:2], kernel, steps, 1),
    }  # fmt: skip
    return _core.geometry("pool2d", fields)


def _pool2d_forward(operator: str, x: ArrayLike, kernel_size: Pair, stride: Pair | None, padding: Padding) -> Real:
    images = _arrays.images("x", x)
    g, out = _pool2d(images.shape[1:], kernel_size, stride, padding)
    y = np.empty((len(images), *out), images.dtype)
    _core.run(operator, y.dtype, len(images), [g], (images, True), (y, True))
    return _arrays.like_batch(y, x)


def maxpool2d_forward(x: ArrayLike, kernel_size: Pair, *, stride: Pair | None = None, padding: Padding = 0) -> Real:
    """The largest value of each window; the stride is the window's size unless given."""
    return _pool2d_forward("maxpool2d_forward", x, kernel_size, stride, padding)


def avgpool2d_forward(x: ArrayLike, kernel_size: Pair, *, stride: Pair | None = None, padding: Padding = 0) -> Real:
    """The mean of each window; padding is not counted."""
    return _pool2d_forward("avgpool2d_forward", x, kernel_size, stride, padding)


def maxpool2d_input_grad(
    x: ArrayLike, dy: ArrayLike, kernel_size: Pair, *, stride: Pair | None = None, padding: Padding = 0
) -> Real:
    """dL/dx: each dL/dy goes to the first largest value of its window."""
    images = _arrays.images("x", x)
    g, out = _pool2d(images.shape[1:], kernel_size, stride, padding)
    grads = _arrays.images("dy", dy, like=images, shape=out, count=len(images))
    dx = np.empty_like(images)
    _core.run("maxpool2d_input_grad", dx.dtype, len(dx), [g], (images, True), (grads, True), (dx, True))
    return _arrays.like_batch(dx, x)


def avgpool2d_input_grad(
    dy: ArrayLike, input_size: Pair, kernel_size: Pair, *, stride: Pair | None = None, padding: Padding = 0
) -> Real:
    """dL/dx (N, H, W, C): each dL/dy is spread evenly over its window; `input_size` is (H, W)."""
    in_c = _arrays.images("dy", dy).shape[-1]
    g, out = _pool2d((*_arrays.pair("input_size", input_size), in_c), kernel_size, stride, padding)
    grads = _arrays.images("dy", dy, shape=out)
    dx = np.empty((len(grads), g.in_h, g.in_w, in_c), grads.dtype)
    _core.run("avgpool2d_input_grad", dx.dtype, len(dx), [g], (grads, True), (dx, True))
    return _arrays.like_batch(dx, dy)


# ---- activations -----------------------------------------------------------------------------------------------------


def _elementwise(operator: str, head: tuple[float, ...], name: str, value: ArrayLike, dy: ArrayLike | None = None) -> Real:
    first = _arrays.real(name, value)
    if not 1 <= first.size <= _core.MAX_ELEMS:
        raise ValueError(f"{name}: expected 1 .. {_core.MAX_ELEMS} numbers, got shape {first.shape}")
    arrays = [first] if dy is None else [first, _arrays.shaped("dy", _arrays.real("dy", dy, first), first.shape)]
    result = np.empty_like(first)
    _core.run(operator, first.dtype, 1, (first.size, *head), *((array, False) for array in [*arrays, result]))
    return result


def relu_forward(x: ArrayLike) -> Real:
    """max(x, 0)."""
    return _elementwise("relu_forward", (), "x", x)


def relu_input_grad(y: ArrayLike, dy: ArrayLike) -> Real:
    """dL/dx from the output y and dL/dy."""
    return _elementwise("relu_input_grad", (), "y", y, dy)


def leaky_relu_forward(x: ArrayLike, alpha: float = 0.01) -> Real:
    """x for x >= 0, otherwise alpha x."""
    return _elementwise("leaky_relu_forward", (_arrays.number("alpha", alpha),), "x", x)


def leaky_relu_input_grad(y: ArrayLike, dy: ArrayLike, alpha: float = 0.01) -> Real:
    """dL/dx from the output y and dL/dy."""
    return _elementwise("leaky_relu_input_grad", (_arrays.number("alpha", alpha),), "y", y, dy)


def sigmoid_forward(x: ArrayLike) -> Real:
    """1 / (1 + exp(-x))."""
    return _elementwise("sigmoid_forward", (), "x", x)


def sigmoid_input_grad(y: ArrayLike, dy: ArrayLike) -> Real:
    """dL/dx from the output y and dL/dy."""
    return _elementwise("sigmoid_input_grad", (), "y", y, dy)


def tanh_forward(x: ArrayLike) -> Real:
    """tanh(x), the core's own: the same bits on every target."""
    return _elementwise("tanh_forward", (), "x", x)


def tanh_input_grad(y: ArrayLike, dy: ArrayLike) -> Real:
    """dL/dx from the output y and dL/dy."""
    return _elementwise("tanh_input_grad", (), "y", y, dy)


# ---- losses: one number for each sample ------------------------------------------------------------------------------


def softmax_forward(x: ArrayLike) -> Real:
    """Probabilities (N, n) of logits (N, n)."""
    rows = _vectors("x", x)
    y = np.empty_like(rows)
    _core.run("softmax_forward", y.dtype, len(y), [y.shape[1]], (rows, True), (y, True))
    return _arrays.like_batch(y, x, 2)


def _loss(operator: str, x: ArrayLike, target: Callable[[Real], Any], out_rank: int) -> Real:
    """`target` turns the checked x into the checked second argument."""
    rows = _vectors("x", x)
    result = np.empty(rows.shape[:out_rank], rows.dtype)
    _core.run(operator, rows.dtype, len(rows), [rows.shape[1]], (rows, True), (target(rows), True), (result, True))
    return _arrays.like_batch(result, x, 2)


def _labels(labels: ArrayLike) -> Callable[[Real], Any]:
    return lambda rows: _arrays.labels("labels", np.atleast_1d(labels), *rows.shape)


def _values(target: ArrayLike) -> Callable[[Real], Any]:
    return lambda rows: _vectors("target", target, like=rows, count=len(rows), size=rows.shape[1])


def softmax_cross_entropy_forward(x: ArrayLike, labels: ArrayLike) -> Real:
    """-log of the label's probability, (N,), for logits (N, n) and labels (N,)."""
    return _loss("softmax_cross_entropy_forward", x, _labels(labels), 1)


def softmax_cross_entropy_input_grad(x: ArrayLike, labels: ArrayLike) -> Real:
    """dL/dx of each sample, (N, n): softmax(x), minus one at the label."""
    return _loss("softmax_cross_entropy_input_grad", x, _labels(labels), 2)


def mean_squared_error_forward(x: ArrayLike, target: ArrayLike) -> Real:
    """The mean of (x - target)^2 over each sample, (N,)."""
    return _loss("mean_squared_error_forward", x, _values(target), 1)


def mean_squared_error_input_grad(x: ArrayLike, target: ArrayLike) -> Real:
    """dL/dx of each sample, (N, n)."""
    return _loss("mean_squared_error_input_grad", x, _values(target), 2)
