"""C programs on the host beside the C tests proper (`make c-tests`): the loader's fuzzer, self-tests that fail, coverage."""

import os
import platform
import subprocess
import sys

import host
import pytest

SANITIZE = ["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


HAS_LANES = platform.machine() in ("x86_64", "aarch64")
FOLDER = host.ROOT / "tests" / "c"


@pytest.fixture(scope="module")
def sanitized_library(tmp_path_factory):
    """At -O0: optimised, the kernels take longer to compile than the tests then save."""
    return host.build_library(tmp_path_factory.mktemp("sanitized"), *SANITIZE, "-O0")


def build_fuzzer(name, archive, *sources):
    program, include = archive.parent / name, host.ROOT / "csrc" / "include"
    own = [FOLDER / "fuzz" / f"{name}.c", *sources]
    host.run([host.compiler(), *host.STRICT, "-O1", *SANITIZE, "-I", include, *own, archive, "-pthread", "-o", program])
    return program


@pytest.fixture(scope="module")
def fuzzer(sanitized_library):
    return build_fuzzer("fuzz_model", sanitized_library, FOLDER / "models.c")


@pytest.mark.parametrize("kernels", ["ref", "tiled", None])
def test_loader_survives_a_quarter_of_a_minute_of_fuzzing(fuzzer, kernels):
    """Networks that it accepts are used with every set that computers without vectors could choose, and with the default."""
    chosen = {} if kernels is None else {"CGE_KERNELS": kernels}
    printed = host.run([fuzzer, "seconds", "5"], env={**os.environ, **chosen})
    assert " mutants: " in printed and printed.startswith(f"{kernels}: " if kernels else "lanes_" if HAS_LANES else "")


def test_fuzzer_repeats_itself(fuzzer):
    """A mutant that fails must be found again by its number."""
    first, second, other = (host.run([fuzzer, "count", "5000", seed]) for seed in ("3", "3", "4"))
    assert first == second != other


SELFTEST = """
#include "kernels/kernels.h"
#include <stdio.h>
static unsigned char arena[65536];
int main(void)
{
    cge_selftest_report report;
    size_t bytes = 0;
    if (cge_selftest_arena_bytes(&bytes) != CGE_OK || cge_selftest(arena, bytes, &report) != CGE_OK) return 1;
    printf("%d %d %.3f\\n", (int)report.arithmetic, (int)report.passed, (double)report.max_gradient_error);
    return 0;
}
"""
REPLACEMENTS = {  # function of the core, its parameters, how it is called
    "run_dense_bias_grad": ("void", "int32_t out, int32_t count, const float *dy, float *db", "out, count, dy, db"),
    "run_all_below": ("int", "int32_t n, const float *x, uint32_t limit", "n, x, limit"),
    "run_conv2d_weight_grad": (
        "void",
        "const cge_conv2d_plan *p, const float *x, const float *dy, float *dw, cge_range rows, cge_range kernel_rows",
        "p, x, dy, dw, rows, kernel_rows",
    ),
    "exp": ("float", "float x", "x"),
    "log": ("float", "float x", "x"),
    "sqrt": ("float", "float x", "x"),
    "tanh": ("float", "float x", "x"),
}
WRAPPER = """
{result} __real_cge_{name}({parameters});
{result} __wrap_cge_{name}({parameters});
{result} __wrap_cge_{name}({parameters}) {{ {body} }}
"""
BIAS_GRADIENT = "for (int32_t i = 0; i < out * count; i++) db[i % out] += TERM;"
AN_ULP = "float y = REAL; union { float f; unsigned u; } v = {y}; v.u += x > 1; return v.f;"
EXACT, OTHER = 0, 2


@pytest.mark.parametrize(
    "name, body, arithmetic, passed",
    [
        ("run_dense_bias_grad", BIAS_GRADIENT.replace("TERM", "dy[i]"), EXACT, 1),
        ("run_dense_bias_grad", BIAS_GRADIENT.replace("TERM", "-dy[i]"), OTHER, 0),
        ("run_dense_bias_grad", BIAS_GRADIENT.replace("TERM", "dy[i] + 0.02f"), OTHER, 0),
        ("run_dense_bias_grad", BIAS_GRADIENT.replace("TERM", "dy[i] * (1 + 0x1p-23f)"), OTHER, 0),
        ("run_all_below", "return REAL;", EXACT, 1),
        ("run_all_below", "return REAL || n > 1;", OTHER, 0),
        ("exp", AN_ULP, OTHER, 0),
        ("log", AN_ULP, OTHER, 0),
        ("sqrt", AN_ULP, OTHER, 0),
        ("tanh", AN_ULP, OTHER, 0),
    ],
)
def test_selftest_tells_a_broken_build(name, body, arithmetic, passed, tmp_path, core_archive):
    assert selftest_with(name, body, tmp_path, core_archive)[:2] == [str(arithmetic), str(passed)]


def test_selftest_reports_the_error_of_the_first_parameter_too(tmp_path, core_archive):
    """Its gradient is larger by a half."""
    printed = selftest_with("run_conv2d_weight_grad", "REAL; dw[0] += 0.5f;", tmp_path, core_archive)
    assert 0.4 < float(printed[2]) < 0.6


def selftest_with(name, body, tmp_path, core_archive):
    """What it prints when one function of the core is replaced by the linker."""
    result, parameters, arguments = REPLACEMENTS[name]
    body = body.replace("REAL", f"__real_cge_{name}({arguments})")
    wrapper = WRAPPER.format(result=result, name=name, parameters=parameters, body=body)
    flags = ["-pthread", f"-Wl,--wrap=cge_{name}", "-I", host.ROOT / "csrc" / "src"]
    return host.run([host.compile_c(tmp_path, SELFTEST + wrapper, core_archive, *flags)]).split()


def test_every_line_and_branch_of_the_core_is_covered_or_explained():
    done = subprocess.run([sys.executable, host.ROOT / "tests" / "coverage.py"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
