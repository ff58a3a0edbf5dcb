"""Metrics of predictions, in NumPy alone: what cge_confusion, cge_top_k and cge_absolute_error count on a board.

Labels (N,) are class numbers. `predicted` is class numbers (N,) too, or outputs (N, classes) as Network.predict gives them:
then the first of the largest counts. Labels outside 0 .. classes - 1, and shapes that do not belong together, are a ValueError.

>>> outputs = np.array([[0.1, 0.9], [0.8, 0.2]])
>>> cge.metrics.confusion_matrix([1, 1], outputs)
array([[0, 0],
       [1, 1]])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from convgrad_embedded import _arguments, _arrays, _names

Counts = NDArray[Any]  # of integers
_AVERAGES = ("macro", "micro", "weighted")


class PrecisionRecallF1(NamedTuple):
    """One number for each class, (classes,), or their average; support is how many samples have the label.

    >>> result = cge.metrics.precision_recall_f1([0, 1, 1, 1], [0, 1, 0, 0], average="micro")
    >>> result.precision, result.support
    (0.5, 4)
    """

    precision: Any
    recall: Any
    f1: Any
    support: Any


def confusion_matrix(labels: ArrayLike, predicted: ArrayLike, classes: int | None = None) -> Counts:
    """(classes, classes): how many samples of class `row` were taken for class `column`.

    `classes` is by default as many as there are outputs, or one more than the largest number. A sample with NaN among its
    outputs is in no cell.

    >>> cge.metrics.confusion_matrix([0, 1, 1], [0, 1, 0])
    array([[1, 0],
           [1, 1]])
    """
    truth, guess, size = _pairs(labels, predicted, classes)
    counts: Counts = np.zeros((size, size), np.int64)
    known = guess >= 0
    np.add.at(counts, (truth[known], guess[known]), 1)
    return counts


def top_k_accuracy(labels: ArrayLike, outputs: ArrayLike, k: int = 5) -> float:
    """Share of samples whose label is among the k largest outputs (N, classes); of equal ones the first count.

    1 <= k <= classes. A sample with NaN among its outputs is not right.

    >>> cge.metrics.top_k_accuracy([2, 0], np.array([[0.5, 0.1, 0.4], [0.1, 0.2, 0.7]]), k=2)
    0.5
    """
    rows = _outputs("outputs", outputs)
    truth = _arrays.labels("labels", labels, *rows.shape)
    k = _arrays.integer("k", k, 1, rows.shape[1])
    of_label = rows[np.arange(len(rows)), truth][:, None]
    before = np.arange(rows.shape[1]) < truth[:, None]
    rank = np.where(before, rows >= of_label, rows > of_label).sum(1)
    return float(((rank < k) & ~np.isnan(rows).any(1)).mean())


def precision_recall_f1(
    labels: ArrayLike,
    predicted: ArrayLike,
    classes: int | None = None,
    average: Literal["macro", "micro", "weighted"] | None = None,
) -> PrecisionRecallF1:
    """Precision tp / (tp + fp), recall tp / (tp + fn) and their harmonic mean F1, for each class.

    0 where nothing was predicted, or nothing has the label. `average`: "macro" is the mean over the classes, "weighted" the
    mean by how many samples have the label, "micro" counts all classes together.

    >>> cge.metrics.precision_recall_f1([0, 1, 1, 1], [0, 1, 0, 0]).recall.round(3)
    array([1.   , 0.333])
    """
    if average is not None:
        _arrays.choice("average", average, _AVERAGES)
    truth, guess, size = _pairs(labels, predicted, classes)
    support = np.bincount(truth, minlength=size)
    guessed = np.bincount(guess[guess >= 0], minlength=size)
    right = np.bincount(truth[truth == guess], minlength=size)
    if average == "micro":
        support, guessed, right = (counts.sum(keepdims=True) for counts in (support, guessed, right))
    precision: Any = _ratio(right, guessed)
    recall: Any = _ratio(right, support)
    f1: Any = _ratio(2 * right, guessed + support)
    if average is None:
        return PrecisionRecallF1(precision, recall, f1, support)
    weights = support if average == "weighted" else None
    precision, recall, f1 = (float(np.average(each, weights=weights)) for each in (precision, recall, f1))
    return PrecisionRecallF1(precision, recall, f1, int(support.sum()))


def mean_absolute_error(target: ArrayLike, outputs: ArrayLike) -> float:
    """The mean of |outputs - target| over all numbers, in double precision; arrays of one shape.

    >>> cge.metrics.mean_absolute_error([[1.0, 2.0]], [[1.5, 2.5]])
    0.5
    """
    expected, given = (_numbers(name, value) for name, value in (("target", target), ("outputs", outputs)))
    if expected.shape != given.shape:
        raise ValueError(f"outputs: expected shape {expected.shape}, got {given.shape}")
    if expected.size == 0:
        raise ValueError("target: expected at least one number, got none")
    return float(np.abs(given - expected).mean())


def _ratio(part: Counts, whole: Counts) -> NDArray[np.float64]:
    result: NDArray[np.float64] = part / np.maximum(whole, 1)
    return result


def _numbers(name: str, value: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(value)
    if array.dtype.kind not in "iubf":
        raise TypeError(f"{name}: expected numbers, got {_arrays.describe(array)}")
    result: NDArray[np.float64] = array.astype(np.float64)
    return result


def _outputs(name: str, value: ArrayLike) -> NDArray[Any]:
    rows: NDArray[Any] = np.asarray(value)
    if rows.dtype.kind != "f" or rows.ndim != 2 or 0 in rows.shape:
        raise ValueError(f"{name}: expected floats of shape (N, classes), got {_arrays.describe(rows)}")
    return rows


def _pairs(labels: ArrayLike, predicted: ArrayLike, classes: int | None) -> tuple[Counts, Counts, int]:
    """Labels, predicted classes (-1: none, there is a NaN), how many classes."""
    guess: NDArray[Any] = np.asarray(predicted)
    truth: NDArray[Any] = np.asarray(labels)
    if classes is not None:
        classes = _arrays.integer("classes", classes, 1)
    if guess.ndim == 2:
        rows = _outputs("predicted", guess)
        if classes not in (None, rows.shape[1]):
            raise ValueError(f"classes: expected {rows.shape[1]}, as there are outputs, got {classes}")
        classes = rows.shape[1]
        guess = np.where(np.isnan(rows).any(1), -1, rows.argmax(1))
    else:
        limit = classes if classes is not None else _arrays.INT32_MAX
        guess = _arrays.labels("predicted", guess, _length("predicted", guess), limit)
    _length("labels", truth)
    checked = _arrays.labels("labels", truth, len(guess), classes if classes is not None else _arrays.INT32_MAX)
    return checked, guess, classes if classes is not None else int(max(checked.max(), guess.max())) + 1


def _length(name: str, array: NDArray[Any]) -> int:
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{name}: expected shape (N,), got {array.shape}")
    return array.size


_arguments.check_functions(globals())


if not TYPE_CHECKING:  # which knows what there is
    __getattr__ = _names.of_module(globals())
