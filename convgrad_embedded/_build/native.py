"""Builds convgrad_embedded._native: the C core, its copies (double precision; fused), and cffi's glue (API mode, stable ABI)."""

from __future__ import annotations

import platform
import re
import sys
from pathlib import Path

import cffi

sys.path.insert(0, str(Path(__file__).resolve().parent))
import declarations  # noqa: E402  (cffi runs this file by its path, outside any package)

ROOT = declarations.CSRC.parent

# setuptools puts CFLAGS of the environment before these, so that these win: no contraction, no fast-math, the standard
# language, none of the core's own switches. A linker that is told of fast-math would add code that makes the process flush
# subnormal numbers. What no flag can take back, the import finds (_core.py).
SWITCHES = ["FUSED", "SMALL", "HOST", "F64", "F64_COPY", "INTERNAL", "INLINE", "MUST_USE", "ANY_ARITHMETIC", "HAS_LANES_BASELINE"]
NO_FAST_MATH = ["-fno-fast-math", "-fno-unsafe-math-optimizations"]
PARTS_OF_FAST_MATH = ["-fno-finite-math-only", "-fno-associative-math", "-fno-reciprocal-math", "-fsigned-zeros"]
MACHINE_ARGS = ["-mfpmath=sse"] if platform.machine() == "x86_64" and sys.platform == "linux" else []

# errno is not read anywhere. Hidden symbols: the module exports its init function alone, so calls inside it are direct. No
# debug information, which Python's own flags ask for: it is ten times as large as the code.
COMPILE_ARGS = ["-std=c99", "-O3", *NO_FAST_MATH, *PARTS_OF_FAST_MATH, "-ffp-contract=off", *MACHINE_ARGS]
COMPILE_ARGS += ["-fno-math-errno", "-fvisibility=hidden", "-g0", *(f"-UCGE_{switch}" for switch in SWITCHES)]
LINK_ARGS = ["-O3", *NO_FAST_MATH, *([] if sys.platform == "win32" else ["-pthread"])]
LIBRARIES = [] if sys.platform == "win32" else ["m"]  # fmaf, where there is no instruction

# Labels as Python's bytes, which cffi hands over as they are, and which begin at a multiple of 8: int32, or a few int64. What is
# no label as int64 is none as int32.
LABELS = """#define MOST_INT64_LABELS 64
static const int32_t *int32_labels(const char *labels, int32_t label_bytes, int32_t count, int32_t *own)
{
    const int64_t *wide = (const int64_t *)(const void *)labels;
    if (label_bytes == 4)
        return (const int32_t *)(const void *)labels;
    for (int32_t i = 0; i < count && i < MOST_INT64_LABELS; i++)
        own[i] = wide[i] >= 0 && wide[i] <= INT32_MAX ? (int32_t)wide[i] : -1;
    return count > MOST_INT64_LABELS ? NULL : own;
}"""
# cge_network_train_batch with such labels.
TRAIN_LABELLED = (
    "static cge_status cge_network_train_labelled(cge_network *net, const void *x, const char *labels, int32_t label_bytes, "
    "int32_t count, cge_real *loss)",
    """{
    int32_t own[MOST_INT64_LABELS];
    const cge_targets targets = {.labels = int32_labels(labels, label_bytes, count, own)};
    return cge_network_train_batch(net, x, &targets, count, loss);
}""",
)
# cge_network_evaluate likewise.
EVALUATE_LABELLED = (
    "static cge_status cge_network_evaluate_labelled(cge_network *net, const void *x, const char *labels, int32_t label_bytes, "
    "int32_t count, cge_real *loss, int32_t *correct)",
    """{
    int32_t own[MOST_INT64_LABELS];
    const cge_targets targets = {.labels = int32_labels(labels, label_bytes, count, own)};
    return cge_network_evaluate(net, x, &targets, count, loss, correct);
}""",
)
# Whether the copy with fused multiply-adds may be called.
HAS_FUSED = (
    "static int cge_has_fused(void)",
    """{
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
    return 1;
#endif
}""",
)
# By far the largest source: a compiler that takes several at once begins with it.
FUSED_SOURCE = "convgrad_embedded/_build/fused.c"


def relative(pattern: str) -> list[str]:
    """Files under csrc, relative to the project's root, where setuptools wants them and a build runs."""
    return sorted(str(path.relative_to(ROOT)) for path in declarations.CSRC.glob(pattern))


def fused(text: str) -> str:
    """The same for networks of the copy."""
    return re.sub(r"\b(cge_network_\w+)\(", r"\1_fused(", text)


def builder() -> cffi.FFI:
    header = declarations.read()
    both = [header.f32, header.f64, header.fused]
    batches = [pair for text in both for pair in declarations.batches(text)]
    others = [declarations.read_other(path) for path in (declarations.DATA_HEADER, declarations.HOST_HEADER)]
    labelled = (TRAIN_LABELLED, EVALUATE_LABELLED)
    own = (*labelled, *(tuple(map(fused, pair)) for pair in labelled), HAS_FUSED)

    ffi = cffi.FFI()
    ffi.cdef("\n".join([header.shared, *others, *map(declarations.with_addresses, both), *(prototype for prototype, _ in batches), *(f"{prototype};" for prototype, _ in own)]))
    ffi.set_source(
        "convgrad_embedded._native",
        "\n".join(
            [
                '#include "cge.h"',
                '#include "cge_data.h"',
                '#include "cge_host.h"',
                header.f64,
                header.fused,
                *map(declarations.address_definitions, both),
                *(definition for _, definition in batches),
                LABELS,
                *map("\n".join, own),
            ]
        ),
        sources=[FUSED_SOURCE, *relative("src/**/*.c")],
        depends=[*relative("**/*.h"), *relative("**/*.inc")],
        include_dirs=["csrc/include"],
        extra_compile_args=COMPILE_ARGS,
        extra_link_args=LINK_ARGS,
        libraries=LIBRARIES,
    )
    return ffi


ffibuilder = builder()
