"""Layers as plain descriptions. A Network turns them into rows of the C core's tables, and back."""

from __future__ import annotations

import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, FrozenInstanceError, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Callable, ClassVar, Literal, NamedTuple, NoReturn, TypeVar, Union

import numpy as np

from convgrad_embedded import _arguments, _arrays, _c_model, _core, _graph, _names
from convgrad_embedded._arrays import Padding, Pair
from convgrad_embedded._graph import Tensor

# ---- an attribute of a layer <-> members of the C structs ------------------------------------------------------------


class _Attribute(NamedTuple):
    encode: Callable[[str, Any], dict[str, Any]]  # attribute's name and value, checked here
    decode: Callable[[Mapping[str, Any]], Any]


def _in_c(encode: Callable[[str, Any], dict[str, Any]], decode: Callable[[Mapping[str, Any]], Any]) -> dict[str, _Attribute]:
    return {"c": _Attribute(encode, decode)}


def _count(member: str) -> dict[str, _Attribute]:
    return _in_c(lambda name, value: {member: _arrays.integer(name, value, 1)}, lambda c: c[member] or 1)


def _two(member: str, c_default: int | None) -> dict[str, _Attribute]:
    """(h, w); `c_default` is what zero means in C, None if that is the kernel's size (both zero: the Python value None)."""

    def encode(name: str, value: Any) -> dict[str, Any]:
        h, w = (0, 0) if value is None and c_default is None else _arrays.pair(name, value)
        return {f"{member}_h": h, f"{member}_w": w}

    def decode(c: Mapping[str, Any]) -> Any:
        h, w = c[f"{member}_h"], c[f"{member}_w"]
        if h == w == 0:
            return c_default
        default_h, default_w = (c["kernel_h"], c["kernel_w"]) if c_default is None else (c_default, c_default)
        return _simplest(h or default_h, w or default_w)

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
    return _arrays.padding(value, 1, 1, 1, 1)  # "same" depends on what comes in: see Layer.c_row


_UpsampleMode = Literal["nearest", "bilinear"]
_UPSAMPLE_MODES: tuple[_UpsampleMode, ...] = ("nearest", "bilinear")


def _encode_pads(name: str, value: Any) -> dict[str, Any]:
    """As padding, without its words."""
    if isinstance(value, (tuple, list)) and len(value) == 2 and any(isinstance(axis, (tuple, list)) for axis in value):
        (top, bottom), (left, right) = (_arrays.pair(f"{name}[{axis}]", value[axis], 0) for axis in (0, 1))
    else:
        (top, left) = (bottom, right) = _arrays.pair(name, value, 0)
    return {"pad_top": top, "pad_left": left, "pad_bottom": bottom, "pad_right": right}


def _decode_padding(c: Mapping[str, Any]) -> Padding:
    top, bottom, left, right = (c[f"pad_{side}"] for side in ("top", "bottom", "left", "right"))
    symmetric: Padding = _simplest(top, left)
    return symmetric if (top, left) == (bottom, right) else ((top, bottom), (left, right))


def ceil_padding(size: int, kernel: int, stride: int, before: int, after: int) -> int:
    """`after`, or more, so that a last window is there that begins inside, as PyTorch's ceil_mode has it."""
    windows = -(-(size + before + after - kernel) // stride) + 1
    if (windows - 1) * stride >= size + before:
        windows -= 1
    return max(after, (windows - 1) * stride + kernel - size - before) if size + before + after >= kernel else after


def _simplest(h: Any, w: Any) -> Any:
    return h if h == w else (h, w)


def shortest(value: float) -> float:
    """A float32 as the shortest decimal that means it: 0.05 rather than 0.05000000074505806."""
    return float(str(np.float32(value)))


_PADDING = _in_c(_encode_padding, _decode_padding)
_COUNT_PADDING = _in_c(
    lambda name, value: {"count_padding": int(_arrays.boolean(name, value))}, lambda c: bool(c["count_padding"])
)
_OUTPUT_PADDING = _in_c(
    lambda name, value: dict(zip(("output_pad_h", "output_pad_w"), _arrays.pair(name, value, 0))),
    lambda c: _simplest(c["output_pad_h"], c["output_pad_w"]),
)
_CEIL_MODE = _in_c(lambda name, value: {"flags": 0 * _arrays.boolean(name, value)}, lambda c: False)  # it becomes paddings
_BEGIN = _in_c(lambda name, value: {"begin": _arrays.integer(name, value, 0)}, lambda c: int(c["begin"]))
_PADS = _in_c(_encode_pads, _decode_padding)
_MODE = _in_c(
    lambda name, value: {"bilinear": _UPSAMPLE_MODES.index(_arrays.choice(name, value, _UPSAMPLE_MODES))},
    lambda c: _UPSAMPLE_MODES[c["bilinear"]],
)
_INIT = _in_c(_encode_init, lambda c: _core.INITS[c["init"]])
_ALPHA = _in_c(lambda name, value: {"alpha": _arrays.number(name, value)}, lambda c: shortest(c["alpha"]))
_USE_BIAS = _flag(_core.NO_BIAS, if_set=False)
_AFFINE = _flag(_core.NO_AFFINE, if_set=False)
_MOMENTUM = _in_c(
    lambda name, value: {"momentum": _arrays.positive(name, _arrays.share(name, value))},
    lambda c: shortest(c["momentum"] or 0.1),
)
_EPS = _in_c(lambda name, value: {"eps": _arrays.positive(name, value)}, lambda c: shortest(c["eps"] or 1e-5))


# ---- what learns ------------------------------------------------------------------------------------------------------

# True, False, "bias", or n > 0: the weights of the first n input channels, and the biases
Trainable = Union[bool, Literal["bias"], int]
_TRAINABLE_TEXT = 'True, False, "bias" or a number of input channels'


def _checked_trainable(value: Any) -> Trainable:
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, str):
        if value != "bias":
            raise ValueError(f"trainable: expected {_TRAINABLE_TEXT}, got {value!r}")
        return "bias"
    if not isinstance(value, (int, np.integer)):
        raise TypeError(f"trainable: expected {_TRAINABLE_TEXT}, got {_arrays.describe(value)}")
    if not 1 <= value <= _core.MAX_ELEMS:
        raise ValueError(f"trainable: expected {_TRAINABLE_TEXT}, at least 1, got {_arrays.shown(value)}")
    return int(value)


