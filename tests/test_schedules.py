"""Learning rates from step to step: PyTorch's values, the core's cosine, and what fit and train_on_batch make of them."""

import copy
import json
import math
import pickle
from pathlib import Path

import numpy as np
import pytest

import convgrad_embedded as cge
from convgrad_embedded import schedules
from convgrad_embedded._core import lib

TORCH = json.loads((Path(__file__).parent / "data" / "torch_optimizers.json").read_text())
SCHEDULES = {
    "step": schedules.Step(0.1, 7, factor=0.5),
    "exponential": schedules.Exponential(0.1, 0.9),
    "cosine": schedules.Cosine(0.1, 20, last=0.001),
    "linear": schedules.Linear(0.1, 10, last=0.025),
    "warm-up": schedules.Constant(0.1, warm_up=8, warm_up_from=0.0125),
    "warm-up, cosine": schedules.Cosine(0.1, 20, warm_up=5, warm_up_from=0.0125),
    "one-cycle": schedules.OneCycle(0.1, 40),
    "one-cycle, other settings": schedules.OneCycle(0.1, 30, pct_start=0.5, div_factor=10, final_div_factor=100),
}


@pytest.mark.parametrize("name", TORCH["schedules"])
def test_rates_are_those_of_pytorch(name):
    rates = [SCHEDULES[name](step) for step in range(len(TORCH["schedules"][name]))]
    np.testing.assert_allclose(rates, TORCH["schedules"][name], rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", TORCH["plateaus"])
def test_plateaus_are_those_of_pytorch(name):
    made = TORCH["plateaus"][name]
    names = {"min_lr": "least"}
    plateau = schedules.ReduceOnPlateau(0.1, **{names.get(key, key): value for key, value in made["settings"].items()})
    state, rates = (), []
    for loss in made["losses"]:
        rate, state = plateau.after(state, loss)
        rates.append(rate)
    np.testing.assert_allclose(rates, made["rates"], rtol=1e-6, atol=0)
    assert len(set(rates)) > 2


@pytest.mark.parametrize("suffix, tolerance", [("f32", 2 * 2.0**-23), ("f64", 2 * 2.0**-52)])
def test_cospi_is_within_two_last_places(suffix, tolerance, rng):
    cospi = getattr(lib, f"cge_cospi_{suffix}")
    for x in [*rng.uniform(-3, 3, 2000), *rng.uniform(-0.001, 0.001, 100), *(0.25 * n for n in range(-40, 40))]:
        x = float(np.float32(x))
        near = abs(x) % 2  # exact
        folded = min(near, 2 - near)
        exact = math.sin(math.pi * (0.5 - folded)) if abs(folded - 0.5) < 0.25 else math.cos(math.pi * folded)
        assert abs(cospi(x) - exact) <= tolerance * abs(exact), x
    assert cospi(0.5) == 0 and cospi(2.0**60 + 1) == 1 and math.isnan(cospi(math.inf))


# ---- networks --------------------------------------------------------------------------------------------------------


def network(rate, **options):
    return cge.Network(
        (6,), [cge.Dense(4), cge.ReLU(), cge.Dense(3)], "softmax_cross_entropy", cge.SGD(rate, 0.5), seed=1, **options
    )


@pytest.fixture
def data(rng):
    return rng.normal(size=(23, 6)).astype(np.float32), rng.integers(0, 3, 23).astype(np.int32)


@pytest.mark.parametrize("memory", ["fast", "small"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_fit_takes_the_rate_of_each_step(name, memory, data):
    x, y = data
    scheduled, by_hand = network(SCHEDULES[name], memory=memory), network(0.1, memory=memory)
    scheduled.fit(x, y, epochs=3, batch_size=5, shuffle=False, verbose=False)
    for _ in range(3):
        for begin in range(0, 23, 5):
            by_hand.learning_rate = SCHEDULES[name](by_hand.step_count)
            by_hand.train_on_batch(x[begin : begin + 5], y[begin : begin + 5])
    assert scheduled.step_count == 15 and scheduled.weights_hash() == by_hand.weights_hash()
    assert scheduled.learning_rate == by_hand.learning_rate == pytest.approx(SCHEDULES[name](14))


def test_every_way_to_take_a_step_follows_the_schedule(data):
    x, y = data
    schedule = schedules.Exponential(0.1, 0.5)
    nets = [network(schedule), network(schedule), network(schedule, memory="small_sliced")]
    for i in range(6):
        nets[0].train_on_batch(x[i : i + 1], y[i : i + 1])
        nets[1].train_on_batch(x[i : i + 1].astype(np.float64), y[i : i + 1].tolist())
        nets[2].train_begin(x[i : i + 1], y[i : i + 1])
        while nets[2].resume(50):
            pass
    assert len({net.weights_hash() for net in nets}) == 1
    assert nets[0].learning_rate == pytest.approx(0.1 * 0.5**5)


def test_a_plateau_goes_by_what_fit_measures(data):
    x, y = data
    plateau = schedules.ReduceOnPlateau(0.25, factor=0.5, patience=1, threshold=0.5)
    net = network(plateau)
    rates = []
    for _ in range(8):
        net.fit(x, y, validation_data=(x[:5], y[:5]), verbose=False)
        rates.append(net.learning_rate)
    assert rates[0] == 0.25 and rates[-1] < 0.1
    state, expected = (), []
    again = network(0.25)
    for _ in range(8):
        again.fit(x, y, validation_data=(x[:5], y[:5]), verbose=False)
        again.learning_rate, state = plateau.after(state, again.history["val_loss"][0])
        expected.append(again.learning_rate)
    assert rates == expected


def test_a_schedule_is_set_and_ended():
    net = network(0.5)
    assert net.schedule is None
    net.learning_rate = SCHEDULES["cosine"]
    assert net.schedule == SCHEDULES["cosine"] and net.learning_rate == pytest.approx(0.1)
    net.learning_rate = 0.25
    assert net.schedule is None and net.learning_rate == 0.25


def test_copies_keep_the_schedule_and_files_the_rate(data):
    net = network(SCHEDULES["step"])
    net.fit(*data, epochs=2, batch_size=5, verbose=False)
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert twin.schedule == net.schedule
        twin.fit(*data, epochs=2, batch_size=5, verbose=False)
        assert twin.learning_rate == pytest.approx(SCHEDULES["step"](19))
    loaded = cge.Network.from_bytes(net.to_bytes())
    assert loaded.schedule is None and loaded.learning_rate == net.learning_rate


def test_an_export_has_the_schedule(tmp_path):
    header, source = (path.read_text() for path in network(schedules.Cosine(0.5, 100, warm_up=8)).export(tmp_path / "a"))
    assert "extern const cge_schedule network_schedule;" in header and "cge_schedule_rate(&network_schedule" in header
    words = " ".join(source.split())
    assert "const cge_schedule network_schedule = {.kind = 4, .rate = 0x1p-1f, .last = 0" in words and ".steps = 100}" in words
    header = network(schedules.ReduceOnPlateau(0.5)).export(tmp_path / "b")[0].read_text()
    assert "extern const cge_plateau network_plateau;" in header
    assert "schedule" not in network(0.5).export(tmp_path / "c")[0].read_text()


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: schedules.Step(0.1, 0), "Step: steps: expected"),
        (lambda: schedules.Step(-0.1, 5), "Step: rate: expected a finite number >= 0"),
        (lambda: schedules.Step(0.1, 5, gamma=0.5), "there is no argument gamma"),
        (lambda: schedules.Exponential(0.1, 1.5), "Exponential: factor: expected a number from 0 to 1"),
        (lambda: schedules.Cosine(0.1, 5, last=float("inf")), "Cosine: last"),
        (lambda: schedules.Constant(0.1, warm_up=-1), "Constant: warm_up"),
        (lambda: schedules.OneCycle(0.1, 100, pct_start=0.001), "OneCycle: pct_start"),
        (lambda: schedules.OneCycle(0.1, 100, div_factor=0.5), "OneCycle: div_factor"),
        (lambda: schedules.ReduceOnPlateau(0.1, threshold=1), "ReduceOnPlateau: threshold"),
        (lambda: schedules.Linear(0.1, 5)(-1), "step"),
        (lambda: cge.SGD("cosine"), "learning_rate"),
        (lambda: setattr(network(0.1), "schedule", 1), "cannot be set"),
    ],
)
def test_wrong_settings_are_told(make, words):
    with pytest.raises((TypeError, ValueError, AttributeError), match=words):
        make()


def test_names():
    assert all(hasattr(cge.schedules, name) for name in schedules.__all__) and issubclass(schedules.Step, schedules.Schedule)
    assert repr(schedules.Cosine(0.1, 20, warm_up=3)) == "Cosine(0.1, 20, warm_up=3)"
    assert repr(cge.Adam(schedules.Linear(0.1, 5))) == "Adam(learning_rate=Linear(0.1, 5))"
