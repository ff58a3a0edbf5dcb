"""Where the C sources of the core are, for builds of firmware: the wheel carries them too."""

from __future__ import annotations

from pathlib import Path

# A wheel carries copies beside this file; a source tree has the originals.
_PACKAGE = Path(__file__).resolve().parent
_CSRC = next(path for path in (_PACKAGE / "csrc", _PACKAGE.parent / "csrc") if (path / "include" / "cge.h").is_file())
_NOT_FIRMWARE = "f64.c"  # the double-precision copy for gradient checks on the host
_ONLY_FOR_COPIES = {_NOT_FIRMWARE, "f64_names.h", "copied.inc"}


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


def core(fused: bool) -> dict[str, bytes]:
    """The core as files for a directory of firmware, of which a compiler is given cge_core.c alone: it includes the sources,
    which lie below cge/, as do the headers that cge.h and its like stand for."""
    folders = (_CSRC / "include", _CSRC / "src")
    paths = [path for folder in folders for path in sorted(folder.rglob("*")) if path.suffix in (".c", ".h", ".inc")]
    files = {
        f"cge/{path.relative_to(_CSRC).as_posix()}": path.read_bytes() for path in paths if path.name not in _ONLY_FOR_COPIES
    }
    headers = [name for name in files if name.startswith("cge/include/")]
    files.update({name.rpartition("/")[2]: f'#include "{name}"\n'.encode() for name in headers})
    lines = [f'#include "cge/{path.relative_to(_CSRC).as_posix()}"' for path in source_files()]
    arithmetic = ["#ifndef CGE_FUSED", "#define CGE_FUSED 1", "#endif"] if fused else []
    head = "/* All sources of the core: convgrad_embedded wrote them and this file. */"
    files["cge_core.c"] = "\n".join([head, *arithmetic, *lines, ""]).encode()
    return files
