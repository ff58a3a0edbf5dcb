"""Exact and fused multiply-adds in one process: chosen by name, told apart by bits, remembered by files and exports.

tests/test_golden.py has the weights that fused networks share with boards built with FUSED=1."""

import copy
import os
import pickle
import subprocess
import sys
import threading
from fractions import Fraction

import host
import numpy as np
import pytest

import convgrad_embedded as cge
from convgrad_embedded import _core

# -1 * (1 + 2^-11) + (1 + 2^-12)^2: the square has one bit more than float32.
X, W = np.float32([-1, 1 + 2**-12]), np.float32([[1 + 2**-11], [1 + 2**-12]])
INPUT_WORD = 19  # of a file: what samples are made of, plus 256 for fused


def fused_now():
    return cge.dense_forward(X, W).tolist() == [2**-24]


def network(**options):
    layers = [cge.Conv2d(6, 3, padding=1), cge.GroupNorm(2), cge.ReLU(), cge.MaxPool2d(2), cge.Dense(5), cge.Tanh()]
    return cge.Network((8, 8, 3), [*layers, cge.Dense(3)], "softmax_cross_entropy", cge.Adam(0.01), seed=4, **options)


def trained(rng, steps=3, batch=4, **options):
    net = network(**options)
    for _ in range(steps):
        net.train_on_batch(rng.normal(size=(batch, 8, 8, 3)).astype(np.float32), rng.integers(0, 3, batch))
    return net


# ---- numbers -------------------------------------------------------------------------------------------------------------


def rounded(value):
    """To float32, ties to even, from a Fraction: no other rounding on the way."""
    near = np.float32(float(value))
    around = [near, np.nextafter(near, np.float32(np.inf)), np.nextafter(near, np.float32(-np.inf))]
    return min(around, key=lambda x: (abs(Fraction(float(x)) - value), int(np.float32(x).view(np.uint32)) & 1))


def fused_sum(start, pairs):
    for a, b in pairs:
        start = rounded(Fraction(float(a)) * Fraction(float(b)) + Fraction(float(start)))
    return start


def test_operators_round_each_multiply_add_once_in_the_order_of_additions(rng):
    x, dy = (rng.normal(size=shape).astype(np.float32) for shape in ((2, 4, 4, 3), (2, 3, 3, 5)))
    w, b = rng.normal(size=(2, 2, 3, 5)).astype(np.float32), rng.normal(size=5).astype(np.float32)
    with cge.arithmetic("fused"):
        y, dw, dx = cge.conv2d_forward(x, w, b), cge.conv2d_weight_grad(x, dy, (2, 2)), cge.conv2d_input_grad(w, dy, (4, 4))
    windows = [(i, j) for i in range(2) for j in range(2)]
    outputs = [(i, j) for i in range(3) for j in range(3)]
    for n, (h, v), k in [(0, (0, 0), 0), (1, (2, 1), 4), (1, (1, 2), 2)]:
        taps = [(x[n, h + i, v + j, c], w[i, j, c, k]) for i, j in windows for c in range(3)]
        assert y[n, h, v, k] == fused_sum(b[k], taps)
    for (i, j), c, k in [((0, 0), 0, 0), ((1, 0), 2, 4), ((1, 1), 1, 3)]:
        sums = [(x[n, h + i, v + j, c], dy[n, h, v, k]) for n in range(2) for h, v in outputs]
        assert dw[i, j, c, k] == fused_sum(0, sums)
    for n, (h, v), c in [(0, (1, 1), 0), (1, (2, 2), 2)]:
        taps = [(dy[n, h - i, v - j, k], w[i, j, c, k]) for i, j in windows for k in range(5)]
        assert dx[n, h, v, c] == fused_sum(0, taps)
    assert not np.array_equal(dw, cge.conv2d_weight_grad(x, dy, (2, 2)))


