"""The boards of toolchains/: one small data file each, which the Makefile reads too."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

# A wheel carries copies beside this file; a source tree has the originals.
_PACKAGE = Path(__file__).resolve().parent
_DIRECTORIES = (_PACKAGE / "boards", _PACKAGE.parent / "toolchains")


class Room(NamedTuple):
    """Bytes; None: as much as the computer gives, or nobody has said."""

    ram_bytes: int | None  # one block, where the arena goes
    ccm_bytes: int | None
    flash_bytes: int | None


class Board(NamedTuple):
    name: str
    description: str
    core: str
    chip: Room  # the empty one
    release: str | None  # of the board's usual firmware, and what it leaves
    free: Room
    is_emulated: bool
    tests_on: str | None  # the emulated board with the same sort of core


def load(name: str) -> Board:
    files = _files()
    if name not in files:
        raise ValueError(f"board: expected one of {', '.join(sorted(files))}; got {name!r}")
    values = dict(_assignment(line) for line in files[name].read_text(encoding="utf-8").splitlines() if "=" in line)

    def size(line: str, unit: int) -> int | None:
        return int(values[line]) * unit if line in values else None

    return Board(
        name,
        values["BOARD_DESCRIPTION"],
        values["BOARD_CORE"],
        Room(size("BOARD_RAM_KB", 1024), size("BOARD_CCM_KB", 1024), size("BOARD_FLASH_KB", 1024)),
        values.get("BOARD_FREE_RELEASE"),
        Room(*(size(f"BOARD_FREE_{memory}_BYTES", 1) for memory in ("RAM", "CCM", "FLASH"))),
        "BOARD_QEMU" in values,
        values.get("BOARD_TESTS_ON"),
    )


def stack_bytes() -> dict[str, int]:
    """Of a training step on each Cortex-M core, the most of the builds that `make stack` measures."""
    with open(_PACKAGE / "stack.csv", encoding="utf-8", newline="") as file:
        return {row["core"]: max(int(row[field]) for field in row if field.endswith("_bytes")) for row in csv.DictReader(file)}


def names() -> list[str]:
    return sorted(_files())


def directory() -> Path:
    """Where the boards' files are, and the make code that builds for them."""
    return next(path for path in _DIRECTORIES if (path / "common").is_dir())


def _files() -> dict[str, Path]:
    return {path.stem: path for directory in _DIRECTORIES for path in directory.glob("*.mk")}


def _assignment(line: str) -> tuple[str, str]:
    name, _, value = line.partition("=")
    return name.strip(), value.strip()
