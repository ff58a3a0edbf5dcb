"""Steps in slices from Python: the bits of the blocking calls, and errors that name what is under way."""

import copy
import re
import sys

import numpy as np
import pytest
import test_golden
from graphs import random_graph
from host import ROOT

import convgrad_embedded as cge

sys.path.insert(0, str(ROOT / "benchmarks"))
import slices  # noqa: E402

LEVELS = ["small", "smallest", "small_sliced", "smallest_sliced"]


def make(memory="small_sliced", loss="softmax_cross_entropy", optimizer=None, **options):
    layers = [cge.Conv2d(8, 3, padding=1), cge.ReLU(), cge.MaxPool2d(2), cge.Conv2d(6, 3), cge.Tanh(), cge.Dense(5)]
    return cge.Network((12, 10, 2), layers, loss, optimizer or cge.SGD(0.05, 0.9), seed=3, memory=memory, **options)


def samples(count, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, 12, 10, 2)).astype(np.float32), rng.integers(0, 5, count).astype(np.int32)


def finish(net, budget):
    """`budget`: a number, or a function that draws one. Returns how many slices it took."""
    slices = 1
    while net.resume(budget() if callable(budget) else budget):
        slices += 1
    return slices


@pytest.mark.parametrize("memory", LEVELS)
@pytest.mark.parametrize("budget", [1, 3000, None, "random"])
def test_training_in_slices_gives_the_same_bits(memory, budget):
    rng = np.random.default_rng(1)
    net, blocking = make(memory), make(memory)
    count = 1 if memory.startswith("smallest") else 3
    for step in range(3):
        x, y = samples(count, step)
        expected = blocking.train_on_batch(x, y)
        net.train_begin(x, y)
        slices = finish(net, (lambda: int(rng.integers(1, 30000))) if budget == "random" else budget)
        assert net.step_result == expected
        assert (slices == 1) == (budget is None)
    assert net.weights_hash() == blocking.weights_hash()
    assert net.step_count == 3


golden = test_golden.golden  # the fixture


def test_golden_run_in_slices(golden):
    rng, stream = np.random.default_rng(5), test_golden.Generator(golden["DATA_SEED"])
    base = test_golden.make_network(golden["SEED"], 1)
    net = cge.Network((8, 6, 2), base.layers, base.loss, base.optimizer, seed=golden["SEED"], memory="small_sliced")
    for _ in range(golden["STEPS"]):
        drawn = [test_golden.sample(stream) for _ in range(golden["BATCH"])]
        net.train_begin(np.array([x for x, _ in drawn]), np.array([label for _, label in drawn]))
        finish(net, lambda: int(rng.integers(1, 4000)))
    assert int(net.weights_hash(), 16) == golden["HASH"]


def test_prediction_and_evaluation_in_slices():
    x, y = samples(4)
    net = make()
    net.predict_begin(x)
    assert finish(net, 1) > 40
    np.testing.assert_array_equal(net.step_result, net.predict(x))
    net.evaluate_begin(x, y)
    finish(net, 500)
    assert net.step_result == net.evaluate(x, y)
    values = np.zeros((4, 5), np.float32)
    squares = make(loss="mse")
    squares.evaluate_begin(x, values)
    finish(squares, 500)
    assert squares.step_result == squares.evaluate(x, values) and squares.step_result.accuracy is None
    inference = cge.Network((12, 10, 2), net.layers, memory="small_sliced")
    inference.set_weights(net.get_weights())
    inference.predict_begin(x)
    finish(inference, inference.largest_slice_macs)
    np.testing.assert_array_equal(inference.step_result, net.predict(x))


def test_outputs_of_more_than_one_piece():
    net = cge.Network((96, 100, 1), [cge.Conv2d(1, 1), cge.Conv2d(1, 1)], seed=1, memory="small_sliced")
    x = np.random.default_rng(2).normal(size=(1, 96, 100, 1)).astype(np.float32)
    net.predict_begin(x)
    finish(net, 1)
    np.testing.assert_array_equal(net.step_result, net.predict(x))


