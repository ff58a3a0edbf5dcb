"""Plans over several memories, from Python and in exported firmware; tests/c/test_spread.c has the core's cases."""

import copy
import pickle
import re
import shutil
import subprocess

import host
import numpy as np
import pytest
from test_toolchain import need

import convgrad_embedded as cge

LAYERS = [
    cge.Conv2d(4, 3, padding=1), cge.ReLU(), cge.MaxPool2d(2),
    cge.Conv2d(6, 3, padding=1), cge.ReLU(), cge.MaxPool2d(2), cge.Dense(5),
]  # fmt: skip
SHAPE = (12, 11, 2)


def network(memory="small", momentum=0.9, layers=LAYERS, **options):
    return cge.Network(SHAPE, layers, "softmax_cross_entropy", cge.SGD(0.05, momentum), seed=3, memory=memory, **options)


def needs(net):
    """(bytes of all blocks, of activations)"""
    return net.arena_bytes - net.peak_bytes, net.peak_bytes


@pytest.mark.parametrize("memory", ["small", "smallest"])
@pytest.mark.parametrize("frozen_in", ["ram", "flash"])
def test_what_fits_is_told_to_the_byte(memory, frozen_in):
    layers = [cge.Conv2d(4, 3, padding=1, frozen=True), *LAYERS[1:]]
    blocks, activations = needs(network(memory, layers=layers, frozen_in=frozen_in))
    net = network(memory, layers=layers, frozen_in=frozen_in, memory_ranges=[activations, blocks])
    assert net.range_bytes == (activations, blocks) and net.arena_bytes == activations + blocks
    with pytest.raises(ValueError, match=rf"memory_ranges: .* hold {blocks + activations:,} bytes, .* first lacks 4$"):
        network(memory, layers=layers, frozen_in=frozen_in, memory_ranges=[blocks + activations - 4, 4])


def test_what_fits_into_the_arena_stays_there():
    alone = network()
    net = network(memory_ranges=[alone.arena_bytes, 4096, 64])
    assert net.range_bytes == (alone.arena_bytes, 0, 0)
    assert net.memory_ranges == (alone.arena_bytes, 4096, 64)


def test_no_bit_depends_on_it():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(9, *SHAPE)).astype(np.float32), rng.integers(0, 5, 9)
    nets = [network(), network(memory_ranges=[6000, 6000, 6000])]
    for net in nets:
        net.fit(x, y, epochs=2, batch_size=3, verbose=False)
    assert nets[0].weights_hash() == nets[1].weights_hash()


def test_copies_and_files_keep_their_ranges():
    net = network(memory_ranges=[6000, 6000, 6000])
    for other in (copy.copy(net), pickle.loads(pickle.dumps(net))):
        assert other.memory_ranges == net.memory_ranges and other.range_bytes == net.range_bytes
    read = cge.Network.from_bytes(net.to_bytes(), memory="small", memory_ranges=[6000, 6000, 6000])
    assert read.range_bytes == net.range_bytes and "memory_ranges=[6000, 6000, 6000]" in repr(net)
    assert cge.Network.from_bytes(net.to_bytes()).range_bytes is None


@pytest.mark.parametrize(
    "options, error, text",
    [
        ({"memory_ranges": [6000]}, ValueError, "memory_ranges: expected bytes of two to 4 memories, got 1 numbers"),
        ({"memory_ranges": [6000] * 5}, ValueError, "memory_ranges: expected bytes of two to 4 memories, got 5 numbers"),
        ({"memory_ranges": 6000}, TypeError, "memory_ranges: expected bytes of two to four memories, got"),
        ({"memory_ranges": [6000, 0]}, ValueError, r"memory_ranges\[1\]: expected"),
        ({"memory_ranges": [6000, 1.5]}, TypeError, r"memory_ranges\[1\]: expected"),
        ({"memory": "fast", "memory_ranges": [6000, 6000]}, ValueError, 'memory_ranges: expected None with memory="fast"'),
    ],
)
def test_wrong_ranges(options, error, text):
    with pytest.raises(error, match=text):
        network(**options)


def test_a_network_without_a_loss_predicts_in_one_arena():
    with pytest.raises(ValueError, match="memory_ranges: expected None for a network without a loss"):
        cge.Network(SHAPE, LAYERS, memory="small", memory_ranges=[6000, 6000])


# ---- plans ---------------------------------------------------------------------------------------------------------------


