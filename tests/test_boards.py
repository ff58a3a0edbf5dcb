"""What a network costs on a board: `net.summary` beside the board files, and the stack that it counts with."""

import csv
import re
import sys

import pytest
from host import ROOT
from nets import SPECS
from test_toolchain import need

import convgrad_embedded as cge
from convgrad_embedded import _boards, _summary

sys.path.insert(0, str(ROOT / "benchmarks"))
import size
import stack

BOARDS = sorted(path.stem for path in (ROOT / "toolchains").glob("*.mk"))
FREE = {"BOARD_FREE_RELEASE", "BOARD_FREE_RAM_BYTES", "BOARD_FREE_CCM_BYTES", "BOARD_FREE_FLASH_BYTES"}


def lines(net, board):
    """Of the verdicts, [(heading, [line])]."""
    text = net.summary(board=board, print_fn=None)
    parts = re.split(rf"^({board}.*):\n", text, flags=re.MULTILINE)[1:]
    return [(heading, body.strip("\n").split("\n")) for heading, body in zip(parts[::2], parts[1::2])]


def training_of(arena_bytes):
    """A network that takes about that much."""
    units = next(units for units in range(1, 4000) if dense(units).arena_bytes > arena_bytes)
    return dense(units)


def dense(units):
    return cge.Network((8,), [cge.Dense(units), cge.ReLU(), cge.Dense(2)], "softmax_cross_entropy", cge.SGD(0.1, 0.9))


def test_a_network_that_fits_the_empty_crazyflie_may_not_fit_beside_its_firmware():
    (chip, (on_chip, _)), (beside, (training, in_ccm, prediction, _)) = lines(training_of(60_000), "crazyflie21")
    assert chip.endswith("the empty chip") and "  training   fits:" in on_chip
    assert beside == "crazyflie21, what Crazyflie firmware 2026.08 leaves"
    assert "training   does not fit:" in training and "of 37,888 bytes" in training and "of RAM" in training
    assert "training   does not fit:" in in_ccm and "of 648 bytes" in in_ccm and "of CCM" in in_ccm
    assert "prediction fits:" in prediction


def test_the_demos_network_fits_into_the_crazyflies_ram_and_not_into_its_ccm():
    (_, _), (_, (training, in_ccm, *_)) = lines(SPECS["digits"].network(), "crazyflie21")
    assert "training   fits:" in training and "training   does not fit:" in in_ccm


def test_the_default_build_of_a_pixhawk_6x_leaves_no_flash_for_the_code():
    (_, on_chip), (beside, left) = lines(SPECS["digits"].network(), "pixhawk6x")
    assert all(" fits:" in line for line in on_chip)
    assert beside.startswith("pixhawk6x, what PX4 ")
    assert all("does not fit:" in line and "of 5,724 bytes" in line for line in left)


@pytest.mark.parametrize("board", sorted({"matekh743", "rp2040", "microbit"}))
def test_no_figures_are_made_up_for_other_boards(board):
    assert len(lines(SPECS["digits"].network(), board)) == 1


@pytest.mark.parametrize("spare, verdict", [(0, "fits"), (-1, "does not fit")])
@pytest.mark.parametrize("memory", ["ram", "ccm", "flash"])
def test_the_last_byte_decides(memory, spare, verdict):
    net = SPECS["digits"].network()
    need = {
        "ram": net.arena_bytes + 100,
        "ccm": net.arena_bytes,
        "flash": _summary.flash_bytes(net) + _summary.CODE_BYTES,
    }[memory]
    room = _boards.Room(None, None, None)._replace(**{f"{memory}_bytes": need + spare})
    found = [line for line in _summary._verdicts(net, room, 100) if "training" in line and f"{need + spare:,} bytes" in line]
    assert len(found) == 1 and f"training   {verdict}: " in found[0]


@pytest.mark.parametrize("board", BOARDS)
def test_free_figures_name_a_release_and_are_less_than_the_chip_has(board):
    values = dict(re.findall(r"^(BOARD_\w+) = (.+)$", (ROOT / "toolchains" / f"{board}.mk").read_text(), re.MULTILINE))
    free = {name for name in values if "FREE" in name}
    documented = (ROOT / "toolchains" / "common" / "board.mk").read_text()
    assert free <= FREE and all(name in documented for name in FREE)
    assert not free or ("BOARD_FREE_RELEASE" in free and len(free) > 1)
    for memory in ("RAM", "FLASH"):
        assert int(values.get(f"BOARD_FREE_{memory}_BYTES", 0)) <= int(values.get(f"BOARD_{memory}_KB", 0)) * 1024
    assert _boards.load(board).release == values.get("BOARD_FREE_RELEASE")


# ---- stack -----------------------------------------------------------------------------------------------------------


def test_summary_counts_with_the_deepest_of_the_builds():
    with open(ROOT / "convgrad_embedded" / "stack.csv", newline="") as file:
        rows = {row["core"]: row for row in csv.DictReader(file)}
    assert set(rows) == set(stack.cores())
    for core, row in rows.items():
        assert _boards.stack_bytes()[core] == max(int(row[field]) for field in stack.BUILDS) > 500
    net = SPECS["digits"].network()
    (_, (training, *_)), *_ = lines(net, "crazyflie21")
    assert f"{net.arena_bytes + _boards.stack_bytes()['Cortex-M4F']:,} of 131,072" in training


def committed_stack(core):
    with open(ROOT / "convgrad_embedded" / "stack.csv", newline="") as file:
        return next(row for row in csv.DictReader(file) if row["core"] == core)


def test_committed_stack_is_what_the_builds_take(tmp_path, board_library):
    need("arm-none-eabi-gcc")
    core = "Cortex-M4F"
    board_library(stack.cores()[core], tmp_path / "whole_bytes")
    board_library(stack.cores()[core], tmp_path / "plain_O2_bytes", PLAIN=1, OPT="-O2")
    board_library(stack.cores()[core], tmp_path / "plain_Os_bytes", PLAIN=1, OPT="-Os")
    measured = stack.row(core, stack.cores()[core], tmp_path)
    assert {name: str(value) for name, value in measured.items()} == committed_stack(core), "make stack-baseline"
    totals = set()
    for field in stack.BUILDS:
        total = next(row for row in size.read(tmp_path / field / "size.csv") if row["symbol"] == size.TOTAL_NET)
        totals.add(int(total["code_bytes"]) + int(total["rodata_bytes"]))
    assert len(totals) == len(stack.BUILDS) and max(totals) <= _summary.CODE_BYTES  # none is another one's build


def test_committed_stack_of_a_core_without_fpu_is_what_its_deepest_build_takes(tmp_path):
    need("arm-none-eabi-gcc")
    core, deepest = "Cortex-M0+", "plain_O2_bytes"
    measured = stack.stack(stack.cores()[core], tmp_path, stack.BUILDS[deepest])
    assert measured == _boards.stack_bytes()[core] == int(committed_stack(core)[deepest]), "make stack-baseline"
