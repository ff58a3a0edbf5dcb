"""Exported plans that bear a seal: that they work, and what they save. tests/c/test_seal.c has the cases of the core."""

import re
import subprocess

import host
import numpy as np
import pytest
from test_toolchain import make, need

import convgrad_embedded as cge

LAYERS = [
    cge.Conv2d(8, 3, padding=1), cge.ReLU(), cge.MaxPool2d(2),
    cge.Conv2d(16, 3, padding=1), cge.ReLU(), cge.MaxPool2d(2), cge.Dense(10),
]  # fmt: skip

MAIN = """
#include "net.h"
#include <stdio.h>
#include <string.h>
static uint64_t arena[(NET_TRAINING_ARENA_BYTES + 7) / 8];
static cge_network net;
static float x[NET_INPUT_ELEMS];
int main(void)
{
    static cge_options options;
    const int32_t labels[1] = {1};
    const cge_targets targets = {.labels = labels};
    uint64_t hash = 0;
    float loss;
#ifdef MADE_HERE
    static uint64_t room[1000 / 8];
    static cge_plan plan;
    if (cge_plan_make(&net_model, &cge_memory_smallest, 1, room, sizeof room, &plan) != CGE_OK) return 1;
    options.plan = &plan;
#else
    options.plan = &net_training_plan;
#endif
    options.training = 1;
    x[0] = 1;
    if (cge_network_init(&net, &net_model, &options, arena, sizeof arena) != CGE_OK) return 2;
    memcpy(net.params, net_params, sizeof net_params);
    if (cge_network_train_batch(&net, x, &targets, 1, &loss) != CGE_OK) return 3;
    if (cge_network_params_hash(&net, &hash) != CGE_OK) return 4;
    printf("%08lx%08lx\\n", (unsigned long)(hash >> 32), (unsigned long)(hash & 0xffffffffu));
    return 0;
}
"""


def network(memory="smallest", layers=LAYERS, **options):
    return cge.Network((28, 28, 1), layers, "softmax_cross_entropy", cge.SGD(0.05), seed=5, memory=memory, **options)


def export(net, folder, sealed, define=""):
    net.export(folder, name="net", sealed=sealed)
    (folder / "main.c").write_text(define + MAIN)
    return folder


def build(folder, archive):
    flags = [*host.STRICT, "-O1", "-I", host.ROOT / "csrc" / "include", "-I", folder, "-pthread"]
    host.run([host.compiler(), *flags, folder / "net.c", folder / "main.c", archive, "-o", folder / "program"])
    return folder / "program"


def seals(folder):
    return re.findall(r"\.seal = (\w+)", (folder / "net.c").read_text())


@pytest.mark.parametrize("memory", ["small", "smallest", "small_sliced"])
@pytest.mark.parametrize("options", [{}, {"memory_ranges": [40_000, 50_000]}], ids=["arena", "ranges"])
def test_a_sealed_export_learns_what_python_learns(memory, options, tmp_path, core_archive):
    net = network(memory, **options)
    program = build(export(net, tmp_path, sealed=True), core_archive)
    x = np.zeros((1, 28, 28, 1), np.float32)
    x[0, 0, 0, 0] = 1
    net.train_on_batch(x, [1])
    assert host.run([program]).strip() == net.weights_hash()
    text = (tmp_path / "net.c").read_text()
    assert f"&cge_memory_{memory}_sealed" in text and len(set(seals(tmp_path))) == 2 and "0" not in seals(tmp_path)


@pytest.mark.parametrize(
    "old, new",
    [
        (r"\.seal = \w+", ".seal = 1"),
        (r"(/\* 0: output of [^{]*\{)\d+", r"\g<1>3"),  # where a tensor lies
        (r"\.trains = 0", ".trains = -1"),  # what learns
        (r"_sealed", ""),  # then the plan itself is looked at, and is right
    ],
    ids=["seal", "tensor", "layer", "open"],
)
def test_what_was_changed_is_refused(old, new, tmp_path, core_archive):
    export(network(), tmp_path, sealed=True)
    text = (tmp_path / "net.c").read_text()
    changed = re.sub(old, new, text, count=1)
    assert changed != text
    (tmp_path / "net.c").write_text(changed)
    done = subprocess.run([build(tmp_path, core_archive)], capture_output=True)
    assert done.returncode == (0 if new == "" else 2)


def test_a_seal_is_of_plan_and_model_and_not_of_weights(tmp_path):
    found = []
    for number, net in enumerate((network(), network(), network("small"), network(layers=[*LAYERS[:-1], cge.Dense(11)]))):
        net.initialize(number)
        found.append(tuple(seals(export(net, tmp_path / str(number), sealed=True))))
    assert found[0] == found[1] and len(set(found)) == 3


def test_exports_without_a_seal_say_so(tmp_path):
    export(network(), tmp_path, sealed=False)
    assert seals(tmp_path) == ["0", "0"] and "CGE_PLAN_VERSION" not in (tmp_path / "net.h").read_text()


def test_another_version_of_plans_does_not_compile(tmp_path, core_archive):
    export(network(), tmp_path, sealed=True)
    header = (tmp_path / "net.h").read_text()
    (tmp_path / "net.h").write_text(header.replace("CGE_PLAN_VERSION != ", "CGE_PLAN_VERSION != 1"))
    with pytest.raises(AssertionError, match="sealed plans of another version of the library: export the network again"):
        build(tmp_path, core_archive)


def test_what_has_no_plan_has_no_seal(tmp_path):
    with pytest.raises(ValueError, match='sealed: expected False with memory="fast"'):
        network("fast").export(tmp_path, sealed=True)
    with pytest.raises(TypeError, match="sealed: expected"):
        network().export(tmp_path, sealed="yes")
    assert not list(tmp_path.iterdir())


def test_what_a_constant_plan_saves_on_a_cortex_m4f(tmp_path, board_library):
    """At least what docs/memory.md says, the plan's tables counted."""
    need("arm-none-eabi-gcc", "arm-none-eabi-size")
    sizes, build = [], board_library("crazyflie21", tmp_path / "build")
    for define, sealed in (("#define MADE_HERE 1\n", False), ("", False), ("", True)):
        app = export(network(), tmp_path / f"app{len(sizes)}", sealed, define)
        program = tmp_path / f"{len(sizes)}.elf"
        make("firmware", "-j2", BOARD="crazyflie21", BUILD=build, APP=app, OUT=program, WERROR=1)
        code, _, bss = host.run(["arm-none-eabi-size", program]).splitlines()[-1].split()[:3]
        sizes.append((int(code), int(bss)))
    made, constant, seal = sizes
    assert made[0] - constant[0] > 1200 and made[1] - constant[1] >= 1000
    assert made[0] - seal[0] > 5000 and constant[1] == seal[1]
