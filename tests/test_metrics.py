"""cge.metrics against counting one by one, and against the core's structs."""

import numpy as np
import pytest
from capi import ffi, ok

import convgrad_embedded as cge
from convgrad_embedded import metrics


def outputs(rng, count=60, classes=5):
    """With ties."""
    return rng.integers(0, 4, (count, classes)).astype(np.float32), rng.integers(0, classes, count)


def test_a_confusion_matrix_counts(rng):
    y, labels = outputs(rng)
    expected = np.zeros((5, 5), int)
    for row, label in zip(y, labels):
        expected[label, max(range(5), key=lambda i: (row[i], -i))] += 1
    assert np.array_equal(cge.metrics.confusion_matrix(labels, y), expected)
    assert np.array_equal(metrics.confusion_matrix(labels, y.argmax(1), 5), expected)
    assert metrics.confusion_matrix([0, 1], [1, 2]).tolist() == [[0, 1, 0], [0, 0, 1], [0, 0, 0]]
    y[3, 2] = np.nan
    assert metrics.confusion_matrix(labels, y).sum() == 59


def test_the_core_counts_the_same(rng):
    y, labels = outputs(rng)
    y[7, 1] = np.nan
    counts = np.zeros((5, 5), np.int32)
    confusion = ffi.new("cge_confusion *", {"classes": 5, "counts": ffi.from_buffer("int32_t[]", counts)})
    tops = [ffi.new("cge_top_k *", {"k": k}) for k in range(1, 6)]
    error = ffi.new("cge_absolute_error *")
    values = rng.normal(size=y.shape).astype(np.float32)
    for row, label, value in zip(y, labels, values):
        ok("confusion_add_f32", confusion, row, int(label))
        for top in tops:
            ok("top_k_add_f32", top, 5, row, int(label))
        ok("absolute_error_add_f32", error, 5, value, np.zeros(5, np.float32))
    assert np.array_equal(counts, metrics.confusion_matrix(labels, y)) and confusion.not_a_number == 1
    for top in tops:
        assert top.right / top.seen == metrics.top_k_accuracy(labels, y, top.k)
    mean = ffi.new("float *")
    ok("absolute_error_mean_f32", error, mean)
    assert mean[0] == pytest.approx(metrics.mean_absolute_error(np.zeros_like(values), values), rel=1e-6)


def test_top_one_is_the_accuracy_of_evaluate(rng):
    net = cge.Network((4,), [cge.Dense(3)], "softmax_cross_entropy", seed=2)
    x, labels = rng.normal(size=(30, 4)).astype(np.float32), rng.integers(0, 3, 30)
    assert net.evaluate(x, labels).accuracy == metrics.top_k_accuracy(labels, net.predict(x), 1)
    assert metrics.top_k_accuracy(labels, net.predict(x), 3) == 1


def test_precision_recall_and_f1(rng):
    labels, predicted = rng.integers(0, 4, (2, 50))
    result = metrics.precision_recall_f1(labels, predicted, 5)
    for c in range(5):
        right = sum(a == b == c for a, b in zip(labels, predicted))
        guessed, there = (predicted == c).sum(), (labels == c).sum()
        precision, recall = (right / n if n else 0 for n in (guessed, there))
        assert result.precision[c] == pytest.approx(precision) and result.recall[c] == pytest.approx(recall)
        both = precision + recall
        assert result.f1[c] == pytest.approx(2 * precision * recall / both if both else 0)
        assert result.support[c] == there
    macro = metrics.precision_recall_f1(labels, predicted, 5, average="macro")
    assert macro[:3] == pytest.approx([each.mean() for each in result[:3]]) and macro.support == 50
    weighted = metrics.precision_recall_f1(labels, predicted, 5, average="weighted")
    assert weighted.recall == pytest.approx((labels == predicted).mean())
    micro = metrics.precision_recall_f1(labels, predicted, 5, average="micro")
    assert micro[:3] == pytest.approx([(labels == predicted).mean()] * 3)


def test_mean_absolute_error():
    assert metrics.mean_absolute_error([[1.0, 2.0], [3.0, 4.0]], [[1.0, 3.0], [3.0, 1.0]]) == 1
    assert metrics.mean_absolute_error(np.zeros(3, np.uint8), np.full(3, 255, np.uint8)) == 255


BAD = {
    "label too large": (
        lambda: metrics.confusion_matrix([0, 5], np.ones((2, 3))),
        ValueError,
        "labels: expected labels 0 .. 2",
    ),
    "labels of other count": (
        lambda: metrics.confusion_matrix([0], np.ones((2, 3))),
        ValueError,
        r"labels: expected shape \(2,\)",
    ),
    "classes beside outputs": (lambda: metrics.confusion_matrix([0, 1], np.ones((2, 3)), 4), ValueError, "classes: expected 3"),
    "no class": (lambda: metrics.confusion_matrix([0], [0], 0), ValueError, "classes: expected at least 1"),
    "nothing": (lambda: metrics.confusion_matrix([], []), ValueError, r"predicted: expected shape \(N,\)"),
    "fractions": (lambda: metrics.confusion_matrix([0.5], [0]), TypeError, "labels: expected integer class labels"),
    "outputs of integers": (lambda: metrics.confusion_matrix([0], [[1, 2]]), ValueError, "predicted: expected floats"),
    "k": (lambda: metrics.top_k_accuracy([0], np.ones((1, 3)), 4), ValueError, "k: expected at most 3, got 4"),
    "outputs": (
        lambda: metrics.top_k_accuracy([0], np.ones(3), 1),
        ValueError,
        r"outputs: expected floats of shape \(N, classes\)",
    ),
    "average": (lambda: metrics.precision_recall_f1([0], [0], average="mean"), ValueError, "average: expected one of 'macro'"),
    "shapes": (
        lambda: metrics.mean_absolute_error([1.0], [[1.0]]),
        ValueError,
        r"outputs: expected shape \(1,\), got \(1, 1\)",
    ),
    "no number": (lambda: metrics.mean_absolute_error([], []), ValueError, "target: expected at least one number"),
    "text": (lambda: metrics.mean_absolute_error(["a"], ["b"]), TypeError, "target: expected numbers"),
    "argument": (lambda: metrics.top_k_accuracy([0], np.ones((1, 3)), K=1), TypeError, "no argument K; these are"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_arguments_are_named(name):
    call, error, message = BAD[name]
    with pytest.raises(error, match=message):
        call()
