"""Capacity, threads and kernel sets are for speed: no bit of a result depends on them."""

import gc
import multiprocessing
import os
import subprocess
import sys

import numpy as np
import pytest
from nets import SPECS

import convgrad_embedded as cge

KERNEL_SETS = ["ref", "small", "tiled", "lanes", "lanes_avx2", "lanes_avx512"]


def small_network(**options):
    layers = [cge.Conv2d(4, 3, padding=1), cge.ReLU(), cge.MaxPool2d(2), cge.Conv2d(6, 3), cge.Tanh(), cge.Dense(3)]
    return cge.Network((9, 8, 2), layers, "softmax_cross_entropy", cge.SGD(0.05, 0.9), seed=3, **options)


def small_data(count=41):
    rng = np.random.default_rng(7)
    return rng.normal(size=(count, 9, 8, 2)).astype(np.float32), rng.integers(0, 3, count).astype(np.int32)


def trained(net, x, y):
    history = net.fit(x, y, epochs=2, batch_size=17, seed=5, verbose=False)
    return net.weights_hash(), history, net.predict(x).tobytes(), net.evaluate(x, y)


@pytest.mark.parametrize("name", list(SPECS))
def test_any_capacity_and_number_of_threads_give_the_same_bits(name, rng):
    spec = SPECS[name]
    x, y = spec.data(41, rng)
    expected = trained(spec.network(seed=2, capacity=1), x, y)
    for capacity in (2, 7, 17, 100):
        for threads in (1, 2, 5):
            assert trained(spec.network(seed=2, capacity=capacity, threads=threads), x, y) == expected, (capacity, threads)
    assert trained(spec.network(seed=2, threads=2), x, y) == expected


def test_steps_that_are_worth_sharing_give_the_same_bits(rng):
    """Each of these layers is cut into tasks; the small networks above have few that are."""
    layers = [
        cge.Conv2d(8, 3, padding=1),
        cge.ReLU(),
        cge.MaxPool2d(2),
        cge.Conv2d(16, 1),
        cge.Tanh(),
        cge.Dense(90),
        cge.Dense(10),
    ]
    x, y = rng.normal(size=(64, 20, 20, 3)).astype(np.float32), rng.integers(0, 10, 64).astype(np.int32)
    lives = [
        trained(cge.Network((20, 20, 3), layers, "softmax_cross_entropy", cge.SGD(0.05, 0.9), seed=3, threads=threads), x, y)
        for threads in (1, 2, 3, 8)
    ]
    assert lives == lives[:1] * 4


def test_the_default_capacity_is_bounded_by_memory():
    few_pixels = small_network()
    assert len(few_pixels._runtime._arena) * 8 < 32 * small_network(capacity=1).arena_bytes
    assert few_pixels._runtime._net.options.capacity == 32
    many_pixels = cge.Network((512, 512, 3), [cge.Conv2d(32, 3, padding=1), cge.GlobalAvgPool2d()], "mean_squared_error")
    assert many_pixels._runtime._net.options.capacity == 1
    some_pixels = cge.Network((128, 128, 3), [cge.Conv2d(16, 3, padding=1), cge.GlobalAvgPool2d()], "mean_squared_error")
    assert 1 < some_pixels._runtime._net.options.capacity < 32
    assert len(some_pixels._runtime._arena) * 8 <= 64 * 2**20


@pytest.mark.parametrize("threads, error", [(0, ValueError), (65, ValueError), ("two", TypeError), (1.5, TypeError)])
def test_wrong_numbers_of_threads_are_refused(threads, error):
    with pytest.raises(error, match="threads"):
        small_network(threads=threads)


def test_a_loaded_network_may_have_threads(tmp_path):
    net = small_network()
    net.save(tmp_path / "net.cge")
    again = cge.Network.load(tmp_path / "net.cge", threads=2)
    assert trained(again, *small_data()) == trained(net, *small_data())


def threads_of_this_process():
    return len(os.listdir("/proc/self/task"))


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="counts threads in Linux's /proc")
def test_threads_end_with_their_network():
    gc.collect()
    before = threads_of_this_process()
    net = small_network(threads=4)
    assert threads_of_this_process() == before + 3
    trained(net, *small_data())
    del net
    gc.collect()
    assert threads_of_this_process() == before


def train_in_a_child(net, queue):
    queue.put(trained(net, *small_data()))


def test_a_forked_process_goes_on_alone():
    net = small_network(threads=3)
    net.predict(small_data()[0])  # the threads have worked
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=train_in_a_child, args=(net, queue))
    child.start()
    got = queue.get(timeout=60)
    child.join(60)
    assert child.exitcode == 0
    assert got == trained(net, *small_data())  # and here they still do


# ---- kernel sets -------------------------------------------------------------------------------------------------------


def run_with(kernels, *arguments):
    done = subprocess.run(
        [sys.executable, *arguments], env={**os.environ, "CGE_KERNELS": kernels}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def kernel_set_with(kernels):
    return run_with(kernels, "-c", "import convgrad_embedded as cge; print(cge.kernel_set())").strip()


def test_a_kernel_set_can_be_forced():
    best = kernel_set_with("")
    assert best in KERNEL_SETS
    assert kernel_set_with("no such set") == best
    for name in KERNEL_SETS[: KERNEL_SETS.index(best) + 1]:
        assert kernel_set_with(name) == name
    assert cge.kernel_set() in KERNEL_SETS


@pytest.mark.parametrize("kernels", KERNEL_SETS)
def test_every_kernel_set_gives_the_golden_weights(kernels, root):
    """Where the CPU lacks a set, the best one takes its place."""
    assert "7 passed" in run_with(
        kernels, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(root / "tests" / "test_golden.py")
    )
