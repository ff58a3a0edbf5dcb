"""Exact instruction counts on the emulated Cortex-M4F: what cge.h says about time, and what small calls cost."""

import os
import shutil
import zlib
from pathlib import Path

import pytest

import convgrad_embedded as cge

ROOT = Path(__file__).resolve().parent.parent
BOARD = "netduinoplus2"
CHECKSUM_BYTES = 4096
MOST_LAYERS = 128


def convolutions(**options):
    layers = [cge.Conv2d(8, 3, padding=1, **options), cge.ReLU(), cge.MaxPool2d(2)]
    return [*layers, cge.Conv2d(16, 3, padding=1, **options), cge.ReLU(), cge.MaxPool2d(2)]


NETWORKS = {  # input, layers before the last, optimizer
    "demo": ((8, 8, 1), convolutions(), cge.SGD(0.05, 0.9)),
    "demo_plain": ((8, 8, 1), convolutions(), cge.SGD(0.05)),
    "demo_frozen": ((8, 8, 1), convolutions(frozen=True), cge.SGD(0.05, 0.9)),
    "net_n": ((28, 28, 1), convolutions(), cge.SGD(0.05)),
    "colour": ((16, 16, 3), convolutions(), cge.SGD(0.05, 0.9)),
    "perceptron": ((1, 1, 64), [cge.Dense(64), cge.Tanh(), cge.Dense(32), cge.ReLU()], cge.SGD(0.05, 0.9)),
    "five": ((16, 16, 1), [cge.Conv2d(8, 5), cge.ReLU(), cge.MaxPool2d(2), cge.Dense(16), cge.ReLU()], cge.SGD(0.05)),
    "strided": ((16, 16, 4), [cge.Conv2d(16, 3, stride=2), cge.ReLU(), cge.Conv2d(16, 3, stride=2), cge.ReLU()], cge.SGD(0.05)),
}

LEVELS = ("small", "smallest")  # in which net_n runs as well

PROGRAM = """\
#include <stdio.h>
#include "{root}/benchmarks/counted.h"
#include "{first}.h"
{includes}

static uint64_t arena[140000 / 8];
static float x[1024], y[10];
static int failed;

static void step(const cge_model *model, const cge_plan *plan, const char *name, long rule)
{{
    const cge_options training = {{.training = 1, .plan = plan}};
    const int32_t label[1] = {{3}};
    const cge_targets targets = {{.labels = label}};
    cge_network net;
    cge_rng rng;
    float loss;
    cge_status status = cge_network_init(&net, model, &training, arena, sizeof arena);
    if (status == CGE_OK) status = cge_network_init_params(&net, 1);
    if (status == CGE_OK) status = cge_rng_seed(&rng, 2);
    for (int i = 0; i < 1024; i++) x[i] = cge_rng_uniform_f32(&rng);
    bench_begin();
    if (status == CGE_OK) status = cge_network_train_batch(&net, x, &targets, 1, &loss);
    bench_end();
    printf("%s %ld\\n", name, rule);
    if (status != CGE_OK) failed = 1;
}}

/* A call that is refused. */
static void refused(void)
{{
    static const cge_options training = {{.training = 1}};
    cge_network net;
    if (cge_network_init(&net, &{first}_model, &training, arena, sizeof arena) != CGE_OK) failed = 1;
    net.busy = 1;
    bench_begin();
    if (cge_network_forward(&net, x, 1, y) != CGE_ERR_BUSY) failed = 1;
    bench_end();
    printf("refused 0\\n");
}}

static void checksum(void)
{{
    static const unsigned char bytes[{checksum_bytes}] = {{1, 2, 3}};
    uint32_t crc;
    bench_begin();
    crc = cge_crc32(0, bytes, sizeof bytes);
    bench_end();
    printf("checksum %lu\\n", (unsigned long)crc);
}}

/* Chains of dense layers: what it takes to size, to plan and to make a network of them. */
static void chain(int32_t count)
{{
    static const cge_dense one = {{1}};
    static cge_layer layers[{most_layers}];
    cge_model model = {{.input = {{1, 1, 1}}, .layers = layers, .layer_count = count, .loss = &cge_mean_squared_error}};
    cge_options training = {{.training = 1}};
    cge_plan plan;
    cge_network net;
    size_t bytes, plan_bytes;
    model.optimizer = {first}_model.optimizer;
    for (int32_t i = 0; i < count; i++) layers[i] = (cge_layer){{.kind = &cge_kind_dense, .config = &one}};
    bench_begin();
    if (cge_network_arena_bytes(&model, &training, &bytes) != CGE_OK) failed = 1;
    if (cge_network_init(&net, &model, &training, arena, sizeof arena) != CGE_OK) failed = 1;
    bench_end();
    printf("made_%ld 0\\n", (long)count);
    if (cge_plan_bytes(&model, &plan_bytes) != CGE_OK || plan_bytes > sizeof arena) failed = 1;
    bench_begin();
    if (cge_plan_make(&model, &cge_memory_small, 1, arena, sizeof arena, &plan) != CGE_OK) failed = 1;
    bench_end();
    printf("planned_%ld 0\\n", (long)count);
}}

static void plan_of_net_n(void)
{{
    cge_plan plan;
    bench_begin();
    if (cge_plan_make(&net_n_model, &cge_memory_smallest, 1, arena, sizeof arena, &plan) != CGE_OK) failed = 1;
    bench_end();
    printf("plan_of_net_n 0\\n");
}}

int main(void)
{{
{steps}
    for (int32_t count = {most_layers} / 2; count <= {most_layers}; count *= 2) chain(count);
    plan_of_net_n();
    refused();
    checksum();
    return failed;
}}
"""


