"""accumulate, clip_gradient_norm, clip_gradient_value, update: a step in parts is the step as a whole."""

import numpy as np
import pytest

import convgrad_embedded as cge


def network(**options):
    layers = [cge.Conv2d(4, 3, trainable=2), cge.ReLU(), cge.Dense(3)]
    return cge.Network((7, 6, 2), layers, "softmax_cross_entropy", cge.SGD(0.5), seed=1, **options)


@pytest.fixture
def data(rng):
    return rng.normal(size=(20, 7, 6, 2)).astype(np.float32), rng.integers(0, 3, 20).astype(np.int32)


@pytest.mark.parametrize("memory", ["fast", "small"])
def test_several_calls_make_one_batch(memory, data):
    x, y = data
    whole, parts = network(memory=memory), network(memory=memory)
    for _ in range(3):
        loss = whole.train_on_batch(x, y)
        losses = [parts.accumulate(x[begin : begin + 6], y[begin : begin + 6]) for begin in range(0, 20, 6)]
        parts.update()
        assert np.dot(losses, [6, 6, 6, 2]) / 20 == pytest.approx(loss)
    assert parts.weights_hash() == whole.weights_hash() and parts.step_count == 3


def changes(net, before):
    return np.concatenate([(a - b).ravel() for a, b in zip(net.get_weights(), before)]).astype(np.float64)


@pytest.mark.parametrize("most", [0.01, 0.5, 100.0])
def test_a_norm_is_clipped_as_a_whole(most, data):
    plain, clipped = network(), network()
    before = plain.get_weights()
    plain.train_on_batch(*data)
    gradient = changes(plain, before) / -0.5
    clipped.accumulate(*data)
    norm = clipped.clip_gradient_norm(most)
    assert norm == pytest.approx(np.linalg.norm(gradient), rel=1e-4)
    clipped.update()
    expected = gradient * min(1, most / norm)
    np.testing.assert_allclose(changes(clipped, before) / -0.5, expected, rtol=0, atol=1e-6)


def test_values_are_clipped_one_by_one(data):
    plain, clipped = network(), network()
    before = plain.get_weights()
    plain.train_on_batch(*data)
    gradient = changes(plain, before) / -0.5
    clipped.accumulate(*data)
    clipped.clip_gradient_value(0.05)
    clipped.update()
    assert (abs(gradient) > 0.05).any() and (abs(gradient) < 0.05).any()
    np.testing.assert_allclose(changes(clipped, before) / -0.5, gradient.clip(-0.05, 0.05), rtol=0, atol=1e-6)


def test_gradients_can_be_dropped(data):
    net, twin = network(), network()
    net.accumulate(*data)
    net.zero_gradients()
    with pytest.raises(RuntimeError, match="update: nothing was accumulated"):
        net.update()
    net.train_on_batch(*data)
    twin.train_on_batch(*data)
    assert net.weights_hash() == twin.weights_hash()


@pytest.mark.parametrize(
    "call",
    [lambda net, x, y: net.accumulate(x, y), lambda net, x, y: net.update(), lambda net, x, y: net.clip_gradient_norm(1.0),
     lambda net, x, y: net.clip_gradient_value(1.0), lambda net, x, y: net.zero_gradients()],
)  # fmt: skip
def test_the_smallest_level_collects_nothing(call, data):
    with pytest.raises(ValueError, match='got one with memory="smallest", where each layer learns as soon as'):
        call(network(memory="smallest"), *data)
    with pytest.raises(ValueError, match="no optimizer"):
        call(cge.Network((7, 6, 2), [cge.Dense(3)], "softmax_cross_entropy"), *data)


def test_wrong_limits_are_told(data):
    net = network()
    with pytest.raises(RuntimeError, match="clip_gradient_norm: nothing was accumulated"):
        net.clip_gradient_norm(1.0)
    net.accumulate(*data)
    for most in (0, -1, np.nan, np.inf, 1e-60):
        with pytest.raises(ValueError, match="most: expected"):
            net.clip_gradient_norm(most)
        with pytest.raises(ValueError, match="most: expected"):
            net.clip_gradient_value(most)
    with pytest.raises(TypeError, match="most: expected a number"):
        net.clip_gradient_norm("1")


def test_a_huge_gradient_is_clipped_to_a_small_step():
    net = cge.Network((1,), [cge.Dense(1)], "mean_squared_error", cge.SGD(0.5), seed=1)
    before = net.weights_hash()
    net.accumulate([[1e18]], [[1e18]])
    net.accumulate([[1e18]], [[1e18]])
    assert net.clip_gradient_norm(1.0) > 1e30
    net.update()
    assert net.weights_hash() != before


@pytest.mark.parametrize("limits", [{"clip_norm": 0.1}, {"clip_value": 0.01}, {"clip_norm": 0.1, "clip_value": 0.05}])
@pytest.mark.parametrize("memory", ["fast", "small"])
def test_fit_clips_before_each_step(memory, limits, data):
    x, y = data
    net, by_hand = network(memory=memory), network(memory=memory)
    history = net.fit(x, y, epochs=2, batch_size=6, verbose=False, seed=3, **limits)
    rng = cge.Network((1,), [cge.Dense(1)])._runtime
    rng.seed_shuffles(3)
    losses = []
    for _ in range(2):
        order = rng.permutation(20)
        for begin in range(0, 20, 6):
            chosen = order[begin : begin + 6]
            losses.append(by_hand.accumulate(x[chosen], y[chosen]) * len(chosen))
            if "clip_value" in limits:
                by_hand.clip_gradient_value(limits["clip_value"])
            if "clip_norm" in limits:
                by_hand.clip_gradient_norm(limits["clip_norm"])
            by_hand.update()
    assert net.weights_hash() == by_hand.weights_hash() and net.step_count == 8
    np.testing.assert_allclose(history["loss"], [sum(losses[:4]) / 20, sum(losses[4:]) / 20], rtol=1e-6)
    unclipped = network(memory=memory)
    unclipped.fit(x, y, epochs=2, batch_size=6, verbose=False, seed=3)
    assert unclipped.weights_hash() != net.weights_hash()
    far = network(memory=memory)
    far.fit(x, y, epochs=2, batch_size=6, verbose=False, seed=3, clip_norm=1e30, clip_value=1e30)
    assert far.weights_hash() == unclipped.weights_hash()


def test_fit_tells_wrong_limits(data):
    with pytest.raises(ValueError, match="clip_norm: expected a number above 0"):
        network().fit(*data, clip_norm=0)
    with pytest.raises(ValueError, match="clip_value: expected a network that collects gradients"):
        network(memory="smallest").fit(*data, batch_size=1, clip_value=1.0)
    net = cge.Network((1,), [cge.Dense(1)], "mean_squared_error", cge.SGD(0.5), seed=1)
    with pytest.raises(cge.NotFiniteError):
        net.fit([[3e38]], [[3e38]], clip_norm=1.0, verbose=False)
