"""Builds convgrad_embedded._native: the C core, its double-precision copy, and cffi's glue (API mode, stable ABI)."""

from __future__ import annotations

import sys
from pathlib import Path

import cffi

sys.path.insert(0, str(Path(__file__).resolve().parent))
import declarations  # noqa: E402  (cffi runs this file by its path, outside any package)

ROOT = declarations.CSRC.parent

# The bits are the contract: no contraction, no fast-math, no -march; errno is not read anywhere. Hidden symbols: the
# module exports its init function alone, so calls inside it are direct. No debug information, which Python's own flags
# ask for: it is ten times as large as the code.
COMPILE_ARGS = ["-std=c99", "-O3", "-ffp-contract=off", "-fno-math-errno", "-fvisibility=hidden", "-g0"]


LINK_ARGS = [] if sys.platform == "win32" else ["-pthread"]


def relative(pattern: str) -> list[str]:
    """Files under csrc, relative to the project's root, where setuptools wants them and a build runs."""
    return sorted(str(path.relative_to(ROOT)) for path in declarations.CSRC.glob(pattern))


def builder() -> cffi.FFI:
    header = declarations.read()
    both = [header.f32, header.f64]
    batches = [pair for text in both for pair in declarations.batches(text)]

    ffi = cffi.FFI()
    ffi.cdef("\n".join([header.shared, declarations.read_host(), *map(declarations.with_addresses, both), *(prototype for prototype, _ in batches)]))
    ffi.set_source(
        "convgrad_embedded._native",
        "\n".join(
            [
                '#include "cge.h"',
                '#include "cge_host.h"',
                header.f64,
                *map(declarations.address_definitions, both),
                *(definition for _, definition in batches),
            ]
        ),
        sources=relative("src/**/*.c"),
        depends=relative("**/*.h"),
        include_dirs=["csrc/include"],
        extra_compile_args=COMPILE_ARGS,
        extra_link_args=LINK_ARGS,
    )
    return ffi


ffibuilder = builder()
