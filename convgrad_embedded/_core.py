"""The one module that touches the compiled part.

Everything above it speaks NumPy arrays, tuples and names; everything below it is the C core (csrc/include/cge.h).
cffi releases the GIL during each call. Arrays that arrive here are checked already (see _arrays.py): C-contiguous,
aligned, of the precision's dtype.
"""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Union

import numpy as np
from numpy.typing import NDArray

from convgrad_embedded._native import ffi, lib

Real = NDArray[Any]  # float32 or float64
Labels = NDArray[np.int32]
Shape = tuple[int, int, int]
Operand = tuple[Union[Real, Labels, None], bool]  # an array, and whether each sample has a part of its own

VERSION = f"{lib.CGE_VERSION_MAJOR}.{lib.CGE_VERSION_MINOR}.{lib.CGE_VERSION_PATCH}"
EXPORT_VERSION: int = lib.CGE_EXPORT_VERSION
MAX_ELEMS: int = lib.CGE_MAX_ELEMS
MAX_THREADS: int = lib.CGE_MAX_THREADS
FROZEN: int = lib.CGE_FROZEN
NO_BIAS: int = lib.CGE_NO_BIAS
INITS: tuple[str, ...] = ("he_uniform", "he_normal", "glorot_uniform", "glorot_normal")  # in the order of cge_init

# Names as Python users write them; the C names are cge_kind_<kind>, cge_<loss>, cge_<optimizer>.
KINDS = (
    "conv2d", "dense", "maxpool2d", "avgpool2d", "global_avgpool2d", "relu", "leaky_relu", "sigmoid", "tanh", "flatten",
)  # fmt: skip
LOSSES = ("softmax_cross_entropy", "mean_squared_error")


def kernel_set() -> str:
    """The C kernels at work: "ref", "small", "tiled", "lanes", "lanes_avx2" or "lanes_avx512".

    The best that this CPU runs, or what the environment variable CGE_KERNELS named when the first of them ran. All give
    the same bits.
    """
    return str(ffi.string(lib.cge_kernel_set_name()).decode())


_INT32_BUFFER = ffi.typeof("int32_t[]")


class NotFiniteError(FloatingPointError):
    """A loss or a gradient is NaN or infinite; the weights and the optimizer are as they were before that step."""


def check(status: int, context: str) -> None:
    """The one place where a status becomes an exception."""
    if not status:  # CGE_OK
        return
    text = ffi.string(lib.cge_status_text(status)).decode()
    error = NotFiniteError if status == lib.CGE_ERR_NOT_FINITE else ValueError
    raise error(f"{context}: {text}")


class Precision:
    """One of the two instances of the core: its number type and how its functions are named."""

    def __init__(self, dtype: type, operator_suffix: str, suffix: str) -> None:
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self.operator_suffix = operator_suffix
        self.suffix = suffix
        self.c_type = "float" if dtype is np.float32 else "double"
        self.buffer_type = ffi.typeof(f"{self.c_type}[]")

    def batch(self, operator: str) -> Any:
        return getattr(lib, f"cge_{operator}{self.operator_suffix}_batch")

    def function(self, name: str) -> Any:
        return getattr(lib, f"cge_{name}{self.suffix}")

    def constant(self, name: str) -> Any:
        return getattr(lib, f"cge_{name}{self.suffix}_address")

    def new(self, struct: str, fields: Mapping[str, Any] | None = None) -> Any:
        return ffi.new(f"cge_{struct}{self.suffix} *", fields)


FLOAT32 = Precision(np.float32, "_f32", "")
FLOAT64 = Precision(np.float64, "_f64", "_f64")


def precision(dtype: np.dtype[Any]) -> Precision:
    return FLOAT32 if dtype == np.float32 else FLOAT64


def _buffer(array: Any, kind: Any) -> Any:
    return ffi.NULL if array is None else ffi.from_buffer(kind, array)


# ---- operators on single layers --------------------------------------------------------------------------------------


def geometry(operator: str, fields: Mapping[str, int]) -> tuple[Any, Shape]:
    """A cge_conv2d or cge_pool2d and the output shape that follows from it."""
    g, out = ffi.new(f"cge_{operator} *", fields), ffi.new("cge_shape *")
    check(getattr(lib, f"cge_{operator}_output_shape")(g, out), f"{operator} with {_described(fields)}")
    return g, _shape(out)


def run(operator: str, dtype: np.dtype[Any], count: int, head: Sequence[Any], *operands: Operand) -> None:
    """The operator for `count` samples in one C call; `head` is what comes before the arrays: a geometry or sizes."""
    kind = precision(dtype)
    arguments = list(head)
    for array, per_sample in operands:
        if array is not None and array.dtype == np.int32:
            arguments.append(ffi.from_buffer(_INT32_BUFFER, array))
        else:
            step = array.size // count if per_sample and array is not None else 0
            arguments += [_buffer(array, kind.buffer_type), step]
    check(kind.batch(operator)(count, *arguments), operator)


