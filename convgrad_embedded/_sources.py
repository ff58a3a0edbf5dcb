"""Where the C sources of the core are, for builds of firmware: the wheel carries them too."""

from __future__ import annotations

from pathlib import Path

# A wheel carries copies beside this file; a source tree has the originals.
_PACKAGE = Path(__file__).resolve().parent
_CSRC = next(path for path in (_PACKAGE / "csrc", _PACKAGE.parent / "csrc") if (path / "include" / "cge.h").is_file())
_NOT_FIRMWARE = "f64.c"  # the double-precision copy for gradient checks on the host


def include_dir() -> Path:
    """The directory of cge.h, for the compiler's -I.

    >>> (cge.include_dir() / "cge.h").exists()
    True
    """
    return _CSRC / "include"


def source_files() -> list[Path]:
    """The .c files of the core that firmware compiles, in a fixed order. No two have the same name, in any case of letters.

    >>> any(path.name == "dispatch.c" for path in cge.source_files())
    True
    """
    return sorted(path for path in (_CSRC / "src").rglob("*.c") if path.name != _NOT_FIRMWARE)
