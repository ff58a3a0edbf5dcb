"""The one module that touches the compiled part.

Everything above it speaks NumPy arrays, tuples and names; everything below it is the C core (csrc/include/cge.h).
cffi releases the GIL during each call. Arrays that arrive here are checked already (see _arrays.py): C-contiguous,
aligned, of the precision's dtype.
"""

from __future__ import annotations

import functools
import math
import os
import re
import threading
import time
import weakref
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar, Token
from types import SimpleNamespace
from typing import Any, Callable, Literal, NamedTuple, Union

import numpy as np
from numpy.typing import NDArray

from convgrad_embedded import _arguments, _shapes

try:
    from convgrad_embedded._native import ffi, lib
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
_TIGHT = "_tight"  # the levels "small" and "smallest" with all that they can
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


def _buffer(values: Any, kind: Any) -> Any:
    return ffi.NULL if values is None else ffi.from_buffer(kind, values)


# For calls that were checked before (_again.py): as little as can be.
NULL, from_buffer = ffi.NULL, ffi.from_buffer


def new_labels(values: list[int]) -> Any:
    """OverflowError or TypeError where they are no int32."""
    return ffi.new(INT32_BUFFER, values)


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
    return g, _shape(out)


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
            arguments += [_buffer(operand, kind.buffer_type), step]
    check(kind.batch(operator)(count, *arguments), operator)


