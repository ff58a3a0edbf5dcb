"""Arrays and constants for an example's firmware, as samples.h and samples.c."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

KINDS = {"uint8": "uint8_t", "int16": "int16_t", "int32": "int32_t", "float32": "float"}


def write(directory: Path, writer: str, arrays: Mapping[str, NDArray[Any]], constants: Mapping[str, int]) -> None:
    """A macro SAMPLES_<name> for each constant, and an array samples_<name> with what one of its samples has as a row."""
    declared = {declaration(name, array): array for name, array in arrays.items()}
    (directory / "samples.h").write_text(
        f"/* What the firmware sees and knows, written by {writer}. */\n"
        "#ifndef SAMPLES_H\n#define SAMPLES_H\n\n#include <stdint.h>\n\n"
        + "".join(f"#define SAMPLES_{name} {value}\n" for name, value in constants.items())
        + "\n"
        + "".join(f"extern {text};\n" for text in declared)
        + "\n#endif\n"
    )
    definitions = (text + " = {\n" + ",\n".join(map(row, array)) + "\n};\n" for text, array in declared.items())
    (directory / "samples.c").write_text('#include "samples.h"\n\n' + "\n".join(definitions))


def declaration(name: str, array: NDArray[Any]) -> str:
    rows = f"[{array[0].size}]" if array.ndim > 1 else ""
    return f"const {KINDS[array.dtype.name]} samples_{name}[{len(array)}]{rows}"


def row(numbers: NDArray[Any]) -> str:
    """Numbers as they are, to the last bit."""
    values = np.ravel(numbers).tolist()
    texts = [value.hex() + "f" for value in values] if numbers.dtype == np.float32 else map(str, values)
    return "    " + ("{" + ",".join(texts) + "}" if numbers.ndim else "".join(texts))
