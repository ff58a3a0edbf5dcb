"""examples/new_classes: two classes that are new are learned on a board, in a budget that counts everything."""

import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from host import ROOT
from test_packaging import load
from test_toolchain import make, need, output, run

import convgrad_embedded as cge

PAIR = (8, 9)
HERE = ROOT / "examples" / "new_classes"


@pytest.fixture(scope="module")
def example():
    module = load(HERE / "main.py")
    sys.modules.pop("main")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"EPOCHS": 3, "NEW_COUNT": 12, "TEST_COUNT": 2, "PASSES": 4}.items():
            patch.setattr(module, name, value)
        yield module


def large(samples):
    """Digits as pictures of 28 x 28 bytes; Fashion-MNIST is not everywhere."""
    x, y = samples
    pictures = np.kron(x[..., 0], np.ones((3, 3), np.float32))
    return np.pad(pictures, ((0, 0), (2, 2), (2, 2)))[..., None] / 2, y


@pytest.fixture(scope="module")
def study(example):
    training, test = map(large, cge.datasets.load_digits())
    return example.Study(example.pretrain(training, PAIR, seed=1), PAIR, training, test)


@pytest.fixture(scope="module")
def board(example, study, tmp_path_factory, board_library):
    """What was learned here, and a function that builds the firmware for a budget."""
    need("arm-none-eabi-gcc", "qemu-system-arm")
    folder = tmp_path_factory.mktemp("new_classes")
    learned = study.learn(example.BUDGETS["Crazyflie"], seed=3)

    first = example.BUDGETS["Crazyflie"]
    generated = example.write_firmware(folder / "generated", study, learned, first)
    board_library("netduinoplus2", folder / "build")

    def build(budget, ok=True):
        header = generated / "samples.h"
        header.write_text(re.sub(r"(?<=BUDGET_BYTES )\d+", str(budget), header.read_text()))
        app, program = f"APP={HERE} {generated}", folder / "program.elf"
        said = make("firmware", "-j2", app, BOARD="netduinoplus2", BUILD=folder / "build", OUT=program, WERROR=1, ok=ok)
        return program if ok else said

    status, printed = run(build(first), "netduinoplus2")
    assert status == 0, printed
    return SimpleNamespace(build=build, learned=learned, printed=printed, objects=folder / "build" / "program")


def test_the_board_learns_what_python_learns(example, study, board):
    expected = example.run_of_python(study, board.learned)
    assert example.run_of(board.printed) == expected
    assert expected.weights != example.tail_of(study.network, steps=1).weights_hash()
    assert expected.before.correct[8:] == (0, 0) and sum(expected.after.correct[8:]) > 0


def test_everything_but_the_c_library_is_counted_and_within_the_budget(example, board):
    *parts, (total, what) = example.demo.sizes_of(board.printed)
    assert what == "in all" and sum(size for size, _ in parts) == total <= example.BUDGETS["Crazyflie"] == 37_888
    sizes = {what: size for size, what in parts}
    assert sizes["for the layer that learns"] == board.learned.tail.arena_bytes
    assert sizes["replay memory"] == board.learned.choice.slots * (144 + 4)
    assert sizes["a picture, as bytes and as numbers"] == example.FRAME_BYTES
    static = {path.stem.split("_")[-1]: static_bytes(path) for path in board.objects.glob("*.o")}
    assert static.pop("runtime") == 4  # what measures the stack
    assert static == {"main": total - sizes["of the stack were used"], "front": 0, "tail": 0, "samples": 0}


def test_the_page_says_what_the_board_says(example, board):
    page = (ROOT / "docs" / "new_classes.md").read_text()
    said = re.findall(r"^\| [\d,]+ \| ([\d,]+) \| ([^:|]*\w)[^|]* \|$", page, re.MULTILINE)
    assert [(int(size.replace(",", "")), what) for size, what in said] == example.demo.sizes_of(board.printed)


def static_bytes(path):
    """Of .data and .bss."""
    _, data, bss = map(int, re.findall(r"^\s*(\d+)\s+(\d+)\s+(\d+)", output("arm-none-eabi-size", path), re.MULTILINE)[0])
    return data + bss


def test_one_byte_less_is_refused(example, board):
    *_, (stack, _), (total, _) = example.demo.sizes_of(board.printed)
    status, printed = run(board.build(total - 1), "netduinoplus2")
    assert status == 1 and example.run_of(printed) == example.run_of(board.printed)
    assert "the_budget_is_kept" in board.build(total - stack - 1, ok=False)


def test_replay_keeps_the_old_classes(example, study):
    budget = example.BUDGETS["64 KB"]
    results = {replays: study.learn(budget, seed=0, replays=replays).result for replays in (True, False)}
    assert results[True].old > results[False].old + 0.1 and min(results[True].new, results[False].new) > 0.6
    assert study.before.new == 0


def test_features_are_rounded_to_bytes(example, study):
    x = study.test[0][:20]
    outputs = example.front_of(study.network).predict(x).reshape(20, -1)
    assert np.array_equal(outputs, study.network.predict(x, upto=-2).reshape(20, -1)) and 3 < outputs.max() <= 6
    assert abs(example.features_of(study.network, x) * example.FEATURE_SCALE - outputs).max() <= example.FEATURE_SCALE / 2


def test_the_plan_lets_more_learn_in_more_bytes(example, study):
    plans = [study.learn_by_plan(budget, seed=0)[0] for budget in (32_768, 98_304)]
    assert [plan.missing_bytes for plan in plans] == [0, 0]
    assert [len(plan.trainable) for plan in plans] == [1, 4]
