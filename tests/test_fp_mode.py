"""Other code of the process switches the floating-point unit: the weights stay the same bits, the caller's mode its own."""

import platform
import subprocess
import sys

import host
import pytest

# Sets the mode of the calling thread, as objects linked with -ffast-math do when they are loaded.
SOURCE = """
#if defined(__SSE__)
unsigned read_mode(void) { return __builtin_ia32_stmxcsr() & ~0x3fu; }
void write_mode(unsigned mode) { __builtin_ia32_ldmxcsr(mode); }
#else
unsigned read_mode(void) { unsigned long mode; __asm__ volatile("mrs %0, fpcr" : "=r"(mode)); return (unsigned)mode; }
void write_mode(unsigned mode) { unsigned long all = mode; __asm__ volatile("msr fpcr, %0" : : "r"(all)); }
#endif
#if defined(FLUSHES_WHEN_LOADED)
__attribute__((constructor)) static void flush(void) { write_mode(read_mode() | FLUSHES_WHEN_LOADED); }
#endif
"""
FLUSH, UPWARD = ("0x8040", 0x4000) if platform.machine() == "x86_64" else ("0x01000000", 0x00400000)


@pytest.fixture(scope="module")
def switches(tmp_path_factory):
    """Two libraries: one that only switches when told to, one that flushes subnormal numbers from when it is loaded."""
    if platform.machine() not in ("x86_64", "aarch64"):
        pytest.fail(f"this test cannot set the mode of a {platform.machine()}")
    directory = tmp_path_factory.mktemp("switches")
    (directory / "switch.c").write_text(SOURCE)
    build = [host.compiler(), "-shared", "-fPIC", directory / "switch.c", "-o"]
    host.run([*build, directory / "plain.so"])
    host.run([*build, directory / "loud.so", "-ffast-math", f"-DFLUSHES_WHEN_LOADED={FLUSH}"])
    return directory / "plain.so", directory / "loud.so"


# Rates that float holds exactly: 0.1 is rounded before the core sees it, by Python, in the mode that is set.
TRAIN = """
import ctypes, hashlib, sys
import numpy as np
import convgrad_embedded as cge

x = np.random.default_rng(0).normal(size=(64, 12, 12, 1)).astype(np.float32)
x[::2] *= np.float32(1e-38)
labels = np.arange(64) % 10
library, mode = sys.argv[1], int(sys.argv[2], 0)
switch = ctypes.CDLL(library)
if mode:
    switch.write_mode(switch.read_mode() | mode)
before = switch.read_mode()
digest = hashlib.sha256()
for threads in (1, 2):
    layers = [cge.Conv2d(16, 3), cge.Tanh(), cge.Dense(64), cge.Sigmoid(), cge.Dense(10)]
    net = cge.Network((12, 12, 1), layers, "softmax_cross_entropy", cge.SGD(0.125, 0.875), seed=1, capacity=32, threads=threads)
    net.fit(x, labels, epochs=2, batch_size=32, verbose=False)
    digest.update(net.weights_hash().encode())
    digest.update(net.predict(x).tobytes())
    digest.update(cge.tanh_forward(x[0].ravel()).tobytes())
assert switch.read_mode() == before
print(before, digest.hexdigest())
"""


def train(library, mode):
    done = subprocess.run([sys.executable, "-c", TRAIN, library, mode], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    ("which", "mode"), [(0, FLUSH), (0, str(UPWARD)), (1, "0")], ids=["flush", "upward", "fast-math library"]
)
def test_the_mode_of_the_process_does_not_reach_the_weights(switches, which, mode):
    (usual, expected), (switched, got) = train(switches[0], "0"), train(switches[which], mode)
    assert usual != switched, "nothing was switched: this proves nothing"
    assert got == expected
