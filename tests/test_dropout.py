"""Dropout: the mask from its definition, the same forward and backward, at every memory level, after a restart, and in C."""

import numpy as np
import pytest

import convgrad_embedded as cge
from convgrad_embedded import _core

LAYERS = [
    cge.Conv2d(6, 3), cge.ReLU(), cge.Dropout(0.25), cge.MaxPool2d(2), cge.Dense(12), cge.Tanh(), cge.Dropout(0.5, seed=3),
    cge.Dense(8), cge.Dropout(0.1), cge.Dense(3),
]  # fmt: skip


def mixed(x):
    x = x & 0xFFFFFFFF
    x = (x ^ x >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    x = (x ^ x >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    return x ^ x >> 16


def kept(n, p, key):
    """The definition, number by number."""
    words = [mixed(mixed(i + (key & 0xFFFFFFFF)) ^ key >> 32) for i in range(n)]
    return np.array([word >= float(np.float32(p)) * 2**32 for word in words])


def data(rng, count=12):
    return rng.normal(size=(count, 8, 7, 2)).astype(np.float32), rng.integers(0, 3, count)


def network(layers=LAYERS, **options):
    return cge.Network((8, 7, 2), layers, "softmax_cross_entropy", cge.SGD(0.05, 0.9), seed=2, **options)


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.999, float(np.nextafter(np.float32(1), np.float32(0)))])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_mask_is_that_of_its_definition(p, dtype, rng):
    x = rng.normal(size=700).astype(dtype)
    scale = dtype(1) / (dtype(1) - dtype(np.float32(p)))
    for key in (0x123456789ABCDEF0, 0, 2**64 - 1):
        expected = np.where(kept(700, p, key), x * scale, dtype(0))
        assert (cge.dropout_forward(x, p, key) == expected).all()
        assert (cge.dropout_input_grad(x, p, key) == expected).all()


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_a_share_of_p_is_dropped_and_the_mean_stays(p):
    keys = [_core.dropout_key(7, layer, step, sample) for layer in range(3) for step in range(10) for sample in range(10)]
    y = np.array([cge.dropout_forward(np.ones(400), p, key) for key in keys])
    assert (y == 0).mean() == pytest.approx(p, abs=0.006)
    assert y.mean() == pytest.approx(1, abs=0.02)
    dropped = (y == 0).astype(float)
    correlations = np.corrcoef(dropped[:40])[np.triu_indices(40, 1)]  # of masks of other samples, steps and layers
    assert abs(correlations.mean()) < 0.01 and abs(correlations).max() < 0.25
    assert len({row.tobytes() for row in dropped}) == len(keys)
    assert (dropped.mean(0) > p - 0.15).all() and (dropped.mean(0) < p + 0.15).all()


def test_prediction_and_evaluation_drop_nothing(rng):
    x, y = data(rng)
    net, plain = network(), network([layer for layer in LAYERS if layer.kind != "dropout"])
    assert (net.predict(x) == plain.predict(x)).all()
    assert net.evaluate(x, y) == plain.evaluate(x, y)
    assert net.train_on_batch(x, y) != plain.train_on_batch(x, y)


def test_the_layers_masks_follow_from_step_and_sample(rng):
    """A step by hand: dropout, then a dense layer without bias, of which the gradient is the masked x."""
    net = cge.Network((40,), [cge.Dropout(0.5, seed=9), cge.Dense(1, use_bias=False)], "mean_squared_error", cge.SGD(1.0))
    x, target = rng.normal(size=(3, 40)).astype(np.float32), np.zeros((3, 1), np.float32)
    for step in range(3):
        before = net.get_weights()[0].astype(np.float64)[:, 0]
        net.train_on_batch(x, target)
        change = before - net.get_weights()[0].astype(np.float64)[:, 0]
        masked = [x[i] * 2.0 * kept(40, 0.5, _core.dropout_key(9, 0, step, i)) for i in range(3)]
        expected = sum(2 * (row @ before) * row for row in masked) / 3
        np.testing.assert_allclose(change, expected, rtol=1e-4, atol=1e-5)


def test_levels_capacities_and_threads_draw_the_same(rng):
    x, y = data(rng)
    hashes = set()
    for options in ({}, {"capacity": 5}, {"capacity": 12, "threads": 2}, {"memory": "small"}):
        net = network(**options)
        net.fit(x, y, epochs=3, batch_size=4, verbose=False)
        hashes.add(net.weights_hash())
    assert len(hashes) == 1