@pytest.fixture(scope="module")
def counts(tmp_path_factory, board_library):
    """{name: (instructions, what the program printed beside the name)}"""
    for tool in ("make", "gcc", "qemu-system-arm", "arm-none-eabi-gcc"):
        if shutil.which(tool) is None:
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"needs {tool}: `make setup` as root installs it")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        import board_bench

    folder = tmp_path_factory.mktemp("instructions")
    for name, (shape, layers, optimizer) in NETWORKS.items():
        net = cge.Network(shape, [*layers, cge.Dense(10)], "softmax_cross_entropy", optimizer, seed=0)
        net.export(folder / "app", name=name)
    shape, layers, optimizer = NETWORKS["net_n"]
    for level in LEVELS:
        net = cge.Network(shape, [*layers, cge.Dense(10)], "softmax_cross_entropy", optimizer, seed=0, memory=level)
        net.export(folder / "app", name=f"net_n_{level}")
    plans = {**{name: "NULL" for name in NETWORKS}, **{f"net_n_{level}": f"&net_n_{level}_training_plan" for level in LEVELS}}
    program = PROGRAM.format(
        root=ROOT,
        first=next(iter(NETWORKS)),
        includes="\n".join(f'#include "{name}.h"' for name in plans),
        steps="\n".join(
            f'    step(&{name}_model, {plan}, "{name}", (long){name.upper()}_STEP_INSTRUCTIONS);'
            for name, plan in plans.items()
        ),
        checksum_bytes=CHECKSUM_BYTES,
        most_layers=MOST_LAYERS,
    )
    (folder / "app" / "main.c").write_text(program)
    plugin, elf = folder / "insn_plugin.so", folder / "program.elf"
    board_bench.run_tool(["gcc", "-O2", "-shared", "-fPIC", ROOT / "benchmarks" / "insn_plugin.c", "-o", plugin])
    build = board_library(BOARD, folder / "build")
    variables = [f"BOARD={BOARD}", f"BUILD={build}", "WERROR=1", f"APP={folder / 'app'}", f"OUT={elf}"]
    board_bench.run_tool(["make", "-s", "-j2", "firmware", *variables])
    printed, counted = board_bench.run(board_bench.emulated_boards()[BOARD], elf, plugin, folder)
    return {line.split()[0]: (int(count.split()[0]), line.split()[1]) for line, count in zip(printed, counted)}


@pytest.mark.parametrize("name", NETWORKS)
def test_rule_for_the_time_of_a_step_is_right_within_a_fifth(name, counts):
    instructions, rule = counts[name]
    assert int(rule) == pytest.approx(instructions, rel=0.2)


@pytest.mark.parametrize("level, share", [("small", 1.10), ("smallest", 1.21)])
def test_a_step_in_a_plan_takes_a_fifth_more_instructions_at_most(level, share, counts):
    assert counts[f"net_n_{level}"][0] <= share * counts["net_n"][0]


def test_checksum_takes_five_instructions_a_byte_at_most(counts):
    instructions, crc = counts["checksum"]
    assert instructions <= 5 * CHECKSUM_BYTES
    assert int(crc) == zlib.crc32(bytes([1, 2, 3]) + bytes(CHECKSUM_BYTES - 3))


@pytest.mark.parametrize("what, share", [("made", 2.1), ("planned", 2.5)])
def test_twice_the_layers_take_about_twice_the_instructions(what, share, counts):
    """Neither grows with the square of the layers. Tensors look for a place among all that have one."""
    assert 1.9 < counts[f"{what}_{MOST_LAYERS}"][0] / counts[f"{what}_{MOST_LAYERS // 2}"][0] < share


def test_a_network_of_28x28_pictures_is_planned_within_a_millisecond(counts):
    assert counts["plan_of_net_n"][0] <= 168_000 / 1.5  # cycles of a Cortex-M4F at 168 MHz; an instruction takes up to 1.5


def test_a_refused_call_takes_sixty_instructions_at_most(counts):
    assert counts["refused"][0] <= 60


@pytest.fixture(scope="module")
def slices(tmp_path_factory, counts):
    """{(net, memory, budget): row} of benchmarks/slices.py; the program compares the weights with train_batch's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        import slices
    chosen = {net: slices.nets()[net] for net in ("N", "demo")}
    rows = slices.measure(BOARD, [], chosen, tmp_path_factory.mktemp("slices"))
    return {(row["net"], row["memory"], row["budget"]): row for row in rows}


@pytest.mark.parametrize("net", ["N", "demo"])  # most slices of demo are many small pieces of several units
@pytest.mark.parametrize("memory", ["small_sliced", "smallest_sliced"])
@pytest.mark.parametrize("budget", ["piece", "20000 instructions", "80000 instructions"])
def test_no_slice_takes_longer_than_told(net, memory, budget, slices):
    row = slices[net, memory, budget]
    assert row["largest_slice"] <= row["predicted"] <= (80000 if budget == "80000 instructions" else 20000)


@pytest.mark.parametrize("memory, share", [("small_sliced", 0.92), ("smallest_sliced", 0.93)])
def test_the_largest_slice_is_told_beforehand(memory, share, slices):
    row = slices["N", memory, "piece"]
    assert share * row["predicted"] <= row["largest_slice"] <= row["predicted"]


@pytest.mark.parametrize("budget, cost", [("20000 instructions", 1.075), ("80000 instructions", 1.04), ("none", 1.025)])
def test_a_step_in_slices_costs_little_more(budget, cost, slices):
    assert max(float(slices["N", memory, budget]["cost"]) for memory in ("small_sliced", "smallest_sliced")) <= cost
