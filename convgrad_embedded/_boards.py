"""The boards of toolchains/: one small data file each, which the Makefile reads too."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

# A wheel carries copies beside this file; a source tree has the originals.
_PACKAGE = Path(__file__).resolve().parent
_DIRECTORIES = (_PACKAGE / "boards", _PACKAGE.parent / "toolchains")


class Board(NamedTuple):
    name: str
    description: str
    ram_bytes: int | None  # the largest block, where the arena goes; None: as much as the computer gives
    flash_bytes: int | None


def load(name: str) -> Board:
    files = _files()
    if name not in files:
        raise ValueError(f"board: expected one of {', '.join(sorted(files))}; got {name!r}")
    values = dict(_assignment(line) for line in files[name].read_text(encoding="utf-8").splitlines() if "=" in line)
    return Board(name, values["BOARD_DESCRIPTION"], _kilobytes(values, "BOARD_RAM_KB"), _kilobytes(values, "BOARD_FLASH_KB"))


def _files() -> dict[str, Path]:
    return {path.stem: path for directory in _DIRECTORIES for path in directory.glob("*.mk")}


def _assignment(line: str) -> tuple[str, str]:
    name, _, value = line.partition("=")
    return name.strip(), value.strip()


def _kilobytes(values: dict[str, str], name: str) -> int | None:
    return int(values[name]) * 1024 if name in values else None
