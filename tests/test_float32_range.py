"""Numbers that are too large for float32 are refused by name, where they would become infinite; none warns."""

import re
import warnings

import numpy as np
import pytest

import convgrad_embedded as cge

LARGEST = float(np.finfo(np.float32).max)
ROUNDS_UP = 2.0**128 - 2.0**103  # the smallest double that rounds to infinity
ROUNDS_DOWN = np.nextafter(ROUNDS_UP, 0)
X, Y = np.ones((3, 4)), np.ones((3, 2))


@pytest.fixture(autouse=True)
def no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.fixture
def net():
    return cge.Network((4,), [cge.Dense(2)], "mean_squared_error", cge.SGD(0.1), seed=1)


def with_one(array, value):
    changed = array.copy()
    changed.flat[1] = value
    return changed


def weights_with_one(net, value):
    return [net.get_weights()[0], with_one(np.zeros(2), value)]


ARRAYS = {
    "predict": ("x", lambda net, value: net.predict(with_one(X, value))),
    "evaluate": ("x", lambda net, value: net.evaluate(with_one(X, value), Y)),
    "targets": ("y", lambda net, value: net.evaluate(X, with_one(Y, value))),
    "step": ("x", lambda net, value: net.train_on_batch(with_one(X, value), Y)),
    "targets of a step": ("y", lambda net, value: net.train_on_batch(X, with_one(Y, value))),
    "fit": ("y", lambda net, value: net.fit(X, with_one(Y, value), verbose=False)),
    "weights": (r"weights\[1\]", lambda net, value: net.set_weights(weights_with_one(net, value))),
}


@pytest.mark.parametrize("value", [ROUNDS_UP, -1e300])
@pytest.mark.parametrize(("name", "call"), ARRAYS.values(), ids=ARRAYS)
def test_an_array_is_refused_by_name(name, call, value, net):
    before = net.to_bytes()
    with pytest.raises(ValueError, match=rf"^{name}: expected numbers .* float32, got {re.escape(str(value))}$"):
        call(net, value)
    assert net.to_bytes() == before


FITTING = [(LARGEST, LARGEST), (ROUNDS_DOWN, LARGEST), (-ROUNDS_DOWN, -LARGEST), (1e-310, 0), (np.inf, np.inf)]


@pytest.mark.parametrize(("value", "taken"), FITTING)
def test_what_fits_is_taken(value, taken, net):
    """Infinity came as such: it is no number that was lost."""
    net.set_weights(weights_with_one(net, value))
    assert net.get_weights()[1][1] == taken


REFUSED = [np.float32(np.inf), np.float16(np.inf), np.float64(1e300), ROUNDS_UP, 10**40, np.float16(-1)]


@pytest.mark.parametrize("number", REFUSED)
def test_an_option_is_refused_by_name(number):
    with pytest.raises(ValueError, match="^SGD: learning_rate: expected a finite number >= 0, got "):
        cge.SGD(number)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.int8, float])
def test_an_option_may_be_of_any_type(kind):
    assert cge.SGD(kind(1)).learning_rate == 1
