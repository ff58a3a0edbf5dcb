"""fit in parts: the same bits as in one call, and between parts Ctrl-C, other threads and progress get their turn."""

import signal
import threading
import types

import numpy as np
import pytest
from capi import ok
from cnet import CNetwork
from nets import SPECS

import convgrad_embedded as cge
from convgrad_embedded import _core, _progress, _runtime

each_spec = pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)


@pytest.fixture
def clock(monkeypatch):
    """The pace's clock, which stands still but for what tests add to `now`."""
    clock = types.SimpleNamespace(now=0.0, naps=[])
    clock.perf_counter = lambda: clock.now
    clock.sleep = clock.naps.append
    monkeypatch.setattr(_runtime, "time", clock)
    return clock


def watch(net, name, before):
    """Calls before(samples) at each call of a C function that takes `most` or a count."""
    real = getattr(net._runtime, name)
    where = {"_train_epoch_part": 6, "_evaluate_part": 4, "_forward": 2}[name]

    def watched(*arguments):
        before(arguments[where])
        return real(*arguments)

    setattr(net._runtime, name, watched)


# ---- the same bits -------------------------------------------------------------------------------------------


def right_before_steps(twin, x, y, size):
    """Trains an epoch, and counts what is right of each batch before its step."""
    right, loss = 0, np.zeros(1, np.float32)
    for begin in range(0, len(x), size):
        rows = slice(begin, begin + size)
        right += twin.evaluate(x[rows].copy(), y[rows])[2]
        ok("network_train_batch", twin.c, x[rows].copy(), twin.targets(y[rows]), len(x[rows]), loss)
    return right


@pytest.mark.parametrize("samples", [1, 2, 5, 7, 12, 100])
@each_spec
def test_parts_give_the_bits_of_the_whole(spec, samples, rng, monkeypatch):
    """Weights, and every metric of the history."""
    monkeypatch.setattr(_runtime.Pace, "run", lambda self, call, count, context: _core.check(call(count), context))
    x, y = spec.data(23, rng)
    net = spec.network(seed=1, capacity=3)
    for pace in (net._runtime._train_pace, net._runtime._forward_pace):
        pace.samples = samples
    twin, by_steps, loss = CNetwork(net.to_bytes()), CNetwork(net.to_bytes()), np.zeros(1, np.float32)
    outputs = twin.forward(x)
    assert net.predict(x).tobytes() == outputs.tobytes()
    history = net.fit(x, y, epochs=2, batch_size=5, shuffle=False, validation_data=(x[:9], y[:9]), verbose=False)
    for epoch in range(2):
        ok("network_train_epoch", twin.c, x, twin.targets(y), None, 23, 5, loss)
        assert history["loss"][epoch] == loss[0]
        status, mean, correct = twin.evaluate(x[:9].copy(), y[:9])
        assert status == "CGE_OK" and history["val_loss"][epoch] == mean
        if "accuracy" in history:
            assert history["val_accuracy"][epoch] == correct / 9
            assert history["accuracy"][epoch] == right_before_steps(by_steps, x, y, 5) / 23
    assert twin.numbers("params").tobytes() == b"".join(w.tobytes() for w in net.get_weights())


# ---- how long a call takes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [1e-5, 1e-3, 0.02, 0.2], ids=str)
@pytest.mark.parametrize("batch_size", [1, 8, 500])
def test_no_call_is_longer_than_a_third_of_a_second(seconds, batch_size, rng, clock):
    """However slow a sample is, and however large the batch. (A call cannot be shorter than one sample.)"""
    spec = SPECS["one_layer"]
    net, (x, y) = spec.network(), spec.data(500, rng)
    calls = []

    def spend(samples):
        calls.append(samples)
        clock.now += samples * seconds

    for name in ("_train_epoch_part", "_evaluate_part", "_forward"):
        watch(net, name, spend)
    net.fit(x, y, batch_size=batch_size, validation_data=(x, y), verbose=False)
    net.predict(x)
    net.evaluate(x, y)
    longest = max(calls) * seconds
    assert longest <= 0.3, f"{longest} s"
    assert sum(calls) == 4 * 500, "training, validation, predict, evaluate"
    needed = 4 * 500 * seconds / _runtime.CALL_SECONDS
    assert len(calls) <= 2 * (needed + 10), "calls too short cost time"


