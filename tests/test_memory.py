"""Memory levels: the bits of "fast" in fewer bytes, in Python, in summaries, in plans for a budget, and exported."""

import copy
import dataclasses
import os
import pickle
import re
import subprocess
import sys

import chains
import numpy as np
import pytest
from host import ROOT, STRICT, compile_c, compiler, run
from nets import SPECS, trained
from test_threads import KERNEL_SETS
from test_toolchain import boards_build, firmware, make, need  # noqa: F401
from test_toolchain import run as emulate

import convgrad_embedded as cge
from convgrad_embedded import _boards, _core, _plan, _summary

sys.path.insert(0, str(ROOT / "benchmarks"))
import memory  # noqa: E402

PLANNED = ("small", "smallest")
CHAINS = range(150)


def net_n(level="fast", optimizer=None, **options):
    """The 28x28 network of README."""
    shape, layers = memory.NETWORKS["the same on 28x28"]
    return cge.Network(shape, layers, "softmax_cross_entropy", optimizer or cge.SGD(0.05), memory=level, **options)


# ---- the same bits -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", CHAINS)
def test_random_chains_live_the_same_life_at_every_level(seed):
    chain = chains.random_chain(seed)
    expected = chains.life(chain, "fast", 1)
    assert chains.life(chain, "small", 1) == expected
    assert chains.life(chain, "smallest", 1) == expected
    assert chains.life(chain, "small", 4) == chains.life(chain, "fast", 4)


@pytest.mark.parametrize("kernels", KERNEL_SETS)
def test_random_chains_live_the_same_life_with_every_kernel_set(kernels):
    """Where the CPU lacks a set, the best one takes its place."""
    count = 40
    here = [chains.random_chain(seed) for seed in range(count)]
    expected = [f"{chains.life(chain, 'fast', 1)} {chains.life(chain, 'fast', 4)}" for chain in here]
    command = [sys.executable, ROOT / "tests" / "chains.py", str(count)]
    printed = run(command, env={**os.environ, "CGE_KERNELS": kernels}, timeout=300)
    assert printed.splitlines() == expected


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_any_level_goes_on_where_another_stopped(spec, rng, tmp_path):
    """Weights, velocities, steps and the stream of shuffles are in the file; how memory is used is not."""
    x, y = spec.data(5, rng)
    whole = spec.network()
    whole.fit(x, y, epochs=6, batch_size=1, verbose=False)
    net = spec.network(memory="smallest")
    for level in ("fast", "small", "smallest"):
        net.fit(x, y, epochs=2, batch_size=1, verbose=False)
        net.save(tmp_path / "net.cge")
        net = cge.Network.load(tmp_path / "net.cge", memory=level)
        assert net.memory == level
    assert net.to_bytes() == whole.to_bytes()


@pytest.mark.parametrize("level", PLANNED)
def test_gradcheck_does_without_a_plan(level, rng):
    spec = SPECS["digits"]
    net, (x, y) = spec.network(memory=level), spec.data(2, rng)
    before = net.weights_hash()
    assert net.gradcheck(x, y) == spec.network().gradcheck(x, y)
    assert net.weights_hash() == before


@pytest.mark.parametrize("level", PLANNED)
@pytest.mark.parametrize("loss", [None, "mean_squared_error"])
def test_a_network_that_only_predicts(level, loss, rng):
    x = rng.normal(size=(3, 8, 8, 2)).astype(np.float32)
    layers = [cge.Conv2d(4, 3), cge.ReLU(), cge.MaxPool2d(2), cge.Dense(3)]
    nets = [cge.Network((8, 8, 2), layers, loss, memory=memory) for memory in ("fast", level)]
    assert np.array_equal(nets[0].predict(x), nets[1].predict(x))
    assert nets[1].inference_arena_bytes < nets[0].inference_arena_bytes
    with pytest.raises(ValueError, match="no optimizer"):
        nets[1].plan(1000)


@pytest.mark.parametrize("level", PLANNED)
def test_layers_that_only_rename(level):
    net = cge.Network((2, 3, 1), [cge.Flatten()], memory=level)
    x = np.arange(12, dtype=np.float32).reshape(2, 2, 3, 1)
    assert np.array_equal(net.predict(x), x.reshape(2, 6))
    assert (net.arena_bytes, net.peak_bytes, net.bound_bytes) == (0, 0, 0)


