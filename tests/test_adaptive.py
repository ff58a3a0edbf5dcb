"""Adam, AdamW, RMSprop and Adagrad: against float64 sums over the past, against PyTorch, and in networks at every level."""

import json
from pathlib import Path

import numpy as np
import pytest
import reference
from capi import ffi, operator, status

import convgrad_embedded as cge

TORCH = json.loads((Path(__file__).parent / "data" / "torch_optimizers.json").read_text())
CASES = {  # kind, learning_rate, beta1 or momentum, beta2 or alpha, eps, weight_decay
    "adam": ("adam", 1e-3, 0.9, 0.999, 1e-8, 0.0),
    "adam, weight decay": ("adam", 0.01, 0.5, 0.9, 1e-4, 0.1),
    "adam without beta1": ("adam", 0.01, 0.0, 0.5, 1e-4, 0.0),
    "adamw": ("adamw", 1e-3, 0.9, 0.999, 1e-8, 0.01),
    "adamw, other settings": ("adamw", 0.01, 0.8, 0.99, 1e-6, 0.2),
    "rmsprop": ("rmsprop", 1e-3, 0.0, 0.99, 1e-8, 0.0),
    "rmsprop, momentum": ("rmsprop", 1e-3, 0.5, 0.9, 1e-6, 0.1),
    "adagrad": ("adagrad", 0.01, 0.0, 0.0, 1e-10, 0.0),
    "adagrad, weight decay": ("adagrad", 0.1, 0.0, 0.0, 1e-6, 0.1),
}
OPTIMIZERS = {
    "adam": cge.Adam(0.01),
    "adam, weight decay": cge.Adam(0.01, (0.5, 0.9), eps=1e-4, weight_decay=0.1),
    "adamw": cge.AdamW(0.01),
    "rmsprop": cge.RMSprop(0.002),
    "rmsprop, momentum": cge.RMSprop(0.002, momentum=0.5),
    "adagrad": cge.Adagrad(0.05),
}


def settings(case, dtype):
    kind, *numbers = CASES[case]
    names = ("learning_rate", "momentum", "beta2", "epsilon", "weight_decay")
    return ffi.new(f"cge_optimizer{'_f64' if dtype == np.float64 else ''} *", dict(zip(names, numbers)))


def step(case, dtype, number, scale, dw, w, m, v):
    kind = CASES[case][0]
    states = {"adam": (m, v), "adamw": (m, v), "rmsprop": (v, m), "adagrad": (v,)}[kind]
    numbered = (number,) if kind.startswith("adam") else ()
    operator(f"{kind}_update", len(w), settings(case, dtype), *numbered, scale, dw, w, *states)


def exact(case):
    kind, rate, beta1, beta2, eps, decay = CASES[case]
    rate, beta1, beta2, eps, decay = (float(np.float32(x)) for x in (rate, beta1, beta2, eps, decay))
    return reference.Adaptive(kind, rate, beta1, beta2, eps, decay)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES)
def test_steps_are_sums_over_the_past(case, dtype, rng):
    for n in (1, 7, 40):
        optimizer, w = exact(case), rng.normal(size=n).astype(dtype)
        m, v, expected = np.zeros(n, dtype), np.zeros(n, dtype), w.astype(np.float64)
        for number in range(1, 13):
            dw = rng.normal(size=n).astype(dtype)
            step(case, dtype, number, 0.5, dw, w, m, v)
            expected = optimizer.step(0, expected, 0.5 * dw.astype(np.float64))
        np.testing.assert_allclose(w, expected, rtol=0, atol=2e-6 if dtype == np.float32 else 1e-13)


@pytest.mark.parametrize("case", TORCH["optimizers"])
def test_steps_are_those_of_pytorch(case):
    made = TORCH["optimizers"][case]
    for dtype, tolerance in ((np.float32, 1e-6), (np.float64, 1e-12)):
        w = np.array(TORCH["start"], dtype)
        m, v = np.zeros_like(w), np.zeros_like(w)
        for number, (dw, expected, single) in enumerate(zip(TORCH["gradients"], made["float64"], made["float32"]), 1):
            step(case, dtype, number, 1.0, np.array(dw, dtype), w, m, v)
            np.testing.assert_allclose(w, expected, rtol=0, atol=tolerance)
            np.testing.assert_allclose(w, single, rtol=0, atol=2e-6)