def test_a_machine_that_slows_down_gets_less_to_do(rng, clock):
    net, (x, y) = SPECS["one_layer"].network(), SPECS["one_layer"].data(2000, rng)
    speed, calls = [1e-4], []

    def spend(samples):
        calls.append(samples)
        clock.now += samples * speed[0]

    watch(net, "_train_epoch_part", spend)
    net.fit(x, y, track_accuracy=False, verbose=False)
    assert max(calls) > 100
    speed[0] = 0.04
    calls.clear()
    net.fit(x, y, track_accuracy=False, verbose=False)
    assert max(calls[1:]) <= 2, calls


# ---- Ctrl-C --------------------------------------------------------------------------------------------------


def interrupt_at(net, name, call_number):
    """Sends SIGINT during that call, as Ctrl-C does."""
    calls = []

    def strike(samples):
        calls.append(samples)
        if len(calls) == call_number:
            signal.raise_signal(signal.SIGINT)

    watch(net, name, strike)
    return calls


def graph_of_threads(threads):
    x = cge.Input(SPECS["digits"].input_shape)
    skip = cge.Conv2d(16, 3, padding=1)(x)
    y = cge.Dense(10)(cge.Add()(cge.Conv2d(16, 3, padding=1)(cge.ReLU()(skip)), skip))
    return cge.Network(inputs=x, outputs=y, loss="softmax_cross_entropy", optimizer=cge.SGD(0.01), threads=threads)


@pytest.mark.parametrize("of_graph", [False, True])
@pytest.mark.parametrize("samples", [1, 4, 6])
def test_an_interrupt_leaves_whole_batches_and_the_history(samples, of_graph, rng, monkeypatch):
    spec = SPECS["digits"]
    x, y = spec.data(12, rng)
    monkeypatch.setattr(_runtime.Pace, "run", lambda self, call, count, context: _core.check(call(count), context))
    net, expected = (graph_of_threads(3), graph_of_threads(1)) if of_graph else (spec.network(), spec.network())
    net._runtime._train_pace.samples = samples
    whole = expected.fit(x, y, epochs=2, batch_size=4, shuffle=False, verbose=False)
    calls_per_epoch = {1: 12, 4: 3, 6: 3}[samples]
    interrupt_at(net, "_train_epoch_part", 2 * calls_per_epoch + 2)
    with pytest.raises(KeyboardInterrupt):
        net.fit(x, y, epochs=5, batch_size=4, shuffle=False, verbose=False)
    assert net.history == whole and len(whole["loss"]) == 2
    batches = 0 if samples == 1 else 1
    if batches:
        expected.train_on_batch(x[:4], y[:4])
    assert net.step_count == 6 + batches and net.to_bytes() == expected.to_bytes()
    for trainee in (net, expected):  # and it goes on as if nothing had been
        trainee.train_on_batch(x, y)
        trainee.fit(x, y, batch_size=5, seed=1, verbose=False)
    assert net.to_bytes() == expected.to_bytes()


@pytest.mark.parametrize("name", ["_evaluate_part", "_forward"])
def test_evaluation_and_prediction_can_be_interrupted(name, rng):
    spec = SPECS["digits"]
    net, (x, y) = spec.network(), spec.data(50, rng)
    before = net.to_bytes()
    calls = interrupt_at(net, name, 1)
    with pytest.raises(KeyboardInterrupt):
        net.predict(x) if name == "_forward" else net.evaluate(x, y)
    assert calls == [1] and net.to_bytes() == before
    assert net.predict(x).shape == (50, 10), "the lock is free again"


def test_history_is_kept_when_a_loss_is_not_finite(rng):
    spec = SPECS["one_layer"]
    net, (x, y) = spec.network(optimizer=dict(learning_rate=1e20)), spec.data(8, rng)
    net.learning_rate = 0.0
    assert net.history == {}
    net.fit(x, y, epochs=3, verbose=False)
    assert len(net.history["loss"]) == 3
    epochs = []

    def poison(samples):
        epochs.append(samples)
        if net.step_count >= 3 + 2:
            x[5] = np.nan

    watch(net, "_train_epoch_part", poison)
    with pytest.raises(cge.NotFiniteError):
        net.fit(x, y, epochs=9, verbose=False)
    assert len(net.history["loss"]) == 2 == len(net.history["accuracy"])


