"""Dense layers, pooling, activations and losses on NumPy arrays, with the conventions of _convolution.py.

Vectors are (N, n), or (n,) for one sample. Activations take any shape with at least one number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from convgrad_embedded import _again, _arguments, _arrays, _core
from convgrad_embedded._arrays import Padding, Pair
from convgrad_embedded._core import Real, Shape

# ---- dense -----------------------------------------------------------------------------------------------------------


def dense_forward(x: ArrayLike, w: ArrayLike, b: ArrayLike | None = None) -> Real:
    """y (N, out) = x (N, in) w (in, out) + b (out,); None is a b of zeros.

    y[o] = b[o] + sum_i x[i] w[i, o], i ascending. ValueError if the sizes of x, w and b do not belong together.

    >>> cge.dense_forward([[1.0, 2.0]], [[1.0, 0.0], [0.0, 3.0]], [0.5, 0.5])
    array([[1.5, 6.5]])
    """
    rows = _vectors("x", x)
    count, size = rows.shape
    weights = _arrays.shaped("w", _arrays.real("w", w, rows), (size, "out"))
    bias = None if b is None else _arrays.shaped("b", _arrays.real("b", b, rows), (weights.shape[1],))
    y = np.empty((count, weights.shape[1]), rows.dtype)
    result = _arrays.like_batch(y, x, 2)
    operands = [(rows, True), (weights, False), (bias, False), (y, True)]
    _again.run("dense_forward", count, weights.shape, operands, result.shape)
    return result


def dense_weight_grad(x: ArrayLike, dy: ArrayLike) -> Real:
    """dL/dw (in, out) = sum_n x[n, i] dy[n, o], from x (N, in) and dL/dy (N, out).

    ValueError if x and dy are not of one N.

    >>> cge.dense_weight_grad([[1.0, 2.0]], [[3.0, 4.0]])
    array([[3., 4.],
           [6., 8.]])
    """
    rows = _vectors("x", x)
    grads = _vectors("dy", dy, like=rows, count=len(rows))
    dw = np.zeros((rows.shape[1], grads.shape[1]), rows.dtype)
    _again.run("dense_weight_grad", len(rows), dw.shape, [(rows, True), (grads, True), (dw, False)], dw.shape)
    return dw


def dense_bias_grad(dy: ArrayLike) -> Real:
    """dL/db (out,) = sum_n dy[n, o], from dL/dy (N, out).

    >>> cge.dense_bias_grad([[3.0, 4.0], [1.0, 1.0]])
    array([4., 5.])
    """
    grads = _vectors("dy", dy)
    db = np.zeros(grads.shape[1], grads.dtype)
    _again.run("dense_bias_grad", len(grads), db.shape, [(grads, True), (db, False)], db.shape)
    return db


def dense_input_grad(w: ArrayLike, dy: ArrayLike) -> Real:
    """dL/dx (N, in) = sum_o dy[n, o] w[i, o], from w (in, out) and dL/dy (N, out).

    ValueError if dy has not as many columns as w.

    >>> cge.dense_input_grad([[1.0, 0.0], [0.0, 3.0]], [[1.0, 2.0]])
    array([[1., 6.]])
    """
    weights = _arrays.shaped("w", _arrays.real("w", w), ("in", "out"))
    grads = _vectors("dy", dy, like=weights, size=weights.shape[1])
    dx = np.empty((len(grads), weights.shape[0]), weights.dtype)
    result = _arrays.like_batch(dx, dy, 2)
    operands = [(weights, False), (grads, True), (dx, True)]
    _again.run("dense_input_grad", len(grads), weights.shape, operands, result.shape)
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
    result: Real = _arrays.batch(name, _arrays.shaped(name, array, *shapes), 1)
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
    result = _arrays.like_batch(y, x)
    _again.run(operator, len(images), [g], [(images, True), (y, True)], result.shape)
    return result


def maxpool2d_forward(x: ArrayLike, kernel_size: Pair, *, stride: Pair | None = None, padding: Padding = 0) -> Real:
    """The largest value of each window: (N, OH, OW, C) for x (N, H, W, C). A NaN wins over numbers.

    kernel_size and stride: int or (h, w); stride None is the window's size. padding: as conv2d_forward's, each side smaller
    than the kernel, else ValueError. Padding never is the largest.

    >>> x = np.arange(16.0).reshape(4, 4, 1)
    >>> cge.maxpool2d_forward(x, 2)[:, :, 0]
    array([[ 5.,  7.],
           [13., 15.]])
    """
    return _pool2d_forward("maxpool2d_forward", x, kernel_size, stride, padding)


def avgpool2d_forward(x: ArrayLike, kernel_size: Pair, *, stride: Pair | None = None, padding: Padding = 0) -> Real:
    """The mean of each window: (N, OH, OW, C) for x (N, H, W, C). Padding is not counted. Arguments as maxpool2d_forward's.

    >>> x = np.arange(16.0).reshape(4, 4, 1)
    >>> cge.avgpool2d_forward(x, 2)[:, :, 0]
    array([[ 2.5,  4.5],
           [10.5, 12.5]])
    """
    return _pool2d_forward("avgpool2d_forward", x, kernel_size, stride, padding)


def maxpool2d_input_grad(
    x: ArrayLike, dy: ArrayLike, kernel_size: Pair, *, stride: Pair | None = None, padding: Padding = 0
) -> Real:
    """dL/dx (N, H, W, C) from x and dL/dy (N, OH, OW, C): each dL/dy goes to the first largest value of its window.

    First is by rows, then columns. Other arguments as maxpool2d_forward's. ValueError if dy has not the shape of its output.

    >>> cge.maxpool2d_input_grad([[[1.0], [5.0]], [[3.0], [5.0]]], [[[7.0]]], 2)[:, :, 0]
    array([[0., 7.],
           [0., 0.]])
    """
    images = _arrays.images("x", x)
    g, out = _pool2d(images.shape[1:], kernel_size, stride, padding)
    grads = _arrays.images("dy", dy, like=images, shape=out, count=len(images))
    dx = np.empty_like(images)
    result = _arrays.like_batch(dx, x)
    _again.run("maxpool2d_input_grad", len(dx), [g], [(images, True), (grads, True), (dx, True)], result.shape)
    return result


def avgpool2d_input_grad(
    dy: ArrayLike, input_size: Pair, kernel_size: Pair, *, stride: Pair | None = None, padding: Padding = 0
) -> Real:
    """dL/dx (N, H, W, C): each dL/dy (N, OH, OW, C) is spread evenly over its window. input_size is (H, W), or one number for
    both.

    Other arguments as avgpool2d_forward's. ValueError if dy has not the shape of its output.

    >>> cge.avgpool2d_input_grad([[[8.0]]], 2, 2)[:, :, 0]
    array([[2., 2.],
           [2., 2.]])
    """
    in_c = _arrays.images("dy", dy).shape[-1]
    g, out = _pool2d((*_arrays.pair("input_size", input_size), in_c), kernel_size, stride, padding)
    grads = _arrays.images("dy", dy, shape=out)
    dx = np.empty((len(grads), g.in_h, g.in_w, in_c), grads.dtype)
    result = _arrays.like_batch(dx, dy)
    _again.run("avgpool2d_input_grad", len(dx), [g], [(grads, True), (dx, True)], result.shape)
    return result


# ---- activations -----------------------------------------------------------------------------------------------------


def _elementwise(operator: str, head: tuple[float, ...], name: str, value: ArrayLike, dy: ArrayLike | None = None) -> Real:
    first = _arrays.real(name, value)
    if not 1 <= first.size <= _core.MAX_ELEMS:
        raise ValueError(f"{name}: expected 1 .. {_core.MAX_ELEMS} numbers, got shape {first.shape}")
    arrays = [first] if dy is None else [first, _arrays.shaped("dy", _arrays.real("dy", dy, first), first.shape)]
    result = np.empty_like(first)
    _again.run(operator, 1, (first.size, *head), [(array, False) for array in [*arrays, result]], first.shape)
    return result


def relu_forward(x: ArrayLike) -> Real:
    """max(x, 0); NaN stays. x of any shape, and y of the same.

    >>> cge.relu_forward([-1.0, 0.0, 2.0])
    array([0., 0., 2.])
    """
    return _elementwise("relu_forward", (), "x", x)


def relu_input_grad(y: ArrayLike, dy: ArrayLike) -> Real:
    """dL/dx = dy where y > 0, else 0, from the output y and dL/dy of one shape.

    >>> cge.relu_input_grad([0.0, 0.0, 2.0], [5.0, 5.0, 5.0])
    array([0., 0., 5.])
    """
    return _elementwise("relu_input_grad", (), "y", y, dy)


def leaky_relu_forward(x: ArrayLike, alpha: float = 0.01) -> Real:
    """x for x >= 0, otherwise alpha x. x of any shape; alpha is finite and >= 0, else ValueError.

    >>> cge.leaky_relu_forward([-1.0, 0.0, 2.0], alpha=0.25)
    array([-0.25,  0.  ,  2.  ])
    """
    return _elementwise("leaky_relu_forward", (_arrays.number("alpha", alpha),), "x", x)


def leaky_relu_input_grad(y: ArrayLike, dy: ArrayLike, alpha: float = 0.01) -> Real:
    """dL/dx = dy where y > 0, else alpha dy, from the output y and dL/dy of one shape. alpha as in leaky_relu_forward.

    >>> cge.leaky_relu_input_grad([-0.25, 0.0, 2.0], [4.0, 4.0, 4.0], alpha=0.25)
    array([1., 1., 4.])
    """
    return _elementwise("leaky_relu_input_grad", (_arrays.number("alpha", alpha),), "y", y, dy)


def sigmoid_forward(x: ArrayLike) -> Real:
    """1 / (1 + exp(-x)). x of any shape, and y of the same.

    >>> cge.sigmoid_forward([-100.0, 0.0, 100.0]).round(6)
    array([0. , 0.5, 1. ])
    """
    return _elementwise("sigmoid_forward", (), "x", x)


def sigmoid_input_grad(y: ArrayLike, dy: ArrayLike) -> Real:
    """dL/dx = dy y (1 - y), from the output y and dL/dy of one shape.

    >>> cge.sigmoid_input_grad([0.0, 0.5, 1.0], [1.0, 1.0, 1.0])
    array([0.  , 0.25, 0.  ])
    """
    return _elementwise("sigmoid_input_grad", (), "y", y, dy)


def tanh_forward(x: ArrayLike) -> Real:
    """tanh(x), the core's own: the same bits on every target. x of any shape, and y of the same.

    >>> cge.tanh_forward([-1.0, 0.0, 1.0]).round(6)
    array([-0.761594,  0.      ,  0.761594])
    """
    return _elementwise("tanh_forward", (), "x", x)


def tanh_input_grad(y: ArrayLike, dy: ArrayLike) -> Real:
    """dL/dx = dy (1 - y^2), from the output y and dL/dy of one shape.

    >>> cge.tanh_input_grad([0.0, 0.5, 1.0], [1.0, 1.0, 1.0])
    array([1.  , 0.75, 0.  ])
    """
    return _elementwise("tanh_input_grad", (), "y", y, dy)


def relu6_forward(x: ArrayLike) -> Real:
    """min(max(x, 0), 6); NaN stays. x of any shape, and y of the same.

    >>> cge.relu6_forward([-1.0, 2.0, 9.0])
    array([0., 2., 6.])
    """
    return _elementwise("relu6_forward", (), "x", x)


def relu6_input_grad(y: ArrayLike, dy: ArrayLike) -> Real:
    """dL/dx = dy where 0 < y < 6, else 0, from the output y and dL/dy of one shape.

    >>> cge.relu6_input_grad([0.0, 2.0, 6.0], [5.0, 5.0, 5.0])
    array([0., 5., 0.])
    """
    return _elementwise("relu6_input_grad", (), "y", y, dy)


def hard_sigmoid_forward(x: ArrayLike) -> Real:
    """min(max(x + 3, 0), 6) / 6. x of any shape, and y of the same.

    >>> cge.hard_sigmoid_forward([-3.0, 0.0, 4.0])
    array([0. , 0.5, 1. ])
    """
    return _elementwise("hard_sigmoid_forward", (), "x", x)


def hard_sigmoid_input_grad(y: ArrayLike, dy: ArrayLike) -> Real:
    """dL/dx = dy / 6 where 0 < y < 1, else 0, from the output y and dL/dy of one shape.

    >>> cge.hard_sigmoid_input_grad([0.0, 0.5, 1.0], [6.0, 6.0, 6.0])
    array([0., 1., 0.])
    """
    return _elementwise("hard_sigmoid_input_grad", (), "y", y, dy)


def elu_forward(x: ArrayLike, alpha: float = 1.0) -> Real:
    """x for x > 0, otherwise alpha (exp(x) - 1). x of any shape; alpha is finite and >= 0, else ValueError.

    >>> cge.elu_forward([-100.0, 0.0, 2.0]).round(6)
    array([-1.,  0.,  2.])
    """
    return _elementwise("elu_forward", (_arrays.number("alpha", alpha),), "x", x)


def elu_input_grad(y: ArrayLike, dy: ArrayLike, alpha: float = 1.0) -> Real:
    """dL/dx = dy where y > 0, else dy (y + alpha), from the output y and dL/dy of one shape. alpha as in elu_forward.

    >>> cge.elu_input_grad([-0.5, 0.0, 2.0], [4.0, 4.0, 4.0])
    array([2., 4., 4.])
    """
    return _elementwise("elu_input_grad", (_arrays.number("alpha", alpha),), "y", y, dy)


def softplus_forward(x: ArrayLike) -> Real:
    """log(1 + exp(x)), accurate for small results too. x of any shape, and y of the same.

    >>> cge.softplus_forward([-100.0, 0.0, 100.0]).round(6)
    array([  0.      ,   0.693147, 100.      ])
    """
    return _elementwise("softplus_forward", (), "x", x)


def softplus_input_grad(y: ArrayLike, dy: ArrayLike) -> Real:
    """dL/dx = dy (1 - exp(-y)), from the output y and dL/dy of one shape.

    >>> cge.softplus_input_grad([np.log(2), 100.0], [4.0, 4.0]).round(6)
    array([2., 4.])
    """
    return _elementwise("softplus_input_grad", (), "y", y, dy)


def hard_swish_forward(x: ArrayLike) -> Real:
    """x hard_sigmoid(x). x of any shape, and y of the same.

    >>> cge.hard_swish_forward([-4.0, 1.5, 4.0])
    array([0.   , 1.125, 4.   ])
    """
    return _elementwise("hard_swish_forward", (), "x", x)


def hard_swish_input_grad(x: ArrayLike, dy: ArrayLike) -> Real:
    """dL/dx from the input x and dL/dy of one shape: 0 for x <= -3, dy for x >= 3, between them dy (x / 3 + 1 / 2).

    >>> cge.hard_swish_input_grad([-4.0, 1.5, 4.0], [2.0, 2.0, 2.0]).round(6)
    array([0., 2., 2.])
    """
    return _elementwise("hard_swish_input_grad", (), "x", x, dy)


def silu_forward(x: ArrayLike) -> Real:
    """x sigmoid(x), also called swish. x of any shape, and y of the same. Of -infinity it is NaN, as in PyTorch.

    >>> cge.silu_forward([-1.0, 0.0, 1.0]).round(6)
    array([-0.268941,  0.      ,  0.731059])
    """
    return _elementwise("silu_forward", (), "x", x)


def silu_input_grad(x: ArrayLike, dy: ArrayLike) -> Real:
    """dL/dx = dy s (1 + x (1 - s)) with s = sigmoid(x), from the input x and dL/dy of one shape.

    >>> cge.silu_input_grad([0.0, 1.0], [4.0, 4.0]).round(6)
    array([2.      , 3.710682])
    """
    return _elementwise("silu_input_grad", (), "x", x, dy)


def gelu_forward(x: ArrayLike) -> Real:
    """x (1 + erf(x / sqrt(2))) / 2. x of any shape, and y of the same. Of -infinity it is NaN, as in PyTorch.

    >>> cge.gelu_forward([-1.0, 0.0, 1.0]).round(6)
    array([-0.158655,  0.      ,  0.841345])
    """
    return _elementwise("gelu_forward", (), "x", x)


def gelu_input_grad(x: ArrayLike, dy: ArrayLike) -> Real:
    """dL/dx = dy (p + x exp(-x^2 / 2) / sqrt(2 pi)) with p = (1 + erf(x / sqrt(2))) / 2, from the input x and dL/dy of one
    shape.

    >>> cge.gelu_input_grad([0.0, 1.0], [4.0, 4.0]).round(6)
    array([2.      , 4.333262])
    """
    return _elementwise("gelu_input_grad", (), "x", x, dy)


def _dropout(operator: str, name: str, value: ArrayLike, p: float, key: int) -> Real:
    checked = _arrays.integer("key", key, 0, 2**64 - 1)
    return _elementwise(operator, (_arrays.number("p", p, below=1.0), checked), name, value)


def prelu_forward(x: ArrayLike, w: ArrayLike) -> Real:
    """x where x >= 0, otherwise w x. x of any shape; w has one slope (1,), or one for each channel, x's last axis, (C,).

    >>> cge.prelu_forward([[-1.0, -1.0], [3.0, 3.0]], [0.5, 2.0])
    array([[-0.5, -2. ],
           [ 3. ,  3. ]])
    """
    first = _of_slopes("x", x)
    slopes = _slopes(w, first)
    y = np.empty_like(first)
    head = [first.size, slopes.size]
    _again.run("prelu_forward", 1, head, [(first, False), (slopes, False), (y, False)], y.shape)
    return y


def prelu_weight_grad(x: ArrayLike, dy: ArrayLike, num_parameters: int = 1) -> Real:
    """dL/dw (num_parameters,), the sum of x dy where x is not above 0, from x and dL/dy of one shape.

    num_parameters is 1 or the size of the last axis, else ValueError.

    >>> cge.prelu_weight_grad([[-1.0, -2.0], [3.0, -1.0]], [[4.0, 5.0], [6.0, 7.0]], num_parameters=2)
    array([ -4., -17.])
    """
    first = _of_slopes("x", x)
    grads = _arrays.shaped("dy", _arrays.real("dy", dy, first), first.shape)
    count = _arrays.integer("num_parameters", num_parameters, 1)
    if count not in (1, first.shape[-1]):
        raise ValueError(f"num_parameters: expected 1 or {first.shape[-1]}, the size of the last axis, got {count}")
    dw = np.zeros(count, first.dtype)
    _again.run("prelu_weight_grad", 1, [first.size, count], [(first, False), (grads, False), (dw, False)], dw.shape)
    return dw


def prelu_input_grad(x: ArrayLike, w: ArrayLike, dy: ArrayLike) -> Real:
    """dL/dx = dy where x > 0, else w dy, from x and dL/dy of one shape. w as in prelu_forward.

    >>> cge.prelu_input_grad([-1.0, 0.0, 3.0], [0.5], [4.0, 4.0, 4.0])
    array([2., 2., 4.])
    """
    first = _of_slopes("x", x)
    slopes = _slopes(w, first)
    grads = _arrays.shaped("dy", _arrays.real("dy", dy, first), first.shape)
    dx, head = np.empty_like(first), [first.size, slopes.size]
    _again.run("prelu_input_grad", 1, head, [(first, False), (slopes, False), (grads, False), (dx, False)], dx.shape)
    return dx


def _of_slopes(name: str, value: ArrayLike) -> Real:
    """With a last axis, and at least one number."""
    array = _arrays.real(name, value)
    if array.ndim == 0 or not 1 <= array.size <= _core.MAX_ELEMS:
        raise ValueError(f"{name}: expected 1 .. {_core.MAX_ELEMS} numbers with a last axis, got shape {array.shape}")
    return array


def _slopes(w: ArrayLike, x: Real) -> Real:
    array: Real = _arrays.shaped("w", _arrays.real("w", w, x), *sorted({(1,), (x.shape[-1],)}))
    return array


def dropout_forward(x: ArrayLike, p: float = 0.5, key: int = 0) -> Real:
    """x / (1 - p), with zeros in a share p of places, which follow from key (0 .. 2**64 - 1) and the number of the element.

    x of any shape; 0 <= p < 1, else ValueError. The same key gives the same zeros, on every target.

    >>> cge.dropout_forward(np.ones(8), p=0.5, key=1)
    array([0., 2., 2., 2., 2., 2., 0., 0.])
    """
    return _dropout("dropout_forward", "x", x, p, key)


def dropout_input_grad(dy: ArrayLike, p: float = 0.5, key: int = 0) -> Real:
    """dL/dx from dL/dy of any shape: dy / (1 - p), with zeros where dropout_forward of these p and key has them.

    >>> cge.dropout_input_grad(np.full(8, 3.0), p=0.5, key=1)
    array([0., 6., 6., 6., 6., 6., 0., 0.])
    """
    return _dropout("dropout_input_grad", "dy", dy, p, key)


# ---- losses: one number for each sample ------------------------------------------------------------------------------


def softmax_forward(x: ArrayLike) -> Real:
    """Probabilities (N, n) of logits (N, n): y[i] = exp(x[i] - max x) / sum_j exp(x[j] - max x).

    >>> cge.softmax_forward([0.0, np.log(3)]).round(6)
    array([0.25, 0.75])
    """
    rows = _vectors("x", x)
    y = np.empty_like(rows)
    result = _arrays.like_batch(y, x, 2)
    _again.run("softmax_forward", len(y), [y.shape[1]], [(rows, True), (y, True)], result.shape)
    return result


def softmax_input_grad(y: ArrayLike, dy: ArrayLike) -> Real:
    """dL/dx (N, n) from the output y (N, n) and dL/dy (N, n): dx[i] = y[i] (dy[i] - sum_j dy[j] y[j]).

    >>> cge.softmax_input_grad([0.25, 0.75], [1.0, 0.0])
    array([ 0.1875, -0.1875])
    """
    rows = _vectors("y", y)
    grads = _vectors("dy", dy, like=rows, count=len(rows), size=rows.shape[1])
    dx = np.empty_like(rows)
    result = _arrays.like_batch(dx, y, 2)
    _again.run("softmax_input_grad", len(dx), [dx.shape[1]], [(rows, True), (grads, True), (dx, True)], result.shape)
    return result


def _cross_entropy(operator: str, x: ArrayLike, labels: ArrayLike, out_rank: int) -> Real:
    rows = _vectors("x", x)
    own = _arrays.labels("labels", np.atleast_1d(labels), *rows.shape)
    result = np.empty(rows.shape[:out_rank], rows.dtype)
    shape = result.shape if np.ndim(x) == 2 else result.shape[1:]
    _again.run(operator, len(rows), [rows.shape[1]], [(rows, True), (own, True), (result, True)], shape)
    return _arrays.like_batch(result, x, 2)


def _squared_error(operator: str, x: ArrayLike, target: ArrayLike, out_rank: int) -> Real:
    rows = _vectors("x", x)
    values = _vectors("target", target, like=rows, count=len(rows), size=rows.shape[1])
    result = np.empty(rows.shape[:out_rank], rows.dtype)
    shape = result.shape if np.ndim(x) == 2 else result.shape[1:]
    _again.run(operator, len(rows), [rows.shape[1]], [(rows, True), (values, True), (result, True)], shape)
    return _arrays.like_batch(result, x, 2)


def softmax_cross_entropy_forward(x: ArrayLike, labels: ArrayLike) -> Real:
    """-log of the label's probability, (N,), for logits (N, n) and labels (N,), which are class numbers 0 .. n - 1.

    ValueError for a label outside that range.

    >>> cge.softmax_cross_entropy_forward([[0.0, np.log(3)]], [1]).round(6)
    array([0.287682])
    """
    return _cross_entropy("softmax_cross_entropy_forward", x, labels, 1)


def softmax_cross_entropy_input_grad(x: ArrayLike, labels: ArrayLike) -> Real:
    """dL/dx of each sample, (N, n): softmax(x), minus one at the label. Arguments as softmax_cross_entropy_forward's.

    >>> cge.softmax_cross_entropy_input_grad([[0.0, np.log(3)]], [1]).round(6)
    array([[ 0.25, -0.25]])
    """
    return _cross_entropy("softmax_cross_entropy_input_grad", x, labels, 2)


def mean_squared_error_forward(x: ArrayLike, target: ArrayLike) -> Real:
    """The mean of (x - target)^2 over each sample, (N,), for x and target (N, n).

    >>> cge.mean_squared_error_forward([[1.0, 2.0]], [[0.0, 0.0]])
    array([2.5])
    """
    return _squared_error("mean_squared_error_forward", x, target, 1)


def mean_squared_error_input_grad(x: ArrayLike, target: ArrayLike) -> Real:
    """dL/dx of each sample, (N, n): (x - target) 2 / n.

    >>> cge.mean_squared_error_input_grad([[1.0, 2.0]], [[0.0, 0.0]])
    array([[1., 2.]])
    """
    return _squared_error("mean_squared_error_input_grad", x, target, 2)


_arguments.check_functions(globals())
_again.quick(
    globals(),
    [
        *("dense_forward", "dense_weight_grad", "dense_bias_grad", "dense_input_grad"),
        *(f"{kind}pool2d_{name}" for kind in ("max", "avg") for name in ("forward", "input_grad")),
        *("softmax_forward", "softmax_cross_entropy_forward", "softmax_cross_entropy_input_grad"),
        *("mean_squared_error_forward", "mean_squared_error_input_grad"),
        *(f"{kind}_{name}" for kind in ("relu", "leaky_relu", "sigmoid", "tanh") for name in ("forward", "input_grad")),
        *(f"{kind}_{name}" for kind in ("relu6", "hard_sigmoid", "elu", "softplus") for name in ("forward", "input_grad")),
        *(f"{kind}_{name}" for kind in ("hard_swish", "silu", "gelu") for name in ("forward", "input_grad")),
        *("softmax_input_grad", "dropout_forward", "dropout_input_grad"),
        *("prelu_forward", "prelu_weight_grad", "prelu_input_grad"),
    ],
)