def test_a_budget_of_two_memories_is_planned_for_both():
    net = network("smallest")
    blocks, activations = needs(net)
    assert net.plan(activations + 64).trainable != (0, 3, 6)
    plan = net.plan([activations + 64, blocks])
    assert (plan.trainable, plan.memory, plan.missing_bytes, plan.optimizer) == ((0, 3, 6), "smallest", 0, net.optimizer)
    assert plan.budget_bytes == (activations + 64, blocks)
    assert all(used <= room for used, room in zip(plan.range_bytes, plan.budget_bytes))
    assert plan.arena_bytes == sum(plan.range_bytes)
    followed = network("fast", plan=plan)
    assert followed.range_bytes == plan.range_bytes and followed.memory_ranges == plan.budget_bytes
    with pytest.raises(ValueError, match=r"memory_ranges: expected \(\d+, \d+\), as the plan says, got"):
        network("fast", plan=plan, memory_ranges=[9999, blocks])


def test_a_plan_says_what_lies_where():
    net = network("smallest")
    blocks, activations = needs(net)
    text = net.plan([activations + 64, blocks + 64]).explain()
    assert f"{activations + blocks + 128:,} bytes in 2 memories: {activations + 64:,}, {blocks + 64:,}" in text
    place = text[text.index("what lies where") :]
    arena, others = place.split("range 1, ")
    assert "output of layers 0 to 2" in arena and re.search(r"\d+ +\d[\d,]* velocities", others)
    assert place.split("\n\n")[0] in network("smallest", memory_ranges=[activations + 64, blocks + 64]).summary(print_fn=None)


def test_what_is_kept_in_the_arena_lies_before_what_alternates():
    """Where all is in the arena and the second memory is empty; and what lies last ends where the arena does."""
    net = network("small")
    text = net.plan([net.arena_bytes, 300]).explain()
    arena = text[text.index("the arena, ") : text.index("range 1, 0 of 300 bytes")]
    rows = [re.fullmatch(r" +([\d,]+) +([\d,]+) (.*)", line) for line in arena.splitlines()[1:]]
    places = [(int(row[1].replace(",", "")), int(row[2].replace(",", "")), row[3]) for row in rows]
    kept, others = places[:3], places[3:]
    assert [what for _, _, what in kept] == ["parameters", "gradients of parameters", "velocities"]
    assert [begin for begin, _, _ in kept] == [0, kept[0][1], kept[0][1] + kept[1][1]]
    assert min(begin for begin, _, _ in others) == sum(size for _, size, _ in kept)
    assert max(begin + size for begin, size, _ in places) == int(re.match(r"the arena, ([\d,]+)", arena)[1].replace(",", ""))


def test_places_are_within_their_memories_and_apart_while_they_live():
    net = network("smallest", memory_ranges=[1200, 2200, 2500])
    spread = net._memory_plan(training=True)
    at = [(*spread.place_of(tensor.offset), tensor) for tensor in spread.tensors]
    blocks = [spread.place_of(offset) for offset in spread.blocks.values() if offset > 0]
    assert blocks and all(number in (1, 2) for number, _ in blocks)
    for number, begin, tensor in at:
        assert number > 0 or begin + 4 * tensor.elems <= spread.peak_bytes
        assert number == 0 or begin + 4 * tensor.elems <= spread.used[number]
        for other_number, other_begin, other in at:
            together = number == other_number and tensor.first <= other.last and other.first <= tensor.last
            if together and other is not tensor:
                assert begin + 4 * tensor.elems <= other_begin or other_begin + 4 * other.elems <= begin


def test_what_is_missing_is_of_the_first_memory():
    net = network("smallest")
    for budget in ([64, 64], [8, 2000], [500, 64, 64]):
        plan = net.plan(budget)
        assert plan.missing_bytes > 0 and plan.range_bytes is None and "nothing fits" in plan.explain()
        assert net.plan([budget[0] + plan.missing_bytes, *budget[1:]]).missing_bytes == 0
        assert net.plan([budget[0] + plan.missing_bytes - 1, *budget[1:]]).missing_bytes > 0


def test_a_plan_that_needs_no_plan_lies_in_the_first_memory():
    plan = network().plan([200_000, 64])
    assert plan.memory == "fast" and plan.range_bytes is None
    assert network("fast", plan=plan).memory_ranges is None


