"""C programs on the host beside the C tests proper (`make c-tests`): the loader's fuzzer, self-tests that fail, coverage."""

import subprocess
import sys

import host
import pytest

SANITIZE = ["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


FOLDER = host.ROOT / "tests" / "c"


@pytest.fixture(scope="module")
def sanitized_library(tmp_path_factory):
    return host.build_library(tmp_path_factory.mktemp("sanitized"), *SANITIZE)


def build_fuzzer(name, archive, *sources):
    program, include = archive.parent / name, host.ROOT / "csrc" / "include"
    own = [FOLDER / "fuzz" / f"{name}.c", *sources]
    host.run([host.compiler(), *host.STRICT, "-O2", *SANITIZE, "-I", include, *own, archive, "-pthread", "-o", program])
    return program


@pytest.fixture(scope="module")
def fuzzer(sanitized_library):
    return build_fuzzer("fuzz_model", sanitized_library, FOLDER / "models.c")


def test_kernel_sets_equal_the_reference_on_random_geometries(sanitized_library):
    program = build_fuzzer("fuzz_kernels", sanitized_library)
    assert host.run([program, "3000", "2"]).endswith("3000 cases, 0 differences\n")


def test_loader_survives_a_minute_of_fuzzing(fuzzer):
    assert " mutants: " in host.run([fuzzer, "seconds", "60"])


def test_fuzzer_repeats_itself(fuzzer):
    """A mutant that fails must be found again by its number."""
    first, second, other = (host.run([fuzzer, "count", "5000", seed]) for seed in ("3", "3", "4"))
    assert first == second != other


SELFTEST = """
#include <cge.h>
#include <stdio.h>
static unsigned char arena[65536];
int main(void)
{
    cge_selftest_report report;
    size_t bytes = 0;
    if (cge_selftest_arena_bytes(&bytes) != CGE_OK || cge_selftest(arena, bytes, &report) != CGE_OK) return 1;
    printf("%d %d\\n", (int)report.arithmetic, (int)report.passed);
    return 0;
}
"""
CONVOLUTION = """
cge_status __wrap_cge_conv2d_forward_f32(const cge_conv2d *g, const float *x, const float *w, const float *b, float *y);
cge_status __wrap_cge_conv2d_forward_f32(const cge_conv2d *g, const float *x, const float *w, const float *b, float *y)
{
    float sum = b[0];
    for (int c = 0; c < g->in_c; c++) sum = TERM;
    y[0] = sum;
    return CGE_OK;
}
"""
BIAS_GRADIENT = """
void __wrap_cge_run_dense_bias_grad(int32_t out, int32_t count, const float *dy, float *db);
void __wrap_cge_run_dense_bias_grad(int32_t out, int32_t count, const float *dy, float *db)
{
    for (int32_t i = 0; i < out * count; i++) db[i % out] += TERM;
}
"""
EXACT, CONTRACTED, OTHER = 0, 1, 2


@pytest.mark.parametrize(
    "symbol, replacement, term, arithmetic, passed",
    [
        ("conv2d_forward_f32", CONVOLUTION, "sum + x[c] * w[c]", EXACT, 1),
        ("conv2d_forward_f32", CONVOLUTION, "(float)((double)x[c] * (double)w[c] + (double)sum)", CONTRACTED, 1),
        ("conv2d_forward_f32", CONVOLUTION, "0 * (sum + x[c] * w[c])", OTHER, 0),
        ("run_dense_bias_grad", BIAS_GRADIENT, "dy[i]", EXACT, 1),
        ("run_dense_bias_grad", BIAS_GRADIENT, "-dy[i]", EXACT, 0),
        ("run_dense_bias_grad", BIAS_GRADIENT, "dy[i] * 0.9f", EXACT, 0),
        ("run_dense_bias_grad", BIAS_GRADIENT, "dy[i] + 0.02f", EXACT, 0),
        ("run_dense_bias_grad", BIAS_GRADIENT, "0 * dy[i]", EXACT, 0),
    ],
)
def test_selftest_tells_a_broken_build(symbol, replacement, term, arithmetic, passed, tmp_path, core_archive):
    """One function of the core is replaced by the linker."""
    program = host.compile_c(tmp_path, SELFTEST + replacement.replace("TERM", term), core_archive, f"-Wl,--wrap=cge_{symbol}")
    assert host.run([program]).split() == [str(arithmetic), str(passed)]


def test_every_line_and_branch_of_the_core_is_covered_or_explained():
    done = subprocess.run([sys.executable, host.ROOT / "tests" / "coverage.py"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
