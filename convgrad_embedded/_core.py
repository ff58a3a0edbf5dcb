"""The one module that imports the compiled part, and its operators on single layers.

Everything above it speaks NumPy arrays, tuples and names; everything below it is the C core (csrc/include/cge.h). Networks are
described in _c_model.py and run in _runtime.py, which call what this module imports.
cffi releases the GIL during each call. Arrays that arrive here are checked already (see _arrays.py): C-contiguous,
aligned, of the precision's dtype.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar, Token
from typing import Any, Callable, Literal, NamedTuple, Union

import numpy as np
from numpy.typing import NDArray

from convgrad_embedded import _arguments, _shapes

try:
    from convgrad_embedded._native import ffi as ffi  # _c_model.py and _runtime.py have them from here
    from convgrad_embedded._native import lib as lib
except ModuleNotFoundError as error:
    from convgrad_embedded import _source_tree

    raise (_source_tree.explained(error) or error) from None

Real = NDArray[Any]  # float32 or float64
Labels = NDArray[np.int32]
Bytes = NDArray[np.uint8]
Shape = tuple[int, int, int]
Operand = tuple[Union[Real, Labels, None], bool]  # an array, and whether each sample has a part of its own

ARITHMETICS = {
    lib.CGE_ARITHMETIC_CONTRACTED: "with fused multiply-adds",
    lib.CGE_ARITHMETIC_OTHER: "with other roundings, or without subnormal numbers, infinities and NaN",
}


def require_exact(arithmetic: int) -> None:
    """Weights are the same bits on every machine: a module that gives others must not run unnoticed."""
    if arithmetic == lib.CGE_ARITHMETIC_EXACT:
        return
    raise ImportError(
        f"convgrad_embedded was compiled to compute {ARITHMETICS[arithmetic]}: its weights would differ from those of boards.\n"
        "Unset CFLAGS and install it again: pip install --force-reinstall --no-binary convgrad_embedded convgrad_embedded"
    )


require_exact(lib.cge_check_arithmetic())

ARITHMETIC_NAMES = ("exact", "fused")
_SUFFIXES = ("", "_fused")  # of the two copies in single precision


@functools.lru_cache(maxsize=None)
def _fused_fault() -> str | None:
    """Why fused multiply-adds cannot be had here."""
    if not lib.cge_has_fused():
        return "this processor has no instructions for (AVX2 and FMA)"
    if lib.cge_check_arithmetic_fused() != lib.CGE_ARITHMETIC_CONTRACTED:
        return "this build computes with other roundings: its compiler's fmaf is not exact"
    return None


ArithmeticName = Literal["exact", "fused"]


def arithmetic_named(context: str, name: Any) -> str:
    """The name itself, of an arithmetic that there is here."""
    if name not in ARITHMETIC_NAMES:
        raise ValueError(f"{context}: expected one of {', '.join(map(repr, ARITHMETIC_NAMES))}, got {name!r}")
    fault = _fused_fault() if name == "fused" else None
    if fault is not None:
        raise ValueError(f"{context}: expected 'exact', got 'fused', which {fault}")
    return str(name)


# Of single operators, and of networks that are made without `arithmetic`.
ARITHMETIC: ContextVar[str] = ContextVar(
    "arithmetic", default=arithmetic_named("CGE_ARITHMETIC", os.environ.get("CGE_ARITHMETIC") or "exact")
)


class _Using:
    """A with statement that computes in another arithmetic. It may stand in itself, and be used again."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._tokens: list[Token[str]] = []

    def __enter__(self) -> None:
        self._tokens.append(ARITHMETIC.set(self._name))

    def __exit__(self, *exception: object) -> None:
        ARITHMETIC.reset(self._tokens.pop())


@_arguments.checked
def arithmetic(name: ArithmeticName) -> AbstractContextManager[None]:
    """In a with statement: single operators compute "exact" or "fused", and new networks do, whatever CGE_ARITHMETIC says.

    "fused" rounds a * b + c once, as boards do whose library is built with FUSED=1. It holds for the thread that asked, and for
    its asyncio task. A network keeps the arithmetic that it was made with.

    >>> x, w = np.float32([-1, 1 + 2**-12]), np.float32([[1 + 2**-11], [1 + 2**-12]])
    >>> cge.dense_forward(x, w)
    array([0.], dtype=float32)
    >>> with cge.arithmetic("fused"):
    ...     cge.dense_forward(x, w)
    array([5.9604645e-08], dtype=float32)
    """
    return _Using(arithmetic_named("arithmetic", name))


