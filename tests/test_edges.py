"""Promises at the edges of the Python package that larger tests pass by: limits, counters, what an error carries."""

import os

import numpy as np
import pytest

import convgrad_embedded as cge
from convgrad_embedded import _arrays, _boards, _gradcheck, _summary

X = np.random.default_rng(5).standard_normal((6, 6, 6, 1)).astype(np.float32)
Y = np.arange(6, dtype=np.int32) % 3


def network(**options):
    layers = [cge.Conv2d(2, 3), cge.ReLU(), cge.Dense(4), cge.Dense(3)]
    return cge.Network((6, 6, 1), layers, "softmax_cross_entropy", cge.SGD(0.1), **options)


@pytest.mark.parametrize(
    "call",
    [
        lambda seed: network(seed=seed),
        lambda seed: network().initialize(seed),
        lambda seed: network().fit(X, Y, seed=seed, verbose=False),
    ],
)
def test_seeds_have_64_bits(call):
    call(2**64 - 1)
    call(0)
    for seed in (2**64, -1):
        with pytest.raises(ValueError, match=f"^seed: expected .*, got {seed}$"):
            call(seed)


def test_a_gradient_check_error_carries_its_result(monkeypatch):
    net = network()
    with pytest.raises(cge.GradientCheckError) as failed:
        net.gradcheck(X[:1], Y[:1], tolerance=1e-30)
    result = failed.value.result
    assert isinstance(result, cge.GradientCheck)
    assert result.max_error > 1e-30
    assert result == net.gradcheck(X[:1], Y[:1])
    layer, parameter = result.layer, result.parameter
    assert (
        f"layer {layer}, parameter {parameter}: gradient {result.gradient:.9g}, central difference {result.difference:.9g}"
        in str(failed.value)
    )


def test_right_arrays_are_trained_on_without_checks(monkeypatch):
    """The quick way is there for small networks, whose step takes less than the checks."""
    net, twin = network(), network()
    monkeypatch.setattr(net, "_data", None)
    assert net.train_on_batch(X, Y) == twin.train_on_batch(X.astype(np.float64), Y.tolist())
    assert net.weights_hash() == twin.weights_hash()


@pytest.mark.parametrize(
    "frozen, factors",
    [((), [1, 0, 2, 2]), ((0,), [0, 0, 1, 2]), ((0, 2), [0, 0, 0, 1]), ((2,), [1, 0, 1, 2])],
)
def test_multiply_adds_of_gradients(frozen, factors):
    """One pass for a layer's weights unless it is frozen, one for its input if a layer before it learns."""
    layers = [cge.Conv2d(2, 3, frozen=0 in frozen), cge.ReLU(), cge.Dense(4, frozen=2 in frozen), cge.Dense(3)]
    net = cge.Network((6, 6, 1), layers, "softmax_cross_entropy", cge.SGD(0.1))
    macs = [4 * 4 * 2 * 9, 0, 32 * 4, 4 * 3]
    assert [info.macs for info in net.layer_infos] == macs
    assert _summary.backward_macs(net) == [factor * count for factor, count in zip(factors, macs)]


def test_progress_counts_epochs(capsys):
    network().fit(X, Y, epochs=11)
    lines = [line[: len("epoch 11/11")] for line in capsys.readouterr().err.splitlines() if line.startswith("epoch")]
    assert lines == [f"epoch {epoch:2d}/11" for epoch in range(1, 12)]


def test_progress_is_silent_on_demand(capsys):
    network().fit(X, Y, epochs=2, verbose=False)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("ram, flash, training, prediction", [(0, 0, True, True), (-1, 0, False, True), (0, -1, False, False)])
def test_a_network_fits_to_the_last_byte(ram, flash, training, prediction, monkeypatch):
    net, board = network(), _boards.load("crazyflie21")
    stack, flash_needed = _boards.stack_bytes()[board.core], _summary.flash_bytes(net) + _summary.CODE_BYTES
    room = _boards.Room(net.arena_bytes + stack + ram, None, flash_needed + flash)
    monkeypatch.setattr(_boards, "load", lambda name: board._replace(chip=room, release=None))
    text = net.summary(board="crazyflie21", print_fn=None)
    for use, fits, arena in (("training", training, net.arena_bytes), ("prediction", prediction, net.inference_arena_bytes)):
        line = next(line for line in text.splitlines() if line.startswith(f"  {use}"))
        assert ("does not fit" not in line) == fits
        assert f"{arena + stack:,} of {room.ram_bytes:,} bytes" in line
        assert f"{flash_needed:,} of {room.flash_bytes:,} bytes" in line