def test_learning_at_once_and_slices_draw_the_same(rng):
    x, y = data(rng)
    hashes = set()
    for memory in ("fast", "small", "smallest"):
        for sliced in (False, True):
            net = network(memory=memory)
            for i in range(8):
                if sliced and memory != "fast":
                    net.train_begin(x[i : i + 1], y[i : i + 1])
                    while net.resume(500):
                        pass
                else:
                    net.train_on_batch(x[i : i + 1], y[i : i + 1])
            hashes.add(net.weights_hash())
    assert len(hashes) == 1


def test_batches_in_slices_draw_the_same(rng):
    x, y = data(rng)
    whole, sliced = network(memory="small"), network(memory="small")
    for begin in (0, 4, 8):
        whole.train_on_batch(x[begin : begin + 4], y[begin : begin + 4])
        sliced.train_begin(x[begin : begin + 4], y[begin : begin + 4])
        while sliced.resume(3000):
            pass
    assert whole.weights_hash() == sliced.weights_hash()


def test_graphs_draw_the_same_at_both_levels(rng):
    """An input that is read twice, a branch that is dropped, a sum behind it."""

    def graph(memory):
        x = cge.Input((6, 5, 2))
        h = cge.ReLU()(cge.Conv2d(4, 3, padding=1)(x))
        branch = cge.Dropout(0.4)(cge.Tanh()(cge.Conv2d(4, 3, padding=1)(cge.Dropout(0.2)(h))))
        y = cge.Dense(3)(cge.Dropout(0.1)(cge.Add()(h, branch)))
        return cge.Network(inputs=x, outputs=y, loss="softmax_cross_entropy", optimizer=cge.SGD(0.05), seed=4, memory=memory)

    x, y = rng.normal(size=(8, 6, 5, 2)).astype(np.float32), rng.integers(0, 3, 8)
    nets = [graph("small"), graph("smallest")]
    for net in nets:
        assert net.gradcheck(x[:2], y[:2]).max_error < 1e-6
        net.fit(x, y, epochs=2, batch_size=1, verbose=False)
    assert nets[0].weights_hash() == nets[1].weights_hash()


@pytest.mark.parametrize("memory", ["fast", "smallest"])
def test_a_file_goes_on_as_if_nothing_had_been(memory, rng, tmp_path):
    x, y = data(rng)
    net = network(memory=memory)
    net.fit(x, y, epochs=2, batch_size=1, verbose=False)
    net.save(tmp_path / "net.cge")
    again = cge.Network.load(tmp_path / "net.cge", memory=memory)
    assert again.layers == net.layers
    for one in (net, again):
        one.fit(x, y, epochs=2, batch_size=1, verbose=False)
    assert net.weights_hash() == again.weights_hash()


def test_gradients_are_central_differences(rng):
    x, y = data(rng, 3)
    smooth = [cge.Dropout(0.3), cge.Conv2d(4, 3), cge.Tanh(), cge.Dropout(0.4), cge.Dense(3)]
    result = network(smooth).gradcheck(x, y)
    assert result.checked > 100 and result.max_error < 1e-6


def test_bytes_may_be_dropped(rng):
    x = rng.integers(0, 256, (6, 8, 7, 2)).astype(np.uint8)
    layers, y = [cge.Dropout(0.5), cge.Dense(3)], [0, 1, 2, 0, 1, 2]
    read, given = network(layers, input_scale=1 / 256), network(layers)
    for memory in ("fast", "small"):
        read, given = network(layers, input_scale=1 / 256, memory=memory), network(layers, memory=memory)
        read.train_on_batch(x, y)
        given.train_on_batch(x.astype(np.float32) / 256, y)
        assert read.weights_hash() == given.weights_hash()


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: cge.Dropout(1), ["Dropout", "p", "0 <= p < 1", "1"]),
        (lambda: cge.Dropout(-0.1), ["p", "-0.1"]),
        (lambda: cge.Dropout(float("nan")), ["p", "nan"]),
        (lambda: cge.Dropout("half"), ["p", "number"]),
        (lambda: cge.Dropout(0.5, 3), ["Dropout(0.5, 3)", "name"]),
        (lambda: cge.Dropout(rate=0.5), ["rate", "p"]),
        (lambda: cge.Dropout(0.5, seed=-1), ["seed", "at least 0", "-1"]),
        (lambda: cge.Dropout(0.5, seed=2**31), ["seed", "at most"]),
        (lambda: cge.dropout_forward(np.ones(3), 1.0), ["p", "1.0"]),
        (lambda: cge.dropout_forward(np.ones(3), 0.5, 2**64), ["key", "at most"]),
    ],
)
def test_bad_arguments_are_named(make, words):
    with pytest.raises((TypeError, ValueError)) as caught:
        make()
    assert all(word in str(caught.value) for word in words), caught.value
