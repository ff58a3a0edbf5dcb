"""Dense layers, pooling, activations and losses on NumPy arrays, with the conventions of _convolution.py.

Vectors are (N, n), or (n,) for one sample. Activations take any shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from convgrad_embedded import _again, _arguments, _arrays, _core
from convgrad_embedded._arrays import Padding, Pair
from convgrad_embedded._core import Real, Shape

_OPERATORS = {
    name: _again.Operator(name)
    for name in (
        *("dense_forward", "dense_weight_grad", "dense_bias_grad", "dense_input_grad"),
        *(f"{kind}pool2d_{name}" for kind in ("max", "avg") for name in ("forward", "input_grad")),
        *("softmax_forward", "softmax_cross_entropy_forward", "softmax_cross_entropy_input_grad"),
        *("mean_squared_error_forward", "mean_squared_error_input_grad"),
        *(f"{kind}_{name}" for kind in ("relu", "leaky_relu", "sigmoid", "tanh") for name in ("forward", "input_grad")),
        *(f"{kind}_{name}" for kind in ("relu6", "hard_sigmoid", "elu", "softplus") for name in ("forward", "input_grad")),
        *(f"{kind}_{name}" for kind in ("hard_swish", "silu", "gelu") for name in ("forward", "input_grad")),
        *("softmax_input_grad", "dropout_forward", "dropout_input_grad"),
    )
}
_MOST_LABELS = 64  # that are copied one by one

_DENSE_FORWARD, _DENSE_WEIGHT_GRAD, _DENSE_BIAS_GRAD, _DENSE_INPUT_GRAD = list(_OPERATORS.values())[:4]

# ---- dense -----------------------------------------------------------------------------------------------------------


def dense_forward(x: ArrayLike, w: ArrayLike, b: ArrayLike | None = None) -> Real:
    """y (N, out) = x (N, in) w (in, out) + b (out,)."""
    key = _again.key_with_bias(x, w, b)
    again = _again.with_bias(_DENSE_FORWARD, key, x, w, b)
    if again is not None:
        return again
    rows = _vectors("x", x)
    count, size = rows.shape
    weights = _arrays.shaped("w", _arrays.real("w", w, rows), (size, "out"))
    bias = None if b is None else _arrays.shaped("b", _arrays.real("b", b, rows), (weights.shape[1],))
    y = np.empty((count, weights.shape[1]), rows.dtype)
    result = _arrays.like_batch(y, x, 2)
    operands = [(rows, True), (weights, False), (bias, False), (y, True)]
    _DENSE_FORWARD.run(key, (x, w, b), count, weights.shape, operands, result.shape)
    return result


def dense_weight_grad(x: ArrayLike, dy: ArrayLike) -> Real:
    """dL/dw (in, out), summed over the batch."""
    key = _again.key_of_two(x, dy)
    again = _again.with_two(_DENSE_WEIGHT_GRAD, key, x, dy)
    if again is not None:
        return again
    rows = _vectors("x", x)
    grads = _vectors("dy", dy, like=rows, count=len(rows))
    dw = np.zeros((rows.shape[1], grads.shape[1]), rows.dtype)
    _DENSE_WEIGHT_GRAD.run(key, (x, dy), len(rows), dw.shape, [(rows, True), (grads, True), (dw, False)], dw.shape)
    return dw


def dense_bias_grad(dy: ArrayLike) -> Real:
    """dL/db (out,), summed over the batch."""
    key = _again.key_of_one(dy)
    again = _again.with_one(_DENSE_BIAS_GRAD, key, dy)
    if again is not None:
        return again
    grads = _vectors("dy", dy)
    db = np.zeros(grads.shape[1], grads.dtype)
    _DENSE_BIAS_GRAD.run(key, (dy,), len(grads), db.shape, [(grads, True), (db, False)], db.shape)
    return db


def dense_input_grad(w: ArrayLike, dy: ArrayLike) -> Real:
    """dL/dx (N, in)."""
    key = _again.key_of_two(w, dy)
    again = _again.with_two(_DENSE_INPUT_GRAD, key, w, dy)
    if again is not None:
        return again
    weights = _arrays.shaped("w", _arrays.real("w", w), ("in", "out"))
    grads = _vectors("dy", dy, like=weights, size=weights.shape[1])
    dx = np.empty((len(grads), weights.shape[0]), weights.dtype)
    result = _arrays.like_batch(dx, dy, 2)
    operands = [(weights, False), (grads, True), (dx, True)]
    _DENSE_INPUT_GRAD.run(key, (w, dy), len(grads), weights.shape, operands, result.shape)
    return result


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
    pool, key = _OPERATORS[operator], _again.key_of_one(x, _again.settings(kernel_size, stride, padding))
    again = _again.with_one(pool, key, x)
    if again is not None:
        return again
    images = _arrays.images("x", x)
    g, out = _pool2d(images.shape[1:], kernel_size, stride, padding)
    y = np.empty((len(images), *out), images.dtype)
    result = _arrays.like_batch(y, x)
    pool.run(key, (x,), len(images), [g], [(images, True), (y, True)], result.shape)
    return result


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
    pool, key = _OPERATORS["maxpool2d_input_grad"], _again.key_of_two(x, dy, _again.settings(kernel_size, stride, padding))
    again = _again.with_two(pool, key, x, dy)
    if again is not None:
        return again
    images = _arrays.images("x", x)
    g, out = _pool2d(images.shape[1:], kernel_size, stride, padding)
    grads = _arrays.images("dy", dy, like=images, shape=out, count=len(images))
    dx = np.empty_like(images)
    result = _arrays.like_batch(dx, x)
    pool.run(key, (x, dy), len(dx), [g], [(images, True), (grads, True), (dx, True)], result.shape)
    return result


def avgpool2d_input_grad(
    dy: ArrayLike, input_size: Pair, kernel_size: Pair, *, stride: Pair | None = None, padding: Padding = 0
) -> Real:
    """dL/dx (N, H, W, C): each dL/dy is spread evenly over its window; `input_size` is (H, W)."""
    pool = _OPERATORS["avgpool2d_input_grad"]
    key = _again.key_of_one(dy, _again.settings(input_size, kernel_size, stride, padding))
    again = _again.with_one(pool, key, dy)
    if again is not None:
        return again
    in_c = _arrays.images("dy", dy).shape[-1]
    g, out = _pool2d((*_arrays.pair("input_size", input_size), in_c), kernel_size, stride, padding)
    grads = _arrays.images("dy", dy, shape=out)
    dx = np.empty((len(grads), g.in_h, g.in_w, in_c), grads.dtype)
    result = _arrays.like_batch(dx, dy)
    pool.run(key, (dy,), len(dx), [g], [(grads, True), (dx, True)], result.shape)
    return result


# ---- activations -----------------------------------------------------------------------------------------------------


def _elementwise(operator: str, head: tuple[float, ...], name: str, value: ArrayLike, dy: ArrayLike | None = None) -> Real:
    activation = _OPERATORS[operator]
    if dy is None:
        key = _again.key_of_one(value, head)
        again = _again.with_one(activation, key, value)
    else:
        key = _again.key_of_two(value, dy, head, 0)
        again = _again.with_two(activation, key, value, dy)
    if again is not None:
        return again
    first = _arrays.real(name, value)
    if not 1 <= first.size <= _core.MAX_ELEMS:
        raise ValueError(f"{name}: expected 1 .. {_core.MAX_ELEMS} numbers, got shape {first.shape}")
    arrays = [first] if dy is None else [first, _arrays.shaped("dy", _arrays.real("dy", dy, first), first.shape)]
    result = np.empty_like(first)
    given = (value,) if dy is None else (value, dy)
    activation.run(key, given, 1, (first.size, *head), [(array, False) for array in [*arrays, result]], first.shape)
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


def relu6_forward(x: ArrayLike) -> Real:
    """min(max(x, 0), 6)."""
    return _elementwise("relu6_forward", (), "x", x)


def relu6_input_grad(y: ArrayLike, dy: ArrayLike) -> Real:
    """dL/dx from the output y and dL/dy."""
    return _elementwise("relu6_input_grad", (), "y", y, dy)


def hard_sigmoid_forward(x: ArrayLike) -> Real:
    """min(max(x + 3, 0), 6) / 6."""
    return _elementwise("hard_sigmoid_forward", (), "x", x)


def hard_sigmoid_input_grad(y: ArrayLike, dy: ArrayLike) -> Real:
    """dL/dx from the output y and dL/dy."""
    return _elementwise("hard_sigmoid_input_grad", (), "y", y, dy)


def elu_forward(x: ArrayLike, alpha: float = 1.0) -> Real:
    """x for x > 0, otherwise alpha (exp(x) - 1)."""
    return _elementwise("elu_forward", (_arrays.number("alpha", alpha),), "x", x)


def elu_input_grad(y: ArrayLike, dy: ArrayLike, alpha: float = 1.0) -> Real:
    """dL/dx from the output y and dL/dy."""
    return _elementwise("elu_input_grad", (_arrays.number("alpha", alpha),), "y", y, dy)


def softplus_forward(x: ArrayLike) -> Real:
    """log(1 + exp(x))."""
    return _elementwise("softplus_forward", (), "x", x)


def softplus_input_grad(y: ArrayLike, dy: ArrayLike) -> Real:
    """dL/dx from the output y and dL/dy."""
    return _elementwise("softplus_input_grad", (), "y", y, dy)


def hard_swish_forward(x: ArrayLike) -> Real:
    """x hard_sigmoid(x)."""
    return _elementwise("hard_swish_forward", (), "x", x)


def hard_swish_input_grad(x: ArrayLike, dy: ArrayLike) -> Real:
    """dL/dx from the input x and dL/dy."""
    return _elementwise("hard_swish_input_grad", (), "x", x, dy)


def silu_forward(x: ArrayLike) -> Real:
    """x sigmoid(x)."""
    return _elementwise("silu_forward", (), "x", x)


def silu_input_grad(x: ArrayLike, dy: ArrayLike) -> Real:
    """dL/dx from the input x and dL/dy."""
    return _elementwise("silu_input_grad", (), "x", x, dy)


def gelu_forward(x: ArrayLike) -> Real:
    """x (1 + erf(x / sqrt(2))) / 2."""
    return _elementwise("gelu_forward", (), "x", x)


def gelu_input_grad(x: ArrayLike, dy: ArrayLike) -> Real:
    """dL/dx from the input x and dL/dy."""
    return _elementwise("gelu_input_grad", (), "x", x, dy)


def _dropout(operator: str, name: str, value: ArrayLike, p: float, key: int) -> Real:
    checked = _arrays.integer("key", key, 0, 2**64 - 1)
    return _elementwise(operator, (_arrays.number("p", p, below=1.0), checked), name, value)


def dropout_forward(x: ArrayLike, p: float = 0.5, key: int = 0) -> Real:
    """x / (1 - p), with zeros in a share p of places, which follow from key (0 .. 2**64 - 1) and the number of the element."""
    return _dropout("dropout_forward", "x", x, p, key)


def dropout_input_grad(dy: ArrayLike, p: float = 0.5, key: int = 0) -> Real:
    """dL/dx: the same of dL/dy."""
    return _dropout("dropout_input_grad", "dy", dy, p, key)


# ---- losses: one number for each sample ------------------------------------------------------------------------------


def softmax_forward(x: ArrayLike) -> Real:
    """Probabilities (N, n) of logits (N, n)."""
    softmax, key = _OPERATORS["softmax_forward"], _again.key_of_one(x)
    again = _again.with_one(softmax, key, x)
    if again is not None:
        return again
    rows = _vectors("x", x)
    y = np.empty_like(rows)
    result = _arrays.like_batch(y, x, 2)
    softmax.run(key, (x,), len(y), [y.shape[1]], [(rows, True), (y, True)], result.shape)
    return result


def softmax_input_grad(y: ArrayLike, dy: ArrayLike) -> Real:
    """dL/dx (N, n) from the output y (N, n) and dL/dy (N, n)."""
    softmax, key = _OPERATORS["softmax_input_grad"], _again.key_of_two(y, dy)
    again = _again.with_two(softmax, key, y, dy)
    if again is not None:
        return again
    rows = _vectors("y", y)
    grads = _vectors("dy", dy, like=rows, count=len(rows), size=rows.shape[1])
    dx = np.empty_like(rows)
    result = _arrays.like_batch(dx, y, 2)
    softmax.run(key, (y, dy), len(dx), [dx.shape[1]], [(rows, True), (grads, True), (dx, True)], result.shape)
    return result


def _cross_entropy(operator: str, x: ArrayLike, labels: ArrayLike, out_rank: int) -> Real:
    loss, key = _OPERATORS[operator], _again.key_of_two(x, labels)
    again = _again.with_labels(loss, key, x, labels)
    if again is not None:
        return again
    rows = _vectors("x", x)
    own = _arrays.labels("labels", np.atleast_1d(labels), *rows.shape)
    result = np.empty(rows.shape[:out_rank], rows.dtype)
    shape = result.shape if np.ndim(x) == 2 else result.shape[1:]
    key = key if len(own) <= _MOST_LABELS and shape else None  # a number is no array
    loss.run(key, (x, labels), len(rows), [rows.shape[1]], [(rows, True), (own, True), (result, True)], shape)
    return _arrays.like_batch(result, x, 2)


def _squared_error(operator: str, x: ArrayLike, target: ArrayLike, out_rank: int) -> Real:
    loss, key = _OPERATORS[operator], _again.key_of_two(x, target)
    again = _again.with_two(loss, key, x, target)
    if again is not None:
        return again
    rows = _vectors("x", x)
    values = _vectors("target", target, like=rows, count=len(rows), size=rows.shape[1])
    result = np.empty(rows.shape[:out_rank], rows.dtype)
    shape = result.shape if np.ndim(x) == 2 else result.shape[1:]
    key = key if shape else None
    loss.run(key, (x, target), len(rows), [rows.shape[1]], [(rows, True), (values, True), (result, True)], shape)
    return _arrays.like_batch(result, x, 2)


def softmax_cross_entropy_forward(x: ArrayLike, labels: ArrayLike) -> Real:
    """-log of the label's probability, (N,), for logits (N, n) and labels (N,)."""
    return _cross_entropy("softmax_cross_entropy_forward", x, labels, 1)


def softmax_cross_entropy_input_grad(x: ArrayLike, labels: ArrayLike) -> Real:
    """dL/dx of each sample, (N, n): softmax(x), minus one at the label."""
    return _cross_entropy("softmax_cross_entropy_input_grad", x, labels, 2)


def mean_squared_error_forward(x: ArrayLike, target: ArrayLike) -> Real:
    """The mean of (x - target)^2 over each sample, (N,)."""
    return _squared_error("mean_squared_error_forward", x, target, 1)


def mean_squared_error_input_grad(x: ArrayLike, target: ArrayLike) -> Real:
    """dL/dx of each sample, (N, n)."""
    return _squared_error("mean_squared_error_input_grad", x, target, 2)


_arguments.check_functions(globals())