VERSION = f"{lib.CGE_VERSION_MAJOR}.{lib.CGE_VERSION_MINOR}.{lib.CGE_VERSION_PATCH}"
EXPORT_VERSION: int = lib.CGE_EXPORT_VERSION
MOST_RANGES: int = lib.CGE_MOST_RANGES
PLAN_VERSION: int = lib.CGE_PLAN_VERSION
MAX_ELEMS: int = lib.CGE_MAX_ELEMS
MAX_THREADS: int = lib.CGE_MAX_THREADS
FROZEN: int = lib.CGE_FROZEN
NO_BIAS: int = lib.CGE_NO_BIAS
NO_AFFINE: int = lib.CGE_NO_AFFINE
TRAINS_ALL: int = lib.CGE_TRAINS_ALL
TRAINS_BIAS: int = lib.CGE_TRAINS_BIAS
MemoryLevel = Literal["fast", "small", "smallest", "small_sliced", "smallest_sliced"]
MEMORY_LEVELS: tuple[MemoryLevel, ...] = ("fast", "small", "smallest")  # "fast": no plan; the others are cge_memory_<name>
TIGHT = "_tight"  # the levels "small" and "smallest" with all that they can
SLICED_LEVELS: tuple[MemoryLevel, ...] = ("small_sliced", "smallest_sliced")  # for steps in slices
Init = Literal["he_uniform", "he_normal", "glorot_uniform", "glorot_normal"]
INITS: tuple[Init, ...] = ("he_uniform", "he_normal", "glorot_uniform", "glorot_normal")  # in the order of cge_init


def _catalogued(tables: str, count: str, prefix: str) -> dict[Any, str]:
    """Names as Python users write them, by the address of the C constant: cge_<name> or cge_kind_<name>.

    What there is says the core's catalog, what it is called the header's declarations.
    """
    catalogued: dict[Any, str] = {}
    for copy in _SUFFIXES:
        found = (re.fullmatch(f"{prefix}(.+){copy}_address", name) for name in dir(lib))
        names = {getattr(lib, match[0]): match[1] for match in found if match}
        catalog = getattr(lib, f"cge_catalog_all{copy}_address")
        table = getattr(catalog, tables)[0 : getattr(catalog, count)]
        catalogued.update((address, names[address]) for address in table)
    return catalogued


KINDS = _catalogued("layers", "layer_count", "cge_kind_")
LOSSES = _catalogued("losses", "loss_count", "cge_")
OPTIMIZERS = _catalogued("optimizers", "optimizer_count", "cge_")


def kernel_set() -> str:
    """The C kernels at work: "ref", "small", "tiled", "lanes", "lanes_avx2" or "lanes_avx512".

    The best that this CPU runs, or what the environment variable CGE_KERNELS named when the first of them ran. All give
    the same bits. Each arithmetic has kernels of its own: those of the present one are told.

    >>> cge.kernel_set() in ("ref", "small", "tiled", "lanes", "lanes_avx2", "lanes_avx512")
    True
    """
    return str(ffi.string(single_precision().function("kernel_set_name")()).decode())


INT32_BUFFER = ffi.typeof("int32_t[]")


class NotFiniteError(FloatingPointError):
    """A loss or a gradient is NaN or infinite; the weights and the optimizer are as they were before that step.

    >>> net = cge.Network((1,), [cge.Dense(1)], "mse", cge.SGD(0.1))
    >>> net.train_on_batch([[1.0]], [[1e30]])
    Traceback (most recent call last):
        ...
    convgrad_embedded._core.NotFiniteError: ...
    """


def check(status: int, context: str) -> None:
    """The one place where a status becomes an exception."""
    if not status:  # CGE_OK
        return
    text = ffi.string(lib.cge_status_text(status)).decode()
    if status == lib.CGE_ERR_BUSY:
        raise RuntimeError(f"{context}: {text}; if one was begun, resume() it to its end or abort() it")
    error = NotFiniteError if status == lib.CGE_ERR_NOT_FINITE else ValueError
    raise error(f"{context}: {text}")


