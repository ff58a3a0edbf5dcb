"""exp, log, tanh, erf, sqrt: at most 2 ulp from the true value over the whole of float32; special values as in C99 Annex F.

A small C program evaluates millions of numbers per function; set CGE_EXHAUSTIVE=1 to try all 2^32.
"""

import math
import os
import subprocess

import numpy as np
import pytest
from capi import ffi, lib
from host import compile_c

FUNCTIONS = ["exp", "log", "tanh", "sqrt", "erf"]
STRIDE = 1 if os.environ.get("CGE_EXHAUSTIVE") else 641  # a prime: all low-bit patterns come along
BLOCK = 1 << 22

PROGRAM = """
#include "cge.h"
#include <stdio.h>
#include <string.h>

/* FUNCTION < float32 numbers > their results */
int main(int argc, char **argv)
{
    static const struct { const char *name; float (*f)(float); } table[] = {
        {"exp", cge_exp_f32}, {"log", cge_log_f32}, {"tanh", cge_tanh_f32}, {"sqrt", cge_sqrt_f32}, {"erf", cge_erf_f32}};
    static float x[65536];
    size_t i, n;
    int t = 0;
    if (argc != 2) return 2;
    while (t < 5 && strcmp(table[t].name, argv[1]) != 0) t++;
    if (t == 5) return 2;
    while ((n = fread(x, sizeof x[0], 65536, stdin)) > 0) {
        for (i = 0; i < n; i++) x[i] = table[t].f(x[i]);
        if (fwrite(x, sizeof x[0], n, stdout) != n) return 1;
    }
    return 0;
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory, core_archive):
    return compile_c(tmp_path_factory.mktemp("math"), PROGRAM, core_archive)


def evaluate(program, function, x):
    done = subprocess.run([program, function], input=x.tobytes(), stdout=subprocess.PIPE, check=True)
    return np.frombuffer(done.stdout, np.float32)


def ulps(result, exact):
    """Distance in units of the last place of float32 at `exact`; a rounding to infinity counts as the next number."""
    _, exponent = np.frexp(exact)
    unit = np.ldexp(1.0, np.maximum(exponent, -125) - 24)
    with np.errstate(invalid="ignore"):  # signalling NaNs
        result, exact = (np.clip(y.astype(np.float64), -(2.0**128), 2.0**128) for y in (result, exact))
    return np.abs(result - exact) / unit


def blocks():
    """Every STRIDE-th float32, NaNs and infinities and subnormals included, in blocks."""
    for begin in range(0, 1 << 32, BLOCK * STRIDE):
        bits = np.arange(begin, min(begin + BLOCK * STRIDE, 1 << 32), STRIDE, dtype=np.uint64)
        yield bits.astype(np.uint32).view(np.float32)


def true_values(function, x):
    """NumPy's; erf by the C library."""
    if function != "erf":
        return getattr(np, function)(x)
    return np.fromiter(map(math.erf, x.ravel().tolist()), np.float64, x.size).reshape(x.shape)


def exact_values(function, x):
    with np.errstate(all="ignore"):
        return true_values(function, x.astype(np.float64))


def check_accuracy(program, function, x):
    result, exact = evaluate(program, function, x), exact_values(function, x)
    np.testing.assert_array_equal(np.isnan(result), np.isnan(exact))
    numbers = np.isfinite(exact)
    np.testing.assert_array_equal(result[~numbers], exact[~numbers])  # infinities and NaNs
    error = np.where(numbers, ulps(result, np.where(numbers, exact, 0)), 0)
    worst = np.argmax(error)
    assert error[worst] <= (0.5 if function == "sqrt" else 2.0), f"{function}({x[worst]!r}): {error[worst]:.3f} ulp"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_accuracy_over_all_exponents(program, function):
    for x in blocks():
        check_accuracy(program, function, x)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_accuracy_where_it_is_hard(program, function):
    """Every number near a threshold: range ends, change-over points of usual implementations, 1 for log."""
    # fmt: off
    points = [0.0, 0.5, 1.0, 2.0, math.sqrt(0.5), math.sqrt(2), math.log(2), math.log(2) / 2, 0.55, 0.625, 9.0, 9.01, 10, 20,
              22, -87.3365, -88.0, -103.28, -103.97, 88.72283, 2.0 ** -126, 2.0 ** -149, 2.0 ** -12, 2.0 ** -24, 3.4e38]
    # fmt: on
    centres = np.float32(points + [-p for p in points]).view(np.uint32).astype(np.int64)
    bits = (centres[:, None] + np.arange(-20000, 20000)) % (1 << 32)
    check_accuracy(program, function, bits.astype(np.uint32).view(np.float32).ravel())


