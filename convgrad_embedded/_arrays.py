"""Checks of what users pass in. Each error names the argument, what came and what was expected.

Arrays come back C-contiguous, aligned and in native byte order, without a copy where they are so already.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar, Union

import numpy as np
from numpy.typing import ArrayLike

from convgrad_embedded import _core
from convgrad_embedded._core import Bytes, Labels, Real

INT32_MAX = 2**31 - 1
_FLOAT32_END = 2.0**128 - 2.0**103  # the smallest number that rounds to infinity

Pair = Union[int, Sequence[int]]
_NamedPadding = Literal["same", "valid"]
PADDINGS: tuple[_NamedPadding, ...] = ("same", "valid")
Padding = Union[int, _NamedPadding, tuple[Any, Any], list[Any]]
_Text = TypeVar("_Text", bound=str)


_SHOWN_ITEMS, _SHOWN_LETTERS = 8, 200  # of a value in a message


def describe(value: Any) -> str:
    """Type and value."""
    return shown(value) if isinstance(value, np.ndarray) else f"{type(value).__name__} {shown(value)}"


def shown(value: Any) -> str:
    """repr, but short and on one line."""
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} with shape {value.shape}"
    if type(value) in (tuple, list):
        items = [shown(item) for item in value[:_SHOWN_ITEMS]] + ["..."] * (len(value) > _SHOWN_ITEMS)
        text = ", ".join(items) + "," * (type(value) is tuple and len(items) == 1)
        text = f"({text})" if type(value) is tuple else f"[{text}]"
    else:
        text = " ".join(repr(value).split())
    return text if len(text) <= _SHOWN_LETTERS else f"{text[:_SHOWN_LETTERS]}..."


# ---- scalars and pairs -----------------------------------------------------------------------------------------------


def integer(name: str, value: Any, minimum: int, maximum: int = INT32_MAX) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name}: expected an integer, got {describe(value)}")
    if not minimum <= value <= maximum:
        limit = f"at least {minimum}" if value < minimum else f"at most {maximum}"
        raise ValueError(f"{name}: expected {limit}, got {value}")
    return int(value)


def number(name: str, value: Any, below: float = math.inf) -> float:
    """A number that as a float32 is finite, at least 0 and smaller than `below`."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name}: expected a number, got {describe(value)}")
    exact = value.item() if isinstance(value, np.generic) else value  # NumPy would compare in the type of `value`
    if not (0 <= exact < _FLOAT32_END and np.float32(exact) < below):
        limit = "a finite number >= 0" if below == math.inf else f"0 <= {name} < {below:g}"
        raise ValueError(f"{name}: expected {limit}, got {value}")
    return float(value)


def positive(name: str, value: Any) -> float:
    """A number that as a float32 is finite and above 0."""
    if not number(name, value) or not np.float32(value):
        raise ValueError(f"{name}: expected a finite number > 0, got {value}")
    return float(value)


def share(name: str, value: Any) -> float:
    """A number from 0 to 1."""
    if number(name, value) > 1:
        raise ValueError(f"{name}: expected 0 <= {name} <= 1, got {value}")
    return float(value)