# ---- settings ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["fast", *PLANNED])
def test_copies_and_pickles_keep_the_level(level, rng):
    net = trained(SPECS["digits"], rng, steps=0, memory=level)
    for twin in (copy.copy(net), copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert twin.memory == level and twin.arena_bytes == net.arena_bytes
        assert twin.to_bytes() == net.to_bytes() and repr(twin) == repr(net)
    assert cge.Network.from_bytes(net.to_bytes()).memory == "fast"
    assert cge.Network.from_bytes(net.to_bytes(), memory="smallest").memory == "smallest"


def test_repr_names_the_level_that_is_not_the_default():
    layers = "[Dense(2)], loss='mean_squared_error', optimizer=SGD(learning_rate=0.5)"
    for level, end in {"fast": ")", "small": ", memory='small')"}.items():
        net = cge.Network((4,), [cge.Dense(2)], "mse", cge.SGD(0.5), memory=level)
        assert repr(net) == f"Network((4,), {layers}{end}"


LEVEL_NAMES = "'fast', 'small', 'smallest', 'small_sliced', 'smallest_sliced'"
MESSAGES = {
    "unknown level": (lambda: net_n("tiny"), f"memory: expected one of {LEVEL_NAMES}, got 'tiny'"),
    "no level": (lambda: net_n(None), f"memory: expected one of {LEVEL_NAMES}, got None"),
    "capacity": (lambda: net_n("small", capacity=4), 'capacity: expected 1 with memory="small", which holds one sample'),
    "threads": (lambda: net_n("smallest", threads=2), 'threads: expected 1 with memory="smallest", which holds one sample'),
    "batch size, default": (
        lambda: net_n("smallest").fit(np.zeros((40, 28, 28, 1)), np.zeros(40, int)),
        'batch_size: expected 1 with memory="smallest", where each sample is a step, got 32; pass batch_size=1, or',
    ),
    "batch size, given": (
        lambda: net_n("smallest").fit(np.zeros((1, 28, 28, 1)), [0], batch_size=2),
        'batch_size: expected 1 with memory="smallest"',
    ),
    "two samples": (
        lambda: net_n("smallest").train_on_batch(np.zeros((2, 28, 28, 1)), [0, 1]),
        'x: expected one sample (a batch_size of 1) with memory="smallest", where each sample is a step, got 2',
    ),
    "two samples that need no check": (
        lambda: net_n("smallest").train_on_batch(np.zeros((2, 28, 28, 1), np.float32), np.zeros(2, np.int32)),
        'x: expected one sample (a batch_size of 1) with memory="smallest", where each sample is a step, got 2',
    ),
    "budget": (lambda: net_n().plan(0), "budget_bytes: expected"),
    "nothing learns": (
        lambda: cge.Network((4,), [cge.Dense(2, frozen=True)], "mse", cge.SGD(0.1)).plan(1000),
        "plan: expected a network with parameters that learn, got none",
    ),
    "no optimizer": (lambda: cge.Network((4,), [cge.Dense(2)]).plan(1000), "this network has no optimizer"),
}


@pytest.mark.parametrize("call, message", MESSAGES.values(), ids=MESSAGES)
def test_messages(call, message):
    with pytest.raises(ValueError) as error:
        call()
    assert str(error.value).startswith(message)


def test_the_level_is_fixed():
    with pytest.raises(AttributeError, match="memory: cannot be set; it is fixed when the network is made"):
        net_n().memory = "small"
    assert net_n("small", capacity=1, threads=1).memory == "small"


@pytest.mark.parametrize("level", PLANNED)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_sample_that_is_not_finite_changes_nothing(level, value, rng):
    net = net_n(level, cge.SGD(0.05, momentum=0.9))
    x = rng.normal(size=(1, 28, 28, 1)).astype(np.float32)
    net.train_on_batch(x, [1])
    before = net.to_bytes()
    bad = x.copy()
    bad[0, 3, 4, 0] = value
    with pytest.raises(cge.NotFiniteError, match=r"^x\[0\]: expected finite numbers"):
        net.train_on_batch(bad, [1])
    assert net.to_bytes() == before
    assert np.isfinite(net.train_on_batch(x, [1]))


# ---- bytes ---------------------------------------------------------------------------------------------------------------


def test_the_28x28_network_trains_in_36_percent_of_the_memory():
    assert [net_n(level).arena_bytes for level in ("fast", *PLANNED)] == [135840, 80092, 47348]
    assert [net_n(level).inference_arena_bytes for level in ("fast", *PLANNED)] == [31696, 6720, 6720]
    assert [net_n(level).bound_bytes for level in ("fast", *PLANNED)] == [None, 7308, 10956]


# What each network is to stay within: bytes to train, the same with momentum, to predict; of those that learn the last layer
# alone, to train with the rest in flash.
LIMITS = {
    ("demo", "smallest"): (9_728, 17_408, 1_024),
    ("demo, learns Dense only", "smallest"): (3_840, None, 1_024),
    ("the same on 28x28", "small"): (82_000, None, 7_680),
    ("the same on 28x28", "smallest"): (49_152, 86_016, 7_680),
    ("28x28, learns Dense only", "smallest"): (38_912, None, 7_680),
    ("LeNet-5-like", "small"): (362_000, None, 4_200),
    ("LeNet-5-like", "smallest"): (188_416, 365_600, 4_200),
}


@pytest.mark.parametrize("name, level", LIMITS)
def test_known_networks_stay_within_their_limits(name, level):
    plain, momentum = (row for row in memory.rows() if (row["network"], row["memory"]) == (name, level))
    figures = (plain["frozen_in_flash"], momentum["to_train"], plain["to_predict"])
    assert all(limit is None or figure <= limit for figure, limit in zip(figures, LIMITS[name, level]))


@pytest.mark.parametrize("seed", CHAINS)
def test_parts_of_the_arena_add_up(seed):
    (shape, layers, loss, optimizer, _), _, _ = chains.random_chain(seed)
    for level in ("fast", *PLANNED):
        net = cge.Network(shape, layers, loss, optimizer, memory=level, capacity=1)
        costs = _plan.cost(net._model, net.layers, level)
        assert costs.arena == net.arena_bytes == net._runtime._arena.nbytes - (-net.arena_bytes % 8)  # it is of 8-byte words
        assert costs.activations == net.peak_bytes >= 0
        plan = net._model.plan(level, training=True)
        if plan is not None:
            assert plan.peak_bytes == net.peak_bytes and plan.bound_bytes == net.bound_bytes
            assert 4 * _plan.busiest(plan.tensors)[1] == net.bound_bytes


@pytest.mark.parametrize("level", PLANNED)
@pytest.mark.parametrize("name", memory.NETWORKS)
def test_plans_of_known_networks_reach_their_bound(name, level):
    shape, layers = memory.NETWORKS[name]
    net = cge.Network(shape, layers, "softmax_cross_entropy", cge.SGD(0.05), memory=level)
    assert net.peak_bytes == net.bound_bytes


@pytest.mark.parametrize("level", PLANNED)
def test_plans_of_random_chains_reach_their_bound(level):
    nets = {seed: cge.Network(*chains.random_chain(seed)[0], memory=level) for seed in range(300)}
    assert {seed: net.peak_bytes for seed, net in nets.items() if net.peak_bytes != net.bound_bytes} == {}


# ---- summary -------------------------------------------------------------------------------------------------------------


def table_of(net, board=None):
    """{level: cells} of a summary's table of levels."""
    text = net.summary(board=board, print_fn=None)
    table = text[text.index("memory level") :].split("\n\n")[0].splitlines()
    return {line.split()[0]: re.split("  +", line)[1:] for line in table[1:]}


def test_a_summary_shows_every_level():
    table = table_of(net_n("small"))
    assert table == {"fast": ["135,840", "31,696"], "small": ["80,092", "6,720"], "smallest": ["47,348", "6,720"]}
    text = net_n("small").summary(print_fn=None)
    assert "small (this network)" in text and "smallest (this network)" not in text
    assert f"RAM to train       {80092:>11,} bytes" in text and f"RAM to predict     {6720:>11,} bytes" in text


def test_a_summary_of_a_network_without_a_loss_shows_prediction():
    net = cge.Network((8, 8, 1), [cge.Conv2d(4, 3), cge.ReLU(), cge.MaxPool2d(2)])
    assert [cells[0] for cells in table_of(net).values()] == ["-", "-", "-"]


def test_a_summary_says_which_level_fits_the_chip_and_beside_the_firmware():
    table = table_of(net_n(), "crazyflie21")
    fits = {level: cells[2:] for level, cells in table.items()}
    assert fits == {
        "fast": ["predict", "predict"],
        "small": ["train and predict", "predict"],
        "smallest": ["train and predict", "predict"],
    }
    assert table_of(net_n(), "rp2040")["fast"][2:] == ["train and predict"]  # no release is named
    assert table_of(net_n(), "microbit")["fast"][2:] == ["nothing fits"]
    assert table_of(net_n(), "host")["fast"] == ["135,840", "31,696"]


@pytest.mark.parametrize("spare, cell", [(0, "train and predict"), (-1, "predict")])
def test_the_last_byte_of_ram_decides(spare, cell, monkeypatch):
    net, board = net_n("small"), _boards.load("crazyflie21")
    ram = net.arena_bytes + _boards.stack_bytes()[board.core] + _summary.PLAN_STACK_BYTES + spare
    room = board.chip._replace(ram_bytes=ram)
    changed = board._replace(chip=room, release=None, free=room._replace(ram_bytes=None))
    monkeypatch.setattr(_boards, "load", lambda name: changed)
    assert table_of(net, "crazyflie21")["small"][2:] == [cell]


def frozen_front():
    return [cge.Conv2d(4, 3, trainable=False), cge.ReLU(), cge.Conv2d(4, 3), cge.MaxPool2d(2), cge.Dense(8), cge.Dense(3)]


def layer_table(net):
    """[cells] of a summary's table of bytes, the header first."""
    lines = net.summary(print_fn=None).split("\n\n")[2].splitlines()
    assert max(map(len, lines)) <= 100
    return [re.split("  +", line.strip()) for line in lines]


@pytest.mark.parametrize("frozen_in", ["ram", "flash"])
@pytest.mark.parametrize("level", [*_core.MEMORY_LEVELS, *_core.SLICED_LEVELS])
def test_bytes_of_layers_add_up_and_freezing_saves_what_is_said(level, frozen_in):
    net = cge.Network((8, 8, 1), frozen_front(), "mse", cge.Adam(), memory=level, frozen_in=frozen_in)
    layers, cost = _summary.layer_bytes(net), _plan.cost(net._model, net.layers, level, frozen_in)
    assert sum(layer.parameters for layer in layers) == cost.params
    assert sum(layer.learning for layer in layers) == cost.grads + cost.velocities
    saved = {index: net.arena_bytes - net.freeze(upto=index).arena_bytes for index in (2, 4)}
    assert saved[4] > saved[2] > layers[2].learning
    assert {index: layer.freezing_saves for index, layer in enumerate(layers) if layer.freezing_saves is not None} == saved


def test_a_summary_shows_bytes_of_each_layer():
    net = cge.Network((8, 8, 1), frozen_front(), "mse", cge.SGD(0.1))
    saves = [f"{net.arena_bytes - net.freeze(upto=index).arena_bytes:,}" for index in (2, 4)]
    assert layer_table(net) == [
        ["bytes to train", "parameters", "gradients and optimizer", "output", "freeze(upto=it) saves"],
        ["0 Conv2d", "160", "576"],
        ["1 ReLU", "576"],
        ["2 Conv2d", "592", "592", "256", saves[0]],
        ["3 MaxPool2d", "64"],
        ["4 Dense", "544", "544", "32", saves[1]],
        ["5 Dense", "108", "108", "12"],
        ["total", "1,404", "1,244"],
    ]


def test_outputs_that_never_exist_as_a_whole_have_no_bytes():
    net = cge.Network((8, 8, 1), frozen_front(), "mse", cge.SGD(0.1), memory="small")
    outputs = [layer.output for layer in _summary.layer_bytes(net)]
    assert outputs[2:] == [0, 64, 32, 12]  # the convolution's goes into the pool row by row


def test_a_summary_of_a_graph_freezes_what_a_layer_depends_on():
    x = cge.Input((4,))
    left, right = cge.Dense(3)(x), cge.Dense(3)(x)
    net = cge.Network(inputs=x, outputs=cge.Dense(2)(cge.Add()(left, right)), loss="mse", optimizer=cge.SGD(0.1))
    saves = [layer.freezing_saves for layer in _summary.layer_bytes(net)]
    assert saves == [net.arena_bytes - net.freeze(upto=index).arena_bytes for index in (0, 1)] + [None, None]


def test_a_summary_of_a_network_that_predicts_has_no_bytes_of_learning():
    assert layer_table(cge.Network((4,), [cge.Dense(3), cge.ReLU()])) == [
        ["bytes", "parameters", "output"],
        ["0 Dense", "60", "12"],
        ["1 ReLU", "12"],
        ["total", "60"],
    ]


def test_a_layer_with_many_settings_goes_on_in_the_next_line():
    layer = cge.Conv2d(64, (3, 5), stride=(2, 1), padding=((0, 1), (2, 2)), dilation=(1, 2), groups=64, init="glorot_normal")
    first = cge.Network((112, 112, 64), [layer]).summary(print_fn=None).split("\n\n")[1].splitlines()
    assert len(first) > 3 and max(map(len, first)) <= 100
    assert f"{layer!r}" == " ".join(line[:46].strip() for line in first[1:-1])


@pytest.mark.parametrize("level", ["small_sliced", "smallest_sliced"])
def test_peak_of_levels_that_step_in_slices(level):
    """It came out negative: gradients were taken off that "smallest_sliced" has none of."""
    net = cge.Network((8, 8, 1), frozen_front(), "mse", cge.SGD(0.1), memory=level)
    assert net.bound_bytes <= net.peak_bytes < 2 * net.bound_bytes


def test_a_chain_too_long_for_plans_has_a_summary():
    net = cge.Network((4,), [cge.Tanh()] * 3300)
    assert table_of(net) == {"fast": ["-", f"{net.inference_arena_bytes:,}"], "small": ["-", "-"], "smallest": ["-", "-"]}


def test_code_and_stack_of_a_plan_are_counted():
    fast, small = (net_n(level).summary(board="crazyflie21", print_fn=None) for level in ("fast", "small"))
    stack, core = max(_boards.stack_bytes().values()), _boards.stack_bytes()["Cortex-M4F"]
    assert f"stack              {stack:>11,} bytes" in fast
    assert f"stack              {stack + _summary.PLAN_STACK_BYTES:>11,} bytes" in small
    assert f"at most {_summary.CODE_BYTES:,} of code" in fast
    assert f"at most {_summary.CODE_BYTES + _summary.PLAN_CODE_BYTES:,} of code" in small
    assert f"training   fits: {80092 + core + _summary.PLAN_STACK_BYTES:,} of 131,072 bytes" in small
    flash = _summary.flash_bytes(net_n("small")) + _summary.CODE_BYTES + _summary.PLAN_CODE_BYTES
    assert f"{flash:,} of 1,048,576 bytes" in small


STACK = r"""
#include <stdio.h>
#include <string.h>
#include "net.h"

enum { ROOM = 6000 };
static uint64_t arena[140000 / 8];
static float x[NET_INPUT_ELEMS];
static cge_network net;
static uintptr_t room; /* address of what has been painted */

__attribute__((noinline)) static void paint(void)
{
    volatile unsigned char painted[ROOM];
    room = (uintptr_t)painted;
    for (int i = 0; i < ROOM; i++) painted[i] = 0xa5;
}

__attribute__((noinline)) static int depth(void)
{
    const volatile unsigned char *painted = (const volatile unsigned char *)room;
    int i = 0;
    while (i < ROOM && painted[i] == 0xa5) i++;
    return ROOM - i;
}

__attribute__((noinline)) static int train(void)
{
    const int32_t label[1] = {3};
    const cge_targets targets = {.labels = label};
    float loss;
    return cge_network_train_batch(&net, x, &targets, 1, &loss);
}

int main(void)
{
    static cge_options options;
    int failed;
    options.training = 1;
    options.plan = PLAN;
    if (cge_network_init(&net, &net_model, &options, arena, sizeof arena) != CGE_OK) return 1;
    memcpy(net.params, net_params, sizeof net_params);
    paint();
    failed = train();
    printf("%d\n", depth());
    return failed;
}
"""


@pytest.mark.parametrize("options", [{}, {"PLAIN": 1, "OPT": "-O2"}, {"PLAIN": 1, "OPT": "-Os"}], ids=["whole", "-O2", "-Os"])
def test_what_a_plan_takes_more_of_code_and_stack_is_what_the_summary_counts(options, tmp_path, board_library):
    need("arm-none-eabi-gcc", "arm-none-eabi-size", "qemu-system-arm")
    code, stack, net = [], [], net_n("smallest")
    plan = net._model.plan("smallest", training=True).table_bytes
    build = board_library("netduinoplus2", tmp_path / "build", **options)
    for number, address in enumerate(("NULL", "&net_training_plan")):
        app, program = tmp_path / f"app{number}", tmp_path / f"{number}.elf"
        net.export(app, name="net")
        (app / "main.c").write_text(STACK.replace("PLAN;", f"{address};"))
        make("firmware", "-j2", BOARD="netduinoplus2", BUILD=build, APP=app, OUT=program, WERROR=1, **options)
        code.append(int(run(["arm-none-eabi-size", program]).splitlines()[-1].split()[0]))
        status, printed = emulate(program, "netduinoplus2")
        assert status == 0
        stack.append(int(printed))
    assert 0.5 * _summary.PLAN_CODE_BYTES < code[1] - code[0] - plan <= _summary.PLAN_CODE_BYTES
    assert 0.5 * _summary.PLAN_STACK_BYTES < stack[1] - stack[0] <= _summary.PLAN_STACK_BYTES


def test_flash_holds_the_plans():
    """Sizes of the tables as a 32-bit board has them."""
    net = SPECS["digits"].network(memory="smallest")
    plans = [net._model.plan("smallest", training=True), net._model.plan("small", training=False)]
    expected = sum(44 + 48 * 7 + 34 * len(plan.units) + 12 * len(plan.tensors) for plan in plans)
    assert _summary.flash_bytes(net) - _summary.flash_bytes(SPECS["digits"].network()) == expected


# ---- plans for a budget ----------------------------------------------------------------------------------------------------


LADDER = (  # what layers 0, 3 and 6 learn; between the rungs, as many of the dense layer's inputs as fit
    {0: True, 3: True, 6: True},
    {0: "bias", 3: True, 6: True},
    {3: True, 6: True},
    {0: "bias", 3: "bias", 6: True},
    {6: True},
    {0: "bias", 3: "bias", 6: "bias"},
)


def learning(net, parts, momentum, level, frozen_in):
    """The network made so that these parts learn."""
    layers = [
        dataclasses.replace(layer, trainable=parts.get(index, False)) if hasattr(layer, "trainable") else layer
        for index, layer in enumerate(net.layers)
    ]
    optimizer = cge.SGD(0.05, momentum=momentum)
    return cge.Network(net.input_shape, layers, net.loss, optimizer, memory=level, frozen_in=frozen_in)


def ways(net, parts, frozen_in):
    """[(bytes, momentum, level)] of a rung, the best first."""
    momenta = (net.momentum, 0.0) if net.momentum > 0 else (0.0,)
    return [
        (learning(net, parts, momentum, level, frozen_in).arena_bytes, momentum, level)
        for momentum in momenta
        for level in ("fast", *PLANNED)
    ]


@pytest.mark.parametrize("frozen_in", ["ram", "flash"])
@pytest.mark.parametrize("momentum", [0, 0.9])
def test_the_most_ambitious_step_that_fits_is_taken(momentum, frozen_in):
    net = net_n(optimizer=cge.SGD(0.05, momentum=momentum))
    rungs = [(parts, ways(net, parts, frozen_in)) for parts in LADDER]
    for budget in sorted({size + more for _, sizes in rungs for size, _, _ in sizes for more in (-1, 0)}):
        plan = net.plan(budget, frozen_in)
        parts = dict(zip(plan.trainable, plan.parts))
        assert plan.budget_bytes == budget and plan.missing_bytes == max(0, plan.arena_bytes - budget)
        fitting = [(rung, way) for rung, sizes in rungs for way in sizes if way[0] <= budget]
        if not fitting:
            assert plan.arena_bytes == min(way[0] for _, sizes in rungs for way in sizes)
            continue
        if parts in LADDER:
            rung, way = fitting[0]
            assert (parts, plan.arena_bytes, plan.optimizer.momentum, plan.memory) == (rung, *way)
            continue
        # Some inputs of the dense layer: a whole rung above does not fit, and one input more does at no level.
        (inputs,) = (part for part in parts.values() if not isinstance(part, (bool, str)))
        rung = {**parts, 6: True}
        assert fitting == [] or LADDER.index(fitting[0][0]) > LADDER.index(rung)
        assert 784 // 4 <= inputs < 784 and plan.arena_bytes <= budget
        assert min(size for size, _, _ in ways(net, {**parts, 6: inputs + 1}, frozen_in)) > budget


def test_a_plan_is_a_frozen_record():
    net = net_n()
    plan = net.plan(60_000)
    assert isinstance(plan, cge.Plan) and plan == net.plan(60_000) and plan != net.plan(60_001)
    assert (plan.memory, plan.trainable, plan.missing_bytes) == ("smallest", (0, 3, 6), 0)
    assert (plan.arena_bytes, plan.peak_bytes, plan.bound_bytes) == (47348, 10956, 10956)
    with pytest.raises(AttributeError):
        plan.memory = "fast"
    assert pickle.loads(pickle.dumps(plan)) == plan
    assert net.memory == "fast" and net.arena_bytes == 135840


@pytest.mark.parametrize("budget", [50_000, 51_000, 60_000, 79_000, 100_000, 200_000])
def test_a_network_follows_a_plan(budget, rng):
    net = net_n()
    plan = net.plan(budget)
    fitting = cge.Network(net.input_shape, net.layers, net.loss, net.optimizer, plan=plan)
    assert fitting.memory == plan.memory and fitting.arena_bytes == plan.arena_bytes <= budget
    assert tuple(getattr(fitting.layers[index], "trainable") for index in plan.trainable) == plan.parts
    before = fitting.get_weights()
    fitting.train_on_batch(rng.normal(size=(1, 28, 28, 1)), [3])
    parts = dict(zip(plan.trainable, plan.parts))
    changed = [not np.array_equal(*pair) for pair in zip(before, fitting.get_weights())]
    expected = [(parts.get(layer, False) not in (False, "bias"), layer in parts) for layer in (0, 3, 6)]
    assert changed == [learns for pair in expected for learns in pair]


WRONG_PLANS = {
    "no plan": (dict(plan="small"), TypeError, "plan: expected what Network.plan gave, or None, got"),
    "another level": (dict(memory="small"), ValueError, "memory: expected 'smallest', as the plan says, got 'small'"),
    "other layers": (dict(layers=[cge.Dense(10)]), ValueError, "plan: expected one for these layers, got one in which layers"),
    "another optimizer": (
        dict(optimizer=cge.SGD(0.05, momentum=0.9)),
        ValueError,
        "plan: expected one of this network, which takes 83,740 bytes so, got one of 47,348 bytes",
    ),
    "another input": (dict(input_shape=(28, 28, 2)), ValueError, "plan: expected one of this network, which takes"),
    "no layers": (dict(layers=3), TypeError, "layers: expected a list of layers"),
}


@pytest.mark.parametrize("change, kind, message", WRONG_PLANS.values(), ids=WRONG_PLANS)
def test_a_plan_that_does_not_go_with_the_rest_is_refused(change, kind, message):
    net = net_n()
    own = {"input_shape": net.input_shape, "layers": net.layers, "optimizer": net.optimizer}
    with pytest.raises(kind) as error:
        cge.Network(loss=net.loss, **{**own, "plan": net.plan(60_000), **change})
    assert str(error.value).startswith(message)


def test_frozen_layers_stay_frozen():
    layers = [cge.Dense(9, frozen=True), cge.Tanh(), cge.Dense(5), cge.Tanh(), cge.Dense(4)]
    net = cge.Network((30,), layers, "mse", cge.SGD(0.1))
    assert net.plan(10**6).trainable == (2, 4)
    assert net.plan(1).trainable == (4,)


def numbers(lines):
    return [int(re.match(r" *([\d,]+) ", line)[1].replace(",", "")) for line in lines]


def sections(plan):
    return [section.splitlines() for section in plan.explain().split("\n\n")]


@pytest.mark.parametrize("budget", [60_000, 100_000])
def test_an_explanation_adds_up(budget):
    plan = net_n(optimizer=cge.SGD(0.05, momentum=0.0)).plan(budget)
    head, parts, alive, following = sections(plan)
    assert f"{budget:,} bytes" in head[0] and f"{plan.arena_bytes:,} bytes" in head[1] and repr(plan.memory) in head[2]
    assert f"{budget - plan.arena_bytes:,} to spare" in head[1]
    assert [line.split()[2] for line in head[3:]] == ["learns"] * 3
    assert sum(numbers(parts)) == plan.arena_bytes and f"less than {plan.bound_bytes:,}" in parts[-1]
    assert f"{plan.bound_bytes:,} bytes" in alive[0] and sum(numbers(alive[1:])) == plan.bound_bytes
    (more,) = numbers(following[1:])
    assert f"{more - budget:,} more than the budget" in following[1]


def test_an_explanation_names_the_next_steps_up():
    *_, following = sections(net_n().plan(45_000))
    assert following[1:] == [
        "     74,512 memory='small', layer 6 learns: 29,512 more than the budget",
        "     47,796 memory='smallest', layer 6 learns, of layers 0, 3 the biases: 2,796 more than the budget",
    ]


def test_an_explanation_says_what_is_missing():
    plan = net_n().plan(40_000)
    assert plan.missing_bytes == plan.arena_bytes - 40_000 > 0
    assert f"{plan.missing_bytes:,} more than the budget: nothing fits" in plan.explain() and "next steps" not in plan.explain()


def test_an_explanation_of_the_fast_level():
    head, parts, outputs = sections(net_n().plan(10**6))
    assert "'fast'" in head[2] and sum(numbers(parts)) == 135840
    assert numbers(outputs[1:]) == [4 * n for n in (6272, 6272, 1568, 3136, 3136, 784, 10)]


def test_every_tensor_of_a_plan_has_a_purpose():
    for seed in CHAINS:
        (shape, layers, loss, optimizer, _), _, _ = chains.random_chain(seed)
        plan = cge.Network(shape, layers, loss, optimizer, memory="smallest")._model.plan("smallest", training=True)
        assert all(_plan.purposes(plan.units, plan.tensors))


# ---- figures in documents ----------------------------------------------------------------------------------------------


def test_the_documents_show_the_benchmarks_figures(capsys):
    table = memory.table(memory.rows())
    assert table in (ROOT / "docs" / "memory.md").read_text(encoding="utf-8")
    memory.main([])
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == ",".join(memory.FIELDS) and len(printed) == 1 + len(memory.NETWORKS) * 3 * 2
    assert "the same on 28x28,9098,smallest,SGD,47348,47348,6720,10956" in printed


def test_the_page_shows_the_lifetimes_of_a_plan():
    page = (ROOT / "docs" / "memory.md").read_text(encoding="utf-8")
    assert memory.picture("the same on 28x28", "smallest") in page
    assert f"= {net_n('smallest').bound_bytes:,} bytes. No plan can take less" in page


# ---- firmware ------------------------------------------------------------------------------------------------------------

PROGRAM = r"""
#include <stdio.h>
#include <string.h>
#include "net.h"

#define NEED(condition) do { if (!(condition)) return __LINE__ % 250 + 1; } while (0)
static uint64_t training_arena[NET_TRAINING_ARENA_BYTES / 8 + 2], inference_arena[NET_INFERENCE_ARENA_BYTES / 8 + 2];
static cge_real x[NET_INPUT_ELEMS], y[NET_OUTPUT_ELEMS], values[NET_OUTPUT_ELEMS];

static int whole(const uint64_t *arena, size_t bytes)
{
    const unsigned char *pad = (const unsigned char *)arena + bytes;
    return pad[0] == 0xff && pad[7] == 0xff;
}

int main(void)
{
    static cge_options training, inference;
    const int32_t label[1] = {NET_OUTPUT_ELEMS - 1};
    const cge_targets targets = {.labels = label, .values = values};
    cge_network net;
    cge_rng rng;
    size_t bytes;
    uint64_t trained, predicted;
    cge_real loss;
    int step, i;
    training.training = 1;
    training.plan = &net_training_plan;
    inference.params = net_params;
    inference.plan = &net_inference_plan;
    memset(training_arena, 0xff, sizeof training_arena);
    memset(inference_arena, 0xff, sizeof inference_arena);
    NEED(cge_network_arena_bytes(&net_model, &training, &bytes) == CGE_OK && bytes == NET_TRAINING_ARENA_BYTES);
    NEED(cge_network_init(&net, &net_model, &training, training_arena, bytes - 1) == CGE_ERR_ARENA);
    NEED(cge_network_init(&net, &net_model, &training, training_arena, bytes) == CGE_OK);
    memcpy(net.params, net_params, NET_PARAM_ELEMS * sizeof(cge_real));
    NEED(cge_rng_seed(&rng, 5) == CGE_OK);
    for (step = 0; step < 5; step++) {
        for (i = 0; i < NET_INPUT_ELEMS; i++) x[i] = (cge_real)(cge_rng_next(&rng) >> 8) * (1.0f / 16777216.0f);
        for (i = 0; i < NET_OUTPUT_ELEMS; i++) values[i] = (cge_real)i * 0.25f;
        NEED(cge_network_train_batch(&net, x, &targets, 1, &loss) == CGE_OK);
    }
    NEED(cge_network_params_hash(&net, &trained) == CGE_OK && whole(training_arena, NET_TRAINING_ARENA_BYTES));
    NEED(cge_network_arena_bytes(&net_model, &inference, &bytes) == CGE_OK && bytes == NET_INFERENCE_ARENA_BYTES);
    NEED(bytes == 0 || cge_network_init(&net, &net_model, &inference, inference_arena, bytes - 1) == CGE_ERR_ARENA);
    NEED(cge_network_init(&net, &net_model, &inference, inference_arena, bytes) == CGE_OK);
    NEED(cge_network_params_hash(&net, &predicted) == CGE_OK && predicted == NET_PARAMS_HASH);
    NEED(cge_network_forward(&net, x, 1, y) == CGE_OK && whole(inference_arena, NET_INFERENCE_ARENA_BYTES));
    training.plan = &net_inference_plan;
    NEED(cge_network_init(&net, &net_model, &training, training_arena, NET_TRAINING_ARENA_BYTES) == CGE_ERR_ARGUMENT);
#ifdef OTHER
    training.plan = &other_training_plan;
    NEED(cge_network_init(&net, &net_model, &training, training_arena, sizeof training_arena) == CGE_ERR_MISMATCH);
    inference.plan = &other_inference_plan;
    NEED(cge_network_init(&net, &net_model, &inference, inference_arena, sizeof inference_arena) == CGE_ERR_MISMATCH);
#endif
    printf("%08lx%08lx", (unsigned long)(trained >> 32), (unsigned long)(trained & 0xffffffffu));
    for (i = 0; i < NET_OUTPUT_ELEMS; i++) {
        uint32_t bits;
        memcpy(&bits, &y[i], sizeof bits);
        printf(" %08lx", (unsigned long)bits);
    }
    printf("\n");
    return 0;
}
"""
OTHER = '#define OTHER\n#include "other.h"\n'


def python_does_the_same(net):
    """What the program prints, by a network that trains without a plan."""
    twin = cge.Network.from_bytes(net.to_bytes())
    draws, count = _rng(5), int(np.prod(net.input_shape))
    outputs = int(np.prod(net.output_shape))
    for _ in range(5):
        x = np.array([next(draws) >> 8 for _ in range(count)], np.float32).reshape(1, *net.input_shape) / np.float32(2**24)
        values = 0.25 * np.arange(outputs).reshape(1, *net.output_shape)
        twin.train_on_batch(x, [outputs - 1] if net.loss == "softmax_cross_entropy" else values)
    y = net.predict(x).ravel().view(np.uint32)
    return " ".join([twin.weights_hash(), *(f"{bits:08x}" for bits in y)]) + "\n"


def _rng(seed):
    rng = _core.ffi.new("cge_rng *")
    assert _core.lib.cge_rng_seed(rng, seed) == 0
    while True:
        yield _core.lib.cge_rng_next(rng)


@pytest.mark.parametrize("level", PLANNED)
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_exported_network_trains_the_same_bits_in_its_plan(spec, level, tmp_path, core_archive):
    net = spec.network(memory=level)
    net.export(tmp_path, name="net")
    program = compile_c(tmp_path, PROGRAM, core_archive, "-I", tmp_path, tmp_path / "net.c")
    assert run([program]) == python_does_the_same(net)


@pytest.mark.parametrize("level", PLANNED)
def test_exported_blocks_train_the_same_bits(level, tmp_path, core_archive):
    net = cge.models.mobilenet_v2(input_shape=(16, 16, 1), classes=3, memory=level, seed=2)
    net.export(tmp_path, name="net")
    assert f".level = &cge_memory_{level}_tight" in (tmp_path / "net.c").read_text()
    program = compile_c(tmp_path, PROGRAM, core_archive, "-I", tmp_path, tmp_path / "net.c")
    assert run([program]) == python_does_the_same(net)


def test_a_plan_of_another_model_is_refused(tmp_path, core_archive):
    net = SPECS["digits"].network(memory="smallest")
    net.export(tmp_path, name="net")
    layers = [*net.layers[:-1], cge.Dense(9)]
    cge.Network(net.input_shape, layers, net.loss, net.optimizer, memory="smallest").export(tmp_path, name="other")
    source = PROGRAM.replace('#include "net.h"\n', '#include "net.h"\n' + OTHER)
    program = compile_c(tmp_path, source, core_archive, "-I", tmp_path, tmp_path / "net.c", tmp_path / "other.c")
    assert run([program]) == python_does_the_same(net)


@pytest.mark.parametrize("level", PLANNED)
@pytest.mark.parametrize("name", ["net N", "camera"])
def test_an_emulated_board_trains_the_same_bits_in_its_plan(name, level, firmware, tmp_path):  # noqa: F811
    net = net_n(level, seed=3) if name == "net N" else SPECS[name].network(memory=level)
    net.export(tmp_path / "app", name="net")
    status, printed = emulate(firmware("netduinoplus2", PROGRAM), "netduinoplus2")
    assert (status, printed.replace("\r", "")) == (0, python_does_the_same(net))


def test_what_an_export_says_of_its_plans(tmp_path):
    header, source = (path.read_text() for path in net_n("smallest").export(tmp_path))
    assert " *     options.plan = &network_training_plan; // memory level smallest\n" in header
    assert " *     options.plan = &network_inference_plan; // memory level small\n" in header
    assert "#define NETWORK_TRAINING_ARENA_BYTES 47348\n#define NETWORK_INFERENCE_ARENA_BYTES 6720\n" in header
    assert "extern const cge_plan network_training_plan;\nextern const cge_plan network_inference_plan;\n" in header
    assert "/* 1: layers 3 to 5, conv2d + relu + maxpool2d */ {3, 6, 3, 4, 5, 1," in source
    assert "/* 0: output of layers 0 to 5, then its gradient */ {0, 784, 1, 5}," in source
    assert max(map(len, source.splitlines())) <= 128


def test_an_export_without_a_plan_is_as_before(tmp_path):
    header, source = (path.read_text() for path in net_n().export(tmp_path))
    assert "plan" not in header + source
    header, source = (path.read_text() for path in cge.Network((4,), [cge.Dense(2)], memory="small").export(tmp_path))
    assert "network_inference_plan" in header and "_training" not in header + source


def test_a_firmware_that_only_predicts_links_neither_the_training_plan_nor_what_learns(tmp_path, core_archive):
    net_n("small").export(tmp_path, name="net")
    (tmp_path / "main.c").write_text("""
#include "net.h"
int main(void)
{
    static uint64_t arena[NET_INFERENCE_ARENA_BYTES / 8 + 1];
    static const cge_real x[NET_INPUT_ELEMS] = {1};
    static cge_options options;
    cge_real y[NET_OUTPUT_ELEMS];
    cge_network net;
    options.params = net_params;
    options.plan = &net_inference_plan;
    if (cge_network_init(&net, &net_model, &options, arena, sizeof arena) != CGE_OK) return 1;
    return cge_network_forward(&net, x, 1, y);
}
""")
    program, sections = tmp_path / "program", ["-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections"]
    include = ["-I", ROOT / "csrc" / "include", "-I", tmp_path]
    run([compiler(), *STRICT, "-O2", *sections, *include, tmp_path / "main.c", tmp_path / "net.c", core_archive, "-o", program])
    run([program])
    symbols = subprocess.run(["nm", program], capture_output=True, text=True, check=True).stdout
    assert "net_inference_plan" in symbols and "net_training" not in symbols
