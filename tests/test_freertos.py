"""The sample for FreeRTOS, on an emulated board with a stand-in for its kernel, and on a clock that counts instructions."""

import re

import numpy as np
import pytest
from host import ROOT
from test_toolchain import make, need, output, run

import convgrad_embedded as cge

BOARD = "netduinoplus2"
SAMPLE = ROOT / "examples" / "freertos" / "main.c"
BATCH, UPDATES = 8, 3


@pytest.fixture(scope="module")
def network():
    layers = [cge.Conv2d(8, 3, padding=1), cge.ReLU(), cge.MaxPool2d(2), cge.Dense(10)]
    return cge.Network((8, 8, 1), layers, "softmax_cross_entropy", cge.SGD(0.05, momentum=0.9), seed=3)


@pytest.fixture(scope="module")
def build(tmp_path_factory, board_library):
    return board_library(BOARD, tmp_path_factory.mktemp("build"))


@pytest.fixture
def execute(network, tmp_path, build, monkeypatch):
    """What the sample, with changes, does on the board: (exit status, output, program)."""
    need("arm-none-eabi-gcc", "qemu-system-arm")
    monkeypatch.setenv("QEMU_ARGS", "-icount shift=6")  # 64 ns an instruction: a slow board, and a tick in 15,625 of them

    def build_and_run(*changes):
        app = tmp_path / "app"
        app.mkdir(exist_ok=True)
        text = SAMPLE.read_text()
        for before, after in changes:
            assert text.count(before) == 1
            text = text.replace(before, after)
        (app / "main.c").write_text(text)
        network.export(app, name="digits")
        program = tmp_path / "freertos.elf"
        make("firmware", "-j2", BOARD=BOARD, BUILD=build, WERROR=1, OUT=program,
             APP=f"{app} {ROOT / 'tests' / 'freertos'}")
        return *run(program, BOARD), program

    return build_and_run


def pictures(count):
    """What take_picture draws."""
    i = np.arange(64)
    return np.array([(i * (number % 10 + 3) + number) % 9 < 3 for number in range(count)], np.float32).reshape(-1, 8, 8, 1)


def figures(printed):
    """Weights, steps of the control loop, ticks, the longest time that the idle task waited."""
    found = re.fullmatch(r"ok, weights (\w{16})\ncontrol ran (\d+) times, to \d+ / 1000000\n"
                         r"(\d+) ticks; the idle task waited for at most (\d+)\n", printed)
    assert found, printed
    return found[1], *map(int, found.groups()[1:])


def test_the_freertos_sample_learns_what_whole_batches_learn(execute, network):
    status, printed, _ = execute()
    assert status == 0, printed
    weights, control_steps, ticks, _ = figures(printed)
    again = cge.Network.from_bytes(network.to_bytes())
    before = again.weights_hash()
    x = pictures(BATCH * UPDATES)
    for first in range(0, len(x), BATCH):
        again.train_on_batch(x[first : first + BATCH], np.arange(first, first + BATCH, dtype=np.int32) % 10)
    assert weights == again.weights_hash() != before
    assert ticks - 2 <= control_steps <= ticks + 2


def test_one_sample_at_a_time_keeps_the_idle_task_waiting_a_batch_less(execute):
    """The kind of fault: a whole batch in one call starves whoever feeds the watchdog."""
    at_the_end = ("        vTaskDelay(1);\n    }\n    return cge", "    }\n    vTaskDelay(1);\n    return cge")
    expected, *_, one = figures(execute()[1])
    weights, *_, whole = figures(execute(at_the_end)[1])
    print(f"ticks that the idle task waited: {one}, and {whole} when nothing lets it run within a batch")
    assert one >= 3 and whole > BATCH // 2 * one, (one, whole)
    assert weights == expected


def test_a_fault_in_a_task_says_where(execute):
    """The registers were pushed onto the task's stack, not onto that of the interrupts."""
    trap = ("        control_output = level;\n", "        if (control_steps == 9) __builtin_trap();\n")
    status, printed, program = execute(trap)
    assert status == 1, printed
    pc = int(re.search(r"fault at pc 0x(\w{8})", printed)[1], 16)
    listing = output("arm-none-eabi-nm", "-S", program)
    begin, size = (int(number, 16) for number in re.search(r"^(\w+) (\w+) t control$", listing, re.MULTILINE).groups())
    assert begin <= pc < begin + size


def test_the_sample_names_nothing_of_the_stand_in():
    assert not re.findall(r"kernel_\w+|runtime\.h", SAMPLE.read_text())