def _described(fields: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {value}" for name, value in fields.items())


def _shape(c_shape: Any) -> Shape:
    return c_shape.h, c_shape.w, c_shape.c


# ---- random order ----------------------------------------------------------------------------------------------------


class Rng:
    """The core's generator, for the order of samples: the same stream on every target."""

    def __init__(self, seed: int) -> None:
        self._rng = ffi.new("cge_rng *")
        check(lib.cge_rng_seed(self._rng, seed), "seed")

    def permutation(self, count: int) -> Labels:
        """0 .. count - 1, shuffled by cge_rng_shuffle."""
        order = np.arange(count, dtype=np.int32)
        check(lib.cge_rng_shuffle(self._rng, ffi.from_buffer(_INT32_BUFFER, order), count), "shuffle")
        return order


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


_WEIGHT_RANK = {"conv2d": 4, "dense": 2}


class Optimizer(NamedTuple):
    """cge_optimizer without its kind."""

    learning_rate: float
    momentum: float
    weight_decay: float
    nesterov: int


class Model:
    """A cge_model and the table of layers that it points to."""

    def __init__(
        self, kind: Precision, input_shape: Shape, layer_count: int, loss: str | None, optimizer: Optimizer | None
    ) -> None:
        self.kind = kind
        self.infos: list[LayerInfo] = []
        self._layers = ffi.new(f"cge_layer{kind.suffix}[]", layer_count)
        self.c = kind.new("model", {"input": input_shape, "layers": self._layers, "layer_count": layer_count})
        if loss is not None:
            self.c.loss = kind.constant(loss)
        if optimizer is not None:
            self.c.optimizer = dict(optimizer._asdict(), kind=kind.constant("sgd"))

    def add_layer(self, name: str, members: Mapping[str, Any], context: str) -> LayerInfo:
        """Fills in the next row of the table and tells what becomes of it."""
        index = len(self.infos)
        self._layers[index] = dict(members, kind=self.kind.constant(f"kind_{name}"))
        info = ffi.new("cge_layer_info *")
        check(self.kind.function("model_layer_info")(self.c, index, info), context)
        self.infos.append(
            LayerInfo(
                in_shape=_shape(getattr(info, "in")),
                out_shape=_shape(info.out),
                weight_shape=tuple(info.weight_shape)[: _WEIGHT_RANK.get(name, 0)],
                bias_elems=info.bias_elems,
                macs=info.macs,
            )
        )
        return self.infos[-1]

    def arena_bytes(self, *, training: bool, params_outside: bool = False) -> int:
        """For one sample at a time, as firmware runs it."""
        return _arena_bytes(self, _options(self.kind, training, 1, params_outside))

    def capacity_within(self, limit_bytes: int, most: int, *, training: bool) -> int:
        """The largest number of samples at once, up to `most`, whose arena stays below the limit; 1 in any case."""
        one, two = (_arena_bytes(self, _options(self.kind, training, capacity)) for capacity in (1, 2))
        return max(1, min(most, 1 + (limit_bytes - one) // (two - one)))


def _options(kind: Precision, training: bool, capacity: int, params_outside: bool = False) -> Any:
    options = kind.new("options", {"training": training, "capacity": capacity})
    if params_outside:
        options.params = ffi.cast(ffi.typeof(options.params), options)  # a size query asks only whether it is NULL
    return options


def _arena_bytes(model: Model, options: Any) -> int:
    size = ffi.new("size_t *")
    check(model.kind.function("network_arena_bytes")(model.c, options, size), "network")
    return int(size[0])


class ParsedModel(NamedTuple):
    input_shape: Shape
    layers: list[tuple[str, dict[str, Any]]]  # kind, members
    loss: str | None
    optimizer: Optimizer | None


_LAYER_MEMBERS = [name for name, _ in ffi.typeof("cge_layer").fields if name != "kind"]


def table_bytes(layer_count: int) -> int:
    """Of the constants that describe a network on a board, where a pointer takes 4 bytes as every other member does."""
    return 4 * (_member_count(ffi.typeof("cge_model")) + layer_count * _member_count(ffi.typeof("cge_layer")))


def _member_count(c_type: Any) -> int:
    return sum(_member_count(member.type) if member.type.kind == "struct" else 1 for _, member in c_type.fields)


def parse_model(data: bytes, context: str) -> ParsedModel:
    """The model part of what cge_network_save wrote."""
    max_layers = len(data) // 32 + 1  # a layer takes twice that in the file
    layers = ffi.new("cge_layer[]", max_layers)
    model = ffi.new("cge_model *")
    catalog = lib.cge_catalog_all_address
    check(lib.cge_model_parse(data, len(data), catalog, layers, max_layers, model), context)
    optimizer = model.optimizer
    return ParsedModel(
        input_shape=_shape(model.input),
        layers=[
            (_name(layer.kind, KINDS, "kind_"), {field: getattr(layer, field) for field in _LAYER_MEMBERS})
            for layer in layers[0 : model.layer_count]
        ],
        loss=None if model.loss == ffi.NULL else _name(model.loss, LOSSES, ""),
        optimizer=None if optimizer.kind == ffi.NULL else Optimizer(*(getattr(optimizer, name) for name in Optimizer._fields)),
    )


def _name(address: Any, names: Sequence[str], prefix: str) -> str:
    return next(name for name in names if FLOAT32.constant(prefix + name) == address)


class Targets(NamedTuple):
    labels: Labels | None
    values: Real | None


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


class Runtime:
    """A cge_network and its arena. A lock keeps threads apart, since calls run without the GIL.

    With `threads` > 1 the work of a call is shared; in a forked process, which has no such threads, the core leaves it to
    the caller's.
    """

    def __init__(self, model: Model, *, training: bool, capacity: int, threads: int = 1) -> None:
        kind = model.kind
        options = _options(kind, training, capacity)
        self._pool = None
        if threads > 1:
            self._pool = ThreadPool(threads)
            options.executor = self._pool.executor
        size = _arena_bytes(model, options)
        self._kind = kind
        self._model = model  # the network points to it
        self._arena = np.zeros((size + 7) // 8, np.uint64)  # 8-byte aligned
        self._net = kind.new("network")
        self.lock = threading.Lock()
        check(kind.function("network_init")(self._net, model.c, options, ffi.from_buffer(self._arena), size), "network")
        self._forward, self._evaluate, self._accumulate, self._train_batch, self._train_epoch = (
            kind.function(f"network_{name}") for name in ("forward", "evaluate", "accumulate", "train_batch", "train_epoch")
        )
        self._loss = ffi.new(f"{kind.c_type} *")
        self._correct = ffi.new("int32_t *")
        self._targets = kind.new("targets")
        self.params = self._view(self._net.params, self._net.param_elems)
        self.grads = self._view(self._net.grads, self._net.grad_elems)

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
        return Optimizer(*(getattr(self._net.optimizer, name) for name in Optimizer._fields))

    def set_learning_rate(self, value: float) -> None:
        with self.lock:
            self._net.optimizer.learning_rate = value

    def init_params(self, seed: int) -> None:
        with self.lock:
            check(self._kind.function("network_init_params")(self._net, seed), "seed")

    def params_hash(self) -> int:
        value = ffi.new("uint64_t *")
        with self.lock:
            check(self._kind.function("network_params_hash")(self._net, value), "hash")
        return int(value[0])

    def forward(self, x: Real, y: Real) -> None:
        with self.lock:
            status = self._forward(self._net, self._reals(x), len(x), self._reals(y))
        check(status, "predict")

    def evaluate(self, x: Real, targets: Targets) -> tuple[float, int]:
        """Mean loss, and how many samples have their largest output at the label."""
        with self.lock:
            status = self._evaluate(self._net, self._reals(x), self._set(targets), len(x), self._loss, self._correct)
            result = self._loss[0], self._correct[0]
        check(status, "evaluate")
        return result

    def accumulate(self, x: Real, targets: Targets) -> float:
        """Adds the samples' gradients to `grads`."""
        return self._mean_loss(self._accumulate, x, targets)

    def train_batch(self, x: Real, targets: Targets) -> float:
        return self._mean_loss(self._train_batch, x, targets)

    def train_labelled(self, x: Real, labels: Labels) -> float:
        """train_batch with as little on the way as can be. ValueError also if an array is not contiguous."""
        with self.lock:
            self._targets.labels = ffi.from_buffer(_INT32_BUFFER, labels)
            status = self._train_batch(self._net, ffi.from_buffer(self._kind.buffer_type, x), self._targets, len(x), self._loss)
            loss: float = self._loss[0]
        check(status, "training")
        return loss

    def train_epoch(self, x: Real, targets: Targets, order: Labels | None, batch_size: int) -> float:
        c_order = _buffer(order, _INT32_BUFFER)
        with self.lock:
            status = self._train_epoch(self._net, self._reals(x), self._set(targets), c_order, len(x), batch_size, self._loss)
            loss: float = self._loss[0]
        check(status, "training")
        return loss

    def _mean_loss(self, function: Any, x: Real, targets: Targets) -> float:
        with self.lock:
            status = function(self._net, self._reals(x), self._set(targets), len(x), self._loss)
            loss: float = self._loss[0]
        check(status, "training")
        return loss

    def save(self) -> bytes:
        """The network as cge_network_save writes it; single precision only."""
        size, used = ffi.new("size_t *"), ffi.new("size_t *")
        with self.lock:
            check(lib.cge_network_saved_bytes(self._net, size), "save")
            buffer = ffi.new("unsigned char[]", size[0])
            check(lib.cge_network_save(self._net, buffer, size[0], used), "save")
        return bytes(ffi.buffer(buffer, used[0]))

    def restore(self, data: bytes, context: str) -> None:
        with self.lock:
            check(lib.cge_network_restore(self._net, data, len(data)), context)

    def _reals(self, array: Real) -> Any:
        return ffi.from_buffer(self._kind.buffer_type, array)

    def _set(self, targets: Targets) -> Any:
        """The one cge_targets, pointing to these arrays; the caller holds the lock, and the arrays."""
        self._targets.labels = _buffer(targets.labels, _INT32_BUFFER)
        self._targets.values = _buffer(targets.values, self._kind.buffer_type)
        return self._targets