def _encode_trainable(name: str, value: Any) -> dict[str, Any]:
    value = _checked_trainable(value)
    if isinstance(value, bool):
        return {"trains": _core.TRAINS_ALL, "flags": 0 if value else _core.FROZEN}
    return {"trains": _core.TRAINS_BIAS if value == "bias" else value}


def _decode_trainable(c: Mapping[str, Any]) -> Trainable:
    if c["trains"] == _core.TRAINS_ALL:
        return not c["flags"] & _core.FROZEN
    return "bias" if c["trains"] == _core.TRAINS_BIAS else int(c["trains"])


_TRAINABLE = _in_c(_encode_trainable, _decode_trainable)

_MOST_FACTOR = 65536


def encoded_factor(name: str, value: Any) -> float:
    """As rows have it: 0 means 1."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name}: expected a number, got {_arrays.describe(value)}")
    exact: Any = value
    factor = float(exact) if abs(exact) <= _MOST_FACTOR else 0.0
    if not np.float32(factor) > 0:
        hint = "; trainable=False is a layer that does not learn" if value == 0 else ""
        raise ValueError(f"{name}: expected a number above 0, at most {_MOST_FACTOR}, got {_arrays.shown(value)}{hint}")
    return 0.0 if factor == 1 else factor


_FACTOR = _in_c(lambda name, value: {name: encoded_factor(name, value)}, lambda c: shortest(c["learning_rate_factor"] or 1.0))


def _without_frozen(named: dict[str, Any]) -> dict[str, Any]:
    """The argument `frozen`, True or False, as what it means for `trainable`."""
    frozen = named["frozen"]
    if not isinstance(frozen, (bool, np.bool_)):
        raise TypeError(f"frozen: expected True or False, got {_arrays.describe(frozen)}")
    rest = {name: value for name, value in named.items() if name != "frozen"}
    trainable = _checked_trainable(rest.setdefault("trainable", not frozen))
    if bool(frozen) != (trainable is False):
        raise ValueError(f"frozen: expected what trainable={trainable!r} says, got frozen={bool(frozen)}; give trainable alone")
    return rest


def _is_default(value: Any, default: Any) -> bool:
    """True is not 1 here."""
    return isinstance(value, (bool, np.bool_)) == isinstance(default, bool) and bool(value == default)


class _Described:
    """repr as a user would write it: required arguments first, then those that are not at their default."""

    def __repr__(self) -> str:
        values = ((f, getattr(self, f.name)) for f in fields(self))  # type: ignore[arg-type]
        given = (repr(v) if f.default is MISSING else f"{f.name}={v!r}" for f, v in values if not _is_default(v, f.default))
        return f"{type(self).__name__}({', '.join(given)})"


def refuse_to_set(classes: Iterable[type], what: str, hints: Mapping[str, str]) -> None:
    """Says for frozen dataclasses why an attribute cannot be set, and by the hint for its name what can be done."""

    def refuse(self: object, name: str, value: object) -> NoReturn:
        hint = f". {hints[name]}" if name in hints else ""
        raise FrozenInstanceError(f"{name}: cannot be set; {what} stays as it was made{hint}")

    for cls in classes:
        cls.__setattr__ = refuse  # type: ignore[assignment]


# ---- layers ----------------------------------------------------------------------------------------------------------

_Class = TypeVar("_Class", bound=type)


def _by_position(count: int, hint: str = "") -> Callable[[_Class], _Class]:
    """Only so many arguments may be given without their name: frameworks differ in the order of the others."""

    def decorate(cls: _Class) -> _Class:
        construct = _arguments.checked(cls.__init__)  # type: ignore[misc]
        own, *parameters = inspect.signature(construct).parameters.values()
        names = " and ".join(parameter.name for parameter in parameters[:count])
        may_freeze = any(parameter.name == "trainable" for parameter in parameters)

        @functools.wraps(construct)
        def checked(self: Any, *arguments: Any, **named: Any) -> None:
            if len(arguments) > count:
                text = ", ".join(map(_arrays.shown, arguments))
                expected = f"{names} by position and all others by name" if names else "all arguments by name"
                raise TypeError(f"{cls.__name__}: expected {expected}, got {cls.__name__}({text}){hint}")
            if may_freeze and "frozen" in named:
                try:
                    named = _without_frozen(named)
                except (TypeError, ValueError) as error:
                    raise type(error)(f"{cls.__name__}: {error}") from None
            construct(self, *arguments, **named)

        named_only = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters[count:]]
        if may_freeze:
            named_only.append(inspect.Parameter("frozen", inspect.Parameter.KEYWORD_ONLY, default=False, annotation="bool"))
        checked.__signature__ = inspect.Signature([own, *parameters[:count], *named_only])  # type: ignore[attr-defined]
        cls.__init__ = checked  # type: ignore[misc]
        return cls

    return decorate


LAYERS: dict[str, type[Layer]] = {}  # by kind: every class below


@_arguments.checked_methods
@dataclass(frozen=True, repr=False)
class Layer(_Described):
    """A layer's description: immutable, comparable, and free to be used in several networks.

    It is the class of all layers, and none itself. An argument outside its range is a ValueError, one of another type a
    TypeError.

    >>> isinstance(cge.ReLU(), cge.Layer), cge.Dense(3) == cge.Dense(3)
    (True, True)
    """

    kind: ClassVar[str]  # cge_kind_<kind>
    config: ClassVar[str | None] = None  # cge_<config>, the struct that cge_layer.config of that kind points to
    input_count: ClassVar[int] = 1
    weight_rank: ClassVar[int] = 0  # axes of its weight, if it has one
    reads_bytes: ClassVar[bool] = True  # it may be the layer that reads a network's bytes

    def __init_subclass__(cls) -> None:
        if "kind" in vars(cls):
            LAYERS[cls.kind] = cls

    def __post_init__(self) -> None:
        try:
            self.c_row((1, 1))
        except (TypeError, ValueError) as error:
            raise type(error)(f"{type(self).__name__}: {error}") from None

    if not TYPE_CHECKING:  # which knows what a layer has

        def __getattr__(self, name: str) -> NoReturn:
            raise AttributeError(_names.missing_from_layer(type(self).__name__, name))

    def check_input(self, in_shape: tuple[int, int, int]) -> None:
        """ValueError if no layer like this may follow one of that output."""

    def __call__(self, *inputs: Tensor) -> Tensor:
        """The layer's output in a graph: Add()(a, b), ReLU()(x); see Network.

        >>> x = cge.Input((4,))
        >>> cge.ReLU()(x)
        <output of ReLU()>
        """
        return _graph.apply(self, inputs)

    def c_row(self, in_size: tuple[int, int]) -> _c_model.LayerRow:
        """The row of a C table behind an input of `in_size`; what it reads is not said."""
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
            members.update(self._same_padding(in_size, kernel, stride, dilation))
        if getattr(self, "ceil_mode", False):
            for size, axis, before, after in ((in_size[0], "h", "top", "bottom"), (in_size[1], "w", "left", "right")):
                kernel_size, pads = members[f"kernel_{axis}"], (members[f"pad_{before}"], members[f"pad_{after}"])
                members[f"pad_{after}"] = ceil_padding(size, kernel_size, members[f"stride_{axis}"] or kernel_size, *pads)
        return _c_model.LayerRow.of(self.kind, self.config, members)

    def _same_padding(self, in_size: Pair, kernel: Pair, stride: Pair, dilation: Pair) -> dict[str, int]:
        """What padding="same" is."""
        return _arrays.padding("same", in_size, kernel, stride, dilation)


class _Parametric(Layer, ABC):
    """A layer with parameters, of which some learn."""

    use_bias: bool
    trainable: Trainable
    learning_rate_factor: float

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "trainable", _checked_trainable(self.trainable))
        if self.trainable == "bias" and not self.use_bias:
            raise ValueError(f'{type(self).__name__}: trainable: expected no "bias" with use_bias=False')

    if not TYPE_CHECKING:  # for which it is an argument of each layer, and what it says

        @property
        def frozen(self) -> bool:
            """Nothing learns: trainable=False."""
            return self.trainable is False

    @abstractmethod
    def inputs(self, in_shape: tuple[int, int, int]) -> int:
        """Of how many input channels the weights are (of a dense layer: inputs)."""

    def check_input(self, in_shape: tuple[int, int, int]) -> None:
        if isinstance(self.trainable, (bool, str)):
            return
        inputs, groups = self.inputs(in_shape), getattr(self, "groups", 1)
        if self.trainable > inputs:
            raise ValueError(f"trainable: expected at most {inputs}, the number of input channels, got {self.trainable}")
        if self.trainable < inputs and groups > 1:
            raise ValueError(
                f"trainable: expected all {inputs} input channels of each of {groups} groups, got {self.trainable}"
            )

    def _key(self) -> tuple[Any, ...]:
        """What makes layers equal; trainable=1 is not trainable=True."""
        values = tuple(getattr(self, f.name) for f in fields(self))
        return (*values, isinstance(self.trainable, bool))

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        assert isinstance(other, _Parametric)
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash((type(self), self._key()))


@_by_position(2, "; the number of input channels is known from the layer before")
@dataclass(frozen=True, repr=False, eq=False)
class Conv2d(_Parametric):
    """Convolution (cross-correlation) with weights (KH, KW, C / groups, filters).

    padding: int, (h, w), ((top, bottom), (left, right)), "valid" (0) or "same". init: "he_uniform", "he_normal",
    "glorot_uniform" or "glorot_normal". trainable: True; False, nothing learns, which frozen=True means too; "bias", the
    biases learn; or n, the weights of the first n input channels and the biases (with groups, all channels of a group).
    What does not learn takes no memory for gradients and no time for them. learning_rate_factor: by which the layer's learning
    rate is the optimizer's, or the schedule's, above 0 and up to 65536.

    (H, W, C) becomes (OH, OW, filters); the formula is conv2d_forward's. kernel_size, stride and dilation: int or (h, w).
    groups divides C and filters, and filter k reads the channels of group k // (filters / groups). use_bias=False: no bias.
    ValueError if a number is below 1, or the kernel is larger than the padded image.

    >>> net = cge.Network((8, 8, 3), [cge.Conv2d(16, 3, stride=2, padding="same")])
    >>> net.output_shape, [w.shape for w in net.get_weights()]
    ((4, 4, 16), [(3, 3, 3, 16), (16,)])
    """

    kind = "conv2d"
    config = "conv2d"
    weight_rank = 4
    filters: int = field(metadata=_count("out_c"))
    kernel_size: Pair = field(metadata=_two("kernel", None))
    stride: Pair = field(default=1, metadata=_two("stride", 1))
    padding: Padding = field(default=0, metadata=_PADDING)
    dilation: Pair = field(default=1, metadata=_two("dilation", 1))
    groups: int = field(default=1, metadata=_count("groups"))
    use_bias: bool = field(default=True, metadata=_USE_BIAS)
    init: _core.Init = field(default="he_uniform", metadata=_INIT)
    trainable: Trainable = field(default=True, metadata=_TRAINABLE)
    learning_rate_factor: float = field(default=1.0, metadata=_FACTOR)
    if TYPE_CHECKING:
        frozen: bool = False

    def inputs(self, in_shape: tuple[int, int, int]) -> int:
        return in_shape[2] // self.groups


@_by_position(1)
@dataclass(frozen=True, repr=False, eq=False)
class Dense(_Parametric):
    """Fully connected, weights (in, units); takes any input shape, flattened.

    trainable: True; False, as frozen=True; "bias", the biases learn; or n, the weights of the first n inputs and the biases.
    learning_rate_factor as Conv2d's.

    y = x w + b: (units,) for any input. use_bias=False: no b. init as Conv2d's. ValueError if units is below 1.

    >>> net = cge.Network((8, 8, 3), [cge.Dense(10)])
    >>> net.output_shape, [w.shape for w in net.get_weights()]
    ((10,), [(192, 10), (10,)])
    """

    kind = "dense"
    config = "dense"
    weight_rank = 2
    units: int = field(metadata=_count("units"))
    use_bias: bool = field(default=True, metadata=_USE_BIAS)
    init: _core.Init = field(default="he_uniform", metadata=_INIT)
    trainable: Trainable = field(default=True, metadata=_TRAINABLE)
    learning_rate_factor: float = field(default=1.0, metadata=_FACTOR)
    if TYPE_CHECKING:
        frozen: bool = False

    def inputs(self, in_shape: tuple[int, int, int]) -> int:
        return in_shape[0] * in_shape[1] * in_shape[2]


@_by_position(2)
@dataclass(frozen=True, repr=False)
class MaxPool2d(Layer):
    """The largest value of each window; stride None means the window's size.

    ceil_mode: a last window that reaches beyond the image counts, as in PyTorch; loaded networks say it as padding.

    (H, W, C) becomes (OH, OW, C). pool_size and stride: int or (h, w). padding as Conv2d's, each side smaller than the window,
    else ValueError; it never is the largest.

    >>> [cge.Network((9, 9, 4), [cge.MaxPool2d(2, ceil_mode=mode)]).output_shape for mode in (False, True)]
    [(4, 4, 4), (5, 5, 4)]
    """

    kind = "maxpool2d"
    config = "pool2d"
    pool_size: Pair = field(default=2, metadata=_two("kernel", None))
    stride: Pair | None = field(default=None, metadata=_two("stride", None))
    padding: Padding = field(default=0, metadata=_PADDING)
    ceil_mode: bool = field(default=False, metadata=_CEIL_MODE)


@_by_position(2)
@dataclass(frozen=True, repr=False)
class AvgPool2d(Layer):
    """The mean of each window; stride None means the window's size.

    count_include_pad: divide by all taps of a window, padding too, which is PyTorch's default; False, as Keras has it, divides
    by those inside the image. ceil_mode: as in MaxPool2d, and not with count_include_pad.

    (H, W, C) becomes (OH, OW, C). pool_size, stride and padding as in MaxPool2d.

    >>> net = cge.Network((2, 2, 1), [cge.AvgPool2d(2)])
    >>> net.predict(np.array([[[[1.0], [2.0]], [[3.0], [6.0]]]])).tolist()
    [[3.0]]
    """

    kind = "avgpool2d"
    config = "pool2d"
    pool_size: Pair = field(default=2, metadata=_two("kernel", None))
    stride: Pair | None = field(default=None, metadata=_two("stride", None))
    padding: Padding = field(default=0, metadata=_PADDING)
    ceil_mode: bool = field(default=False, metadata=_CEIL_MODE)
    count_include_pad: bool = field(default=False, metadata=_COUNT_PADDING)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ceil_mode and self.count_include_pad:
            raise ValueError("AvgPool2d: ceil_mode: expected False with count_include_pad, got True")


class GlobalAvgPool2d(Layer):
    """The mean over rows and columns of each channel.

    (H, W, C) becomes (C,).

    >>> cge.Network((7, 7, 4), [cge.GlobalAvgPool2d()]).output_shape
    (4,)
    """

    kind = "global_avgpool2d"


class GlobalMaxPool2d(Layer):
    """The largest value over rows and columns of each channel.

    (H, W, C) becomes (C,).

    >>> cge.Network((7, 7, 4), [cge.GlobalMaxPool2d()]).output_shape
    (4,)
    """

    kind = "global_maxpool2d"


@_by_position(1)
@dataclass(frozen=True, repr=False)
class ZeroPad2d(Layer):
    """Rows and columns of zeros around the image; padding: int, (h, w) or ((top, bottom), (left, right)).

    (H, W, C) becomes (top + H + bottom, left + W + right, C). ValueError if one of them is negative.

    >>> cge.Network((4, 4, 2), [cge.ZeroPad2d(((1, 0), (2, 0)))]).output_shape
    (5, 6, 2)
    """

    kind = "zero_pad2d"
    config = "pad2d"
    padding: Padding = field(metadata=_PADS)


@_by_position(1)
@dataclass(frozen=True, repr=False)
class Crop2d(Layer):
    """The image without rows and columns at its borders; cropping: int, (h, w) or ((top, bottom), (left, right)).

    (H, W, C) becomes (H - top - bottom, W - left - right, C). ValueError if one of them is negative, or nothing would be left.

    >>> cge.Network((4, 4, 2), [cge.Crop2d((1, 0))]).output_shape
    (2, 4, 2)
    """

    kind = "crop2d"
    config = "pad2d"
    cropping: Padding = field(metadata=_PADS)


@_by_position(2)
@dataclass(frozen=True, repr=False)
class ChannelSlice(Layer):
    """Channels start .. start + count - 1.

    (H, W, C) becomes (H, W, count). ValueError if start is negative, count below 1, or there are fewer channels.

    >>> net = cge.Network((4,), [cge.ChannelSlice(1, 2)])
    >>> net.predict(np.array([[10.0, 20.0, 30.0, 40.0]])).tolist()
    [[20.0, 30.0]]
    """

    kind = "channel_slice"
    config = "channel_slice"
    start: int = field(metadata=_BEGIN)
    count: int = field(metadata=_count("count"))


@_by_position(1)
@dataclass(frozen=True, repr=False)
class Upsample2d(Layer):
    """The image scale_factor times as high and wide, int or (h, w).

    mode: "nearest", or "bilinear" between the centres of pixels, as PyTorch with align_corners=False and Keras.

    (H, W, C) becomes (H scale_h, W scale_w, C). ValueError if a factor is below 1.

    >>> net = cge.Network((1, 2, 1), [cge.Upsample2d((1, 2))])
    >>> net.predict(np.array([[[[1.0], [3.0]]]])).ravel().tolist()
    [1.0, 1.0, 3.0, 3.0]
    """

    kind = "upsample2d"
    config = "upsample2d"
    scale_factor: Pair = field(default=2, metadata=_two("scale", 1))
    mode: _UpsampleMode = field(default="nearest", metadata=_MODE)


class ReLU(Layer):
    """max(x, 0).

    >>> cge.Network((3,), [cge.ReLU()]).predict(np.array([[-1.0, 0.0, 2.0]])).tolist()
    [[0.0, 0.0, 2.0]]
    """

    kind = "relu"


@_arguments.checked_methods
@dataclass(frozen=True, repr=False)
class LeakyReLU(Layer):
    """x for x >= 0, otherwise alpha x.

    alpha is finite and >= 0, else ValueError.

    >>> cge.Network((2,), [cge.LeakyReLU(alpha=0.25)]).predict(np.array([[-1.0, 2.0]])).tolist()
    [[-0.25, 2.0]]
    """

    kind = "leaky_relu"
    config = "leaky_relu"
    alpha: float = field(default=0.01, metadata=_ALPHA)


class Sigmoid(Layer):
    """1 / (1 + exp(-x)).

    >>> cge.Network((2,), [cge.Sigmoid()]).predict(np.array([[0.0, 100.0]])).tolist()
    [[0.5, 1.0]]
    """

    kind = "sigmoid"


class Tanh(Layer):
    """tanh(x).

    >>> cge.Network((2,), [cge.Tanh()]).predict(np.array([[0.0, 100.0]])).tolist()
    [[0.0, 1.0]]
    """

    kind = "tanh"


class ReLU6(Layer):
    """min(max(x, 0), 6).

    >>> cge.Network((3,), [cge.ReLU6()]).predict(np.array([[-1.0, 2.0, 9.0]])).tolist()
    [[0.0, 2.0, 6.0]]
    """

    kind = "relu6"


class HardSigmoid(Layer):
    """min(max(x + 3, 0), 6) / 6.

    >>> cge.Network((3,), [cge.HardSigmoid()]).predict(np.array([[-3.0, 0.0, 4.0]])).tolist()
    [[0.0, 0.5, 1.0]]
    """

    kind = "hard_sigmoid"


@_arguments.checked_methods
@dataclass(frozen=True, repr=False)
class ELU(Layer):
    """x for x > 0, otherwise alpha (exp(x) - 1); alpha >= 0.

    Another alpha is a ValueError.

    >>> cge.Network((2,), [cge.ELU(alpha=0.5)]).predict(np.array([[-100.0, 2.0]])).tolist()
    [[-0.5, 2.0]]
    """

    kind = "elu"
    config = "leaky_relu"
    alpha: float = field(default=1.0, metadata=_ALPHA)


class Softplus(Layer):
    """log(1 + exp(x)), accurate for small results too.

    >>> cge.Network((2,), [cge.Softplus()]).predict(np.array([[0.0, 100.0]])).round(4)
    array([[  0.6931, 100.    ]], dtype=float32)
    """

    kind = "softplus"


class Softmax(Layer):
    """exp(x) / sum(exp(x)) over the channels of each pixel; with the loss "softmax_cross_entropy" leave it out.

    >>> cge.Network((4,), [cge.Softmax()]).predict(np.zeros((1, 4))).tolist()
    [[0.25, 0.25, 0.25, 0.25]]
    """

    kind = "softmax"


class HardSwish(Layer):
    """x HardSigmoid(x).

    >>> cge.Network((3,), [cge.HardSwish()]).predict(np.array([[-4.0, 1.5, 4.0]])).tolist()
    [[0.0, 1.125, 4.0]]
    """

    kind = "hard_swish"


class SiLU(Layer):
    """x Sigmoid(x).

    >>> cge.Network((2,), [cge.SiLU()]).predict(np.array([[0.0, 100.0]])).tolist()
    [[0.0, 100.0]]
    """

    kind = "silu"


class GELU(Layer):
    """x (1 + erf(x / sqrt(2))) / 2: PyTorch's default, not its approximation by tanh.

    >>> cge.Network((2,), [cge.GELU()]).predict(np.array([[0.0, 100.0]])).tolist()
    [[0.0, 100.0]]
    """

    kind = "gelu"


class Flatten(Layer):
    """(H, W, C) to (H * W * C,): costs nothing.

    >>> cge.Network((2, 3, 4), [cge.Flatten()]).output_shape
    (24,)
    """

    kind = "flatten"


class Add(Layer):
    """The sum of two outputs of one shape: Add()(a, b).

    ValueError if the shapes differ, or there are not two.

    >>> x = cge.Input((3,))
    >>> net = cge.Network(inputs=x, outputs=cge.Add()(x, cge.ReLU()(x)))
    >>> net.predict(np.array([[-1.0, 0.0, 2.0]])).tolist()
    [[-1.0, 0.0, 4.0]]
    """

    kind = "add"
    input_count = 2


class Concat(Layer):
    """Two outputs of one height and width, the channels of the first before those of the second: Concat()(a, b).

    ValueError if heights or widths differ, or there are not two.

    >>> x = cge.Input((2,))
    >>> net = cge.Network(inputs=x, outputs=cge.Concat()(x, cge.ReLU()(x)))
    >>> net.predict(np.array([[-1.0, 2.0]])).tolist()
    [[-1.0, 2.0, 0.0, 2.0]]
    """

    kind = "concat"
    input_count = 2


class _Whole(_Parametric):
    """A layer whose weights learn together, and which reads numbers alone."""

    reads_bytes = False
    parts: ClassVar[tuple[str, ...]] = ("bias",)  # what may learn alone

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.trainable, bool) and self.trainable not in self.parts:
            expected = 'True, False or "bias"' if self.parts else "True or False"
            raise ValueError(f"{type(self).__name__}: trainable: expected {expected}, got {self.trainable}")

    def inputs(self, in_shape: tuple[int, int, int]) -> int:
        return in_shape[2]


@_by_position(2, "; the number of input channels is known from the layer before")
@dataclass(frozen=True, repr=False, eq=False)
class ConvTranspose2d(_Whole):
    """Transposed convolution with weights (KH, KW, filters / groups, C): the input gradient of a convolution, as a layer.

    (H, W, C) becomes (OH, OW, filters), OH = (H - 1) stride - top - bottom + dilation (KH - 1) + output_padding + 1. The
    formula is conv_transpose2d_forward's, and arguments mean what they mean in PyTorch. padding: as Conv2d's, what the output
    leaves out; "same": OH = H stride. output_padding: int or (h, w), less than stride or dilation, more rows below and columns
    at the right. The other arguments are those of Conv2d, but trainable: True, False (as frozen=True) or "bias". ValueError if
    nothing would be left.

    >>> net = cge.Network((8, 8, 16), [cge.ConvTranspose2d(3, 3, stride=2, padding=1, output_padding=1)])
    >>> net.output_shape, [w.shape for w in net.get_weights()]
    ((16, 16, 3), [(3, 3, 3, 16), (3,)])
    """

    kind = "conv_transpose2d"
    config = "conv_transpose2d"
    weight_rank = 4
    filters: int = field(metadata=_count("out_c"))
    kernel_size: Pair = field(metadata=_two("kernel", None))
    stride: Pair = field(default=1, metadata=_two("stride", 1))
    padding: Padding = field(default=0, metadata=_PADDING)
    output_padding: Pair = field(default=0, metadata=_OUTPUT_PADDING)
    dilation: Pair = field(default=1, metadata=_two("dilation", 1))
    groups: int = field(default=1, metadata=_count("groups"))
    use_bias: bool = field(default=True, metadata=_USE_BIAS)
    init: _core.Init = field(default="he_uniform", metadata=_INIT)
    trainable: Trainable = field(default=True, metadata=_TRAINABLE)
    learning_rate_factor: float = field(default=1.0, metadata=_FACTOR)
    if TYPE_CHECKING:
        frozen: bool = False

    def _same_padding(self, in_size: Pair, kernel: Pair, stride: Pair, dilation: Pair) -> dict[str, int]:
        return _arrays.transposed_padding("same", kernel, stride, dilation, self.output_padding)

    def c_row(self, in_size: tuple[int, int]) -> _c_model.LayerRow:
        row = super().c_row(in_size)
        _arrays.transposed_padding("valid", 1, self.stride, self.dilation, self.output_padding)  # checks it
        return row

    def check_input(self, in_shape: tuple[int, int, int]) -> None:
        super().check_input(in_shape)
        for name, channels in (("the number of channels", in_shape[2]), ("filters", self.filters)):
            if channels % self.groups:
                raise ValueError(f"groups: expected a divisor of {channels}, {name}, got {self.groups}")
        c = self.c_row(in_shape[:2]).fields
        for size, axis, before, after in ((in_shape[0], "h", "top", "bottom"), (in_shape[1], "w", "left", "right")):
            pads = c[f"pad_{before}"] + c[f"pad_{after}"]
            reached = (size - 1) * c[f"stride_{axis}"] + c[f"dilation_{axis}"] * (c[f"kernel_{axis}"] - 1) + 1
            if pads >= reached + c[f"output_pad_{axis}"]:
                raise ValueError(
                    f"padding: expected less than the {reached} that taps reach, {before} and {after} together, got {pads}"
                )


def scaled_transposed(weight: _core.Real, factor: _core.Real, groups: int) -> _core.Real:
    """Weights (KH, KW, filters / groups, C) of a transposed convolution, its filters multiplied by `factor`, (filters,)."""
    apart = weight.reshape(*weight.shape[:3], groups, -1) * factor.reshape(groups, -1).T[:, :, None]
    result: _core.Real = apart.reshape(weight.shape)
    return result


class _Norm(_Whole):
    """A normalisation, or a scale: its weights are of what it puts out, and of no input."""

    affine: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.trainable == "bias" and not self.affine:
            raise ValueError(f'{type(self).__name__}: trainable: expected no "bias" with affine=False')


@_by_position(1, "; the number of channels is known from the layer before")
@dataclass(frozen=True, repr=False, eq=False)
class GroupNorm(_Norm):
    """(x - mean) / sqrt(variance + eps) * w + b; mean and variance are those of a sample's group of channels, over all pixels.

    w and b have one number for each channel, and begin as ones and zeros. groups: a divisor of the number of channels. affine:
    whether there are w and b; use_bias: whether there is a b. trainable: True, False (as frozen=True) or "bias". Works on one
    sample at a time, so a board gets what a batch gets. Formula and defaults are PyTorch's; Keras's eps is 0.001.

    ValueError if groups does not divide the number of channels, or eps is not above 0.

    >>> net = cge.Network((1, 1, 4), [cge.GroupNorm(2)])
    >>> net.predict(np.array([[1.0, 3.0, 10.0, 30.0]])).round(3).tolist()
    [[-1.0, 1.0, -1.0, 1.0]]
    """

    kind = "group_norm"
    config = "norm"
    weight_rank = 1
    groups: int = field(metadata=_count("groups"))
    eps: float = field(default=1e-5, metadata=_EPS)
    affine: bool = field(default=True, metadata=_AFFINE)
    use_bias: bool = field(default=True, metadata=_USE_BIAS)
    trainable: Trainable = field(default=True, metadata=_TRAINABLE)
    learning_rate_factor: float = field(default=1.0, metadata=_FACTOR)
    if TYPE_CHECKING:
        frozen: bool = False

    def check_input(self, in_shape: tuple[int, int, int]) -> None:
        super().check_input(in_shape)
        if in_shape[2] % self.groups:
            raise ValueError(f"groups: expected a divisor of {in_shape[2]}, the number of channels, got {self.groups}")


@_by_position(0, "; the number of channels is known from the layer before")
@dataclass(frozen=True, repr=False, eq=False)
class InstanceNorm(_Norm):
    """GroupNorm with a group for each channel. As in PyTorch, affine is False by default.

    Arguments as GroupNorm's, without groups.

    >>> net = cge.Network((1, 2, 1), [cge.InstanceNorm()])
    >>> net.predict(np.array([[[[1.0], [3.0]]]])).ravel().round(3).tolist()
    [-1.0, 1.0]
    """

    kind = "instance_norm"
    config = "norm"
    weight_rank = 1
    eps: float = field(default=1e-5, metadata=_EPS)
    affine: bool = field(default=False, metadata=_AFFINE)
    use_bias: bool = field(default=True, metadata=_USE_BIAS)
    trainable: Trainable = field(default=True, metadata=_TRAINABLE)
    learning_rate_factor: float = field(default=1.0, metadata=_FACTOR)
    if TYPE_CHECKING:
        frozen: bool = False


@_by_position(0, "; what comes in is normalised as a whole")
@dataclass(frozen=True, repr=False, eq=False)
class LayerNorm(_Norm):
    """(x - mean) / sqrt(variance + eps) * w + b, with mean and variance of all numbers of a sample, (H, W, C).

    w and b have one number for each of them, (H, W, C): PyTorch's LayerNorm with normalized_shape=(H, W, C). Keras's
    LayerNormalization differs: it normalises the channels of each pixel, and its eps is 0.001. Arguments as GroupNorm's.

    >>> net = cge.Network((2,), [cge.LayerNorm()])
    >>> net.predict(np.array([[1.0, 3.0]])).round(3).tolist()
    [[-1.0, 1.0]]
    """

    kind = "layer_norm"
    config = "norm"
    weight_rank = 3
    eps: float = field(default=1e-5, metadata=_EPS)
    affine: bool = field(default=True, metadata=_AFFINE)
    use_bias: bool = field(default=True, metadata=_USE_BIAS)
    trainable: Trainable = field(default=True, metadata=_TRAINABLE)
    learning_rate_factor: float = field(default=1.0, metadata=_FACTOR)
    if TYPE_CHECKING:
        frozen: bool = False


@_by_position(0, "; the number of channels is known from the layer before")
@dataclass(frozen=True, repr=False, eq=False)
class BatchNorm(_Norm):
    """(x - mean) / sqrt(variance + eps) * w + b for each channel. In training, mean and variance are those of a batch.

    A batch here is the samples that one pass holds, over all pixels: `capacity` of the network or fewer. Each pass moves
    running statistics by momentum (0 excluded .. 1) towards its own. Prediction, evaluation and a frozen layer use the running
    ones; frozen=True means that they do not change either. get_weights() has w, running mean and running variance as one
    array (3, C), which begins as ones, zeros and ones, and b (C,). Formula and defaults are PyTorch's. It learns with
    memory="fast", and with "small" and a capacity; frozen it may be in all networks.

    >>> layers = [cge.Conv2d(4, 3, use_bias=False), cge.BatchNorm(), cge.ReLU(), cge.Dense(2)]
    >>> net = cge.Network((8, 8, 1), layers, "softmax_cross_entropy", cge.SGD(0.1), capacity=16)
    >>> [w.shape for w in net.get_weights()]
    [(3, 3, 1, 4), (3, 4), (4,), (144, 2), (2,)]
    """

    kind = "batch_norm"
    config = "batch_norm"
    weight_rank = 2
    affine = True
    parts = ()
    eps: float = field(default=1e-5, metadata=_EPS)
    momentum: float = field(default=0.1, metadata=_MOMENTUM)
    use_bias: bool = field(default=True, metadata=_USE_BIAS)
    trainable: Trainable = field(default=True, metadata=_TRAINABLE)
    learning_rate_factor: float = field(default=1.0, metadata=_FACTOR)
    if TYPE_CHECKING:
        frozen: bool = False


@_by_position(0, "; the number of channels is known from the layer before")
@dataclass(frozen=True, repr=False, eq=False)
class Scale(_Norm):
    """x * w + b for each channel: w (C,) begins as ones, b (C,) as zeros. trainable: True, False (as frozen=True) or "bias".

    >>> net = cge.Network((2, 2, 3), [cge.Scale()])
    >>> net.set_weights([[1.0, 2.0, 3.0], [0.0, 0.0, 1.0]])
    >>> net.predict(np.ones((1, 2, 2, 3)))[0, 0, 0].tolist()
    [1.0, 2.0, 4.0]
    """

    kind = "scale"
    weight_rank = 1
    affine = True
    use_bias: bool = field(default=True, metadata=_USE_BIAS)
    trainable: Trainable = field(default=True, metadata=_TRAINABLE)
    learning_rate_factor: float = field(default=1.0, metadata=_FACTOR)
    if TYPE_CHECKING:
        frozen: bool = False


@_by_position(1)
@dataclass(frozen=True, repr=False, eq=False)
class PReLU(_Norm):
    """x where x >= 0, else w x: a LeakyReLU whose slope w learns. w begins as 0.25.

    num_parameters: 1, one slope for all channels, or their number, one for each; w has that shape. trainable: True or False (as
    frozen=True). Formula and defaults are PyTorch's; Keras has a slope for each number of a sample, which begins as 0.

    ValueError if num_parameters is neither 1 nor the number of channels.

    >>> net = cge.Network((1, 1, 2), [cge.PReLU(2)])
    >>> net.set_weights([[0.5, 2.0]])
    >>> net.predict(np.array([[-1.0, -1.0], [3.0, 3.0]])).tolist()
    [[-0.5, -2.0], [3.0, 3.0]]
    """

    kind = "prelu"
    config = "prelu"
    weight_rank = 1
    affine = True
    use_bias = False
    parts = ()
    num_parameters: int = field(default=1, metadata=_count("slopes"))
    trainable: Trainable = field(default=True, metadata=_TRAINABLE)
    learning_rate_factor: float = field(default=1.0, metadata=_FACTOR)
    if TYPE_CHECKING:
        frozen: bool = False

    def check_input(self, in_shape: tuple[int, int, int]) -> None:
        super().check_input(in_shape)
        if self.num_parameters not in (1, in_shape[2]):
            raise ValueError(f"num_parameters: expected 1 or {in_shape[2]}, the number of channels, got {self.num_parameters}")


def layer_number(layers: Sequence[Layer], given: Any, name: str = "upto") -> int:
    """From 0. A layer that stands here is meant, rather than one that is equal to it."""
    count = len(layers)
    if isinstance(given, Layer):
        found = [number for number, layer in enumerate(layers) if layer is given]
        found = found or [number for number, layer in enumerate(layers) if layer == given]
    elif isinstance(given, str):
        found = [number for number, layer in enumerate(layers) if type(layer).__name__ == given]
    else:
        return _arrays.integer(name, given, -count, count - 1) % count
    if len(found) != 1:
        of_some = f", which layers {', '.join(map(str, found))} are; pass a number" if found else ""
        raise ValueError(f"{name}: expected one layer of this network, got {_arrays.shown(given)}{of_some}")
    return found[0]


def learns_by_batch(layer: Layer) -> bool:
    """Whether it normalises by the statistics of a batch where it trains."""
    return isinstance(layer, BatchNorm) and not layer.frozen


def _encode_seed(name: str, value: Any) -> dict[str, Any]:
    return {"seed": _arrays.integer(name, value, 0)}


def _encode_number(name: str, value: Any) -> dict[str, Any]:
    return {"layer": 0 if value is None else _arrays.integer(name, value, 0, _core.MAX_ELEMS - 1) + 1}


def _decode_number(c: Mapping[str, Any]) -> int | None:
    return int(c["layer"]) - 1 if c["layer"] > 0 else None


_P = _in_c(lambda name, value: {"p": _arrays.number(name, value, below=1.0)}, lambda c: shortest(c["p"]))


@_by_position(1)
@dataclass(frozen=True, repr=False)
class Dropout(Layer):
    """In training a share p of the numbers, 0 <= p < 1, becomes 0, and the others are multiplied by 1 / (1 - p). Else y = x.

    Which ones follows from seed (0 .. 2**31 - 1), the layer's place, step_count and the number of the sample in its batch: no
    mask is stored, and a network that was saved goes on as if it had not been. Formula and default are PyTorch's. layer, a
    number from 0, stands for the place: that of a layer in another network, whose masks these then are.

    >>> net = cge.Network((4,), [cge.Dropout(0.25)])
    >>> net.predict(np.ones((1, 4))).tolist()
    [[1.0, 1.0, 1.0, 1.0]]
    """

    kind = "dropout"
    config = "dropout"
    p: float = field(default=0.5, metadata=_P)
    seed: int = field(default=0, metadata=_in_c(_encode_seed, lambda c: int(c["seed"])))
    layer: int | None = field(default=None, metadata=_in_c(_encode_number, _decode_number))


def with_factor(layer: Layer, factor: float) -> Layer:
    options: dict[str, Any] = {"learning_rate_factor": factor}
    return replace(layer, **options) if hasattr(layer, "learning_rate_factor") else layer


def at_place(layer: Layer, number: int) -> Layer:
    """The layer, wherever it stands, as it is at this place of a network."""
    return replace(layer, layer=number) if isinstance(layer, Dropout) and layer.layer is None else layer


_MAY_LEARN = "Say trainable= where the layer is made, or use net.freeze(upto=...)"
refuse_to_set(LAYERS.values(), "a layer", dict.fromkeys(("trainable", "frozen", "requires_grad"), _MAY_LEARN))

CONFIGS = {kind: cls.config for kind, cls in LAYERS.items()}


def decode_layer(kind: str, members: Mapping[str, Any]) -> Layer:
    """The layer that a row of a saved table and its config describe."""
    cls = LAYERS[kind]
    return cls(**{f.name: f.metadata["c"].decode(members) for f in fields(cls)})
