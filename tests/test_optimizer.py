"""One optimiser step over flat arrays, in the formula of the header, bit for bit."""

import numpy as np
import ordered
import pytest
import reference
from capi import Settings, ffi, lib, operator, same_bits, status

# fmt: off
CASES = [  # learning_rate, momentum, weight_decay, nesterov
    (0.1, 0.0, 0.0, 0), (0.1, 0.0, 0.01, 0), (0.05, 0.9, 0.0, 0), (0.05, 0.9, 0.0, 1), (0.05, 0.9, 0.001, 0),
    (0.3, 0.5, 0.1, 1), (0.0, 0.9, 0.0, 0),
]
# fmt: on


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES)
def test_steps(case, dtype, rng):
    o = Settings(*case, dtype=dtype)
    for n in (1, 3, 8, 17, 100):
        w, v = rng.normal(size=(2, n)).astype(dtype)
        expected_w, expected_v = w.copy(), v.copy()
        optimizer = reference.SGD(float(o.learning_rate), float(o.momentum), o.nesterov, float(o.weight_decay))
        optimizer.velocity[0] = v.astype(np.float64)
        exact = w.astype(np.float64)
        for _ in range(4):
            dw = rng.normal(size=n).astype(dtype)
            operator("sgd_update", n, o.c, 0.125, dw, w, v)
            ordered.momentum_step(o, dtype(0.125), dw, expected_w, expected_v)
            exact = optimizer.step(0, exact, 0.125 * dw.astype(np.float64))
        assert same_bits(w, expected_w) and same_bits(v, expected_v)
        np.testing.assert_allclose(w, exact, rtol=0, atol=1e-5 if dtype == np.float32 else 1e-13)


def test_without_momentum_there_is_no_velocity(rng):
    w, dw, v = rng.normal(size=(3, 9)).astype(np.float32)
    kept, expected = v.copy(), w - np.float32(0.1) * dw
    operator("sgd_update", 9, Settings(0.1, 0, 0, 0).c, 1.0, dw, w.copy(), v)
    assert same_bits(v, kept)
    operator("sgd_update", 9, Settings(0.1, 0, 0, 0).c, 1.0, dw, w, None)
    assert same_bits(w, expected)


@pytest.mark.parametrize(
    "case",
    [
        (-0.1, 0, 0, 0),
        (np.nan, 0, 0, 0),
        (np.inf, 0, 0, 0),
        (0.1, 1.0, 0, 0),
        (0.1, -0.1, 0, 0),
        (0.1, np.nan, 0, 0),
        (0.1, 0, -1, 0),
        (0.1, 0, np.nan, 0),
        (0.1, 0, np.inf, 0),
        (0.1, 0, 0, 1),
        (0.1, 0.9, 0, 2),
        (0.1, 0.9, 0, -1),
    ],
)
def test_settings_outside_their_range_are_refused(case):
    w, v = np.ones(4, np.float32), np.ones(4, np.float32)
    assert status("sgd_update_f32", 4, Settings(*case).c, 1.0, np.ones(4, np.float32), w, v) == "CGE_ERR_ARGUMENT"
    assert np.all(w == 1) and np.all(v == 1)


def test_missing_arrays_are_refused():
    good = [4, Settings(0.1, 0.9, 0, 0).c, 1.0, *np.ones((3, 4), np.float32)]
    for i in (1, 3, 4, 5):
        arguments = list(good)
        arguments[i] = None
        assert status("sgd_update_f32", *arguments) == "CGE_ERR_NULL", i
    assert status("sgd_update_f32", -1, *good[1:]) in ("CGE_ERR_ARGUMENT", "CGE_ERR_SHAPE")
    assert np.all(good[4] == 1) and np.all(good[5] == 1)


def test_the_kind_is_not_read():
    o = Settings(0.5, 0, 0, 0).c
    assert o.kind == ffi.NULL
    w = np.ones(1, np.float32)
    assert lib.cge_sgd_update_f32(1, o, 1.0, ffi.from_buffer("float[]", w), ffi.from_buffer("float[]", w.copy()), ffi.NULL) == 0