# ---- other threads -------------------------------------------------------------------------------------------


def test_other_threads_get_their_turn_between_parts(rng, monkeypatch):
    """The network is free wherever fit reports progress, in training and in evaluation."""
    spec = SPECS["digits"]
    net, (x, y) = spec.network(), spec.data(40, rng)
    seen = []

    def predict():
        seen.append(net.predict(x[:1]))

    def visit(*_):
        thread = threading.Thread(target=predict, daemon=True)
        thread.start()
        thread.join(20)
        assert not thread.is_alive(), "the network is locked"

    monkeypatch.setattr(_progress.Progress, "samples", visit)
    monkeypatch.setattr(_runtime, "_give_way", visit)
    net.fit(x, y, batch_size=4, validation_data=(x, y), verbose=False)
    assert len(seen) > 2 * 2 and all(output.shape == (1, 10) for output in seen)


def test_fit_waits_a_moment_for_threads_that_wait_for_it(rng, clock):
    """Without a pause it would take the lock again before a waiting thread is awake."""
    net, (x, y) = SPECS["one_layer"].network(), SPECS["one_layer"].data(6, rng)
    net.fit(x, y, verbose=False)
    assert clock.naps == [], "nobody waits in a process with one thread"
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    net.fit(x, y, verbose=False)
    done.set()
    thread.join()
    assert clock.naps and all(0 < nap <= 0.001 for nap in clock.naps)


# ---- progress ------------------------------------------------------------------------------------------------


class Terminal:
    """stderr, if it were one."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text

    def flush(self):
        pass

    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(_progress, "sys", types.SimpleNamespace(stderr=terminal))
    return terminal


def fit_on(terminal, **arguments):
    spec = SPECS["one_layer"]
    net, (x, y) = spec.network(), spec.data(40, np.random.default_rng(0))
    net.fit(x, y, epochs=2, batch_size=4, **arguments)
    return terminal.text


def test_progress_within_an_epoch_without_tqdm(terminal, monkeypatch):
    monkeypatch.setattr(_progress, "_tqdm", lambda samples: None)
    text = fit_on(terminal)
    first, second = text.split("\n")[:2]
    assert text.endswith(" s\n") and text.count("\n") == 2
    assert first.startswith("\repoch 1/2   10 %  loss ") and second.startswith("\repoch 2/2  ")
    assert "\repoch 1/2  100 %  loss " in first and first.split("\r")[-1].startswith("epoch 1/2  loss ")


def test_progress_within_an_epoch_with_tqdm(terminal, monkeypatch):
    bars = []

    class Bar:
        def __init__(self, total):
            self.total, self.n, self.shown = total, 0, []
            bars.append(self)

        def set_description(self, text, refresh):
            self.shown.append((text, self.n))

        def update(self, samples):
            self.n += samples

        def set_postfix(self, values):
            self.shown.append(values)

        def close(self):
            self.shown.append("closed")

    monkeypatch.setattr(_progress, "_tqdm", Bar)
    assert fit_on(terminal) == ""
    (bar,) = bars
    assert bar.total == bar.n == 80 and bar.shown[0] == ("epoch 1/2", 0) and bar.shown[-1] == "closed"
    assert [sorted(values) for values in bar.shown if isinstance(values, dict)] == [["accuracy", "loss"]] * 2


def test_a_line_per_epoch_for_verbose_2_and_nothing_for_0(terminal):
    lines = fit_on(terminal, verbose=2).splitlines()
    assert [line[:11] for line in lines] == ["epoch 1/2  ", "epoch 2/2  "] and "\r" not in terminal.text
    terminal.text = ""
    assert fit_on(terminal, verbose=0) == fit_on(terminal, verbose=False) == ""


def test_an_interrupted_line_is_ended(terminal, monkeypatch):
    monkeypatch.setattr(_progress, "_tqdm", lambda samples: None)
    spec = SPECS["one_layer"]
    net, (x, y) = spec.network(), spec.data(40, np.random.default_rng(0))
    interrupt_at(net, "_evaluate_part", 1)
    with pytest.raises(KeyboardInterrupt):
        net.fit(x, y, batch_size=4, validation_data=(x, y))
    assert terminal.text.endswith("\n") and terminal.text.count("\n") == 1