def test_other_bits_than_exact_and_the_same_in_every_way_to_run(rng):
    state = rng.bit_generator.state
    hashes = {}
    for name, options in {
        "exact": {},
        "fused": {"arithmetic": "fused"},
        "one at a time": {"arithmetic": "fused", "capacity": 1},
        "threads": {"arithmetic": "fused", "threads": 2},
        "small": {"arithmetic": "fused", "memory": "small"},
    }.items():
        rng.bit_generator.state = state
        hashes[name] = trained(rng, **options).weights_hash()
    assert hashes.pop("exact") not in hashes.values() and len(set(hashes.values())) == 1, hashes


def test_double_precision_is_exact_always(rng):
    x, w = rng.normal(size=(3, 7)), rng.normal(size=(7, 2))
    exact = cge.dense_forward(x, w)
    with cge.arithmetic("fused"):
        assert np.array_equal(cge.dense_forward(x, w), exact)
        net = trained(rng)
    assert net.gradcheck(rng.normal(size=(2, 8, 8, 3)), [0, 1]).max_error < 1e-4


# ---- the choice ----------------------------------------------------------------------------------------------------------


def test_a_with_statement_holds_inside_it_alone_and_for_its_thread():
    seen = []
    fused = cge.arithmetic("fused")
    with fused:
        with cge.arithmetic("exact"):
            assert not fused_now() and network().arithmetic == "exact"
        with fused:
            assert fused_now()
        assert fused_now() and network().arithmetic == "fused"
        thread = threading.Thread(target=lambda: seen.append(fused_now()))
        thread.start()
        thread.join()
    assert not fused_now() and seen == [False] and network().arithmetic == "exact"
    with pytest.raises(KeyError), fused:
        raise KeyError
    assert not fused_now()


def test_a_network_keeps_its_own(rng):
    fused = network(arithmetic="fused")
    for_copy = [fused, fused.freeze(upto=0), copy.deepcopy(fused), pickle.loads(pickle.dumps(fused))]
    assert [net.arithmetic for net in for_copy] == ["fused"] * 4
    assert repr(fused).endswith(", arithmetic='fused')") and "arithmetic" not in repr(network())
    with pytest.raises(AttributeError, match="arithmetic: cannot be set"):
        fused.arithmetic = "exact"


PROGRAM = """
import convgrad_embedded as cge
from convgrad_embedded import _core, _runtime
print(_core.selftest().arithmetic, cge.Network((2,), [cge.Dense(1)]).arithmetic)
with cge.arithmetic("exact"):
    print(_core.selftest().arithmetic)
"""


def test_the_environment_says_it_for_a_process():
    def said(value):
        environment = {**os.environ, "CGE_ARITHMETIC": value, "PYTHONPATH": str(host.ROOT)}
        done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True)
        return done.stdout.split() or done.stderr.splitlines()[-1]

    assert said("fused") == ["fused", "fused", "exact"] and said("") == ["exact", "exact", "exact"]
    assert said("quick") == "ValueError: CGE_ARITHMETIC: expected one of 'exact', 'fused', got 'quick'"


@pytest.mark.parametrize("name", ["FUSED", "", 1, None])
def test_other_names_are_refused(name):
    with pytest.raises(ValueError, match="^arithmetic: expected one of 'exact', 'fused', got "):
        cge.arithmetic(name)
    if name is not None:
        with pytest.raises(ValueError, match="^arithmetic: expected one of 'exact', 'fused', got "):
            network(arithmetic=name)


def test_a_processor_without_the_instruction_says_so(monkeypatch):
    data = network(arithmetic="fused").to_bytes()
    monkeypatch.setattr(_core, "_fused_fault", lambda: "this processor has no instructions for (AVX2 and FMA)")
    expected = r"arithmetic: expected 'exact', got 'fused', which this processor has no instructions for \(AVX2 and FMA\)$"
    with pytest.raises(ValueError, match=f"^{expected}"):
        cge.arithmetic("fused")
    with pytest.raises(ValueError, match=f"^data: {expected}"):
        cge.Network.from_bytes(data)
    assert network().arithmetic == "exact"


