"""Losses with settings or for many labels on NumPy arrays, with the conventions of _operators.py."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np
from numpy.typing import ArrayLike

from convgrad_embedded import _arguments, _arrays, _core
from convgrad_embedded._core import Real
from convgrad_embedded._operators import _vectors


def _loss(operator: str, x: ArrayLike, target: Callable[[Real], Any], out_rank: int, *settings: float) -> Real:
    """`target` turns the checked x into the checked second argument."""
    rows = _vectors("x", x)
    result = np.empty(rows.shape[:out_rank], rows.dtype)
    head = [rows.shape[1], *settings]
    _core.run(operator, rows.dtype, len(rows), head, (rows, True), (target(rows), True), (result, True))
    return _arrays.like_batch(result, x, 2)


def _labels(labels: ArrayLike) -> Callable[[Real], Any]:
    return lambda rows: _arrays.labels("labels", np.atleast_1d(labels), *rows.shape)


def _values(target: ArrayLike) -> Callable[[Real], Any]:
    return lambda rows: _vectors("target", target, like=rows, count=len(rows), size=rows.shape[1])


def binary_cross_entropy_forward(x: ArrayLike, target: ArrayLike) -> Real:
    """Binary cross-entropy of logits (N, n) and targets (N, n) in 0 .. 1, the mean over each sample, (N,)."""
    return _loss("binary_cross_entropy_forward", x, _probabilities(target), 1)


def binary_cross_entropy_input_grad(x: ArrayLike, target: ArrayLike) -> Real:
    """dL/dx of each sample, (N, n): (sigmoid(x) - target) / n."""
    return _loss("binary_cross_entropy_input_grad", x, _probabilities(target), 2)


def mean_absolute_error_forward(x: ArrayLike, target: ArrayLike) -> Real:
    """The mean of |x - target| over each sample, (N,)."""
    return _loss("mean_absolute_error_forward", x, _values(target), 1)


def mean_absolute_error_input_grad(x: ArrayLike, target: ArrayLike) -> Real:
    """dL/dx of each sample, (N, n): the sign of x - target over n, 0 where they are equal."""
    return _loss("mean_absolute_error_input_grad", x, _values(target), 2)


def huber_forward(x: ArrayLike, target: ArrayLike, delta: float = 1.0) -> Real:
    """PyTorch's HuberLoss of each sample, (N,): quadratic up to an error of delta > 0, linear beyond."""
    return _loss("huber_forward", x, _values(target), 1, _arrays.positive("delta", delta))


def huber_input_grad(x: ArrayLike, target: ArrayLike, delta: float = 1.0) -> Real:
    """dL/dx of each sample, (N, n): x - target within -delta .. delta, over n."""
    return _loss("huber_input_grad", x, _values(target), 2, _arrays.positive("delta", delta))


def smoothed_cross_entropy_forward(x: ArrayLike, labels: ArrayLike, label_smoothing: float = 0.0) -> Real:
    """Softmax cross-entropy of each sample, (N,), with PyTorch's label_smoothing, 0 to 1; logits (N, n), labels (N,)."""
    return _loss("smoothed_cross_entropy_forward", x, _labels(labels), 1, _arrays.share("label_smoothing", label_smoothing))


def smoothed_cross_entropy_input_grad(x: ArrayLike, labels: ArrayLike, label_smoothing: float = 0.0) -> Real:
    """dL/dx of each sample, (N, n): softmax(x) minus the smoothed target."""
    return _loss("smoothed_cross_entropy_input_grad", x, _labels(labels), 2, _arrays.share("label_smoothing", label_smoothing))


def distillation_forward(
    x: ArrayLike, labels: ArrayLike, teacher: ArrayLike, temperature: float = 1.0, alpha: float = 0.0
) -> Real:
    """alpha times cross-entropy plus (1 - alpha) times temperature^2 times KL(teacher, x), of each sample, (N,).

    Logits x and teacher (N, n), labels (N,), temperature > 0, alpha 0 to 1: see Distillation.
    """
    return _distilled("distillation_forward", x, labels, teacher, temperature, alpha, 1)


def distillation_input_grad(
    x: ArrayLike, labels: ArrayLike, teacher: ArrayLike, temperature: float = 1.0, alpha: float = 0.0
) -> Real:
    """dL/dx of each sample, (N, n)."""
    return _distilled("distillation_input_grad", x, labels, teacher, temperature, alpha, 2)


def _distilled(
    operator: str, x: ArrayLike, labels: ArrayLike, teacher: ArrayLike, temperature: float, alpha: float, out_rank: int
) -> Real:
    rows = _vectors("x", x)
    checked_labels = _labels(labels)(rows)
    of_teacher = _vectors("teacher", teacher, like=rows, count=len(rows), size=rows.shape[1])
    settings = _arrays.positive("temperature", temperature), _arrays.share("alpha", alpha)
    result = np.empty(rows.shape[:out_rank], rows.dtype)
    operands = (rows, True), (checked_labels, True), (of_teacher, True), (result, True)
    _core.run(operator, rows.dtype, len(rows), [rows.shape[1], *settings], *operands)
    return _arrays.like_batch(result, x, 2)


def _probabilities(target: ArrayLike) -> Callable[[Real], Any]:
    def checked(rows: Real) -> Any:
        values = _values(target)(rows)
        outside = ~((values >= 0) & (values <= 1))
        if outside.any():
            raise ValueError(f"target: expected targets 0 .. 1, got {values[outside][0]}")
        return values

    return checked


_arguments.check_functions(globals())
