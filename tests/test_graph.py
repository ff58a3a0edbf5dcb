"""Graphs: skips, branches, sums and channels side by side, at every memory level."""

import copy
import pickle
import re
import struct

import numpy as np
import pytest
from graphs import Float32, Float64, LayerByLayer, random_graph
from old_files import HEADER, RECORD, sealed

import convgrad_embedded as cge

GRAPHS = range(60)


def residual(memory="fast", **settings):
    x = cge.Input((6, 6, 2))
    skip = cge.ReLU()(cge.Conv2d(4, 3, padding="same")(x))
    h = cge.ReLU()(cge.Conv2d(4, 3, padding="same")(skip))
    h = cge.ReLU()(cge.Add()(cge.Conv2d(4, 3, padding="same")(h), skip))
    h = cge.Concat()(h, cge.AvgPool2d(3, stride=1, padding=1)(skip))
    y = cge.Dense(3)(cge.GlobalAvgPool2d()(h))
    return cge.Network(inputs=x, outputs=y, loss="softmax_cross_entropy", memory=memory, **settings)


def data(count=12):
    rng = np.random.default_rng(5)
    return rng.normal(size=(count, 6, 6, 2)).astype(np.float32), rng.integers(0, 3, count)


def params_after_a_step(net, arguments, gradients):
    """What SGD makes of gradients, by the core's own operator."""
    sgd = arguments["optimizer"]
    dense = iter(net.get_weights())
    expected = []
    for layer, found in zip(net.layers, gradients):
        for gradient in found:
            w = next(dense)
            if not layer.frozen:
                g = gradient.reshape(w.shape) + np.float32(sgd.weight_decay) * w
                w = w - np.float32(sgd.learning_rate) * g  # the first step: velocity is the gradient
            expected.append(w)
    return expected


@pytest.mark.parametrize("memory", ["fast", "small", "smallest"])
@pytest.mark.parametrize("seed", GRAPHS)
def test_random_graphs_are_their_layers_bit_for_bit(seed, memory):
    arguments, x, y = random_graph(seed)
    arguments["optimizer"] = cge.SGD(0.01)
    net = cge.Network(**arguments, memory=memory)
    oracle = LayerByLayer(net, Float32())
    np.testing.assert_array_equal(net.predict(x[:1])[0].reshape(-1), oracle.forward(x[0]).reshape(-1))
    expected = params_after_a_step(net, arguments, oracle.gradients(x[0], y[0]))
    net.train_on_batch(x[:1], y[:1])
    for found, right in zip(net.get_weights(), expected):
        np.testing.assert_array_equal(found, right)


@pytest.mark.parametrize("seed", GRAPHS)
def test_random_graphs_have_the_gradients_of_the_float64_reference(seed):
    arguments, x, y = random_graph(seed)
    arguments["optimizer"] = cge.SGD(1.0)
    net = cge.Network(**arguments, memory="smallest")
    before = net.get_weights()
    reference = LayerByLayer(net, Float64()).gradients(x[0], y[0])
    scale = 1 + max(np.abs(part).max() for found in reference for part in found)
    net.train_on_batch(x[:1], y[:1])
    learned = iter(zip(before, net.get_weights()))
    for layer, found in zip(net.layers, reference):
        for part in found:
            was, now = next(learned)
            right = 0 if layer.frozen else part.reshape(was.shape)
            np.testing.assert_allclose((was - now) / scale, right / scale, atol=1e-5)


@pytest.mark.parametrize("seed", GRAPHS)
def test_random_graphs_live_the_same_life_at_every_level(seed):
    arguments, x, y = random_graph(seed)
    lives = set()
    for memory in ("fast", "small", "smallest"):
        net = cge.Network(**arguments, memory=memory)
        net.fit(x, y, epochs=3, batch_size=1, verbose=False)
        lives.add((net.weights_hash(), net.predict(x).tobytes(), net.evaluate(x, y)))
        assert net.peak_bytes <= 1.05 * net.bound_bytes
    assert len(lives) == 1


def life_of_batches(net, x, y):
    net.fit(x, y, epochs=2, batch_size=4, verbose=False)
    return net.weights_hash(), net.predict(x).tobytes(), net.evaluate(x, y)


@pytest.mark.parametrize("seed", range(0, 60, 3))
def test_batches_of_a_graph_are_sums_over_samples(seed):
    arguments, x, y = random_graph(seed)
    x, y = np.concatenate([x, 0.5 * x]), np.concatenate([y, y])
    ways = [{"memory": "small"}, {}, {"capacity": 1}, {"capacity": 3}, {"threads": 3}]
    assert len({life_of_batches(cge.Network(**arguments, **way), x, y) for way in ways}) == 1