@pytest.mark.parametrize("suffix", ["f32", "f64"])
def test_special_values(suffix):
    exp, log, tanh, sqrt, erf = (getattr(lib, f"cge_{function}_{suffix}") for function in FUNCTIONS)
    inf, nan = math.inf, math.nan

    def is_negative_zero(value):
        return value == 0 and math.copysign(1, value) < 0

    assert exp(0.0) == 1 and exp(-0.0) == 1 and exp(-inf) == 0 and exp(inf) == inf and math.isnan(exp(nan))
    assert exp(1e4) == inf and exp(-1e4) == 0
    assert log(0.0) == -inf and log(-0.0) == -inf and log(1.0) == 0 and log(inf) == inf
    assert math.isnan(log(-1.0)) and math.isnan(log(-inf)) and math.isnan(log(nan))
    assert tanh(inf) == 1 and tanh(-inf) == -1 and math.isnan(tanh(nan))
    assert tanh(0.0) == 0 and not is_negative_zero(tanh(0.0)) and is_negative_zero(tanh(-0.0))
    assert erf(inf) == 1 and erf(-inf) == -1 and math.isnan(erf(nan))
    assert erf(0.0) == 0 and not is_negative_zero(erf(0.0)) and is_negative_zero(erf(-0.0))
    assert sqrt(inf) == inf and math.isnan(sqrt(-1.0)) and math.isnan(sqrt(-inf)) and math.isnan(sqrt(nan))
    assert is_negative_zero(sqrt(-0.0)) and not is_negative_zero(sqrt(0.0))


def test_exp_underflows_through_the_subnormals(program):
    x = np.linspace(-104.5, -87, 2001, dtype=np.float32)
    result = evaluate(program, "exp", x)
    assert np.all(np.diff(result) >= 0) and result[0] == 0 and np.sum((result > 0) & (result < 2.0**-126)) > 1000
    check_accuracy(program, "exp", x)


@pytest.mark.parametrize("function", ["tanh", "exp", "erf"])
def test_bounds_hold(program, function):
    x = np.concatenate([next(blocks()), np.linspace(-30, 30, 100001, dtype=np.float32)])
    result = evaluate(program, function, x)
    numbers = ~np.isnan(result)
    assert np.all(result[numbers] >= (0 if function == "exp" else -1))
    assert function == "exp" or np.all(result[numbers] <= 1)


@pytest.mark.parametrize("function", ["tanh", "erf"])
def test_it_is_odd(program, function):
    x = np.linspace(0, 12, 200001, dtype=np.float32)
    np.testing.assert_array_equal(evaluate(program, function, -x), -evaluate(program, function, x))


@pytest.mark.parametrize(
    "function, low, high", [("exp", -740, 709), ("log", -700, 700), ("tanh", -22, 22), ("sqrt", -700, 700), ("erf", -6, 6)]
)
def test_double_precision_copy(function, low, high, rng):
    """For gradient checks: within 4 units of the last place."""
    x = rng.uniform(low, high, 20000)
    if function in ("log", "sqrt"):
        x = np.exp(x)
    x = np.concatenate([x, rng.normal(size=2000) if function in ("exp", "tanh", "erf") else rng.uniform(0.5, 2, 2000)])
    f = getattr(lib, f"cge_{function}_f64")
    result, exact = np.array([f(v) for v in x]), true_values(function, x)
    error = np.abs(result - exact) / np.spacing(np.abs(exact))
    assert error.max() <= (0 if function == "sqrt" else 4), (x[error.argmax()], error.max())


def test_no_c_library_stands_behind(root):
    """libm differs between C libraries; the core must not call it."""
    assert ffi.typeof(lib.cge_exp_f32).result.cname == "float"
    assert not any("math.h" in path.read_text() for path in (root / "csrc").rglob("*.[ch]"))
