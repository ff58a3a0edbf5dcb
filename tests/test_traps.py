"""No floating-point exception is raised where none is due: simulators such as ArduPilot's let them end the program."""

import os
import platform
import subprocess

import host
import pytest

SETS = ["ref", "small", "tiled", "lanes", "lanes_avx2", "lanes_avx512"]  # a CPU that lacks one takes its best

PROGRAM = """
#include <stdio.h>
#include "cge.h"
#include "models.h"

enum { INVALID = 0x80, DIVIDED_BY_ZERO = 0x200, OVERFLOWN = 0x400 };

static uint64_t arena[1 << 16], other[1 << 16];
static unsigned char saved[1 << 18];
static float x[4 * 4096], values[4 * 4096], y[4 * 4096];
static int32_t labels[4];

static int work(const cge_model *model, int32_t training)
{
    const cge_options options = {training, training ? 2 : 4, NULL, NULL, NULL};
    const cge_targets targets = {.labels = labels, .values = values};
    cge_network net, copy;
    cge_layer layers[32];
    cge_layer_config configs[32];
    cge_model parsed;
    size_t used = 0;
    float loss;
    int32_t correct;
    if (cge_network_init(&net, model, &options, arena, sizeof arena) != CGE_OK) return 1;
    if (cge_network_init_params(&net, 3) != CGE_OK) return 2;
    for (int step = 0; training && step < 20; step++)
        if (cge_network_train_batch(&net, x, &targets, 4, &loss) != CGE_OK) return 3;
    if (cge_network_forward(&net, x, 4, y) != CGE_OK) return 4;
    if (model->loss != NULL && cge_network_evaluate(&net, x, &targets, 4, &loss, &correct) != CGE_OK) return 5;
    if (cge_network_save(&net, saved, sizeof saved, &used) != CGE_OK) return 6;
    if (cge_model_parse(saved, used, &cge_catalog_all, layers, configs, 32, &parsed) != CGE_OK) return 7;
    if (cge_network_init(&copy, model, &options, other, sizeof other) != CGE_OK) return 8;
    return cge_network_restore(&copy, saved, used) != CGE_OK ? 9 : 0;
}

static int self_test(void)
{
    cge_selftest_report report;
    if (cge_selftest(arena, sizeof arena, &report) != CGE_OK) return 1;
    return report.passed == 1 && cge_check_arithmetic() == CGE_ARITHMETIC_EXACT ? 0 : 2;
}

static int functions(void)
{
    static const float at[] = {0.0f, -0.0f, -1.0f, 1e-45f, 3e38f, -3e38f, 100.0f, -100.0f, 1.0f, 0.5f};
    float sum = 0;
    for (int i = 0; i < 10; i++) {
        if (at[i] <= 80) sum += cge_exp_f32(at[i]);
        (void)cge_log_f32(at[i]);
        (void)cge_sqrt_f32(at[i]);
        sum += cge_tanh_f32(at[i]);
    }
    return sum == sum ? 0 : 1;
}

int main(void)
{
    volatile float zero = 0;
    cge_rng rng;
    if (cge_rng_seed(&rng, 1) != CGE_OK) return 1;
    for (int i = 0; i < 4 * 4096; i++) x[i] = cge_rng_uniform_f32(&rng) - 0.5f, values[i] = cge_rng_uniform_f32(&rng);
    __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() & ~(unsigned)(INVALID | DIVIDED_BY_ZERO | OVERFLOWN)); /* masks */
    for (int32_t i = 0; i < test_model_count; i++)
        for (int32_t training = 0; training <= (test_models[i].model.loss != NULL); training++) {
            const int failed = work(&test_models[i].model, training);
            if (failed) return printf("%s: %d\\n", test_models[i].name, failed), 2;
        }
    printf("self-test %d, functions %d\\n", self_test(), functions());
    fflush(stdout);
    return (int)(1 / zero); /* traps are on */
}
"""


@pytest.fixture(scope="module")
def program(core_archive, tmp_path_factory):
    if platform.system() != "Linux" or platform.machine() not in ("x86_64", "i686"):
        pytest.skip("needs traps: Linux on x86")  # Arm's processors have none
    folder = host.ROOT / "tests" / "c"
    directory = tmp_path_factory.mktemp("traps")
    tables = ("-Wno-missing-field-initializers", folder / "models.c")
    return host.compile_c(directory, PROGRAM, core_archive, "-I", folder, *tables, "-pthread")


@pytest.mark.parametrize("kernels", SETS)
def test_whole_life_of_every_layer_kind_raises_no_exception(kernels, program):
    done = subprocess.run([program], capture_output=True, text=True, env={**os.environ, "CGE_KERNELS": kernels})
    assert done.stdout == "self-test 0, functions 0\n", (done.returncode, done.stdout)
    assert done.returncode == -8  # SIGFPE, of the last line