def test_many_budgets_are_kept_to():
    """Whatever is found fits; and what fits in the first alone is never worse with more."""
    net = network("small")
    for seed in range(12):
        rng = np.random.default_rng(seed)
        budget = [int(size) for size in rng.integers(200, 6000, rng.integers(2, 5))]
        plan, alone = net.plan(budget), net.plan(budget[0])
        used = plan.range_bytes or (plan.arena_bytes,)
        assert plan.missing_bytes > 0 or all(size <= room for size, room in zip(used, budget))
        assert alone.missing_bytes > 0 or len(alone.trainable) <= len(plan.trainable)


def test_the_summary_compares_two_memories_with_ram_and_ccm():
    text = network("smallest", memory_ranges=[3000, 9000]).summary(board="crazyflie21", print_fn=None)
    assert re.search(r"training   fits: .* of RAM, [\d,]+ of 65,536 bytes \([\d.]+ %\) of CCM, .* of flash", text)
    assert re.search(r"training   does not fit: .* of RAM, [\d,]+ of 648 bytes \([\d.]+ %\) of CCM", text)


# ---- firmware --------------------------------------------------------------------------------------------------------------

MAIN = """
#include "walled.h"
#include <stdio.h>
#include <string.h>
static uint64_t arena[(WALLED_TRAINING_ARENA_BYTES + 7) / 8];
static cge_network net;
int main(void)
{
    static cge_options options;
    const float x[WALLED_INPUT_ELEMS] = {1.0f, -2.0f, 0.5f};
    const int32_t labels[1] = {3};
    const cge_targets targets = {.labels = labels};
    float loss;
    uint64_t hash = 0;
    options.training = 1;
    options.plan = &walled_training_plan;
    memset(arena, 0xff, sizeof arena);
    if (cge_network_init(&net, &walled_model, &options, arena, WALLED_TRAINING_ARENA_BYTES - 1) != CGE_ERR_ARENA) return 1;
    if (cge_network_init(&net, &walled_model, &options, arena, WALLED_TRAINING_ARENA_BYTES) != CGE_OK) return 1;
    memcpy(net.params, walled_params, sizeof walled_params);
    if (cge_network_train_batch(&net, x, &targets, 1, &loss) != CGE_OK) return 1;
    if (cge_network_params_hash(&net, &hash) != CGE_OK) return 1;
    printf("%08lx%08lx\\n", (unsigned long)(hash >> 32), (unsigned long)(hash & 0xffffffffu));
    return 0;
}
"""


@pytest.fixture
def exported(tmp_path):
    """A folder with the firmware, and what it must print."""
    net = network("smallest", memory_ranges=[1200, 2200, 2500])
    assert all(used > 0 for used in net.range_bytes)
    net.export(tmp_path, "walled")
    (tmp_path / "main.c").write_text(MAIN)
    x = np.zeros((1, *SHAPE), np.float32)
    x.reshape(-1)[:3] = 1, -2, 0.5
    net.train_on_batch(x, [3])
    return tmp_path, net.weights_hash()


def test_exported_ranges_train_as_python_does(exported, core_archive):
    folder, weights = exported
    sources = [folder / "walled.c", folder / "main.c", core_archive]
    flags = [*host.STRICT, "-O1", "-I", host.ROOT / "csrc" / "include", "-I", folder, "-pthread"]
    host.run([host.compiler(), *flags, *sources, "-o", folder / "program"])
    assert host.run([folder / "program"]).strip() == weights
    text = (folder / "walled.c").read_text()
    assert "CGE_RANGE_ELEMS + " in text and "WALLED_RANGE_2_SECTION" in text


def test_a_range_goes_into_the_ccm_of_a_crazyflie(exported):
    """make links a program of a user's with section .ccm where the board has it."""
    need("arm-none-eabi-gcc")
    folder, _ = exported
    command = ["make", "firmware", "BOARD=crazyflie21", f"BUILD={folder}/build", f"APP={folder}", f"OUT={folder}/program.elf",
               f'CFLAGS=-I{folder} -D\'WALLED_RANGE_1_SECTION=".ccm"\'']  # fmt: skip
    done = subprocess.run(command, cwd=host.ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    program = folder / "program.elf"
    symbols = host.run([shutil.which("arm-none-eabi-nm"), program])
    addresses = {name: int(address, 16) for address, _, name in re.findall(r"^(\w+) (\w) (\w+)$", symbols, re.MULTILINE)}
    assert addresses["walled_training_range_1"] >> 24 == 0x10
    assert addresses["walled_training_range_2"] >> 24 == 0x20
