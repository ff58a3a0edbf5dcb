"""What comes into a call at the worst moment: threads that change the arrays, signal handlers, forks."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from nets import SPECS

import convgrad_embedded as cge

X = np.random.default_rng(0).normal(size=(64, 6)).astype(np.float32)
Y = (np.arange(64) % 3).astype(np.int32)


def network(seed=0, **options):
    layers = [cge.Dense(8), cge.Tanh(), cge.Dense(3)]
    return cge.Network((6,), layers, "softmax_cross_entropy", cge.SGD(0.01, momentum=0.5), seed, **options)


@pytest.fixture(autouse=True)
def no_test_hangs():
    """What waits for a lock that never comes free fails after a minute."""

    def fail(number, frame):
        raise TimeoutError("this test hangs")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def limited(script, *arguments):
    """Runs Python code in a process of its own, for at most a minute."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run([sys.executable, "-c", script, *map(str, arguments)], env=environment, capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 0, f"status {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


# ---- arrays that change during a call --------------------------------------------------------------------------------------

SCRIBBLE = """
import sys, threading
import numpy as np
import test_interruptions as t

def scribble():
    while not done:
        y[:] = 2**31 - 1
        y[:] = -2**31
        y[:] = t.Y

call, done = sys.argv[1], False
net, y = t.network(), t.Y.copy()
threading.Thread(target=scribble).start()
try:
    for _ in range(int(sys.argv[2])):
        try:
            getattr(net, call)(t.X, y, **eval(sys.argv[3]))
        except ValueError as error:
            assert "expected labels 0 .. 2" in str(error), error
finally:
    done = True
"""


@pytest.mark.parametrize(
    "call, times, options",
    [("fit", 60, dict(epochs=20, verbose=False)), ("evaluate", 3000, {}), ("train_on_batch", 3000, {}), ("gradcheck", 10, {})],
    ids=str,
)
def test_labels_that_another_thread_changes_do_no_harm(call, times, options):
    """Either the call finds them wrong, or it works on those that it found right: an index from elsewhere would crash."""
    limited(SCRIBBLE, call, times, options)


@pytest.mark.parametrize("name", ["fit", "evaluate"])
def test_labels_are_read_as_they_were_when_the_call_began(name):
    results = []
    for value in (Y, 2**31 - 1):
        net, y = network(), Y.copy()
        for function in ("_train_epoch_part", "_evaluate_part"):
            call = getattr(net._runtime, function)

            def changing(*arguments, call=call, y=y, value=value):
                """Past the check, where C is about to read."""
                y[:] = value
                return call(*arguments)

            setattr(net._runtime, function, changing)
        options = dict(epochs=3, verbose=False) if name == "fit" else {}
        results.append((getattr(net, name)(X, y, **options), net.weights_hash()))
    assert results[0] == results[1]


def test_a_shape_that_another_thread_changes_is_not_read_again():
    x = X.copy()
    samples = network()._samples("x", x)
    x.shape = (384, 1)
    assert samples.shape == (64, 6) and np.shares_memory(samples, x)


# ---- signal handlers ---------------------------------------------------------------------------------------------------------

HANDLER = """
import signal, sys
import numpy as np
import test_interruptions as t

saved = []

def handler(number, frame):
    saved.append(net.to_bytes())
    net.evaluate(np.ones((5, 6), np.float32), np.zeros(5, int))
    net.predict(t.X)
    net.set_weights(net.get_weights())

net = t.network()
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
losses = t.train(net, sys.argv[1])
signal.setitimer(signal.ITIMER_REAL, 0)
expected = t.network()
on_the_way = t.trajectory(expected)
assert t.train(t.network(), sys.argv[1]) == losses
assert net.weights_hash() == expected.weights_hash()
for data in saved:
    again = t.cge.Network.from_bytes(data)
    assert on_the_way[again.step_count] == again.weights_hash(), again.step_count
print(len(saved))
"""
STEPS = 2000


def train(net, how):
    """The same steps in one of three ways; the losses that it tells of."""
    if how == "fit":
        return net.fit(X, Y, epochs=STEPS, batch_size=64, shuffle=False, track_accuracy=False, verbose=False)["loss"]
    y = Y if how == "train_on_batch" else Y.astype(np.int64)  # these take the long way
    return [net.train_on_batch(X, y) for _ in range(STEPS)]


def trajectory(net, steps=STEPS):
    """The hash of the weights after each step."""
    hashes = {0: net.weights_hash()}
    for _ in range(steps):
        net.train_on_batch(X, Y)
        hashes[net.step_count] = net.weights_hash()
    return hashes


@pytest.mark.parametrize("how", ["fit", "train_on_batch", "train_on_batch, int64"])
def test_a_signal_handler_may_use_the_network_that_trains(how):
    """It saves what is on the way, and what it asks in between changes nothing."""
    assert int(limited(HANDLER, how)) > 5


@pytest.mark.parametrize("name", ["_train_batch", "_train_epoch_part", "_evaluate_part"])
def test_a_call_that_comes_into_another_has_its_own_targets(name):
    """As a handler does, at the worst place: when targets are set and C is about to read them."""
    results = []
    for interrupted in (False, True):
        net = network()
        call = getattr(net._runtime, name)

        def interrupting(*arguments, net=net, name=name, call=call):
            setattr(net._runtime, name, call)
            net.evaluate(np.ones((2, 6)), [2, 2])
            status = call(*arguments)
            net.evaluate(np.ones((3, 6)), [1, 1, 1])
            return status

        if interrupted:
            setattr(net._runtime, name, interrupting)
        results.append(
            (net.train_on_batch(X, Y.tolist()), net.fit(X, Y, verbose=False), net.evaluate(X, Y), net.weights_hash())
        )
    assert results[0] == results[1]


def test_weights_are_set_and_got_in_one_piece(monkeypatch):
    """Between two bytecodes a handler may come: it must find all weights old or all new."""
    net, other = network(1), network(2)
    hashes, seen = {net.weights_hash(), other.weights_hash()}, set()

    def trace(frame, event, argument):
        frame.f_trace_opcodes = True
        seen.add(net.weights_hash())
        return trace

    weights = other.get_weights()
    sys.settrace(lambda frame, *rest: trace(frame, *rest) if frame.f_code.co_name == "set_weights" else None)
    try:
        net.set_weights(weights)
    finally:
        sys.settrace(None)
    assert seen == hashes and net.weights_hash() == other.weights_hash()


# ---- forks -------------------------------------------------------------------------------------------------------------------


def wait_for(child, seconds=30):
    """The child's exit status; the child is ended if it hangs."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "hangs"


def forked(function):
    """Whether `function` is true in a child process."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if function() else 2
        finally:
            os._exit(status)
    return wait_for(child)


def train_often(net, times):
    for _ in range(times):
        net.fit(X, Y, epochs=5, batch_size=64, shuffle=False, track_accuracy=False, verbose=False)


@contextmanager
def training_thread(net, times):
    thread = threading.Thread(target=train_often, args=(net, times))
    thread.start()
    yield thread
    thread.join()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("threads", [1, 2])
def test_a_child_forked_while_another_thread_trains_has_a_whole_network(threads):
    net, times, statuses = network(threads=threads), 4000, []
    on_the_way = trajectory(network(), 5 * times)

    def child():
        steps, weights = net.step_count, net.weights_hash()
        net.predict(X), net.evaluate(X, Y), net.train_on_batch(X, Y)
        return on_the_way[steps] == weights and net.step_count == steps + 1

    with training_thread(net, times) as thread:
        while thread.is_alive() and statuses.count(0) == len(statuses):
            statuses.append(forked(child))
    assert len(statuses) > 3 and statuses == [0] * len(statuses)
    assert on_the_way[net.step_count] == net.weights_hash()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_waits_for_the_call_that_another_thread_is_in():
    """Otherwise the child would have half of a step."""
    net, inside, leave = network(), threading.Event(), threading.Event()
    call = net._runtime._train_epoch_part

    def slow(*arguments):
        inside.set()
        leave.wait(30)
        return call(*arguments)

    net._runtime._train_epoch_part = slow
    thread = threading.Thread(target=lambda: net.fit(X, Y, batch_size=64, verbose=False, track_accuracy=False))
    thread.start()
    inside.wait(30)
    threading.Timer(0.2, leave.set).start()
    assert forked(lambda: net.step_count == 1) == 0
    thread.join()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forks_from_several_threads_at_once_do_not_block_each_other():
    networks = [network(seed) for seed in range(20)]
    results = []

    def fork_often():
        results.extend(forked(lambda: all(net.predict(X).shape == (64, 3) for net in networks)) for _ in range(10))

    threads = [threading.Thread(target=fork_often) for _ in range(4)]
    with training_thread(networks[0], 2000), training_thread(networks[1], 2000):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == [0] * 40


def test_a_signal_handler_may_fork_in_the_middle_of_a_call():
    """Parent and child both end the call that the handler came into."""
    net, expected = network(), network()
    call, children = net._runtime._train_epoch_part, []

    def forking(*arguments):
        net._runtime._train_epoch_part = call
        children.append(os.fork())
        return call(*arguments)

    net._runtime._train_epoch_part = forking
    net.fit(X, Y, verbose=False)
    expected.fit(X, Y, verbose=False)
    same = net.weights_hash() == expected.weights_hash() and net.evaluate(X, Y) == expected.evaluate(X, Y)
    if children == [0]:
        os._exit(0 if same else 2)
    assert same and wait_for(children[0]) == 0


def test_networks_that_are_gone_are_not_waited_for():
    before = len(cge._runtime._alive())
    SPECS["one_layer"].network()
    assert len(cge._runtime._alive()) == before