@pytest.mark.parametrize("memory", LEVELS)
def test_abort_leaves_the_network_as_it_was(memory):
    x, y = samples(1)
    net = make(memory)
    before, slices = net.to_bytes(), 0
    net.train_begin(x, y)
    while net.resume(1):
        slices += 1
    net = cge.Network.from_bytes(before, memory=memory)
    aborted = 0
    for pieces in range(slices + 1):
        net.train_begin(x, y)
        for _ in range(pieces):
            assert net.resume(1)
        try:
            net.abort()
        except RuntimeError as error:
            assert "too late" in str(error)
            break
        aborted += 1
        assert net.to_bytes() == before
    assert aborted > 0
    finish(net, None)
    expected = make(memory)
    expected.train_on_batch(x, y)
    assert net.to_bytes() == expected.to_bytes()


def test_calls_in_the_middle_of_a_step_name_it():
    x, y = samples(1)
    net = make()
    calls = {
        "train_begin": lambda: net.train_begin(x, y),
        "evaluate_begin": lambda: net.evaluate_begin(x, y),
        "predict_begin": lambda: net.predict_begin(x),
        "predict": lambda: net.predict(x),
        "evaluate": lambda: net.evaluate(x, y),
        "training": lambda: net.train_on_batch(x, y),
        "save": net.to_bytes,
        "hash": net.weights_hash,
        "seed": lambda: net.initialize(1),
        "get_weights": net.get_weights,
        "set_weights": lambda: net.set_weights(weights),
        "learning_rate": lambda: setattr(net, "learning_rate", 1.0),
        "copy": lambda: copy.deepcopy(net),
        "fit": lambda: net.fit(x, y, verbose=False),
    }
    weights, before = net.get_weights(), net.to_bytes()
    net.train_begin(x, y)
    assert net.resume(1)
    for name, call in calls.items():
        with pytest.raises(RuntimeError, match="step in slices.*resume.*abort"):
            call()
            pytest.fail(name)
    net.abort()
    assert net.to_bytes() == before


def test_resume_and_abort_without_a_step():
    net = make()
    for call in (net.resume, net.abort, lambda: net.resume(5)):
        with pytest.raises(RuntimeError, match="no step was begun"):
            call()
    with pytest.raises(RuntimeError, match="no step in slices is done"):
        net.step_result
    net.train_begin(*samples(1))
    finish(net, None)
    with pytest.raises(RuntimeError, match="no step was begun"):
        net.resume(5)


def test_bad_arguments_are_named():
    x, y = samples(2)
    with pytest.raises(ValueError, match='train_begin: steps in slices need memory="small_sliced" or .* has "fast"'):
        make("fast").train_begin(x, y)
    for name in ("predict_begin", "evaluate_begin"):
        with pytest.raises(ValueError, match=re.escape(f'{name}: steps in slices need memory="small_sliced"')):
            getattr(make("fast"), name)(*((x, y) if name == "evaluate_begin" else (x,)))
    with pytest.raises(ValueError, match="largest_slice_macs"):
        make("fast").largest_slice_macs
    with pytest.raises(ValueError, match="one sample"):
        make("smallest").train_begin(x, y)
    net = make()
    with pytest.raises(ValueError, match="y: expected labels 0 .. 4"):
        net.train_begin(x, np.array([0, 5]))
    net.train_begin(x, y)
    for budget in (0, -1, 1.5, "1"):
        with pytest.raises((ValueError, TypeError), match="budget_macs"):
            net.resume(budget)
    assert net.resume(1)


def test_a_loss_that_is_not_finite_ends_the_step():
    x, y = samples(1)
    net = make()
    before = net.to_bytes()
    bad = x.copy()
    bad[0, 3, 3, 1] = np.nan
    net.train_begin(bad, y)
    with pytest.raises(cge.NotFiniteError, match=r"x\[0\]: expected finite numbers, got NaN"):
        finish(net, 100)
    assert net.to_bytes() == before


def test_labels_that_change_meanwhile_are_not_used():
    x, y = samples(2)
    net, expected = make(), make()
    expected.train_on_batch(x, y)
    net.train_begin(x, y)
    assert net.resume(1)
    y[1] = 1000000
    finish(net, 100)
    assert net.weights_hash() == expected.weights_hash()


def test_arrays_live_as_long_as_the_step():
    net, expected = make(), make()
    x, y = samples(1)
    net.train_begin(x.copy(), y.copy())
    for _ in range(5):
        assert net.resume(1)
        np.full((1, 12, 10, 2), np.nan, np.float32)
    finish(net, None)
    expected.train_on_batch(x, y)
    assert net.weights_hash() == expected.weights_hash()