def test_a_compiler_whose_fmaf_is_not_exact_is_found_out(monkeypatch):
    class Lib:
        cge_has_fused = staticmethod(lambda: 1)
        cge_check_arithmetic_fused = staticmethod(lambda: Lib.told)
        CGE_ARITHMETIC_CONTRACTED = _core.lib.CGE_ARITHMETIC_CONTRACTED

    monkeypatch.setattr(_core, "lib", Lib)
    faults = {}
    for Lib.told in (0, 1, 2):
        faults[Lib.told] = _core._fused_fault.__wrapped__()
    assert faults[1] is None and all("fmaf is not exact" in faults[told] for told in (0, 2))


def test_the_self_test_and_the_kernels_are_those_of_the_present_arithmetic():
    assert _core.selftest().arithmetic == "exact"
    with cge.arithmetic("fused"):
        assert _core.selftest()[:2] == (True, "fused") and cge.kernel_set() in ("tiled", "lanes", "lanes_avx2", "lanes_avx512")


# ---- files and exports -----------------------------------------------------------------------------------------------------


def test_files_say_it_and_those_of_exact_networks_are_as_they_were(rng):
    state = rng.bit_generator.state
    fused, exact = network(arithmetic="fused"), network()
    words = [np.frombuffer(net.to_bytes(), "<u4") for net in (exact, fused)]
    assert np.flatnonzero(words[0] != words[1]).tolist() == [INPUT_WORD, len(words[0]) - 1]
    assert (words[0][INPUT_WORD], words[1][INPUT_WORD]) == (0, 256)
    again = cge.Network.from_bytes(fused.to_bytes())
    with cge.arithmetic("fused"):
        assert cge.Network.from_bytes(exact.to_bytes()).arithmetic == "exact"
    for net in (fused, again):
        rng.bit_generator.state = state
        net.train_on_batch(rng.normal(size=(4, 8, 8, 3)), rng.integers(0, 3, 4))
    assert again.arithmetic == "fused" and again.weights_hash() == fused.weights_hash()


def test_bytes_as_input_stay_what_they_are():
    layers = [cge.Conv2d(4, 3), cge.Dense(3)]
    net = cge.Network((6, 6, 1), layers, "mse", cge.SGD(0.1), input_scale=1 / 256, input_offset=3, arithmetic="fused")
    again = cge.Network.from_bytes(net.to_bytes())
    assert (again.arithmetic, again.input_scale, again.input_offset) == ("fused", 1 / 256, 3)


def test_an_exact_network_refuses_a_fused_ones_bytes():
    exact, fused = network(), network(arithmetic="fused")
    with pytest.raises(ValueError, match="fused multiply-adds"):
        exact._runtime.restore(fused.to_bytes(), "data")
    fused._runtime.restore(exact.to_bytes(), "data")  # which are for any build


FIRMWARE = """
#include "net.h"
#include <stdio.h>
static uint64_t arena[(NET_INFERENCE_ARENA_BYTES + 7) / 8];
int main(void)
{
    cge_options options = {0};
    cge_network net;
    options.params = net_params;
    puts(cge_status_text(cge_network_init(&net, &net_model, &options, arena, sizeof arena)));
    return 0;
}
"""


@pytest.mark.parametrize("arithmetic", ["exact", "fused"])
def test_an_exact_build_refuses_the_export_of_a_fused_network(arithmetic, tmp_path, core_archive):
    cge.Network((2,), [cge.Dense(1)], arithmetic=arithmetic).export(tmp_path, "net")
    assert ("CGE_FUSED=1" in (tmp_path / "net.h").read_text()) == (arithmetic == "fused")
    program = host.compile_c(tmp_path, FIRMWARE, core_archive, tmp_path / "net.c", "-I", tmp_path)
    said = host.run([program]).strip()
    assert said == ("ok" if arithmetic == "exact" else "the network is for builds with fused multiply-adds (CGE_FUSED=1)")