def heavy_graph(channels=24):
    """Each of its layers is cut into tasks; random graphs have few that are."""
    x = cge.Input((20, 18, 3))
    skip = cge.ReLU()(cge.Conv2d(channels, 3, padding=1, frozen=True)(x))
    h = cge.ReLU()(cge.GroupNorm(4)(cge.Conv2d(channels, 3, padding=1)(skip)))
    h = cge.Add()(cge.Conv2d(channels, 3, padding=1)(h), cge.Dropout(0.3, seed=5)(h))
    h = cge.Concat()(cge.Add()(h, skip), cge.GroupNorm(2)(h))
    h = cge.MaxPool2d(2)(cge.Concat()(h, cge.Conv2d(5, 1)(skip)))
    return {"inputs": x, "outputs": cge.Dense(4)(cge.Tanh()(cge.Conv2d(16, 3, padding=1, trainable=9)(h)))}


def test_threads_give_a_graph_the_same_bits(rng):
    x, y = rng.normal(size=(24, 20, 18, 3)).astype(np.float32), rng.integers(0, 4, 24)
    arguments = dict(heavy_graph(), loss="softmax_cross_entropy", optimizer=cge.SGD(0.01, 0.9), seed=2)
    ways = [{"memory": "small"}, *({"threads": threads} for threads in (1, 2, 3)), {"threads": 2, "capacity": 5}]
    assert len({life_of_batches(cge.Network(**arguments, **way), x, y) for way in ways}) == 1


@pytest.mark.parametrize("memory", ["fast", "small", "smallest"])
def test_gradcheck(memory):
    x, y = cge.Input((5, 4, 2)), np.array([2, 0, 1])
    h = cge.Tanh()(cge.Conv2d(3, 3, padding=1)(x))
    h = cge.Tanh()(cge.Add()(cge.Conv2d(3, 1)(h), h))
    net = cge.Network(inputs=x, outputs=cge.Dense(3)(cge.Concat()(h, x)), loss="softmax_cross_entropy", memory=memory)
    samples = np.random.default_rng(1).normal(size=(3, 5, 4, 2))
    assert net.gradcheck(samples, y).max_error < 1e-6


def test_a_graph_learns():
    x, y = data(40)
    y = (x[:, :, :, 0].mean((1, 2)) > 0).astype(int)
    net = residual(optimizer=cge.SGD(0.2, momentum=0.9))
    net.fit(x, y, epochs=30, batch_size=4, verbose=False)
    assert net.evaluate(x, y).accuracy > 0.95


@pytest.mark.parametrize("seed", range(0, 60, 5))
def test_files_and_copies_hold_the_graph(seed, tmp_path):
    arguments, x, y = random_graph(seed)
    net = cge.Network(**arguments, memory="smallest")
    net.fit(x, y, batch_size=1, verbose=False)
    net.save(tmp_path / "net.cge")
    copies = [cge.Network.load(tmp_path / "net.cge", memory="small"), copy.deepcopy(net), pickle.loads(pickle.dumps(net))]
    for other in copies:
        assert (other.layers, other.sources, other.weights_hash()) == (net.layers, net.sources, net.weights_hash())
        other.fit(x, y, batch_size=1, verbose=False)
    net.fit(x, y, batch_size=1, verbose=False)
    assert {other.weights_hash() for other in copies} == {net.weights_hash()}


# ---- how one is written ---------------------------------------------------------------------------------------------------


def test_rows_stand_as_they_were_called():
    net = residual()
    assert [layer.kind for layer in net.layers[:7]] == ["conv2d", "relu", "conv2d", "relu", "conv2d", "add", "relu"]
    assert net.sources[5] == (4, 1) and net.sources[8] == (6, 7)
    assert "sources=[(-1,), (0,)" in repr(net)


def test_a_graph_that_is_a_chain_is_one():
    x = cge.Input(4)
    made = cge.Network(inputs=x, outputs=cge.Dense(2)(cge.ReLU()(cge.Dense(3)(x))), seed=3)
    listed = cge.Network(4, [cge.Dense(3), cge.ReLU(), cge.Dense(2)], seed=3)
    assert made.to_bytes() == listed.to_bytes() and repr(made) == repr(listed)


