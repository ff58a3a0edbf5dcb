"""Layers and the optimizer as plain descriptions. A Network turns them into rows of the C core's tables, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Callable, ClassVar, NamedTuple

import numpy as np

from convgrad_embedded import _arrays, _core
from convgrad_embedded._arrays import Padding, Pair

# ---- an attribute of a layer <-> members of the C struct -------------------------------------------------------------


class _Attribute(NamedTuple):
    encode: Callable[[str, Any], dict[str, Any]]  # attribute's name and value, checked here
    decode: Callable[[Mapping[str, Any]], Any]


def _in_c(encode: Callable[[str, Any], dict[str, Any]], decode: Callable[[Mapping[str, Any]], Any]) -> dict[str, _Attribute]:
    return {"c": _Attribute(encode, decode)}


def _count(member: str) -> dict[str, _Attribute]:
    return _in_c(lambda name, value: {member: _arrays.integer(name, value, 1)}, lambda c: c[member] or 1)


def _two(member: str, c_default: int | None) -> dict[str, _Attribute]:
    """(h, w); `c_default` is what zero means in C, None if it means the Python value None."""

    def encode(name: str, value: Any) -> dict[str, Any]:
        h, w = (0, 0) if value is None and c_default is None else _arrays.pair(name, value)
        return {f"{member}_h": h, f"{member}_w": w}

    def decode(c: Mapping[str, Any]) -> Any:
        return _simplest(c[f"{member}_h"] or c_default, c[f"{member}_w"] or c_default)

    return _in_c(encode, decode)


def _flag(bit: int, if_set: bool) -> dict[str, _Attribute]:
    """A bool that is `if_set` where the bit is set."""

    def encode(name: str, value: Any) -> dict[str, Any]:
        if not isinstance(value, (bool, np.bool_)):
            raise TypeError(f"{name}: expected True or False, got {_arrays.describe(value)}")
        return {"flags": bit if value == if_set else 0}

    return _in_c(encode, lambda c: bool(c["flags"] & bit) == if_set)


def _encode_init(name: str, value: Any) -> dict[str, Any]:
    return {"init": _core.INITS.index(_arrays.choice(name, value, _core.INITS))}


def _encode_padding(name: str, value: Any) -> dict[str, Any]:
    return _arrays.padding(value, 1, 1, 1, 1)  # "same" depends on what comes in: see Layer.c_members


def _decode_padding(c: Mapping[str, Any]) -> Padding:
    top, bottom, left, right = (c[f"pad_{side}"] for side in ("top", "bottom", "left", "right"))
    symmetric: Padding = _simplest(top, left)
    return symmetric if (top, left) == (bottom, right) else ((top, bottom), (left, right))


def _simplest(h: Any, w: Any) -> Any:
    return h if h == w else (h, w)


def shortest(value: float) -> float:
    """A float32 as the shortest decimal that means it: 0.05 rather than 0.05000000074505806."""
    return float(str(np.float32(value)))


_PADDING = _in_c(_encode_padding, _decode_padding)
_INIT = _in_c(_encode_init, lambda c: _core.INITS[c["init"]])
_ALPHA = _in_c(lambda name, value: {"alpha": _arrays.number(name, value)}, lambda c: shortest(c["alpha"]))
_USE_BIAS = _flag(_core.NO_BIAS, if_set=False)
_FROZEN = _flag(_core.FROZEN, if_set=True)


class _Described:
    """repr as a user would write it: required arguments first, then those that are not at their default."""

    def __repr__(self) -> str:
        values = ((f, getattr(self, f.name)) for f in fields(self))  # type: ignore[arg-type]
        given = (repr(v) if f.default is MISSING else f"{f.name}={v!r}" for f, v in values if v != f.default)
        return f"{type(self).__name__}({', '.join(given)})"


# ---- layers ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class Layer(_Described):
    """A layer's description: immutable, comparable, and free to be used in several networks."""

    kind: ClassVar[str]  # cge_kind_<kind>

    def __post_init__(self) -> None:
        try:
            self.c_members((1, 1))
        except (TypeError, ValueError) as error:
            raise type(error)(f"{type(self).__name__}: {error}") from None

    def c_members(self, in_size: tuple[int, int]) -> dict[str, Any]:
        """The members of cge_layer, but for its kind, behind an input of `in_size`."""
        members: dict[str, Any] = {"flags": 0}
        for f in fields(self):
            encoded = f.metadata["c"].encode(f.name, getattr(self, f.name))
            encoded["flags"] = members["flags"] | encoded.get("flags", 0)
            members.update(encoded)
        if getattr(self, "padding", 0) == "same":
            kernel, stride, dilation = (
                (members.get(f"{name}_h") or default[0], members.get(f"{name}_w") or default[1])
                for name, default in (
                    ("kernel", (1, 1)),
                    ("stride", (members["kernel_h"], members["kernel_w"])),
                    ("dilation", (1, 1)),
                )
            )
            members.update(_arrays.padding("same", in_size, kernel, stride, dilation))
        return members


