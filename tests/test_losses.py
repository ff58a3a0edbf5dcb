"""Softmax, cross-entropy and mean squared error: values, gradients, and logits of any size."""

import numpy as np
import pytest
import reference
from capi import lib, operator, same_bits

DTYPES = [np.float32, np.float64]
TOLERANCE = {np.float32: 2e-6, np.float64: 1e-14}
SIZES = [1, 2, 3, 8, 10, 100]


def cross_entropy(x, label):
    loss, dx = np.empty(1, x.dtype), np.empty_like(x)
    operator("softmax_cross_entropy_forward", x.size, x, label, loss)
    operator("softmax_cross_entropy_input_grad", x.size, x, label, dx)
    return loss[0], dx


def squared_error(x, target):
    loss, dx = np.empty(1, x.dtype), np.empty_like(x)
    operator("mean_squared_error_forward", x.size, x, target, loss)
    operator("mean_squared_error_input_grad", x.size, x, target, dx)
    return loss[0], dx


def softmax(x):
    y = np.empty_like(x)
    operator("softmax_forward", x.size, x, y)
    return y


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [0.1, 1, 30, 1e4])
@pytest.mark.parametrize("n", SIZES)
def test_softmax_cross_entropy(n, scale, dtype, rng):
    x = (scale * rng.normal(size=n)).astype(dtype)
    for label in {0, n // 2, n - 1}:
        loss, dx = cross_entropy(x, label)
        expected, gradient = reference.softmax_cross_entropy(x[None].astype(np.float64), np.array([label]))
        assert abs(loss - expected[0]) <= TOLERANCE[dtype] * (1 + abs(expected[0]))
        np.testing.assert_allclose(dx, gradient[0], rtol=0, atol=TOLERANCE[dtype])
    np.testing.assert_allclose(softmax(x), reference.softmax(x.astype(np.float64)), rtol=0, atol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype, suffix", zip(DTYPES, ["f32", "f64"]))
@pytest.mark.parametrize("n", SIZES)
def test_losses_are_the_formulas_bit_for_bit(n, dtype, suffix, rng):
    """Sums i ascending, with the core's own exp and log."""
    exp, log = (getattr(lib, f"cge_{name}_{suffix}") for name in ("exp", "log"))
    x, target = rng.normal(size=(2, n)).astype(dtype)
    shifted = x - x.max()
    exps = np.array([exp(v) for v in shifted], dtype)
    total, squares = dtype(0), dtype(0)
    for i in range(n):
        total = total + exps[i]
        squares = squares + (x[i] - target[i]) * (x[i] - target[i])
    loss, dx = cross_entropy(x, n // 2)
    assert same_bits(softmax(x), exps / total)
    assert same_bits(loss, dtype(log(total)) - shifted[n // 2])
    assert same_bits(dx, exps / total - (np.arange(n) == n // 2).astype(dtype))
    loss, dx = squared_error(x, target)
    assert loss in (squares / dtype(n), squares * (dtype(1) / dtype(n)))  # the header does not say which
    assert same_bits(dx, (x - target) * (dtype(2) / dtype(n)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_logits_of_ten_thousand_are_stable(dtype):
    x = np.array([1e4, -1e4, 0], dtype)
    for label, expected in ((0, 0), (1, 2e4), (2, 1e4)):
        loss, dx = cross_entropy(x, label)
        assert loss == expected
        assert list(dx) == [1 - (label == 0), -1.0 * (label == 1), -1.0 * (label == 2)]
    loss, dx = cross_entropy(np.full(4, -1e4, dtype), 3)
    assert abs(loss - np.log(4)) < 1e-6 and list(dx) == [0.25, 0.25, 0.25, -0.75]


def test_the_largest_finite_logits_are_stable():
    x = np.array([3e38, -3e38, 3e38], np.float32)
    np.testing.assert_array_equal(softmax(x), [0.5, 0, 0.5])
    loss, dx = cross_entropy(x, 0)
    assert abs(loss - np.log(2)) < 1e-6 and list(dx) == [-0.5, 0, 0.5]


def test_one_class_has_no_loss():
    loss, dx = cross_entropy(np.array([3.5], np.float32), 0)
    assert loss == 0 and dx[0] == 0


def test_probabilities_are_a_distribution(rng):
    y = softmax((20 * rng.normal(size=1000)).astype(np.float32))
    assert np.all(y >= 0) and abs(y.sum(dtype=np.float64) - 1) < 1e-5


def test_a_nan_logit_is_a_nan_loss():
    x = np.array([1, np.nan, 2], np.float32)
    assert np.isnan(cross_entropy(x, 0)[0]) and np.isnan(softmax(x)).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", SIZES)
def test_mean_squared_error(n, dtype, rng):
    x, target = rng.normal(size=(2, n)).astype(dtype)
    loss, dx = squared_error(x, target)
    expected, gradient = reference.mean_squared_error(x[None].astype(np.float64), target[None])
    assert abs(loss - expected[0]) <= n * TOLERANCE[dtype] * (1 + expected[0])
    np.testing.assert_allclose(dx, gradient[0], rtol=0, atol=10 * TOLERANCE[dtype])
    assert squared_error(x, x)[0] == 0


def test_gradient_in_place(rng):
    x, target = rng.normal(size=(2, 9)).astype(np.float32)
    for name, argument, expected in (
        ("softmax_cross_entropy", 4, cross_entropy(x, 4)[1]),
        ("mean_squared_error", target, squared_error(x, target)[1]),
    ):
        dx = x.copy()
        operator(f"{name}_input_grad", 9, dx, argument, dx)
        assert same_bits(dx, expected), name
    y = x.copy()
    operator("softmax_forward", 9, y, y)
    assert same_bits(y, softmax(x))


@pytest.mark.parametrize("function, target", [(cross_entropy, 2), (squared_error, np.linspace(-1, 1, 6))])
def test_gradients_are_signed_central_differences(function, target, rng):
    x = rng.normal(size=6)
    _, dx = function(x, target)
    for i in range(6):
        up, down = x.copy(), x.copy()
        up[i] += 1e-5
        down[i] -= 1e-5
        assert abs(dx[i] - (function(up, target)[0] - function(down, target)[0]) / 2e-5) <= 1e-7