def test_files_and_exported_c_name_the_layer_before_as_zero(tmp_path):
    """What both then hold of a chain is zeros, and layers may be put in between."""
    x = cge.Input(4)
    h = cge.ReLU()(cge.Dense(4)(x))
    net = cge.Network(inputs=x, outputs=cge.Add()(cge.Tanh()(cge.Add()(h, x)), h))
    net.export(tmp_path, "named")
    rows = re.findall(r"\{(-?\d+), (-?\d+)\}", (tmp_path / "named.c").read_text())
    assert rows[:5] == [("0", "0"), ("0", "0"), ("0", "-1"), ("0", "0"), ("0", "2")]


def test_inputs_of_two_may_be_a_list_as_in_keras():
    x = cge.Input(4)
    for call in (cge.Add()([x, x]), cge.Add()((x, x)), cge.Add()(x, x)):
        net = cge.Network(inputs=x, outputs=call)
        np.testing.assert_array_equal(net.predict(np.ones((1, 4))), np.full((1, 4), 2))


def twice(layer):
    return cge.Add()(layer(A), layer(A))


A = cge.Input((4, 4, 1))
MISTAKES = {
    "Add: expected 2 inputs, got 1": lambda: cge.Add()(A),
    "ReLU: expected 1 input, got 2": lambda: cge.ReLU()(A, A),
    "ReLU: expected what Input() or another layer gave, got an array": lambda: cge.ReLU()(np.ones((4, 4, 1))),
    "use Add()(a, b)": lambda: A + A,
    "inputs: expected what Input() gave": lambda: cge.Network(inputs=cge.ReLU()(A), outputs=cge.ReLU()(A)),
    "outputs: expected a tensor that Input() or a layer gave, got Dense": lambda: cge.Network(inputs=A, outputs=cge.Dense(3)),
    "outputs: expected a tensor, got a list of one": lambda: cge.Network(inputs=A, outputs=[cge.ReLU()(A)]),
    "outputs: expected a tensor that Input() or a layer gave, got None": lambda: cge.Network(inputs=A),
    "outputs: depends on <Input (4, 4, 1)>": lambda: cge.Network(inputs=cge.Input(3), outputs=cge.ReLU()(A)),
    "outputs: expected what a layer gave": lambda: cge.Network(inputs=A, outputs=A),
    "input_shape: expected (H, W, C) or (n,), got None; a graph": cge.Network,
    "expected input_shape and layers, or inputs": lambda: cge.Network((4, 4, 1), inputs=A, outputs=cge.ReLU()(A)),
    "Dense(3) is called twice": lambda: cge.Network(inputs=A, outputs=twice(cge.Dense(3))),
    "layers[1]: Add() reads 2 layers": lambda: cge.Network(3, [cge.ReLU(), cge.Add()]),
    "layers[1] Add() on input (4, 4, 2) and (4, 4, 1)": lambda: cge.Network(
        inputs=A, outputs=cge.Add()(cge.Conv2d(2, 1)(A), A)
    ),
    'capacity: expected 1 with memory="small"': lambda: cge.Network(
        inputs=A, outputs=cge.Add()(A, A), capacity=2, memory="small"
    ),
    'threads: expected 1 with memory="small"': lambda: cge.Network(
        inputs=A, outputs=cge.Add()(A, A), threads=2, memory="small"
    ),
}


@pytest.mark.parametrize("message", MISTAKES)
def test_mistakes_are_named(message):
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        MISTAKES[message]()


@pytest.mark.parametrize("field, size", [(0, 9), (1, 1), (2, 2**31 - 1)], ids=["height", "width", "channels"])
def test_a_file_whose_convolution_says_another_input_is_refused(field, size):
    """Of a graph the core asks only when its plan is made; a chain is refused by the core."""
    x = cge.Input((8, 8, 2))
    graph = cge.Network(inputs=x, outputs=cge.Conv2d(3, 3, padding=1)(cge.Add()(cge.ReLU()(x), x)))
    chain = cge.Network((8, 8, 2), [cge.ReLU(), cge.Tanh(), cge.Conv2d(3, 3, padding=1)])
    at = HEADER + 3 * RECORD + 4 * field  # two layers without fields come before
    for net in (graph, chain):
        data = net.to_bytes()
        right = data[:at] + struct.pack("<i", (8, 8, 2)[field]) + data[at + 4 : -4]
        assert cge.Network.from_bytes(sealed(right)).weights_hash() == net.weights_hash()
        wrong = data[:at] + struct.pack("<i", size) + data[at + 4 : -4]
        with pytest.raises(ValueError, match="says its input is" if net is graph else "data:"):
            cge.Network.from_bytes(sealed(wrong))
