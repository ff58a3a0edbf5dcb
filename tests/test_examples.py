"""What examples/ has for readers of README.md: its program, and the network that the program needs."""

import re
import subprocess
import sys

import pytest
from host import ROOT
from test_toolchain import make, need, run

DIGITS = ROOT / "examples" / "digits"


def test_the_committed_network_is_what_training_and_export_give_now(tmp_path):
    subprocess.run([sys.executable, DIGITS / "export.py", tmp_path], check=True, timeout=300)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["digits.c", "digits.h"]
    for path in tmp_path.iterdir():
        assert path.read_text() == (DIGITS / path.name).read_text(), "make digits"


def readme():
    return (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_example_is_the_program_in_the_readme():
    (program,) = (text for text in re.findall(r"^```c\n(.*?)^```$", readme(), re.MULTILINE | re.DOTALL) if "int main" in text)
    assert program == (ROOT / "examples" / "learn" / "main.c").read_text()


@pytest.fixture
def commands():
    """The two commands of README's firmware section, as [target, variable=value, ...] without make."""
    lines = re.findall(r'^make (firmware|run) (BOARD=\w+) (?:APP="(.*?)" OUT|ELF)=(\S+)$', readme(), re.MULTILINE)
    assert [line[0] for line in lines] == ["firmware", "run"]
    return lines


def test_the_readmes_two_commands_run_it_without_python(commands, tmp_path, board_library):
    need("arm-none-eabi-gcc", "qemu-system-arm")
    (_, board, app, out), (_, same_board, _, elf) = commands
    assert (board, out) == (same_board, elf)
    program, build = tmp_path / "learn.elf", board_library(board.split("=")[1], tmp_path / "build")
    make("firmware", "-j2", board, f"APP={app}", f"OUT={program}", f"BUILD={build}", "PYTHON=false", WERROR=1)
    status, printed = run(program, board.split("=")[1])
    assert status == 0, printed
    reads = [int(digit) for digit in re.findall(r"^step \d: loss was \d+ / 1000, now reads (\d)$", printed, re.MULTILINE)]
    assert len(reads) == 6 and reads[0] != 1 and reads[-1] == 1


def test_the_tutorials_program_runs_on_the_board_of_its_commands(tmp_path, board_library):
    need("arm-none-eabi-gcc", "qemu-system-arm")
    text = (ROOT / "docs" / "tutorials" / "board.md").read_text(encoding="utf-8")
    patterns = [rf"^make {target} (BOARD=\w+) (?:APP|ELF)=(\S+)" for target in ("firmware", "run")]
    (board, app), (same_board, elf) = (re.search(pattern, text, re.MULTILINE).groups() for pattern in patterns)
    assert board == same_board and f"OUT={elf}" in text
    blocks = {kind: re.findall(rf"^```{kind}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL) for kind in ("python", "c")}
    (tmp_path / "page.py").write_text("".join(blocks["python"]))
    subprocess.run([sys.executable, "page.py"], cwd=tmp_path, check=True, timeout=300, stdout=subprocess.DEVNULL)
    (tmp_path / app / "main.c").write_text(blocks["c"][0])
    program, build = tmp_path / "tutorial.elf", board_library(board.split("=")[1], tmp_path / "build")
    make("firmware", "-j2", board, f"APP={tmp_path / app}", f"OUT={program}", f"BUILD={build}", WERROR=1)
    status, printed = run(program, board.split("=")[1])
    assert status == 0, printed


def test_the_freertos_sample_takes_the_committed_network(tmp_path, board_library):
    need("arm-none-eabi-gcc", "qemu-system-arm")
    program = tmp_path / "freertos.elf"
    app = f"APP=examples/freertos tests/freertos {DIGITS}"
    build = board_library("netduinoplus2", tmp_path / "build")
    make("firmware", "-j2", app, BOARD="netduinoplus2", OUT=program, BUILD=build, WERROR=1)
    status, printed = run(program, "netduinoplus2")
    assert status == 0 and printed.startswith("ok, weights "), printed