def _described(fields: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {value}" for name, value in fields.items())


def _shape(c_shape: Any) -> Shape:
    return c_shape.h, c_shape.w, c_shape.c


# ---- learning rates from step to step ------------------------------------------------------------------------------------

_SCHEDULE_KINDS = [name for name in dir(lib) if name.startswith("CGE_SCHEDULE_")]
SCHEDULES: dict[str, int] = {name.removeprefix("CGE_SCHEDULE_").lower(): getattr(lib, name) for name in _SCHEDULE_KINDS}


def schedule_rate(fields: Mapping[str, Any], step: int) -> float:
    return float(lib.cge_schedule_rate(ffi.new("cge_schedule *", fields), step))


def plateau_rate(fields: Mapping[str, Any], state: tuple[Any, ...], measured: float) -> tuple[float, tuple[Any, ...]]:
    c_state = ffi.new("cge_plateau_state *", state)
    rate = float(lib.cge_plateau_rate(ffi.new("cge_plateau *", fields), c_state, measured))
    return rate, _values(c_state[0])


# ---- random order ----------------------------------------------------------------------------------------------------


class Rng:
    """The core's generator, for the order of samples: the same stream on every target."""

    def __init__(self, seed: int) -> None:
        self._rng = ffi.new("cge_rng *")
        check(lib.cge_rng_seed(self._rng, seed), "seed")

    def permutation(self, count: int) -> Labels:
        return _permutation(self._rng, count)


def _permutation(rng: Any, count: int) -> Labels:
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


def members(struct: str) -> list[str]:
    """Names, in the order of the declaration."""
    return [name for name, _ in ffi.typeof(struct).fields]


# Of cge_layer, without its two addresses; all other names are of configs.
ROW_MEMBERS = frozenset(members("cge_layer")) - {"kind", "config"}


# ---- networks --------------------------------------------------------------------------------------------------------


class LayerInfo(NamedTuple):
    in_shape: Shape
    out_shape: Shape
    weight_shape: tuple[int, ...]  # () if the layer has no parameters
    bias_elems: int
    macs: int

    @property
    def parameter_shapes(self) -> list[tuple[int, ...]]:
        """Of weight and bias, as far as the layer has them."""
        return [shape for shape in (self.weight_shape, (self.bias_elems,)) if shape and shape != (0,)]

    @property
    def param_elems(self) -> int:
        return sum(math.prod(shape) for shape in self.parameter_shapes)


class Optimizer(NamedTuple):
    """The settings of a cge_optimizer."""

    kind: str  # cge_<kind>
    learning_rate: float
    momentum: float
    weight_decay: float
    nesterov: int
    beta2: float
    epsilon: float
    l1: float = 0.0


def _optimizer(c: Any) -> Optimizer:
    """From a cge_optimizer of single precision."""
    return Optimizer(OPTIMIZERS[c.kind], *(getattr(c, name) for name in Optimizer._fields[1:]))


SMALLEST_NORMAL = float(np.finfo(np.float32).tiny)


def float32(value: float) -> float:
    """As the core reads a setting."""
    return float(np.float32(value))


class Clipping(NamedTuple):
    """Of the mean gradient, before each update."""

    norm: float | None
    value: float | None


class InputBytes(NamedTuple):
    """Samples are bytes, of which each stands for (byte - offset) * scale."""

    scale: float
    offset: int


class OutputRow(NamedTuple):
    """A cge_output: one of several outputs, and its loss."""

    loss: str
    loss_config: Mapping[str, float]
    elems: int
    weight: float


class LossRow(NamedTuple):
    """What a cge_model says of its loss."""

    kind: str
    config: Mapping[str, float]
    outputs: tuple[OutputRow, ...] = ()


class LayerRow(NamedTuple):
    """A cge_layer without its kind's address, and what it points to: members by name, those left out are 0."""

    kind: str
    members: dict[str, Any]
    config: str | None  # cge_<config>
    fields: dict[str, Any]  # of the config

    @classmethod
    def of(cls, kind: str, config: str | None, values: Mapping[str, Any]) -> LayerRow:
        """From members of both structs."""
        row = {name: value for name, value in values.items() if name in ROW_MEMBERS}
        return cls(kind, row, config, {name: value for name, value in values.items() if name not in row})


class Model:
    """A cge_model, the table of layers that it points to, and their configs."""

    def __init__(
        self,
        kind: Precision,
        input_shape: Shape,
        layer_count: int,
        loss: LossRow | None,
        optimizer: Optimizer | None,
        input_bytes: InputBytes | None = None,
        slots: int = 0,
    ) -> None:
        self.kind = kind
        self.slots = slots  # numbers that the optimizer keeps for each parameter that learns
        self.trains = loss is not None
        self.infos: list[LayerInfo] = []
        self.is_graph = False
        self.learns_by_batch = False
        self.samples = 1  # that a pass of firmware holds
        self._plans: dict[tuple[str, bool, bool], MemoryPlan] = {}
        self.table = ffi.new(f"cge_layer{kind.suffix}[]", layer_count)
        self._configs: list[Any] = []
        self.c = kind.new(
            "model", {"input": input_shape, "layers": self.table, "layer_count": layer_count, "fused": kind.is_fused}
        )
        if loss is not None:
            self.c.loss, self.c.loss_config = kind.constant(loss.kind), loss.config
            self._point_to_outputs(loss.outputs)
        if optimizer is not None:
            self.c.optimizer = dict(optimizer._asdict(), kind=kind.constant(optimizer.kind))
        if input_bytes is not None:
            self.c.input_kind = kind.constant("input_u8")
            self.c.input_scale, self.c.input_offset = input_bytes

    def _point_to_outputs(self, outputs: Sequence[OutputRow]) -> None:
        if outputs:
            rows = [dict(output._asdict(), loss=self.kind.constant(output.loss)) for output in outputs]
            self._outputs = ffi.new(f"cge_output{self.kind.suffix}[]", rows)
            self.c.outputs, self.c.output_count = self._outputs, len(rows)

    def add_layer(
        self, row: LayerRow, sources: Sequence[int], in_shapes: Sequence[Shape], weight_rank: int, context: str
    ) -> LayerInfo:
        """Fills in the next row of the table, which reads tensors of these shapes, and tells what becomes of it."""
        index = len(self.infos)
        members = dict(row.members, kind=self.kind.constant(f"kind_{row.kind}"), **{"from": sources})
        if row.config is not None:
            self._configs.append(ffi.new(f"cge_{row.config} *", row.fields))
            members["config"] = self._configs[-1]
        self.table[index] = members
        self.is_graph |= len(in_shapes) > 1 or any(sources)
        self.learns_by_batch |= row.kind == "batch_norm" and not row.members.get("flags", 0) & FROZEN
        info = ffi.new("cge_layer_info *")
        status = self._layer_info(index, in_shapes, info)
        reason = _shapes.why_impossible(row.kind, row.fields, in_shapes) if status == lib.CGE_ERR_SHAPE else None
        if reason is not None:
            raise ValueError(f"{context}: {reason}")
        check(status, context)
        self.infos.append(
            LayerInfo(
                in_shape=_shape(getattr(info, "in")),
                out_shape=_shape(info.out),
                weight_shape=tuple(info.weight_shape)[:weight_rank] if info.weight_elems else (),
                bias_elems=info.bias_elems,
                macs=info.macs,
            )
        )
        return self.infos[-1]

    def _layer_info(self, index: int, in_shapes: Sequence[Shape], info: Any) -> int:
        """From the shapes, since the core would begin at the first layer each time. The first layer checks all the rest."""
        if index == 0 and not self.is_graph:
            return int(self.kind.function("model_layer_info")(self.c, index, info))
        return int(self.kind.function("layer_infer")(self.table + index, ffi.new("cge_shape[]", in_shapes), info))

    def arena_bytes(self, *, training: bool, params_outside: bool = False, memory: str = "fast") -> int:
        """For one sample at a time, as firmware runs it; or for those whose statistics batch normalisation takes."""
        samples = self.samples if training else 1
        return _arena_bytes(self, _options(self.kind, training, samples, params_outside, self.plan(memory, training=training)))

    def plan(self, memory: str, *, training: bool) -> MemoryPlan | None:
        """What firmware follows. None for "fast", but for graphs, which always need one.

        Prediction takes no gradients: there "small" is "smallest". "batch" is "small" for several samples at once.
        """
        if memory == "fast" and not self.is_graph:
            return None
        level = memory if training and memory != "fast" else "small"
        if level == "small" and training and self.learns_by_batch:
            level = "batch"
        return self._plan_of(level, training, _is_tight(memory, training))

    def plan_here(self, memory: str, *, training: bool) -> MemoryPlan | None:
        """What a network on this computer follows: a graph at "fast" runs as a chain does, several samples at once."""
        if memory == "fast" and self.is_graph:
            return self._plan_of("fast", training, False)
        return self.plan(memory, training=training)

    def _plan_of(self, *key: Any) -> MemoryPlan:
        """Of this level, training or not, tight or not."""
        found = self._plans.get(key)
        if found is None:  # of two threads that get here, both take the plan of the first
            found = self._plans.setdefault(key, MemoryPlan(self, *key))
        return found

    def spread(self, memory: str, ranges: Sequence[int], *, training: bool, params_outside: bool = False) -> MemoryPlan | None:
        """A plan over memories of so many bytes each, the arena first. None: no way was found. Not for a chain at "fast"."""
        level = memory if training and memory != "fast" else "small"
        plan = MemoryPlan(self, level, training, _is_tight(memory, training))
        return plan if plan.spread_over(self, tuple(ranges), params_outside) else None

    def capacity_within(self, limit_bytes: int, most: int, *, training: bool) -> int:
        """How many samples at once: `most`, or as often its half as brings the arena within the limit; 1 in any case."""
        size, plan = ffi.new("size_t *"), self.plan_here("fast", training=training)
        while most > 1:
            status = _arena_status(self, _options(self.kind, training, most, plan=plan), size)
            if status == lib.CGE_OK and size[0] <= limit_bytes:
                break
            most //= 2  # too large, or more than any arena may have
        return most


def _is_tight(memory: str, training: bool) -> bool:
    """A graph at "fast" does not compute anything twice to take fewer bytes."""
    return memory != "fast" or not training


class Tensor(NamedTuple):
    """cge_tensor: numbers of elements and of operations."""

    offset: int
    elems: int
    first: int
    last: int


class Unit(NamedTuple):
    """cge_unit: numbers of layers, then of tensors; -1: none."""

    begin: int
    end: int
    main: int
    activation: int
    pool: int
    pool_first: int
    y: int
    dy: int
    winners: int
    forward: int
    backward: int
    x: tuple[int, int]
    learns: int
    shared: int
    adds: int
    style: int


class Layout(NamedTuple):
    """What a MemoryPlan says, without the memory that it points to: to keep, copy and pickle."""

    level: str
    units: list[Unit]
    tensors: list[Tensor]
    ranges: tuple[int, ...]
    used: tuple[int, ...]
    blocks: dict[str, int]
    peak_bytes: int
    bound_bytes: int
    elem_bytes: int

    def place_of(self, offset: int) -> tuple[int, int]:
        """As MemoryPlan's."""
        return _place_of(offset, self.elem_bytes)


def _place_of(offset: int, elem_bytes: int) -> tuple[int, int]:
    number, elems = divmod(offset, int(lib.CGE_RANGE_ELEMS))
    return number, elems * elem_bytes


class MemoryPlan:
    """A cge_plan and the memory that it points to."""

    def __init__(self, model: Model, level: str, training: bool, tight: bool = True) -> None:
        kind, size = model.kind, ffi.new("size_t *")
        context = f"a plan for memory={level!r}"
        check(kind.function("plan_bytes")(model.c, size), context)
        self._memory = ffi.new("uint64_t[]", (size[0] + 7) // 8)
        self.c = kind.new("plan")
        make = kind.function("plan_make")
        in_c = kind.constant(f"memory_{level}{_TIGHT}" if tight and level in MEMORY_LEVELS else f"memory_{level}")
        check(make(model.c, in_c, training, self._memory, size[0], self.c), context)
        self.level, self.training = level, training
        self._elem_bytes = kind.dtype.itemsize
        self._layer_count = len(model.infos)
        self.ranges: tuple[int, ...] = ()  # bytes that there are; the arena first, if there are other memories
        self.used: tuple[int, ...] = ()  # and that are used of them
        self.blocks: dict[str, int] = {}  # offsets of params, grads and velocity

    def spread_over(self, model: Model, ranges: tuple[int, ...], params_outside: bool) -> bool:
        """Whether there is a way. The addresses stay open, so no network can run by such a plan."""
        kind = model.kind
        self._ranges = ffi.new(f"cge_memory_range{kind.suffix}[]", [(ffi.NULL, size) for size in ranges[1:]])
        self._spread = kind.new("spread", {"ranges": self._ranges, "range_count": len(ranges) - 1})
        options = _options(kind, self.training, 1, params_outside, self)
        status = kind.function("plan_spread")(model.c, options.params, ranges[0], self._spread, self.c)
        if status == lib.CGE_ERR_ARENA:
            return False
        check(status, "memory_ranges")
        elsewhere = (self._elem_bytes * int(elems) for elems in self._spread.elems[0 : len(ranges) - 1])
        self.ranges, self.used = ranges, (_arena_bytes(model, options), *elsewhere)
        self.blocks = {name: int(getattr(self._spread, name)) for name in ("params", "grads", "velocity")}
        return True

    def seal(self, model: Model, params_outside: bool) -> int:
        """What cge_network_init may compare, in place of working the plan out again: of the level that is exported."""
        value, own = ffi.new("uint32_t *"), self.c.level
        options = _options(model.kind, self.training, 1, params_outside)
        self.c.level = model.kind.constant(f"memory_{self.level_name(model)}")
        status = model.kind.function("plan_seal")(model.c, options.params, self.c, value)
        self.c.level = own
        check(status, "sealed")
        return int(value[0])

    @property
    def spread_members(self) -> dict[str, Any]:
        """Of cge_spread, arrays as tuples."""
        return dict(zip(members("cge_spread"), _values(self._spread[0])))

    def place_of(self, offset: int) -> tuple[int, int]:
        """(number of the memory, bytes into it; of the arena, into its activations)."""
        return _place_of(offset, self._elem_bytes)

    def layout(self) -> Layout:
        memories = (self.ranges, self.used, self.blocks)
        return Layout(
            self.level, self.units, self.tensors, *memories, self.peak_bytes, self.bound_bytes, elem_bytes=self._elem_bytes
        )

    def level_name(self, model: Model) -> str:
        """cge_memory_<that> is the smallest in code of those that can follow the plan."""
        plain = MemoryPlan(model, self.level, self.training, tight=False)
        lives = [[tensor[1:] for tensor in plan.tensors] for plan in (plain, self)]  # offsets differ where memories are several
        return self.level if plain.units == self.units and lives[0] == lives[1] else self.level + _TIGHT

    @property
    def units(self) -> list[Unit]:
        return [Unit(*_values(unit)) for unit in self.c.units[0 : self.c.unit_count]]

    @property
    def tensors(self) -> list[Tensor]:
        return [Tensor(*_values(tensor)) for tensor in self.c.tensors[0 : self.c.tensor_count]]

    @property
    def layers(self) -> list[tuple[Any, ...]]:
        """cge_layer_plan: shapes as tuples, and integers."""
        return [_values(row) for row in self.c.layers[0 : self._layer_count]]

    @property
    def peak_bytes(self) -> int:
        """Of the arena's activation region."""
        return int(self.c.peak_elems) * self._elem_bytes

    @property
    def bound_bytes(self) -> int:
        return int(self.c.bound_elems) * self._elem_bytes

    @property
    def table_bytes(self) -> int:
        """Of its constants on a board."""
        counts = {"plan": 1, "layer_plan": self._layer_count, "unit": self.c.unit_count, "tensor": self.c.tensor_count}
        if self.ranges:
            counts.update(spread=1, memory_range=len(self.ranges) - 1)
        return sum(count * _board_bytes(ffi.typeof(f"cge_{struct}")) for struct, count in counts.items())


def _values(struct: Any) -> tuple[Any, ...]:
    """Of all members; structs and arrays among them as tuples."""
    convert: dict[str, Callable[[Any], tuple[Any, ...]]] = {"struct": _values, "array": tuple}
    fields = ((getattr(struct, name), member.type.kind) for name, member in ffi.typeof(struct).fields)
    return tuple(convert[kind](value) if kind in convert else value for value, kind in fields)


def _options(
    kind: Precision, training: bool, capacity: int, params_outside: bool = False, plan: MemoryPlan | None = None
) -> Any:
    options = kind.new("options", {"training": training, "capacity": capacity})
    if plan is not None:
        options.plan = plan.c
    if params_outside:
        options.params = ffi.cast(ffi.typeof(options.params), options)  # a size query asks only whether it is NULL
    return options


def _arena_bytes(model: Model, options: Any) -> int:
    size = ffi.new("size_t *")
    check(_arena_status(model, options, size), "network")
    return int(size[0])


def _arena_status(model: Model, options: Any, size: Any) -> int:
    return int(model.kind.function("network_arena_bytes")(model.c, options, size))


class ParsedModel(NamedTuple):
    input_shape: Shape
    layers: list[tuple[str, dict[str, Any]]]  # kind, members of the row and of its config
    loss: LossRow | None
    optimizer: Optimizer | None
    input_bytes: InputBytes | None
    arithmetic: str


def table_bytes(layer_count: int, configs: Iterable[str], output_count: int = 0) -> int:
    """Of the constants that describe a network on a board; configs: their structs, cge_<config>."""
    structs = ["model", *["layer"] * layer_count, *configs, *["output"] * output_count]
    return sum(_board_bytes(ffi.typeof(f"cge_{struct}")) for struct in structs)


def layer_plan_bytes(layer_count: int) -> int:
    """Of the table in the arena of a network without a plan."""
    return layer_count * _board_bytes(ffi.typeof("cge_layer_plan"))


def _board_bytes(c_type: Any) -> int:
    """Where a pointer takes 4 bytes."""
    if c_type.kind == "struct":
        size = sum(_board_bytes(member.type) for _, member in c_type.fields)
        return -(-size // _board_alignment(c_type)) * _board_alignment(c_type)
    return 4 if c_type.kind == "pointer" or c_type.cname == "size_t" else int(ffi.sizeof(c_type))


def _board_alignment(c_type: Any) -> int:
    if c_type.kind == "struct":
        return max(_board_alignment(member.type) for _, member in c_type.fields)
    return _board_alignment(c_type.item) if c_type.kind == "array" else min(4, int(ffi.sizeof(c_type)))


_BYTES_OF_A_RECORD = 28  # of a layer in a file, at least
_LAYER_COUNT_AT = 12  # where a file says how many there are
_LOSS_WORDS_AT, _WORDS_OF_AN_OUTPUT = 29, 7  # how many words the loss has, three bytes


def _most_layers(data: bytes) -> int:
    """As many as a file of that size can hold, or as it says."""
    said = int.from_bytes(data[_LAYER_COUNT_AT : _LAYER_COUNT_AT + 4], "little")
    return min(said, len(data) // _BYTES_OF_A_RECORD) + 1


def parse_model(data: bytes, context: str, configs: Mapping[str, str | None]) -> ParsedModel:
    """The model part of what cge_network_save wrote; configs: by kind, the struct that its rows point to."""
    max_layers = _most_layers(data)
    layers, memory = ffi.new("cge_layer[]", max_layers), ffi.new("cge_layer_config[]", max_layers)
    model = ffi.new("cge_model *")
    most_outputs = (
        min(int.from_bytes(data[_LOSS_WORDS_AT : _LOSS_WORDS_AT + 3], "little"), len(data) // 4) // _WORDS_OF_AN_OUTPUT
    )
    outputs = ffi.new("cge_output[]", most_outputs + 1)
    catalog = ffi.new("cge_catalog *", lib.cge_catalog_all_address[0])
    catalog.outputs, catalog.max_outputs = outputs, most_outputs + 1
    check(lib.cge_model_parse(data, len(data), catalog, layers, memory, max_layers, model), context)
    optimizer = model.optimizer
    return ParsedModel(
        input_shape=_shape(model.input),
        layers=[_parsed_layer(layer, configs) for layer in layers[0 : model.layer_count]],
        loss=None if model.loss == ffi.NULL else _parsed_loss(model),
        optimizer=None if optimizer.kind == ffi.NULL else _optimizer(optimizer),
        input_bytes=None if model.input_kind == ffi.NULL else InputBytes(model.input_scale, model.input_offset),
        arithmetic=ARITHMETIC_NAMES[model.fused],
    )


def _parsed_loss(model: Any) -> LossRow:
    outputs = tuple(
        OutputRow(LOSSES[output.loss], _loss_config(output), output.elems, output.weight)
        for output in model.outputs[0 : model.output_count]
    )
    return LossRow(LOSSES[model.loss], _loss_config(model), outputs)


def _loss_config(owner: Any) -> dict[str, float]:
    return {name: getattr(owner.loss_config, name) for name in members("cge_loss_config")}


def _parsed_layer(layer: Any, configs: Mapping[str, str | None]) -> tuple[str, dict[str, Any]]:
    kind = KINDS[layer.kind]
    values = {name: value for name, value in zip(members("cge_layer"), _values(layer)) if name in ROW_MEMBERS}
    struct = configs[kind]
    if struct is not None:
        fields = ffi.cast(f"cge_{struct} *", layer.config)
        values.update((name, getattr(fields, name)) for name in members(f"cge_{struct}"))
    return kind, values


class Targets(NamedTuple):
    labels: Labels | None
    values: Real | None
    weights: Real | None = None  # of samples; or (N, outputs), of each of several outputs apart


class ThreadPool:
    """The core's pool: `threads` - 1 threads of its own, which end with this object. The caller's thread works too."""

    def __init__(self, threads: int) -> None:
        size = lib.cge_thread_pool_bytes()
        memory = ffi.new("uint64_t[]", (size + 7) // 8)
        pool = ffi.new("cge_thread_pool **")
        check(lib.cge_thread_pool_start(memory, size, threads, pool), f"threads {threads}")
        self.executor = lib.cge_thread_pool_executor(pool[0])
        weakref.finalize(self, _stop_pool, pool[0], memory)


def _stop_pool(pool: Any, memory: Any) -> None:
    lib.cge_thread_pool_stop(pool)
    del memory  # until here the pool was in it


CALL_SECONDS = 0.05  # of work in one call; a call more costs some microseconds


class Pace:
    """How many samples a call takes that lasts CALL_SECONDS, as measured: Python sees Ctrl-C only between calls."""

    def __init__(self) -> None:
        self.samples = 1

    def run(self, call: Callable[[int], int], samples: int, context: str) -> None:
        began = time.perf_counter()
        check(call(samples), context)
        seconds = max(time.perf_counter() - began, 1e-6)
        self.samples = max(1, min(MAX_ELEMS, int(samples * CALL_SECONDS / seconds)))


def _give_way() -> None:
    """A thread that waits for a lock does not get it if the one that let it go takes it again at once."""
    if threading.active_count() > 1:
        time.sleep(1e-4)


class _Cells(NamedTuple):
    """What a call hands over to C and back."""

    targets: Any
    loss: Any
    weights: Any  # to which the targets point, if samples have some
    correct: Any


def _new_cells(kind: Precision) -> _Cells:
    return _Cells(kind.new("targets"), ffi.new(f"{kind.c_type} *"), kind.new("weights"), ffi.new("int32_t *"))


class Losses:
    """Of samples that come in one call or in several: their sum as the core keeps it, so that their mean has the same bits.

    With `outputs` each output's loss besides. `right` counts for each output what is right of it; evaluation of one output, all
    that it is, needs no `outputs` for that.
    """

    def __init__(self, kind: Precision, outputs: int = 0) -> None:
        self.progress = kind.new("progress")
        self.outputs = ffi.new(f"cge_progress{kind.suffix}[]", outputs) if outputs > 0 else None
        self.cells = _new_cells(kind)
        self._dtype = kind.dtype
        self.right = [0] * max(outputs, 1)
        self.clipped = 0.0  # the sum of those that came batch by batch, because gradients were clipped
        self._before = 0  # samples of the calls before this one

    def begin(self) -> None:
        """A call that brings more samples."""
        self._before += int(self.progress.done)
        self.progress.done = 0

    @property
    def done(self) -> int:
        return self._before + int(self.progress.done)

    def take_right(self) -> None:
        """What the core has counted since it was asked last: its numbers end at 2^31 - 1."""
        for number, counted in enumerate((self.progress,) if self.outputs is None else self.outputs):
            self.right[number] += counted.correct
            counted.correct = 0

    @property
    def mean(self) -> float:
        return self._mean(self.progress, self.clipped)

    @property
    def output_means(self) -> list[float]:
        return [self._mean(output, 0.0) for output in self.outputs or ()]

    def _mean(self, progress: Any, more: float) -> float:
        """As cge_loss_mean."""
        unit = 2.0**-32 if progress.shrunk else 1.0
        total = progress.loss_sum + more * unit
        return float(self._dtype.type(total / (float(self._dtype.type(self.done)) * unit)))


class _Step(NamedTuple):
    """A step in slices, and what keeps its arrays alive."""

    kind: str  # "train", "evaluate", "forward"
    x: Real
    targets: Targets | None
    y: Real | None
    cells: _Cells
    loss: Any
    correct: Any


_BEGINS = {"train": "train", "evaluate": "evaluate", "forward": "predict"}  # the Python method's name


class TrainingState(NamedTuple):
    """What steps change, apart from the stream of shuffles."""

    params: Real
    velocity: Real
    optimizer: Any
    step_count: int
    schedule: Callable[[int], float] | None


class StepNotFiniteError(NotFiniteError):
    """Of a step in slices, with the samples that it was begun with."""

    def __init__(self, text: str, step: _Step) -> None:
        super().__init__(text)
        self.step = step


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


class Runtime:
    """A cge_network and its arena. A lock keeps threads apart, since calls run without the GIL.

    A signal handler runs between two calls into the core, in the thread that may hold the lock: so the lock may be taken
    again, and a call does not share its cells with the one that it came into.

    With `threads` > 1 the work of a call is shared; in a forked process, which has no such threads, the core leaves it to
    the caller's.
    """

    def __init__(self, model: Model, *, training: bool, capacity: int, threads: int = 1, memory: str = "fast") -> None:
        kind = model.kind
        self._plan = model.plan_here(memory, training=training)  # the network points to it
        options = _options(kind, training, capacity, plan=self._plan)
        self._pool = None
        if threads > 1:
            self._pool = ThreadPool(threads)
            options.executor = self._pool.executor
        size = _arena_bytes(model, options)
        self._kind = kind
        self._model = model  # the network points to it
        self._arena = np.zeros((size + 7) // 8, np.uint64)  # 8-byte aligned
        self._net = kind.new("network")
        self.lock = threading.RLock()
        check(kind.function("network_init")(self._net, model.c, options, ffi.from_buffer(self._arena), size), "network")
        self._forward, self._evaluate_part, self._accumulate, self._train_batch, self._train_epoch_part = (
            kind.function(f"network_{name}")
            for name in ("forward", "evaluate_part", "accumulate", "train_batch", "train_epoch_part")
        )
        if kind is not FLOAT64:
            self._train_labelled = kind.function("network_train_labelled")
            self._evaluate_labelled = kind.function("network_evaluate_labelled")
        self._forward_pace, self._train_pace = Pace(), Pace()
        self._spare_cells: list[_Cells] = []
        self._step: _Step | None = None
        self.schedule: Callable[[int], float] | None = None  # the learning rate, by the number of steps so far
        self.learns_by_batch = False  # parts of an epoch then are whole batches: their ends would cut passes
        self.params = self._view(self._net.params, self._net.param_elems)
        self.grads = self._view(self._net.grads, self._net.grad_elems)
        self._velocity = self._view(self._net.velocity, self._net.velocity_elems)
        _runtimes[id(self)] = self

    def _view(self, pointer: Any, elems: int) -> Real:
        """Numbers inside the arena as an array that keeps the arena alive."""
        if pointer == ffi.NULL or elems == 0:
            return np.empty(0, self._kind.dtype)
        begin = int(ffi.cast("uintptr_t", pointer)) - self._arena.ctypes.data
        return np.frombuffer(self._arena, self._kind.dtype, elems, begin)

    @property
    def first_trainable(self) -> int:
        return int(self._net.first_trainable)

    @property
    def step_count(self) -> int:
        return int(self._net.step_count)

    @property
    def optimizer(self) -> Optimizer:
        """With the learning rate as it is now."""
        return _optimizer(self._net.optimizer)

    def check_no_step(self, context: str) -> None:
        """For what reads or writes the network's memory from here; the caller holds the lock."""
        if self._net.step.task != ffi.NULL:
            check(lib.CGE_ERR_BUSY, context)

    def set_optimizer(self, member: str, value: float) -> None:
        with self.lock:
            self.check_no_step(member)
            setattr(self._net.optimizer, member, value)

    @property
    def learning_rate_factors(self) -> list[float]:
        """Of the rows of the model's table: 0 means 1."""
        return [row.learning_rate_factor for row in self._model.table]

    def set_learning_rate_factors(self, factors: Sequence[float]) -> None:
        with self.lock:
            self.check_no_step("learning_rate_factor")
            for row, factor in zip(self._model.table, factors):
                row.learning_rate_factor = factor

    def _follow_schedule(self) -> None:
        """Before a step; the caller holds the lock."""
        if self.schedule is not None and self._net.step.task == ffi.NULL:
            self._net.optimizer.learning_rate = self.schedule(int(self._net.step_count))

    def training_state(self, begin: int) -> TrainingState:
        """Copies, with the parameters from number `begin` on. Drops gradients that wait, as an epoch that begins does."""
        with self.lock:
            self.check_no_step("training")
            if self.pending > 0:
                self.zero_grads()
            optimizer = self._kind.new("optimizer")
            optimizer[0] = self._net.optimizer
            copies = self.params[begin:].copy(), self._velocity.copy()
            return TrainingState(*copies, optimizer, self.step_count, self.schedule)

    def set_training_state(self, begin: int, state: TrainingState) -> None:
        """Of a network that learns the same."""
        with self.lock:
            self.check_no_step("training")
            self.params[begin:] = state.params
            self._velocity[...] = state.velocity
            self._net.optimizer = state.optimizer[0]
            self._net.step_count = state.step_count
            self.schedule = state.schedule

    def seed_shuffles(self, seed: int) -> None:
        with self.lock:
            check(lib.cge_rng_seed(ffi.addressof(self._net, "rng"), seed), "seed")

    def seed_permutations(self, seed: int) -> None:
        """For orders by cge_permute: the stream's state is the seed, below 2^32, above the number of the epoch."""
        with self.lock:
            self._net.rng.state = seed << 32

    def permutation(self, count: int, stored: bool = True) -> Labels:
        """The next order of `count` samples from the network's stream: by cge_rng_shuffle, or, not stored, by cge_permute."""
        with self.lock:
            if stored:
                return _permutation(ffi.addressof(self._net, "rng"), count)
            state = int(self._net.rng.state)
            self._net.rng.state = (state + 1) % 2**64
            return permuted(count, *divmod(state, 2**32))

    def init_params(self, seed: int) -> None:
        with self.lock:
            check(self._kind.function("network_init_params")(self._net, seed), "seed")

    def params_hash(self) -> int:
        value = ffi.new("uint64_t *")
        with self.lock:
            check(self._kind.function("network_params_hash")(self._net, value), "hash")
        return int(value[0])

    def forward(self, x: Real, y: Real) -> None:
        count = len(y)
        if count <= self._forward_pace.samples:
            c_y = from_buffer(self._kind.buffer_type, y)
            with self.lock:
                status = self._forward(self._net, from_buffer(x), count, c_y)
            if status:
                check(status, "predict")
            return
        x, progress = x.view(), SimpleNamespace(done=0)  # a view, whose shape nobody else changes
        if len(x) != count:
            raise ValueError(f"x: expected {count} samples, got {len(x)}, as another thread changed its shape")

        def part(most: int) -> int:
            rows = slice(progress.done, progress.done + most)
            progress.done += most
            return int(self._forward(self._net, ffi.from_buffer(x[rows]), most, self._reals(y[rows])))

        self._in_parts(part, self._forward_pace, progress, count, count, "predict")

    def evaluate(self, x: Real, targets: Targets, *, sharing: bool = False, losses: Losses | None = None) -> Losses:
        """The losses, and how many samples have their largest output at the label; of losses without, how many outputs fit.

        With `sharing`, other threads get their turn meanwhile. With `losses`, these count on.
        """
        losses = Losses(self._kind) if losses is None else losses
        losses.begin()
        c_x, cells, count = ffi.from_buffer(x), self._point(losses.cells, targets, losses.outputs), len(x)
        progress = losses.progress

        def part(most: int) -> int:
            status = int(self._evaluate_part(self._net, c_x, cells.targets, count, most, progress, cells.loss))
            losses.take_right()
            return status

        unit, between = (1, _give_way) if sharing else (count, None)
        self._in_parts(part, self._forward_pace, progress, count, unit, "evaluate", between)
        return losses

    def _in_parts(
        self,
        part: Callable[[int], int],
        pace: Pace,
        progress: Any,
        count: int,
        unit: int,
        context: str,
        between: Callable[[], bool | None] | None = None,
        each: bool = False,
        whole: int = 1,
    ) -> None:
        """Calls part(most) until progress.done is `count` or between() returns True, which is called where the lock is free:
        after multiples of `unit`, with `each` after every one. Parts are multiples of `whole`, which divides `unit`."""
        while progress.done < count:
            with self.lock:
                end = min(count, progress.done + (1 if each else max(1, pace.samples // unit)) * unit)
                while progress.done < end:
                    most = max(pace.samples, whole) // whole * whole
                    pace.run(part, min(most, end - progress.done), context)
            if between is not None and between():
                return

    # ---- steps in slices ----

    def train_begin(self, x: Real, targets: Targets) -> None:
        self._begin("train", x, targets, None)

    def evaluate_begin(self, x: Real, targets: Targets) -> None:
        self._begin("evaluate", x, targets, None)

    def forward_begin(self, x: Real, y: Real) -> None:
        self._begin("forward", x, None, y)

    def _begin(self, kind: str, x: Real, targets: Targets | None, y: Real | None) -> None:
        cells = _new_cells(self._kind)
        step = _Step(kind, x, targets, y, cells, cells.loss, ffi.new("int32_t *"))
        if targets is not None:
            self._point(cells, targets)
        more = {"train": (), "evaluate": (step.correct,), "forward": ()}[kind]
        c_x = ffi.from_buffer(x)
        given = (c_x, cells.targets, len(x)) if y is None else (c_x, len(x), self._reals(y))
        with self.lock:
            if kind == "train":
                self._follow_schedule()
            check(self._kind.function(f"network_{kind}_begin")(self._net, *given, *more), f"{_BEGINS[kind]}_begin")
            self._step = step  # the core reads its arrays until the step is over

    def resume(self, budget_macs: int) -> _Step | None:
        """The step that was begun, when it is done; None: not yet."""
        with self.lock:
            step = self._step
            if step is None:
                raise RuntimeError("resume: no step was begun; train_begin, evaluate_begin or predict_begin begins one")
            status = self._kind.function("network_resume")(self._net, budget_macs, step.loss)
            if status == lib.CGE_AGAIN:
                return None
            if self._net.step.task == ffi.NULL:
                self._step = None
        if status:
            try:
                check(status, "resume")
            except NotFiniteError as error:
                raise StepNotFiniteError(str(error), step) from None
        return step

    def abort(self) -> None:
        with self.lock:
            if self._step is None:
                raise RuntimeError("abort: no step was begun")
            if self._kind.function("network_abort")(self._net) == lib.CGE_ERR_MODE:
                raise RuntimeError("abort: too late, weights have begun to change; resume() the step to its end")
            self._step = None

    def largest_slice(self) -> int:
        macs = ffi.new("int64_t *")
        with self.lock:
            check(self._kind.function("network_largest_slice")(self._net, macs), "largest_slice_macs")
        return int(macs[0])

    def accumulate(self, x: Real, targets: Targets) -> float:
        """Adds the samples' gradients to `grads`."""
        return self._mean_loss(self._accumulate, x, targets, len(x))

    def gradients(self, x: Real, targets: Targets, context: str) -> tuple[float, Real]:
        """Mean loss and the sums of the gradients of these samples alone. Running statistics are put back."""
        with self.lock:
            before = self.params.copy() if self.learns_by_batch else None
            try:
                loss, sums = self._fresh_gradients(x, targets, context)
                check(self._kind.function("network_zero_grads")(self._net), context)
            finally:
                if before is not None:
                    self.params[...] = before
        return loss, sums

    def step_with_gradients(self, x: Real, targets: Targets) -> tuple[float, Real | None]:
        """The same, and the step that follows; None where each sample is a step."""
        if self.grads.size == 0:
            return self.train_batch(x, targets), None
        with self.lock:
            found = self._fresh_gradients(x, targets, "training")
            check(self._kind.function("network_update")(self._net), "training")
        return found

    def _fresh_gradients(self, x: Real, targets: Targets, context: str) -> tuple[float, Real]:
        check(self._kind.function("network_zero_grads")(self._net), context)
        return self.accumulate(x, targets), self.grads.copy()

    def forget_steps(self) -> None:
        """The optimizer starts anew, with the parameters as they are."""
        params = self.params.copy()
        with self.lock:
            self.init_params(0)
            self.params[...] = params

    def update(self) -> None:
        with self.lock:
            self._follow_schedule()
            check(self._kind.function("network_update")(self._net), "update")

    def zero_grads(self) -> None:
        with self.lock:
            check(self._kind.function("network_zero_grads")(self._net), "zero_gradients")

    @property
    def pending(self) -> int:
        """Samples whose gradients wait for an update."""
        return int(self._net.pending)

    def clip_norm(self, most: float) -> float:
        norm = ffi.new(f"{self._kind.c_type} *")
        with self.lock:
            check(self._kind.function("network_clip_norm")(self._net, most, norm), "clip_gradient_norm")
        return float(norm[0])

    def clip_value(self, most: float) -> None:
        with self.lock:
            check(self._kind.function("network_clip_value")(self._net, most), "clip_gradient_value")

    def step_loss(self, x: Real, targets: Targets) -> float:
        """The mean loss as the next step finds it, whatever layers do in training alone."""
        check(self._kind.function("network_zero_grads")(self._net), "gradcheck")
        return self.accumulate(x, targets)

    def train_batch(self, x: Real, targets: Targets) -> float:
        return self._mean_loss(self._train_batch, x, targets, len(x))

    def train_labelled(self, x: Real, labels: Any, count: int) -> float:
        """train_batch with as little on the way as can be; ValueError also if x is not contiguous.

        Labels are int32 or a few int64. A copy: the core reads them without the GIL, and must not find others than it checked.
        """
        own, label_bytes = labels.tobytes(), labels.itemsize
        with self.lock:
            if self.schedule is not None:
                self._follow_schedule()
            cells = self._spare_cells.pop() if self._spare_cells else _new_cells(self._kind)
            c_loss = cells.loss
            status = self._train_labelled(self._net, from_buffer(x), own, label_bytes, count, c_loss)
            loss: float = c_loss[0]
            self._spare_cells.append(cells)
        if status:
            check(status, "training")
        return loss

    def is_short(self, samples: int) -> bool:
        """Whether their forward pass is known to be over soon enough for one call."""
        return bool(samples <= self._forward_pace.samples)

    def evaluate_labelled(self, x: Real, labels: Any, count: int) -> tuple[float, int]:
        """evaluate of a few samples likewise."""
        own, label_bytes = labels.tobytes(), labels.itemsize
        with self.lock:
            cells = self._spare_cells.pop() if self._spare_cells else _new_cells(self._kind)
            _, c_loss, _, c_correct = cells
            status = self._evaluate_labelled(self._net, from_buffer(x), own, label_bytes, count, c_loss, c_correct)
            loss, correct = c_loss[0], c_correct[0]
            self._spare_cells.append(cells)
        if status:
            check(status, "evaluate")
        return loss, correct

    def train_epoch(
        self,
        x: Real,
        targets: Targets,
        order: Labels | None,
        batch_size: int,
        report: Callable[[Losses], bool | None],
        clip: Clipping | None = None,
        losses: Losses | None = None,
        each: bool = False,
    ) -> Losses:
        """Calls report(the losses so far) from time to time, with `each` after every batch; then other threads get their turn.
        The epoch ends early if report returns True. With `losses`, these count on: an epoch in several calls.
        """
        losses = Losses(self._kind) if losses is None else losses
        losses.begin()
        c_x, cells, count = ffi.from_buffer(x), self._point(losses.cells, targets, losses.outputs), len(x)
        c_targets, c_order = cells.targets, _buffer(order, INT32_BUFFER)
        progress, loss = losses.progress, cells.loss

        def some(most: int) -> int:
            return int(self._train_epoch_part(self._net, c_x, c_targets, c_order, count, batch_size, most, progress, loss))

        def part(most: int) -> int:
            if clip is not None:
                return self._clipped_part(x, targets, order, batch_size, losses, progress.done + most, clip)
            if self.schedule is None:
                return some(most)
            end, status = progress.done + most, 0
            while status == lib.CGE_OK and progress.done < end:
                if progress.done % batch_size == 0:
                    self._follow_schedule()
                status = some(min(batch_size - progress.done % batch_size, end - progress.done))
            return status

        def between() -> bool | None:
            losses.take_right()
            ends = report(losses)
            _give_way()
            return ends

        whole = batch_size if self.learns_by_batch else 1
        self._in_parts(part, self._train_pace, progress, count, batch_size, "training", between, each, whole)
        return losses

    def _clipped_part(
        self,
        x: Real,
        targets: Targets,
        order: Labels | None,
        batch_size: int,
        losses: Losses,
        end: int,
        clip: Clipping,
    ) -> int:
        """Samples progress.done .. end - 1 of an epoch, by accumulate, clip and update. The caller holds the lock."""
        cells = _new_cells(self._kind)
        status, begin, total = 0, losses.progress.done, 0.0
        while not status and begin < end:
            if begin % batch_size == 0:
                self._follow_schedule()
                status = self._kind.function("network_zero_grads")(self._net)
            stop = min(begin + batch_size - begin % batch_size, end)
            chosen = slice(begin, stop) if order is None else order[begin:stop]
            some, theirs = (
                np.ascontiguousarray(x[chosen]),
                Targets(*(None if part is None else part[chosen] for part in targets)),
            )
            c_targets = self._point(cells, theirs, losses.outputs).targets
            status = status or self._accumulate(self._net, ffi.from_buffer(some), c_targets, stop - begin, cells.loss)
            total += cells.loss[0] * (stop - begin)
            if not status and (stop % batch_size == 0 or stop == len(x)):
                status = self._clip(clip) or self._kind.function("network_update")(self._net)
            begin = stop
        if not status:
            losses.progress.done = begin
            losses.clipped += total
        return int(status)

    def _clip(self, clip: Clipping) -> int:
        norm, status = ffi.new(f"{self._kind.c_type} *"), 0
        if clip.value is not None:
            status = self._kind.function("network_clip_value")(self._net, clip.value)
        if clip.norm is not None and not status:
            status = self._kind.function("network_clip_norm")(self._net, clip.norm, norm)
        return int(status)

    def _mean_loss(self, function: Any, x: Real, targets: Targets, *arguments: Any) -> float:
        with self.lock:
            self._follow_schedule()
            cells = self._cells(targets)
            status = function(self._net, ffi.from_buffer(x), cells.targets, *arguments, cells.loss)
            loss: float = cells.loss[0]
            self._spare_cells.append(cells)
        check(status, "training")
        return loss

    def _cells(self, targets: Targets) -> _Cells:
        """Cells of the caller's own, pointing to these arrays. Their values may change, but for labels, by which C indexes."""
        cells = self._spare_cells.pop() if self._spare_cells else _new_cells(self._kind)
        return self._point(cells, targets)

    def save(self) -> bytes:
        """The network as cge_network_save writes it; single precision only."""
        size, used = ffi.new("size_t *"), ffi.new("size_t *")
        with self.lock:
            check(self._kind.function("network_saved_bytes")(self._net, size), "save")
            buffer = ffi.new("unsigned char[]", size[0])
            check(self._kind.function("network_save")(self._net, buffer, size[0], used), "save")
        return bytes(ffi.buffer(buffer, used[0]))

    def restore(self, data: bytes, context: str) -> None:
        with self.lock:
            check(self._kind.function("network_restore")(self._net, data, len(data)), context)

    def _reals(self, values: Real) -> Any:
        return ffi.from_buffer(self._kind.buffer_type, values)

    def _point(self, cells: _Cells, targets: Targets, output_losses: Any = None) -> _Cells:
        """The cells, whose cge_targets points to these arrays; the caller holds them."""
        c_targets, c_weights, weights = cells.targets, cells.weights, targets.weights
        c_targets.labels = _buffer(targets.labels, INT32_BUFFER)
        c_targets.values = _buffer(targets.values, self._kind.buffer_type)
        if weights is None and output_losses is None:
            c_targets.weights = ffi.NULL
            return cells
        apart = self._model.c.output_count > 0 if weights is None else weights.ndim == 2
        c_weights.kind = self._kind.constant("weighted_outputs" if apart else "weighted")
        c_weights.samples = _buffer(weights, self._kind.buffer_type)
        c_weights.losses = ffi.NULL if output_losses is None else output_losses
        c_targets.weights = c_weights
        return cells


# ---- forked processes --------------------------------------------------------------------------------------------------
#
# A child process has the thread that forked and no other. A fork waits until no other thread is at work on a network, so
# that the child's networks are whole and nobody who is not there holds their locks.

_runtimes: weakref.WeakValueDictionary[int, Runtime] = weakref.WeakValueDictionary()
_taken: set[Runtime] = set()
_fork_lock = threading.RLock()  # one fork at a time, as they take the locks in any order


def _alive() -> set[Runtime]:
    return {runtime for reference in _runtimes.valuerefs() if (runtime := reference()) is not None}


def _before_fork() -> None:
    _fork_lock.acquire()
    while not_taken := _alive() - _taken:  # again, as networks may be made meanwhile
        for runtime in not_taken:
            runtime.lock.acquire()
            _taken.add(runtime)


def _after_fork_in_parent() -> None:
    for runtime in _taken:
        runtime.lock.release()
    _taken.clear()
    _fork_lock.release()


def _after_fork_in_child() -> None:
    global _fork_lock
    _fork_lock = threading.RLock()
    _taken.clear()
    for runtime in _alive():
        runtime.lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