def test_a_step_needs_its_number():
    arrays = np.ones((4, 2), np.float32)
    assert status("adam_update_f32", 2, settings("adam", np.float32), 0, 1.0, *arrays) == "CGE_ERR_ARGUMENT"
    assert np.all(arrays == 1)


# ---- networks --------------------------------------------------------------------------------------------------------


def network(optimizer, **options):
    layers = [
        cge.Conv2d(4, 3, padding="same"),
        cge.ReLU(),
        cge.MaxPool2d(2),
        cge.Conv2d(5, 3, trainable=2),
        cge.ReLU(),
        cge.Dense(3),
    ]
    return cge.Network((9, 7, 2), layers, "softmax_cross_entropy", optimizer, seed=1, **options)


LEVELS = ("fast", "small", "smallest", "small_sliced", "smallest_sliced")


def learn_alone(net, x, y):
    """Each sample is a step, in slices where the level has them."""
    for i in range(len(x)):
        if "sliced" in net.memory:
            net.train_begin(x[i : i + 1], y[i : i + 1])
            while net.resume(3000):
                pass
        else:
            net.train_on_batch(x[i : i + 1], y[i : i + 1])


def check_levels_capacity_and_threads(make, x, y, epochs):
    """Steps of one sample at all levels, and of batches, end with the same bits; those that learned in batches."""
    alone = [make(memory=level) for level in LEVELS]
    for net in alone:
        learn_alone(net, x, y)
    assert len({net.weights_hash() for net in alone}) == 1
    batches = [make(**options) for options in ({}, {"capacity": 1}, {"threads": 2}, {"memory": "small"})]
    for net in batches:
        net.fit(x, y, epochs=epochs, batch_size=7, verbose=False)
    assert len({net.weights_hash() for net in batches}) == 1
    return batches


@pytest.fixture
def data(rng):
    return rng.normal(size=(24, 9, 7, 2)).astype(np.float32), rng.integers(0, 3, 24).astype(np.int32)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_any_level_capacity_and_number_of_threads_gives_the_same_bits(name, data):
    batches = check_levels_capacity_and_threads(lambda **options: network(OPTIMIZERS[name], **options), *data, epochs=3)
    assert batches[0].step_count == 12


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_network_goes_on_from_its_file(name, data, tmp_path):
    whole, first = network(OPTIMIZERS[name]), network(OPTIMIZERS[name])
    whole.fit(*data, epochs=4, batch_size=7, verbose=False)
    first.fit(*data, epochs=2, batch_size=7, verbose=False)
    first.save(tmp_path / "net")
    loaded = cge.Network.load(tmp_path / "net")
    assert loaded.optimizer == first.optimizer == OPTIMIZERS[name] and loaded.step_count == 8
    loaded.fit(*data, epochs=2, batch_size=7, verbose=False)
    assert loaded.weights_hash() == whole.weights_hash() and loaded.to_bytes() == whole.to_bytes()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_bytes_are_those_of_its_numbers(name):
    """Of what learns: two of the second convolution's four channels."""
    learning = 4 * 2 * 9 + 4 + 2 * 5 * 9 + 5 + 10 * 3 + 3
    plain, net = network(cge.SGD(0.1)), network(OPTIMIZERS[name])
    assert net.arena_bytes - plain.arena_bytes == 4 * learning * OPTIMIZERS[name].slots
    settings_words = 2
    assert len(net.to_bytes()) - len(plain.to_bytes()) == 4 * (settings_words + learning * OPTIMIZERS[name].slots)
    assert f"{4 * learning * OPTIMIZERS[name].slots:,} {OPTIMIZERS[name].keeps}" in net.plan(100_000).explain()


def test_the_learning_rate_may_change_between_steps(data):
    x, y = data
    net, optimizer = network(cge.Adam(0.5)), exact("adam")
    net.learning_rate = 0.001
    assert net.optimizer == cge.Adam() and net.learning_rate == 0.001
    before = net.get_weights()
    net.train_on_batch(x, y)
    changes = [abs(a - b) for a, b in zip(net.get_weights(), before)]
    assert optimizer.learning_rate == pytest.approx(0.001)
    assert max(change.max() for change in changes) == pytest.approx(0.001, rel=1e-3)  # the first step is as long as the rate