def scale(name: str, value: Any) -> float:
    """A power of two, from 2^-64 to 2^64."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name}: expected a number, got {describe(value)}")
    if not 2.0**-64 <= value <= 2.0**64 or math.frexp(value)[0] != 0.5:
        raise ValueError(f"{name}: expected a power of two from 2**-64 to 2**64, such as 1/256, got {value}")
    return float(value)


def shift(value: int) -> str:
    """ " + 3", " - 3", or nothing for 0."""
    return f" {'-' if value < 0 else '+'} {abs(value)}" if value else ""


def power_of_two(value: float) -> str:
    """1/256 rather than 0.00390625."""
    return f"{int(value)}" if value >= 1 else f"1/{int(1 / value)}"


def boolean(name: str, value: Any) -> bool:
    if not isinstance(value, (bool, np.bool_, int, np.integer)) or value not in (0, 1):
        raise TypeError(f"{name}: expected True or False, got {describe(value)}")
    return bool(value)


def sequence(name: str, value: Any, expected: str) -> tuple[Any, ...]:
    try:
        return tuple(value)
    except TypeError:
        raise TypeError(f"{name}: expected {expected}, got {describe(value)}") from None


def choice(name: str, value: Any, choices: Sequence[_Text]) -> _Text:
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name}: expected one of {', '.join(map(repr, choices))}, got {shown(value)}")
    chosen: _Text = value  # type: ignore[assignment]
    return chosen


def pair(name: str, value: Any, minimum: int = 1) -> tuple[int, int]:
    """An int for both axes, or (h, w)."""
    if not isinstance(value, (tuple, list)):
        both = integer(name, value, minimum)
        return both, both
    if len(value) != 2:
        raise ValueError(f"{name}: expected an int or (h, w), got {shown(value)}")
    return integer(f"{name}[0]", value[0], minimum), integer(f"{name}[1]", value[1], minimum)


def padding(value: Padding, size: Pair, kernel: Pair, stride: Pair, dilation: Pair) -> dict[str, int]:
    """int, (h, w), ((top, bottom), (left, right)), "valid" or "same", as the four fields of a geometry.

    "valid" is 0. "same" gives ceil(size / stride) outputs; an odd rest goes to the bottom and to the right, as in TensorFlow.
    """
    if isinstance(value, str):
        axes = zip(_axes(size), _axes(kernel), _axes(stride), _axes(dilation))
        sides = [_same(*axis) if choice("padding", value, PADDINGS) == "same" else (0, 0) for axis in axes]
    elif isinstance(value, (tuple, list)) and any(isinstance(axis, (tuple, list)) for axis in value):
        if len(value) != 2:
            raise ValueError(f"padding: expected ((top, bottom), (left, right)), got {shown(value)}")
        sides = [pair(f"padding[{axis}]", value[axis], 0) for axis in (0, 1)]
    else:
        sides = [(side, side) for side in pair("padding", value, 0)]
    (top, bottom), (left, right) = sides
    return {"pad_top": top, "pad_left": left, "pad_bottom": bottom, "pad_right": right}


def transposed_padding(value: Padding, kernel: Pair, stride: Pair, dilation: Pair, output_padding: Pair) -> dict[str, int]:
    """Of a transposed convolution: padding and output padding, as the six fields of a geometry.

    "same" gives size * stride outputs: as many of those that taps reach are left out, an odd one at the bottom and at the
    right, or as many are added.
    """
    more = pair("output_padding", output_padding, 0)
    for axis, (added, step, reach) in enumerate(zip(more, _axes(stride), _axes(dilation))):
        if added >= max(step, reach):
            name = f"output_padding[{axis}]" if isinstance(output_padding, (tuple, list)) else "output_padding"
            raise ValueError(f"{name}: expected less than stride {step} or dilation {reach}, got {added}")
    if not isinstance(value, str) or choice("padding", value, ["same", "valid"]) == "valid":
        return {**padding(value, 1, 1, 1, 1), "output_pad_h": more[0], "output_pad_w": more[1]}
    axes = zip(_axes(kernel), _axes(stride), _axes(dilation), more)
    surplus = [reach * (size - 1) + 1 + added - step for size, step, reach, added in axes]
    fields = {f"output_pad_{axis}": more[i] + max(-surplus[i], 0) for i, axis in enumerate("hw")}
    for before, after, rows in (("top", "bottom", surplus[0]), ("left", "right", surplus[1])):
        fields[f"pad_{before}"] = max(rows, 0) // 2
        fields[f"pad_{after}"] = max(rows, 0) - max(rows, 0) // 2
    return fields


def _axes(value: Pair) -> tuple[int, int]:
    return pair("size", value)


def _same(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


# ---- arrays ----------------------------------------------------------------------------------------------------------


def real(name: str, value: ArrayLike, like: Real | None = None, byte_hint: str = "") -> Real:
    """A float32 or float64 array; `like` another one, if given. `byte_hint` ends the message about an array of uint8."""
    array = _array(name, value).view()  # of its own, whose shape nobody else changes
    if array.dtype.kind != "f" or array.dtype.itemsize not in (4, 8):
        hint = _conversion(name, array) + (byte_hint if array.dtype == np.uint8 else "")
        raise TypeError(f"{name}: expected float32 or float64, got {describe(array)}; {hint}")
    native = array.dtype if array.dtype.isnative else array.dtype.newbyteorder("=")
    if like is not None and native != like.dtype:
        hint = f"use np.asarray({name}, np.{like.dtype})"
        raise TypeError(f"{name}: expected {like.dtype} as the arguments before it, got {describe(array)}; {hint}")
    result: Real = _dense(array, native)
    return result


def byte_values(name: str, value: ArrayLike, scale: float, offset: int) -> Bytes:
    """A uint8 array, for a network that reads bytes, each of which stands for (byte - offset) * scale."""
    array = _array(name, value).view()
    if array.dtype != np.uint8:
        steps = f"{name} / ({power_of_two(scale)}){shift(offset)}"
        raise TypeError(
            f"{name}: expected uint8, as this network has input_scale={power_of_two(scale)}, got {describe(array)}; "
            f"use np.rint({steps}).clip(0, 255).astype(np.uint8), or make the network without input_scale"
        )
    result: Bytes = _dense(array, np.uint8)
    return result


def single(name: str, array: Real) -> Real:
    """`array` as float32; a finite number that is too large for that is an error."""
    if array.dtype == np.float32:
        return array
    with np.errstate(all="ignore"):
        result: Real = array.astype(np.float32)
    lost = np.isinf(result) & np.isfinite(array)
    if lost.any():
        raise ValueError(f"{name}: expected numbers that are finite as float32, got {array[lost][0]}")
    return result


def _array(name: str, value: ArrayLike) -> Any:
    if isinstance(value, Mapping):
        raise TypeError(f"{name}: expected an array, got a dict with {shown(list(value))}; what stands in it may be one")
    if value is None:
        raise TypeError(f"{name}: expected an array, got None")
    try:
        return np.asarray(value)
    except ValueError as error:  # nested lists of different lengths
        raise ValueError(f"{name}: expected an array, got {type(value).__name__} that makes none: {error}") from None
    except (TypeError, RuntimeError) as error:
        if hasattr(value, "detach"):  # a tensor of PyTorch that requires a gradient, or lies on another device
            raise TypeError(
                f"{name}: expected an array, got a {type(value).__name__} that is none; use {name}.detach().cpu().numpy()"
            ) from None
        raise TypeError(f"{name}: expected an array, got {type(value).__name__} that makes none: {error}") from None


def _conversion(name: str, array: Any) -> str:
    """How to make float32 of it; pixels are divided by a power of two, which is exact on every machine."""
    convert = f"np.asarray({name}, np.float32)"
    if array.dtype == np.uint8:
        return f"if these are pixels 0 .. 255, use {convert} / 256"
    if array.dtype.kind in "iu" and array.size > 0 and array.min() >= 0 and 1 < array.max() <= 255:
        return f"use {convert}, or if these are pixels 0 .. 255 {convert} / 256"
    return f"use {convert}"


def content(name: str, value: Any) -> bytes:
    """The bytes of an object that lends them."""
    try:
        return bytes(memoryview(value))
    except TypeError:
        raise TypeError(f"{name}: expected bytes, bytearray, memoryview or the like, got {describe(value)}") from None


def first_not_finite(name: str, array: Real) -> str | None:
    """What is wrong with the first sample that holds NaN or infinity; None if none does."""
    samples = array.reshape(len(array), -1)
    finite = np.isfinite(samples).all(axis=1)
    if finite.all():
        return None
    index = int(finite.argmin())
    value = samples[index][~np.isfinite(samples[index])][0]
    return f"{name}[{index}]: expected finite numbers, got {'NaN' if np.isnan(value) else value}"


def _dense(array: Any, dtype: Any) -> Any:
    if array.dtype == dtype and array.flags.c_contiguous and array.flags.aligned:
        return array
    return np.require(array, dtype, ["C", "A"])


def shaped(name: str, array: Any, *shapes: Sequence[int | str], sample: Sequence[int] | None = None) -> Any:
    """`array`, if it has one of these shapes; a letter stands for any size from 1 up. With a sample's shape, the error says how
    the array becomes samples, if that can be guessed."""
    if not any(_fits(array.shape, shape) for shape in shapes):
        expected = " or ".join("(" + ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "") + ")" for shape in shapes)
        hint = "" if sample is None else _axes_hint(name, tuple(array.shape), tuple(sample))
        raise ValueError(f"{name}: expected shape {expected}, got {array.shape}{hint}")
    if max(array.shape, default=0) > INT32_MAX:
        raise ValueError(f"{name}: expected at most {INT32_MAX} along an axis, got shape {array.shape}")
    return array


def batch(name: str, array: Any, axes: int) -> Any:
    """`array` as samples, which are its last `axes` axes, if the core takes so many numbers in one."""
    sample = array.shape[-axes:]
    if math.prod(sample) > _core.MAX_ELEMS:
        raise ValueError(f"{name}: a sample of shape {sample} has more than {_core.MAX_ELEMS} numbers")
    return array.reshape(-1, *sample)


def _axes_hint(name: str, shape: tuple[int, ...], sample: tuple[int, ...]) -> str:
    """How numbers of that shape become samples of this one."""
    if shape[:1] == (0,):
        return "; there is no sample in it"
    series = (sample[0], sample[2]) if len(sample) == 3 and sample[1] == 1 else sample
    if len(shape) > 2 and (*shape[2:], shape[1]) in (sample, series):
        return f"; channels first become channels last by np.moveaxis(np.asarray({name}), 1, -1)"
    if sample in (shape, (*shape, 1)) or math.prod(shape[1:]) == math.prod(sample):
        return f"; use np.reshape({name}, (-1, {', '.join(map(str, sample))}))"
    return f"; use np.transpose({name})" if len(shape) == 2 and shape[:1] == sample else ""


def _fits(shape: Sequence[int], pattern: Sequence[int | str]) -> bool:
    return len(shape) == len(pattern) and all(
        size >= 1 if isinstance(expected, str) else size == expected for size, expected in zip(shape, pattern)
    )


def images(
    name: str, value: ArrayLike, *, like: Real | None = None, shape: Sequence[int] | None = None, count: int | None = None
) -> Real:
    """(N, H, W, C) or one sample (H, W, C), as (N, H, W, C); `shape` fixes the last three axes, `count` the first."""
    array = real(name, value, like)
    letters: tuple[int | str, ...] = tuple(shape or ("H", "W", "C"))
    shapes: list[Sequence[int | str]] = [(count or "N", *letters)]
    if count in (None, 1):
        shapes.append(letters)
    result: Real = batch(name, shaped(name, array, *shapes), 3)
    return result


def like_batch(result: Real, given: ArrayLike, batched_rank: int = 4) -> Real:
    """`result` without its batch axis, if what the user gave had none."""
    return result if np.ndim(given) == batched_rank else result[0]


def labels(name: str, value: ArrayLike, count: int, classes: int) -> Labels:
    """(N,) class numbers 0 .. classes - 1 of any integer type. A copy: the core reads it after the check, without the GIL."""
    array = _array(name, value).copy()
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name}: expected integer class labels, got {describe(array)}{_labels_hint(name, array, count)}")
    if array.shape != (count,):
        raise ValueError(f"{name}: expected shape ({count},), got {array.shape}{_labels_hint(name, array, count)}")
    low, high = array.min(), array.max()
    if low < 0 or high >= classes:
        hint = _range_hint(name, int(low), int(high), classes)
        raise ValueError(f"{name}: expected labels 0 .. {classes - 1}, got {low} .. {high}{hint}")
    result: Labels = array.astype(np.int32, copy=False)
    return result


def _labels_hint(name: str, array: Any, count: int) -> str:
    """How to make labels of what came."""
    if array.shape == (count, 1) and array.dtype.kind in "iub":
        return f"; a column becomes labels by np.ravel({name})"
    if array.ndim == 2 and array.shape[1] > 1:
        return f"; one-hot rows become labels by np.argmax({name}, axis=1)"
    if array.dtype.kind == "b" or (array.dtype.kind == "f" and (array == np.floor(array)).all()):
        return f"; whole numbers become labels by np.asarray({name}, np.int32)"
    if array.dtype.kind in "OSU":
        return f"; names become labels by np.unique({name}, return_inverse=True)[1]"
    if array.dtype.kind in "iu":
        return f"; each of {count} samples has one label"
    return '; numbers as targets need loss="mean_squared_error"' if array.dtype.kind == "f" else ""


def _range_hint(name: str, low: int, high: int, classes: int) -> str:
    """How labels low .. high become labels 0 .. classes - 1."""
    if (low, high, classes) == (0, 1, 1):
        return '; one output for two classes needs loss="binary_cross_entropy"'
    if (low, high, classes) == (-1, 1, 2):
        return f"; -1 and 1 become labels by np.greater({name}, 0).astype(np.int32)"
    if (low, high) == (1, classes):
        return f"; labels from 1 become labels from 0 by np.subtract({name}, 1)"
    return f"; labels up to {high} need {high + 1} classes" if low >= 0 else ""


def values(name: str, value: ArrayLike, shape: Sequence[int]) -> Real:
    """Numbers as targets, of this shape: (N,) + what the network puts out."""
    array = _array(name, value)
    if array.dtype.kind in "iu" and array.shape == tuple(shape[:1]) and math.prod(shape[1:]) > 1:
        raise TypeError(
            f"{name}: expected float32 or float64 with shape {tuple(shape)}, got {describe(array)}; "
            'class labels need loss="softmax_cross_entropy"'
        )
    return real(name, shaped(name, array, shape, sample=shape[1:]))


def probabilities(name: str, value: ArrayLike, shape: Sequence[int]) -> Real:
    """Numbers 0 .. 1 as targets, or 0 and 1 as integers or booleans."""
    array = _array(name, value)
    if array.dtype.kind in "iub" and array.shape == tuple(shape):
        array = array.astype(np.float32)
    result = single(name, values(name, array, shape))
    outside = ~((result >= 0) & (result <= 1))
    if outside.any():
        hint = f"; -1 and 1 become 0 and 1 by np.greater({name}, 0)" if (result[outside] == -1).all() else ""
        raise ValueError(f"{name}: expected targets 0 .. 1, got {result[outside][0]}{hint}")
    return result


def weights(name: str, value: ArrayLike, count: int) -> Real:
    """(N,) numbers, finite and >= 0. A copy, as labels() makes one."""
    array = _array(name, value)
    if array.dtype.kind in "iub":
        array = array.astype(np.float64)
    result: Real = single(name, real(name, array)).copy()
    if result.shape != (count,):
        hint = f"; a column becomes weights by np.ravel({name})" if result.shape == (count, 1) else ""
        raise ValueError(f"{name}: expected shape ({count},), got {result.shape}{hint}")
    bad = ~((result >= 0) & np.isfinite(result))
    if bad.any():
        raise ValueError(f"{name}: expected finite numbers >= 0, got {result[bad][0]}")
    return result