class Precision:
    """One of the three instances of the core: its number type and how its functions are named."""

    def __init__(self, dtype: type, operator_suffix: str, suffix: str, copy: str = "") -> None:
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self.operator_suffix = operator_suffix + copy
        self.suffix = suffix  # of structs
        self._copy = suffix + copy  # of functions and constants
        self.is_fused = bool(copy)
        self.c_type = "float" if dtype is np.float32 else "double"
        self.buffer_type = ffi.typeof(f"{self.c_type}[]")

    def batch(self, operator: str) -> Any:
        return getattr(lib, f"cge_{operator}{self.operator_suffix}_batch")

    def function(self, name: str) -> Any:
        return getattr(lib, f"cge_{name}{self._copy}")

    def constant(self, name: str) -> Any:
        return getattr(lib, f"cge_{name}{self._copy}_address")

    def new(self, struct: str, fields: Mapping[str, Any] | None = None) -> Any:
        return ffi.new(f"cge_{struct}{self.suffix} *", fields)


FLOAT32 = Precision(np.float32, "_f32", "")
FUSED = Precision(np.float32, "_f32", "", "_fused")
FLOAT64 = Precision(np.float64, "_f64", "_f64")


def single_precision(arithmetic: str | None = None) -> Precision:
    """None: the present arithmetic."""
    return FUSED if (arithmetic or ARITHMETIC.get()) == "fused" else FLOAT32


def precision(dtype: np.dtype[Any]) -> Precision:
    """Double precision is exact, always."""
    return single_precision() if dtype == np.float32 else FLOAT64


def buffer(values: Any, kind: Any) -> Any:
    return ffi.NULL if values is None else ffi.from_buffer(kind, values)


# For calls that were checked before (_again.py): as little as can be.
NULL, from_buffer = ffi.NULL, ffi.from_buffer


def new_labels(values: list[int]) -> Any:
    """OverflowError or TypeError where they are no int32."""
    return ffi.new(INT32_BUFFER, values)


class SelfTest(NamedTuple):
    """What cge_selftest reports of this build on this processor."""

    passed: bool
    arithmetic: str  # "exact", "fused" or "other"
    max_gradient_error: float
    gradients_checked: int


