"""Losses with settings or for many labels on NumPy arrays, with the conventions of _operators.py."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np
from numpy.typing import ArrayLike

from convgrad_embedded import _again, _arguments, _arrays
from convgrad_embedded._core import Real
from convgrad_embedded._operators import _vectors


def _loss(operator: str, x: ArrayLike, target: Callable[[Real], Any], out_rank: int, *settings: float) -> Real:
    """`target` turns the checked x into the checked second argument."""
    rows = _vectors("x", x)
    y = np.empty(rows.shape[:out_rank], rows.dtype)
    shape = _arrays.like_batch(y, x, 2).shape
    operands = [(rows, True), (target(rows), True), (y, True)]
    _again.run(operator, len(rows), [rows.shape[1], *settings], operands, shape)
    return _arrays.like_batch(y, x, 2)  # of one sample's loss a copy, so not before


def _labels(labels: ArrayLike) -> Callable[[Real], Any]:
    return lambda rows: _arrays.labels("labels", np.atleast_1d(labels), *rows.shape)


def _values(target: ArrayLike) -> Callable[[Real], Any]:
    return lambda rows: _vectors("target", target, like=rows, count=len(rows), size=rows.shape[1])


def binary_cross_entropy_forward(x: ArrayLike, target: ArrayLike) -> Real:
    """Binary cross-entropy of logits (N, n) and targets (N, n), the mean over each sample, (N,).

    The mean of max(x, 0) - x target + log(1 + exp(-|x|)). ValueError for a target outside 0 .. 1.

    >>> cge.binary_cross_entropy_forward([[0.0, 0.0]], [[1.0, 0.0]]).round(6)
    array([0.693147])
    """
    return _loss("binary_cross_entropy_forward", x, _probabilities(target), 1)


def binary_cross_entropy_input_grad(x: ArrayLike, target: ArrayLike) -> Real:
    """dL/dx of each sample, (N, n): (sigmoid(x) - target) / n. ValueError for a target outside 0 .. 1.

    >>> cge.binary_cross_entropy_input_grad([[0.0, 0.0]], [[1.0, 0.0]])
    array([[-0.25,  0.25]])
    """
    return _loss("binary_cross_entropy_input_grad", x, _probabilities(target), 2)


def mean_absolute_error_forward(x: ArrayLike, target: ArrayLike) -> Real:
    """The mean of |x - target| over each sample, (N,), for x and target (N, n).

    >>> cge.mean_absolute_error_forward([[1.0, -2.0]], [[0.0, 0.0]])
    array([1.5])
    """
    return _loss("mean_absolute_error_forward", x, _values(target), 1)


def mean_absolute_error_input_grad(x: ArrayLike, target: ArrayLike) -> Real:
    """dL/dx of each sample, (N, n): the sign of x - target over n, 0 where they are equal.

    >>> cge.mean_absolute_error_input_grad([[1.0, -2.0]], [[0.0, 0.0]])
    array([[ 0.5, -0.5]])
    """
    return _loss("mean_absolute_error_input_grad", x, _values(target), 2)


def huber_forward(x: ArrayLike, target: ArrayLike, delta: float = 1.0) -> Real:
    """PyTorch's HuberLoss of each sample, (N,), for x and target (N, n): quadratic up to an error of delta > 0, linear beyond.

    With d = |x - target|, the mean of d^2 / 2 where d <= delta, else delta (d - delta / 2). ValueError unless delta > 0.

    >>> cge.huber_forward([[1.0, -2.0]], [[0.0, 0.0]], delta=1.0)
    array([1.])
    """
    return _loss("huber_forward", x, _values(target), 1, _arrays.positive("delta", delta))


def huber_input_grad(x: ArrayLike, target: ArrayLike, delta: float = 1.0) -> Real:
    """dL/dx of each sample, (N, n): x - target within -delta .. delta, over n. Arguments as huber_forward's.

    >>> cge.huber_input_grad([[1.0, -2.0]], [[0.0, 0.0]], delta=1.0)
    array([[ 0.5, -0.5]])
    """
    return _loss("huber_input_grad", x, _values(target), 2, _arrays.positive("delta", delta))


def smoothed_cross_entropy_forward(x: ArrayLike, labels: ArrayLike, label_smoothing: float = 0.0) -> Real:
    """Softmax cross-entropy of each sample, (N,), with PyTorch's label_smoothing, 0 to 1; logits (N, n), labels (N,).

    The target is 1 - e at the label plus e / n everywhere, with e = label_smoothing. ValueError for a label outside 0 .. n - 1.

    >>> cge.smoothed_cross_entropy_forward([[0.0, np.log(3)]], [1], label_smoothing=0.1).round(6)
    array([0.342613])
    """
    return _loss("smoothed_cross_entropy_forward", x, _labels(labels), 1, _arrays.share("label_smoothing", label_smoothing))


def smoothed_cross_entropy_input_grad(x: ArrayLike, labels: ArrayLike, label_smoothing: float = 0.0) -> Real:
    """dL/dx of each sample, (N, n): softmax(x) minus the smoothed target. Arguments as smoothed_cross_entropy_forward's.

    >>> cge.smoothed_cross_entropy_input_grad([[0.0, np.log(3)]], [1], label_smoothing=0.1).round(6)
    array([[ 0.2, -0.2]])
    """
    return _loss("smoothed_cross_entropy_input_grad", x, _labels(labels), 2, _arrays.share("label_smoothing", label_smoothing))


def distillation_forward(
    x: ArrayLike, labels: ArrayLike, teacher: ArrayLike, temperature: float = 1.0, alpha: float = 0.0
) -> Real:
    """alpha times cross-entropy plus (1 - alpha) times temperature^2 times KL(teacher, x), of each sample, (N,).

    Logits x and teacher (N, n), labels (N,), temperature > 0, alpha 0 to 1, else ValueError: see Distillation.

    >>> cge.distillation_forward([[0.0, 1.0]], [1], teacher=[[0.0, 2.0]], temperature=2.0).round(6)
    array([0.105378])
    """
    return _distilled("distillation_forward", x, labels, teacher, temperature, alpha, 1)


def distillation_input_grad(
    x: ArrayLike, labels: ArrayLike, teacher: ArrayLike, temperature: float = 1.0, alpha: float = 0.0
) -> Real:
    """dL/dx of each sample, (N, n). Arguments as distillation_forward's.

    With p and q the softmax of teacher / T and x / T: alpha (softmax(x) - target) + (1 - alpha) T (q - p).

    >>> cge.distillation_input_grad([[0.0, 2.0]], [1], teacher=[[0.0, 2.0]])
    array([[0., 0.]])
    """
    return _distilled("distillation_input_grad", x, labels, teacher, temperature, alpha, 2)


def _distilled(
    operator: str, x: ArrayLike, labels: ArrayLike, teacher: ArrayLike, temperature: float, alpha: float, out_rank: int
) -> Real:
    rows = _vectors("x", x)
    checked_labels = _labels(labels)(rows)
    of_teacher = _vectors("teacher", teacher, like=rows, count=len(rows), size=rows.shape[1])
    settings = _arrays.positive("temperature", temperature), _arrays.share("alpha", alpha)
    result = np.empty(rows.shape[:out_rank], rows.dtype)
    shape = _arrays.like_batch(result, x, 2).shape
    operands = [(rows, True), (checked_labels, True), (of_teacher, True), (result, True)]
    _again.run(operator, len(rows), [rows.shape[1], *settings], operands, shape)
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
_again.quick(
    globals(),
    [
        f"{loss}_{name}"
        for loss in ("binary_cross_entropy", "mean_absolute_error", "huber", "smoothed_cross_entropy", "distillation")
        for name in ("forward", "input_grad")
    ],
)
