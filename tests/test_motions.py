"""examples/motions: a network of an inertial sensor learns on a board that the sensor is mounted another way round."""

import re
import sys
from types import SimpleNamespace

import numpy as np
import oracles
import pytest
from board import make, need, run
from host import ROOT
from test_packaging import load

oracles.need("aeon")

HERE = ROOT / "examples" / "motions"
PAGE = (ROOT / "docs" / "motions.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def example():
    module = load(HERE / "main.py")
    sys.modules.pop("main")
    return module


@pytest.fixture(scope="module")
def studies(example):
    return [example.Study(seed, *example.load()) for seed in example.SEEDS]


@pytest.fixture(scope="module")
def board(example, studies, tmp_path_factory, board_library):
    """What was learned here in fewer passes, and a function that builds the firmware for a budget."""
    need("arm-none-eabi-gcc", "qemu-system-arm")
    folder = tmp_path_factory.mktemp("motions")
    library = board_library(example.BOARD, folder / "build")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(example, "PASSES", 3)
        learned = studies[2].learn()
        generated = example.write_firmware(folder / "generated", studies[2], learned)

    def build(budget, ok=True):
        header = generated / "samples.h"
        header.write_text(re.sub(r"(?<=BUDGET_BYTES )\d+", str(budget), header.read_text()))
        app, program = f"APP={HERE} {generated}", folder / "program.elf"
        said = make("firmware", "-j2", app, BOARD=example.BOARD, BUILD=library, OUT=program, WERROR=1, ok=ok)
        assert "csrc/src/base" not in said  # it is the library that was there
        return program if ok else said

    status, printed = run(build(example.budget()), example.EMULATED_ON)
    assert status == 0, printed
    return SimpleNamespace(build=build, learned=learned, printed=printed, header=generated / "motions.h")


def test_the_board_learns_what_python_learns(example, studies, board):
    expected = example.run_of_python(studies[2], board.learned)
    assert example.run_of(board.printed) == expected
    assert expected.weights != studies[2].network.weights_hash()
    assert expected.after.turned > expected.before.turned + 10 and expected.before.usual >= 38


def test_everything_is_counted_and_the_page_says_so(example, board):
    *parts, (total, what) = example.demo.sizes_of(board.printed)
    assert what == "in all" and sum(size for size, _ in parts) == total <= example.budget() == 262_144
    sizes = {what: size for size, what in parts}
    assert sizes["to train"] == board.learned.learner.arena_bytes
    assert sizes["windows with labels"] == len(board.learned.new[1]) * (2 * 300 + 4)
    said = re.findall(r"^\| ([\d,]+) \| ([a-z][^|]*\w) \|$", PAGE, re.MULTILINE)
    assert [(int(size.replace(",", "")), what) for size, what in said] == [*parts, (total, "in all")]
    macs = re.search(r"STEP_MACS (\d+)", board.header.read_text())[1]
    words = " ".join(PAGE.split())
    for figure, thing in (
        (int(macs), "multiply-adds"), (example.budget(), "bytes of RAM"), (board.learned.learner.param_count, "parameters")
    ):  # fmt: skip
        assert f" {figure:,} {thing}" in words


def test_one_byte_less_is_refused(example, board):
    *_, (stack, _), (total, _) = example.demo.sizes_of(board.printed)
    status, printed = run(board.build(total - 1), example.EMULATED_ON)
    assert status == 1 and example.run_of(printed) == example.run_of(board.printed)
    assert "the_budget_is_kept" in board.build(total - stack - 1, ok=False)


def test_the_page_says_what_python_measures(example, studies):
    rows = {
        cells[0]: cells[1:]
        for line in PAGE.splitlines()
        if line.startswith("| ") and len(cells := [cell.strip() for cell in line.strip("|").split("|")]) > 2
    }
    medians = example.medians
    curves = {
        name: {new: medians(example.results_of(studies, new, **way)) for new in example.CURVE}
        for name, way in example.WAYS.items()
    }
    measured = {
        "nothing": medians([study.before for study in studies]),
        **{name: curve[example.NEW] for name, curve in curves.items()},
        "nothing, but trained with windows turned at random": medians([study.foreseen() for study in studies]),
        **{str(new): [curve[new].turned for curve in curves.values()] for new in example.CURVE},
    }
    assert {name: rows[name] for name in measured} == {
        name: [example.percent(share) for share in result] for name, result in measured.items()
    }


def test_what_the_board_learns_from_is_not_what_it_is_tested_with(studies):
    for study in studies:
        sets = [{window.tobytes() for window in counts} for counts, _ in (study.training, study.on_board, study.test)]
        assert [len(each) for each in sets] == [120, 48, 72] and len(set.union(*sets)) == 240


def test_turns_are_rotations(example, studies):
    turns = [*(study.turns for study in studies), *example.any_rotations(np.random.default_rng(0), 4000)]
    assert np.allclose(turns @ np.transpose(turns, (0, 2, 1)), np.eye(3)) and np.allclose(np.linalg.det(turns), 1)
    assert abs(np.mean(turns[5:], axis=0)).max() < 0.05  # no direction is preferred
    for study in studies:
        quarter = min(abs(np.arccos((np.trace(study.turns) - 1) / 2) - np.pi / 2), np.pi)
        assert quarter <= example.TILT + 1e-9
    window = np.zeros((1, 50, 6), np.int16)
    window[..., 0], window[..., 4] = 1000, 500
    left = example.turned(window, example.rotation([0, 0, 1], np.pi / 2))  # x becomes y, and y becomes -x
    assert np.array_equal(left[0, 0], [0, 1000, 0, -500, 0, 0])
    assert example.as_counts(np.array([1e6, -1e6, 0.6])).tolist() == [32767, -32768, 1]