def selftest() -> SelfTest:
    """Of the present arithmetic."""
    kind, size, report = single_precision(), ffi.new("size_t *"), ffi.new("cge_selftest_report *")
    check(kind.function("selftest_arena_bytes")(size), "selftest")
    arena = ffi.new("uint64_t[]", size[0] // 8 + 1)
    check(kind.function("selftest")(arena, size[0], report), "selftest")
    arithmetic = ("exact", "fused", "other")[report.arithmetic]
    return SelfTest(bool(report.passed), arithmetic, float(report.max_gradient_error), int(report.gradients_checked))


# ---- operators on single layers --------------------------------------------------------------------------------------


def geometry(operator: str, fields: Mapping[str, int]) -> tuple[Any, Shape]:
    """A cge_conv2d or cge_pool2d and the output shape that follows from it."""
    g, out = ffi.new(f"cge_{operator} *", fields), ffi.new("cge_shape *")
    status = getattr(lib, f"cge_{operator}_output_shape")(g, out)
    if status == lib.CGE_ERR_SHAPE:
        reason = _shapes.why_impossible(operator, fields, [(fields["in_h"], fields["in_w"], fields["in_c"])])
        if reason is not None:
            raise ValueError(reason)
    check(status, f"{operator} with {_described(fields)}")
    return g, shape_of(out)


def norm(fields: Mapping[str, Any]) -> Any:
    """A cge_norm."""
    return ffi.new("cge_norm *", fields)


def dropout_key(seed: int, layer: int, step: int, sample: int) -> int:
    """Of the mask that a layer draws."""
    return int(lib.cge_dropout_key(seed, layer, step, sample))


def run(operator: str, dtype: np.dtype[Any], count: int, head: Sequence[Any], *operands: Operand) -> None:
    """The operator for `count` samples in one C call; `head` is what comes before the arrays: a geometry or sizes."""
    kind = precision(dtype)
    arguments = list(head)
    for operand, per_sample in operands:
        if operand is not None and operand.dtype == np.int32:
            arguments.append(ffi.from_buffer(INT32_BUFFER, operand))
        else:
            step = operand.size // count if per_sample and operand is not None else 0
            arguments += [buffer(operand, kind.buffer_type), step]
    check(kind.batch(operator)(count, *arguments), operator)


def _described(fields: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {value}" for name, value in fields.items())


def shape_of(c_shape: Any) -> Shape:
    return c_shape.h, c_shape.w, c_shape.c


# ---- learning rates from step to step ------------------------------------------------------------------------------------

_SCHEDULE_KINDS = [name for name in dir(lib) if name.startswith("CGE_SCHEDULE_")]
SCHEDULES: dict[str, int] = {name.removeprefix("CGE_SCHEDULE_").lower(): getattr(lib, name) for name in _SCHEDULE_KINDS}


def schedule_rate(fields: Mapping[str, Any], step: int) -> float:
    return float(lib.cge_schedule_rate(ffi.new("cge_schedule *", fields), step))


def plateau_rate(fields: Mapping[str, Any], state: tuple[Any, ...], measured: float) -> tuple[float, tuple[Any, ...]]:
    c_state = ffi.new("cge_plateau_state *", state)
    rate = float(lib.cge_plateau_rate(ffi.new("cge_plateau *", fields), c_state, measured))
    return rate, values_of(c_state[0])


# ---- random order ----------------------------------------------------------------------------------------------------


class Rng:
    """The core's generator, for the order of samples: the same stream on every target."""

    def __init__(self, seed: int) -> None:
        self._rng = ffi.new("cge_rng *")
        check(lib.cge_rng_seed(self._rng, seed), "seed")

    def permutation(self, count: int) -> Labels:
        return shuffled(self._rng, count)


def shuffled(rng: Any, count: int) -> Labels:
    """0 .. count - 1, shuffled by cge_rng_shuffle."""
    order = np.arange(count, dtype=np.int32)
    check(lib.cge_rng_shuffle(rng, ffi.from_buffer(INT32_BUFFER, order), count), "shuffle")
    return order


# ---- data: cge_data.h ------------------------------------------------------------------------------------------------


def permuted(count: int, seed: int, epoch: int) -> Labels:
    """0 .. count - 1, in the order of cge_permute."""
    order = np.empty(count, np.int32)
    check(lib.cge_permute(count, seed, epoch, 0, count, ffi.from_buffer(INT32_BUFFER, order)), "permutation")
    return order


def augment(fields: Mapping[str, Any], seed: int, counters: Sequence[int], x: Any, y: Any) -> None:
    """Samples of x to y: float32, or uint8."""
    a = ffi.new("cge_augmentation *", fields)
    function, kind = (lib.cge_augment_u8, "uint8_t[]") if x.dtype == np.uint8 else (lib.cge_augment_f32, "float[]")
    for counter, sample, result in zip(counters, x, y):
        check(function(a, seed, counter, ffi.from_buffer(kind, sample), ffi.from_buffer(kind, result)), "Augmentation")


class Replay:
    """A cge_replay in memory of its own."""

    def __init__(self, capacity: int, shape: tuple[int, ...], dtype: np.dtype[Any], classes: int, seed: int) -> None:
        self.samples: NDArray[Any] = np.zeros((capacity, *shape), dtype)
        self.labels: Labels = np.zeros(capacity, np.int32)
        self._counts = ffi.new("cge_replay_class[]", classes) if classes else ffi.NULL
        self._memory = ffi.from_buffer(self.samples.reshape(-1)), ffi.from_buffer(INT32_BUFFER, self.labels)
        size = self.samples[0].nbytes
        self._replay = ffi.new("cge_replay *", (*self._memory, size, capacity, classes, self._counts, seed))
        self._state = ffi.new("cge_replay_state *")

    @property
    def held(self) -> int:
        return int(self._state.held)

    @property
    def seen(self) -> int:
        return int(self._state.seen)

    def add(self, sample: NDArray[Any], label: int) -> int:
        slot = ffi.new("int32_t *")
        check(lib.cge_replay_add(self._replay, self._state, ffi.from_buffer(sample.reshape(-1)), label, slot), "add")
        return int(slot[0])

    def draw(self, n: int) -> Labels:
        slots = np.empty(n, np.int32)
        check(lib.cge_replay_draw(self._replay, self._state, n, ffi.from_buffer(INT32_BUFFER, slots)), "draw")
        return slots


# ---- structs ---------------------------------------------------------------------------------------------------------


def values_of(struct: Any) -> tuple[Any, ...]:
    """Of all members; structs and arrays among them as tuples."""
    convert: dict[str, Callable[[Any], tuple[Any, ...]]] = {"struct": values_of, "array": tuple}
    fields = ((getattr(struct, name), member.type.kind) for name, member in ffi.typeof(struct).fields)
    return tuple(convert[kind](value) if kind in convert else value for value, kind in fields)


def members(struct: str) -> list[str]:
    """Names, in the order of the declaration."""
    return [name for name, _ in ffi.typeof(struct).fields]


# Of cge_layer, without its two addresses; all other names are of configs.
ROW_MEMBERS = frozenset(members("cge_layer")) - {"kind", "config"}
