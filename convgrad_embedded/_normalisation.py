"""Normalisation over groups of channels on NumPy arrays, with the conventions of _convolution.py.

w and b have one number for each channel, (C,). groups=C is instance normalisation. Layer normalisation with a weight for
each number is groups=1 on x reshaped to (N, 1, 1, H * W * C).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from convgrad_embedded import _again, _arguments, _arrays, _core
from convgrad_embedded._core import Real, Shape


def _group_norm(in_shape: Shape, groups: int, eps: float) -> Any:
    in_h, in_w, in_c = in_shape
    if in_c % _arrays.integer("groups", groups, 1):
        raise ValueError(f"groups: expected a divisor of {in_c}, the number of channels, got {groups}")
    return _core.norm({"in_h": in_h, "in_w": in_w, "in_c": in_c, "groups": groups, "eps": _arrays.positive("eps", eps)})


def _of_channels(name: str, value: ArrayLike | None, like: Real) -> Real | None:
    if value is None:
        return None
    array: Real = _arrays.shaped(name, _arrays.real(name, value, like), (like.shape[-1],))
    return array


def group_norm_forward(
    x: ArrayLike, groups: int, w: ArrayLike | None = None, b: ArrayLike | None = None, *, eps: float = 1e-5
) -> Real:
    """y = (x - mean) / sqrt(variance + eps) * w + b for x (N, H, W, C); mean and variance are those of a sample's group.

    groups divides C, and eps > 0, else ValueError. w and b (C,), or None for ones and zeros.

    >>> cge.group_norm_forward([[[1.0, 3.0]]], groups=1).round(3)
    array([[[-1.,  1.]]])
    """
    return _group_norm_forward(x, w, b, groups, eps)


def _group_norm_forward(x: ArrayLike, w: ArrayLike | None, b: ArrayLike | None, groups: int, eps: float) -> Real:
    images = _arrays.images("x", x)
    g = _group_norm(images.shape[1:], groups, eps)
    weights, bias = _of_channels("w", w, images), _of_channels("b", b, images)
    y = np.empty_like(images)
    result = _arrays.like_batch(y, x)
    operands = [(images, True), (weights, False), (bias, False), (y, True)]
    _again.run("group_norm_forward", len(y), [g], operands, result.shape)
    return result


def group_norm_weight_grad(x: ArrayLike, dy: ArrayLike, groups: int, *, eps: float = 1e-5) -> Real:
    """dL/dw (C,), summed over the batch: the sum of dy (x - mean) / sqrt(variance + eps), from x and dL/dy (N, H, W, C).

    groups and eps as in group_norm_forward.

    >>> cge.group_norm_weight_grad([[[1.0, 3.0]]], [[[1.0, 1.0]]], groups=1).round(3)
    array([-1.,  1.])
    """
    images = _arrays.images("x", x)
    g = _group_norm(images.shape[1:], groups, eps)
    grads = _arrays.images("dy", dy, like=images, shape=images.shape[1:], count=len(images))
    dw = np.zeros(images.shape[-1], images.dtype)
    _again.run("group_norm_weight_grad", len(images), [g], [(images, True), (grads, True), (dw, False)], dw.shape)
    return dw


def group_norm_bias_grad(dy: ArrayLike) -> Real:
    """dL/db (C,): dL/dy (N, H, W, C) summed over the batch, rows and columns.

    >>> cge.group_norm_bias_grad([[[1.0, 3.0]], [[2.0, 2.0]]])
    array([3., 5.])
    """
    grads = _arrays.images("dy", dy)
    g = _group_norm(grads.shape[1:], 1, 1e-5)
    db = np.zeros(grads.shape[-1], grads.dtype)
    _again.run("group_norm_bias_grad", len(grads), [g], [(grads, True), (db, False)], db.shape)
    return db


def group_norm_input_grad(x: ArrayLike, dy: ArrayLike, groups: int, w: ArrayLike | None = None, *, eps: float = 1e-5) -> Real:
    """dL/dx (N, H, W, C) from x, dL/dy (N, H, W, C) and w (C,); None is a w of ones. groups and eps as in group_norm_forward.

    A constant added to x changes nothing, so the gradients of a group add up to 0.

    >>> dx = cge.group_norm_input_grad([[[1.0, 2.0, 6.0]]], [[[1.0, 0.0, 0.0]]], groups=1)
    >>> dx.round(3), abs(dx.sum()) < 1e-12
    (array([[[ 0.176, -0.22 ,  0.044]]]), np.True_)
    """
    return _group_norm_input_grad(x, w, dy, groups, eps)


def _group_norm_input_grad(x: ArrayLike, w: ArrayLike | None, dy: ArrayLike, groups: int, eps: float) -> Real:
    images = _arrays.images("x", x)
    g = _group_norm(images.shape[1:], groups, eps)
    weights = _of_channels("w", w, images)
    grads = _arrays.images("dy", dy, like=images, shape=images.shape[1:], count=len(images))
    dx = np.empty_like(images)
    result = _arrays.like_batch(dx, x)
    operands = [(images, True), (weights, False), (grads, True), (dx, True)]
    _again.run("group_norm_input_grad", len(dx), [g], operands, result.shape)
    return result


_arguments.check_functions(globals())
_again.quick(
    globals(), ["_group_norm_forward", "group_norm_weight_grad", "group_norm_bias_grad", "_group_norm_input_grad"]
)