@dataclass(frozen=True, repr=False)
class Conv2d(Layer):
    """Convolution (cross-correlation) with weights (KH, KW, C / groups, filters).

    padding: int, (h, w), ((top, bottom), (left, right)) or "same". init: "he_uniform", "he_normal", "glorot_uniform" or
    "glorot_normal". A frozen layer keeps its parameters and costs no memory or time in training.
    """

    kind = "conv2d"
    filters: int = field(metadata=_count("units"))
    kernel_size: Pair = field(metadata=_two("kernel", None))
    stride: Pair = field(default=1, metadata=_two("stride", 1))
    padding: Padding = field(default=0, metadata=_PADDING)
    dilation: Pair = field(default=1, metadata=_two("dilation", 1))
    groups: int = field(default=1, metadata=_count("groups"))
    use_bias: bool = field(default=True, metadata=_USE_BIAS)
    init: str = field(default="he_uniform", metadata=_INIT)
    frozen: bool = field(default=False, metadata=_FROZEN)


@dataclass(frozen=True, repr=False)
class Dense(Layer):
    """Fully connected, weights (in, units); takes any input shape, flattened."""

    kind = "dense"
    units: int = field(metadata=_count("units"))
    use_bias: bool = field(default=True, metadata=_USE_BIAS)
    init: str = field(default="he_uniform", metadata=_INIT)
    frozen: bool = field(default=False, metadata=_FROZEN)


@dataclass(frozen=True, repr=False)
class MaxPool2d(Layer):
    """The largest value of each window; stride None means the window's size."""

    kind = "maxpool2d"
    pool_size: Pair = field(default=2, metadata=_two("kernel", None))
    stride: Pair | None = field(default=None, metadata=_two("stride", None))
    padding: Padding = field(default=0, metadata=_PADDING)


@dataclass(frozen=True, repr=False)
class AvgPool2d(Layer):
    """The mean of each window, padding not counted; stride None means the window's size."""

    kind = "avgpool2d"
    pool_size: Pair = field(default=2, metadata=_two("kernel", None))
    stride: Pair | None = field(default=None, metadata=_two("stride", None))
    padding: Padding = field(default=0, metadata=_PADDING)


class GlobalAvgPool2d(Layer):
    """The mean over rows and columns of each channel."""

    kind = "global_avgpool2d"


class ReLU(Layer):
    """max(x, 0)."""

    kind = "relu"


@dataclass(frozen=True, repr=False)
class LeakyReLU(Layer):
    """x for x >= 0, otherwise alpha x."""

    kind = "leaky_relu"
    alpha: float = field(default=0.01, metadata=_ALPHA)


class Sigmoid(Layer):
    """1 / (1 + exp(-x))."""

    kind = "sigmoid"


class Tanh(Layer):
    """tanh(x)."""

    kind = "tanh"


class Flatten(Layer):
    """(H, W, C) to (H * W * C,): costs nothing."""

    kind = "flatten"


LAYERS: dict[str, type[Layer]] = {
    layer.kind: layer
    for layer in (Conv2d, Dense, MaxPool2d, AvgPool2d, GlobalAvgPool2d, ReLU, LeakyReLU, Sigmoid, Tanh, Flatten)
}  # fmt: skip


def decode_layer(kind: str, members: Mapping[str, Any]) -> Layer:
    """The layer that a row of a saved table describes."""
    cls = LAYERS[kind]
    return cls(**{f.name: f.metadata["c"].decode(members) for f in fields(cls)})


# ---- the optimizer ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class SGD(_Described):
    """Stochastic gradient descent, in PyTorch's form: g += weight_decay w;  v = momentum v + g;  w -= learning_rate v.

    With nesterov, w -= learning_rate (g + momentum v). Momentum costs one number of memory per trainable parameter.
    """

    learning_rate: float = 0.01
    momentum: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        try:
            _arrays.number("learning_rate", self.learning_rate)
            _arrays.number("momentum", self.momentum, below=1.0)
            _arrays.number("weight_decay", self.weight_decay)
            if self.nesterov and not self.momentum:
                raise ValueError("nesterov: expected momentum > 0 with it, got momentum 0")
        except (TypeError, ValueError) as error:
            raise type(error)(f"SGD: {error}") from None

    def c_members(self) -> _core.Optimizer:
        return _core.Optimizer(self.learning_rate, self.momentum, self.weight_decay, int(self.nesterov))


def decode_optimizer(c: _core.Optimizer) -> SGD:
    return SGD(shortest(c.learning_rate), shortest(c.momentum), shortest(c.weight_decay), bool(c.nesterov))
