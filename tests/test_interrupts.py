"""Programs of `make firmware` with interrupts: on emulated boards whose clock counts instructions, so that they repeat."""

import re

import numpy as np
import pytest
from test_toolchain import boards_build, firmware, run  # noqa: F401  (two are fixtures)

BOARDS = ["netduinoplus2", "microbit", "mps2_an505"]

TRAINING = """
#include <stdint.h>
#include <stdio.h>
#include "cge.h"
#include "runtime.h"

static const cge_conv2d conv3 = {.out_c = 3, .kernel_h = 3, .kernel_w = 3, .pad_top = 1, .pad_left = 1};
static const cge_pool2d pool2 = {.kernel_h = 2, .kernel_w = 2};
static const cge_dense dense4 = {.units = 4};
static const cge_layer layers[] = {
    {.kind = &cge_kind_conv2d, .config = &conv3},
    {.kind = &cge_kind_tanh},
    {.kind = &cge_kind_maxpool2d, .config = &pool2},
    {.kind = &cge_kind_dense, .config = &dense4},
};
static const cge_model model = {
    .input = {6, 6, 1},
    .layers = layers,
    .layer_count = 4,
    .loss = &cge_softmax_cross_entropy,
    .optimizer = {.kind = &cge_sgd, .learning_rate = 0.05f, .momentum = 0.9f},
};

static volatile uint32_t ticks;
static volatile float level = 1.0f;

/* With floats of its own, in as many registers as it likes: the core saves those of the training. */
void SysTick_Handler(void)
{
    ticks++;
    level = level * 0.75f + 0.5f * (float)(ticks & 3u) - level * level * 0.125f;
}

static void every(uint32_t cycles)
{
    volatile uint32_t *systick = (volatile uint32_t *)(uintptr_t)0xe000e010u; /* control, reload, value */
    systick[0] = 0;
    systick[1] = cycles - 1;
    systick[2] = 0;
    if (cycles > 0) systick[0] = 7; /* the core's clock, interrupt, on */
}

static cge_status train(uint64_t *hash)
{
    static const cge_options training = {.training = 1};
    static uint64_t arena[600];
    cge_network net;
    cge_status status = cge_network_init(&net, &model, &training, arena, sizeof arena);
    if (status == CGE_OK) status = cge_network_init_params(&net, 7);
    for (int32_t step = 0; step < 40 && status == CGE_OK; step++) {
        const int32_t label = step % 4;
        const cge_targets targets = {.labels = &label};
        float x[36], loss;
        for (int i = 0; i < 36; i++) x[i] = (float)((i * 7 + step * 5) % 11) * 0.125f;
        status = cge_network_train_batch(&net, x, &targets, 1, &loss);
    }
    return status == CGE_OK ? cge_network_params_hash(&net, hash) : status;
}

int main(void)
{
    uint64_t alone = 0, interrupted = 1;
    uint32_t before;
    if (train(&alone) != CGE_OK) return 2;
    before = ticks;
    every(1009);
    if (train(&interrupted) != CGE_OK) return 3;
    every(0);
    printf("%lu ticks before, %lu during, level %ld, equal %d\\n", (unsigned long)before, (unsigned long)ticks,
           (long)(level * 1000000.0f), alone == interrupted);
    return alone != interrupted;
}
"""


@pytest.fixture
def counted_clock(monkeypatch):
    monkeypatch.setenv("QEMU_ARGS", "-icount shift=4")  # 16 ns an instruction


@pytest.mark.parametrize("board", BOARDS)
def test_weights_are_the_same_with_an_interrupt_that_computes(board, firmware, counted_clock):  # noqa: F811
    program = firmware(board, TRAINING)
    status, printed = run(program, board)
    assert status == 0, printed
    found = re.fullmatch(r"(\d+) ticks before, (\d+) during, level (-?\d+), equal 1\n", printed)
    before, during, level = map(int, found.groups())
    assert before == 0 and during > 100 and level == level_after(during)
    assert run(program, board) == (status, printed)


def level_after(ticks):
    """What the handler computes, in binary32, in millionths."""
    f, level = np.float32, np.float32(1)
    for tick in range(1, ticks + 1):
        level = level * f(0.75) + f(0.5) * f(tick & 3) - level * level * f(0.125)
    return int(level * f(1000000))


PENDING = """
#include <stdint.h>
#include <stdio.h>
#include "runtime.h"
%s
int main(void)
{
    *(volatile uint32_t *)(uintptr_t)0x%xu = 1u << %d;
    __asm__ volatile("dsb\\n isb\\n nop" ::: "memory");
    printf("back\\n");
    return 5;
}
"""
HANDLER = "void %s(void)\n{\n    static int count;\n    printf(\"handled %%d\\n\", ++count);\n}\n"
ICSR, ISER, ISPR = 0xE000ED04, 0xE000E100, 0xE000E200
CAUSES = {"PendSV_Handler": (ICSR, 28, 14), "SysTick_Handler": (ICSR, 26, 15), "NMI_Handler": (ICSR, 31, 2)}


@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("name", CAUSES)
def test_an_exception_calls_its_handler_or_ends_with_a_report(board, name, firmware):  # noqa: F811
    register, bit, number = CAUSES[name]
    assert run(firmware(board, PENDING % (HANDLER % name, register, bit)), board) == (5, "handled 1\nback\n")
    status, printed = run(firmware(board, PENDING % ("", register, bit)), board)
    what = "fault" if number == 2 else "interrupt without a handler"
    registers = r"pc 0x\w{8} lr 0x\w{8} psr 0x\w{8}"
    assert status == 1 and re.fullmatch(rf"{what} at {registers} exception 0x{number:08x}\n", printed)


@pytest.mark.parametrize("board, irq", [*((board, 5) for board in BOARDS), ("netduinoplus2", 31)])
def test_an_interrupt_of_the_chip_likewise(board, irq, firmware):  # noqa: F811
    enable = f"*(volatile uint32_t *)(uintptr_t)0x{ISER:x}u = 1u << {irq};"
    source = PENDING.replace("{\n", "{\n    " + enable + "\n", 1)
    handled = source % (HANDLER % "External_Handler", ISPR, irq)
    assert run(firmware(board, handled), board) == (5, "handled 1\nback\n")
    status, printed = run(firmware(board, source % ("", ISPR, irq)), board)
    assert status == 1 and printed.startswith("interrupt without a handler") and f"exception 0x{16 + irq:08x}" in printed
