"""Sources in strangers' build systems: objects in one directory, several sources as one translation unit."""

import os
import re
import shutil
import subprocess

import host
import pytest
from host import ROOT

PROGRAM = """
#include <cge.h>
#include <stdint.h>
#include <stdio.h>
static uint64_t arena[8192];
int main(void)
{
    static const cge_conv2d conv = {.out_c = 4, .kernel_h = 3, .kernel_w = 3};
    static const cge_pool2d pool = {.kernel_h = 2, .kernel_w = 2};
    static const cge_dense dense = {.units = 3};
    static const cge_layer layers[] = {{.kind = &cge_kind_conv2d, .config = &conv}, {.kind = &cge_kind_tanh},
                                       {.kind = &cge_kind_maxpool2d, .config = &pool},
                                       {.kind = &cge_kind_dense, .config = &dense}};
    static const cge_model model = {.input = {8, 8, 1}, .layers = layers, .layer_count = 4, .loss = &cge_softmax_cross_entropy,
                                    .optimizer = {.kind = &cge_sgd, .learning_rate = 0.1f, .momentum = 0.9f}};
    const cge_options options = {.training = 1};
    static float x[64];
    const int32_t labels[1] = {1};
    const cge_targets targets = {.labels = labels};
    cge_network net;
    cge_rng rng;
    uint64_t hash;
    float loss;
    if (cge_network_init(&net, &model, &options, arena, sizeof arena) != CGE_OK) return 1;
    if (cge_network_init_params(&net, 1) != CGE_OK || cge_rng_seed(&rng, 2) != CGE_OK) return 1;
    for (int step = 0; step < 20; step++) {
        for (int i = 0; i < 64; i++) x[i] = cge_rng_uniform_f32(&rng);
        if (cge_network_train_batch(&net, x, &targets, 1, &loss) != CGE_OK) return 1;
    }
    if (cge_network_params_hash(&net, &hash) != CGE_OK) return 1;
    printf("%08lx%08lx\\n", (unsigned long)(hash >> 32), (unsigned long)(hash & 0xffffffffu));
    return 0;
}
"""


@pytest.fixture(scope="module")
def weights(tmp_path_factory, core_archive):
    """What the program learns with the library as `make` builds it."""
    return host.run([host.compile_c(tmp_path_factory.mktemp("usual"), PROGRAM, core_archive, "-pthread")])


def test_the_core_links_from_one_flat_directory(tmp_path, weights):
    flags = ["-std=c99", "-O0", "-ffp-contract=off", "-I", ROOT / "csrc" / "include"]
    for source in host.library_sources():
        host.run([host.compiler(), *flags, "-c", source, "-o", tmp_path / f"{source.stem.lower()}.o"])
    (tmp_path / "program.c").write_text(PROGRAM)
    host.run([host.compiler(), *flags, tmp_path / "program.c", *tmp_path.glob("*.o"), "-pthread", "-o", tmp_path / "program"])
    assert host.run([tmp_path / "program"]) == weights


def test_names_of_the_lanes_are_taken_back():
    """In one translation unit with other sources, a name that stays a macro would change what follows."""
    text = (ROOT / "csrc/src/kernels/lanes/lanes_names.inc").read_text()
    defined = re.findall(r"^#define (\w+) CGE_LANES\(\1\)$", text, re.MULTILINE)
    assert len(defined) > 100 and re.findall(r"^#undef (\w+)$", text, re.MULTILINE)[1:] == defined


CMAKE = """
cmake_minimum_required(VERSION 3.16)
project(firmware C)
set(CMAKE_C_STANDARD 99)
add_library(cge STATIC {sources})
target_include_directories(cge PUBLIC "{include}")
target_compile_options(cge PRIVATE -O1 -ffp-contract=off)
set_target_properties(cge PROPERTIES UNITY_BUILD_BATCH_SIZE 8)
find_package(Threads REQUIRED)
target_link_libraries(cge PUBLIC Threads::Threads)
add_executable(program program.c)
target_link_libraries(program cge)
"""


def test_cmakes_unity_build(tmp_path, weights):
    """CMAKE_UNITY_BUILD joins as many sources at a time as its default says. All at once: `make test-gcc-native-unity`."""
    cmake = next((tool for tool in ("/usr/bin/cmake", shutil.which("cmake")) if tool and os.access(tool, os.X_OK)), None)
    if cmake is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("needs cmake: `make setup` as root installs it")
    sources = " ".join(f'"{path}"' for path in host.library_sources())
    (tmp_path / "CMakeLists.txt").write_text(CMAKE.format(sources=sources, include=ROOT / "csrc" / "include"))
    (tmp_path / "program.c").write_text(PROGRAM)
    host.run([cmake, "-S", tmp_path, "-B", tmp_path / "build", "-DCMAKE_UNITY_BUILD=ON", "-DCMAKE_BUILD_TYPE=Release"])
    built = subprocess.run([cmake, "--build", tmp_path / "build"], capture_output=True, text=True)
    assert built.returncode == 0 and "warning:" not in built.stdout + built.stderr, built.stdout + built.stderr
    units = list((tmp_path / "build" / "CMakeFiles" / "cge.dir" / "Unity").glob("*.c"))
    assert len(units) == -(-len(host.library_sources()) // 8)
    assert host.run([tmp_path / "build" / "program"]) == weights