@pytest.mark.parametrize(
    "options, title",
    [
        (dict(), "Network on 4"),
        (dict(loss="mse"), "Network on 4, loss mean_squared_error"),
        (dict(loss="mse", optimizer=cge.SGD(0.5)), "Network on 4, loss mean_squared_error, SGD(learning_rate=0.5)"),
    ],
)
def test_the_title_of_a_summary(options, title):
    assert cge.Network((4,), [cge.Dense(2)], **options).summary(print_fn=None).splitlines()[0] == title


def test_the_memory_of_a_summary():
    """What training takes is told of networks with a loss, what prediction takes of all."""
    for options, trains in ((dict(), False), (dict(loss="mse"), True)):
        net = cge.Network((4,), [cge.Dense(2)], **options)
        text = net.summary(print_fn=None)
        assert (f"RAM to train       {net.arena_bytes:>11,} bytes" in text) == trains
        assert f"RAM to predict     {net.inference_arena_bytes:>11,} bytes" in text
        assert f"flash              {_summary.flash_bytes(net):>11,} bytes" in text


def test_a_file_is_on_the_disk_before_it_takes_the_name(tmp_path, monkeypatch):
    """After a power cut either the old file is there or the new one."""
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *arguments, name=name, real=real: calls.append(name) or real(*arguments))
    network().save(tmp_path / "network.cge")
    assert "fsync" in calls[: calls.index("replace")]


def test_pixels_of_the_digits_are_sixteenths_up_to_one():
    for x, _ in cge.datasets.load_digits():
        assert x.dtype == np.float32
        assert (x.min(), x.max()) == (0, 1)
        np.testing.assert_array_equal(16 * x, np.round(16 * x))


class Quadratic:
    """A network of one parameter whose loss is its square."""

    def __init__(self):
        self.params = np.array([3.0])

    def evaluate(self, x, targets):
        return float(self.params[0]) ** 2, 0


@pytest.mark.parametrize("gradient, error", [(6.0, 0), (12.0, 1 / 3), (0.0, 1), (-6.0, 1)])
def test_the_error_of_a_gradient_is_relative(gradient, error):
    twin = Quadratic()
    found, difference = _gradcheck._difference(twin, lambda x, y: twin.evaluate(x, y)[0], None, None, 0, 1e-3, gradient)
    assert difference == pytest.approx(6.0)
    assert found == pytest.approx(error, abs=1e-3)


def test_numbers_of_limit_size_pass_and_more_does_not(monkeypatch):
    monkeypatch.setattr(_arrays, "INT32_MAX", 4)
    assert _arrays.shaped("x", np.zeros((4, 1)), ("n", 1)).shape == (4, 1)
    with pytest.raises(ValueError, match="^x: expected at most 4 along an axis, got shape"):
        _arrays.shaped("x", np.zeros((5, 1)), ("n", 1))


def test_a_single_pixel_is_told_how_pixels_become_floats():
    with pytest.raises(TypeError, match="if these are pixels 0 .. 255"):
        cge.relu_forward(np.array([200], np.int64))


def test_what_is_shown_is_cut_where_it_is_too_long():
    text = "a" * (_arrays._SHOWN_LETTERS - 2)
    assert _arrays.shown(text) == repr(text)
    assert _arrays.shown(text + "a") == repr(text + "a")[:-1] + "..."


def test_summary_writes_a_vector_as_its_length():
    net = cge.Network(7, [cge.Dense(5)], "mean_squared_error", cge.SGD(0.1))
    text = net.summary(print_fn=None)
    assert "1x1x" not in text and "5" in text
    assert _summary._by((1, 1, 5)) == "5" and _summary._by((1, 2, 5)) == "1x2x5" and _summary._by((2, 1, 5)) == "2x1x5"