def test_momentum_is_of_sgd_and_rmsprop():
    net = network(cge.RMSprop(momentum=0.5))
    net.momentum = 0.25
    assert net.optimizer == cge.RMSprop(momentum=0.25)
    with pytest.raises(ValueError, match=r"make it with RMSprop\(learning_rate, momentum=...\)"):
        network(cge.RMSprop()).momentum = 0.5
    with pytest.raises(AttributeError, match="momentum: Adam has none"):
        network(cge.Adam()).momentum = 0.5
    with pytest.raises(AttributeError, match=r"Adam\(betas=...\)"):
        network(cge.Adam()).betas = (0.5, 0.5)


def test_a_plan_may_drop_momentum_of_rmsprop():
    plan = network(cge.RMSprop(momentum=0.5)).plan(network(cge.RMSprop(), memory="smallest").arena_bytes)
    assert plan.optimizer == cge.RMSprop() and plan.missing_bytes == 0
    assert network(cge.Adam()).plan(100_000).optimizer == cge.Adam()


@pytest.mark.parametrize("memory", ["fast", "small", "smallest"])
@pytest.mark.parametrize("optimizer", [cge.Adam(0.1), cge.RMSprop(0.1, momentum=0.9), cge.Adagrad(0.1)])
def test_a_step_that_would_overflow_changes_nothing(optimizer, memory):
    net = cge.Network((1,), [cge.Dense(1)], "mean_squared_error", optimizer, memory=memory, seed=1)
    net.train_on_batch([[1.0]], [[2.0]])
    before = net.to_bytes()
    with pytest.raises(cge.NotFiniteError):
        net.train_on_batch([[1e18]], [[1e18]])  # the square of its gradient is infinite
    assert net.to_bytes() == before
    net.train_on_batch([[1.0]], [[2.0]])
    assert net.to_bytes() != before


def test_descriptions():
    assert (
        repr(cge.Adam()) == "Adam()" and repr(cge.AdamW(0.1, weight_decay=0.5)) == "AdamW(learning_rate=0.1, weight_decay=0.5)"
    )
    assert cge.Adam(betas=[0.5, 0.9]) == cge.Adam(betas=(0.5, 0.9)) and hash(cge.Adam()) == hash(cge.Adam())
    assert cge.Adam() != cge.AdamW(weight_decay=0)
    assert repr(network(cge.RMSprop(0.1, 0.9)).optimizer) == "RMSprop(learning_rate=0.1, alpha=0.9)"
    assert "Adam" in network(cge.Adam()).summary(print_fn=None)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: cge.Adam(-1), "Adam: learning_rate: expected a finite number >= 0, got -1"),
        (lambda: cge.Adam(betas=0.9), "Adam: betas: expected two numbers"),
        (lambda: cge.Adam(betas=(0.9,)), "Adam: betas: expected two numbers"),
        (lambda: cge.Adam(betas=(1.0, 0.9)), "betas\\[0\\]"),
        (lambda: cge.Adam(betas=(0.9, 0)), "betas\\[1\\]: expected a number above 0"),
        (lambda: cge.Adam(eps=0), "Adam: eps: expected a number above 0"),
        (lambda: cge.Adam(beta1=0.9), "did you mean betas"),
        (lambda: cge.AdamW(weight_decay=-1), "AdamW: weight_decay"),
        (lambda: cge.RMSprop(alpha=1), "RMSprop: alpha"),
        (lambda: cge.RMSprop(momentum=1), "RMSprop: momentum"),
        (lambda: cge.Adagrad(eps=float("nan")), "Adagrad: eps"),
        (lambda: cge.Adagrad(0.1, 0.5), "by position"),
        (lambda: network("adam"), "expected an optimizer such as"),
    ],
)
def test_wrong_settings_are_told(make, words):
    with pytest.raises((TypeError, ValueError), match=words):
        make()


def test_an_export_names_the_optimizer(tmp_path):
    source = network(cge.AdamW(0.5, (0.5, 0.75))).export(tmp_path)[1].read_text()
    assert ".optimizer = {.kind = &cge_adamw" in " ".join(source.split())
    assert ".beta2 = 0x1.8p-1f" in " ".join(source.split())
