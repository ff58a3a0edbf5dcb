"""`make` and the emulators, as a reader of README.md calls them."""

import os
import re
import shutil
import subprocess

import pytest
from host import ROOT


def make(*arguments, ok=True, root=ROOT, **variables):
    """Runs make, gives what it printed; apart from any make that runs these tests."""
    words = ["make", "-C", str(root), "--no-print-directory", *map(str, arguments), *(f"{k}={v}" for k, v in variables.items())]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS")) and k not in ("BOARD", "BUILD")}
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, timeout=300)
    assert (done.returncode == 0) == ok, f"{' '.join(words)}: status {done.returncode}\n{done.stdout}"
    return done.stdout


def need(*tools):
    for tool in tools:
        if shutil.which(tool) is None:
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"needs {tool}: `make setup` as root installs it")


def output(*command):
    return subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout


def values(board):
    """The plain lines of a board's file."""
    return dict(re.findall(r"^(\w+) = ?(.*)$", (ROOT / "toolchains" / f"{board}.mk").read_text(), re.MULTILINE))


def first_of_its_kind(board):
    """The first board of those that are compiled for in the same way."""
    kinds = {path.stem: compiled_as(path.stem) for path in sorted((ROOT / "toolchains").glob("*.mk"))}
    return next(name for name, kind in kinds.items() if kind == kinds[board])


def compiled_as(board):
    return [values(board).get(f"BOARD_{name}") for name in ("PREFIX", "CFLAGS", "FLOAT_ABI")]


def run(program, board, seconds=60):
    """(exit status, output) of a program under the board's emulator."""
    done = subprocess.run([ROOT / "toolchains/common/run.sh", values(board)["BOARD_QEMU"], program], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, env={**os.environ, "RUN_SECONDS": str(seconds)})
    return done.returncode, done.stdout