def test_largest_slice_falls_with_nothing_but_the_network():
    assert make().largest_slice_macs == make().largest_slice_macs > 0
    net = make()
    largest = net.largest_slice_macs
    net.train_begin(*samples(1))
    finish(net, 1)
    assert net.largest_slice_macs == largest


def test_published_networks_have_no_slice_of_more_than_20000_instructions():
    table = slices.longest_slices()
    assert table in (ROOT / "docs" / "slices.md").read_text(encoding="utf-8")
    figures = [int(figure.replace(",", "")) for figure in re.findall(r"(?<=\| )[\d,]+(?= \|)", table)]
    assert len(figures) == 18 and max(figures) <= 20_000


@pytest.mark.parametrize("memory", LEVELS)
@pytest.mark.parametrize("trainable", [False, "bias", 1])
def test_what_learns_in_part_gives_the_same_bits(memory, trainable):
    def network():
        layers = [cge.Conv2d(8, 3, padding=1), cge.ReLU(), cge.MaxPool2d(2), cge.Conv2d(6, 2, trainable=trainable), cge.Tanh()]
        layers[3:3] = [cge.Conv2d(8, 3, padding=1, trainable=trainable), cge.ReLU(), cge.MaxPool2d(2)]
        layers.append(cge.Dense(5, trainable=trainable))
        return cge.Network((12, 10, 2), layers, "softmax_cross_entropy", cge.SGD(0.05, 0.9), seed=3, memory=memory)

    net, blocking = network(), network()
    for step in range(3):
        x, y = samples(1, step)
        blocking.train_on_batch(x, y)
        net.train_begin(x, y)
        finish(net, 1)
    assert net.weights_hash() == blocking.weights_hash()


@pytest.mark.parametrize("memory", LEVELS)
def test_a_graph_gives_the_same_bits(memory):
    def network():
        x = cge.Input((12, 10, 2))
        h = cge.ReLU()(cge.Conv2d(4, 3, padding=1)(x))
        h = cge.ReLU()(cge.Add()(h, cge.Conv2d(4, 3, padding=1)(h)))
        out = cge.Dense(5)(cge.MaxPool2d(2)(h))
        options = {"loss": "softmax_cross_entropy", "optimizer": cge.SGD(0.05, 0.9), "seed": 3, "memory": memory}
        return cge.Network(inputs=x, outputs=out, **options)

    net, blocking = network(), network()
    for step in range(3):
        x, y = samples(1, step)
        blocking.train_on_batch(x, y)
        net.train_begin(x, y)
        finish(net, 500)
    assert net.weights_hash() == blocking.weights_hash()


@pytest.mark.parametrize("memory", LEVELS)
@pytest.mark.parametrize("seed", range(12))
def test_random_graphs_give_the_same_bits(memory, seed):
    arguments, x, y = random_graph(seed)
    rng = np.random.default_rng(seed)
    net, blocking = (cge.Network(**arguments, memory=memory) for _ in range(2))
    for i in range(3):
        expected = blocking.train_on_batch(x[i : i + 1], y[i : i + 1])
        net.train_begin(x[i : i + 1], y[i : i + 1])
        finish(net, 1 if i == 0 else lambda: int(rng.integers(1, 3000)))
        assert net.step_result == expected
        assert net.weights_hash() == blocking.weights_hash()


@pytest.mark.parametrize("memory", ["small_sliced", "smallest_sliced"])
def test_no_layer_of_a_graph_is_one_piece(memory):
    """Sums, channels side by side, and layers that several others read: 16,384 numbers each, which take four times as many."""
    a = cge.Input((32, 32, 3))
    h = cge.ReLU()(cge.Conv2d(16, 3, padding=1)(a))
    h = cge.ReLU()(cge.Add()(h, cge.Conv2d(16, 3, padding=1)(h)))
    h = cge.Concat()(h, cge.ReLU()(cge.Conv2d(16, 1)(h)))
    out = cge.Dense(4)(cge.MaxPool2d(4)(cge.ReLU()(cge.Conv2d(8, 1)(h))))
    net = cge.Network(inputs=a, outputs=out, loss="softmax_cross_entropy", optimizer=cge.SGD(0.05), memory=memory)
    assert net.largest_slice_macs < 32 * 32 * 16
