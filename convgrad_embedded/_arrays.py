"""Checks of what users pass in. Each error names the argument, what came and what was expected.

Arrays come back C-contiguous, aligned and in native byte order, without a copy where they are so already.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Union

import numpy as np
from numpy.typing import ArrayLike

from convgrad_embedded import _core
from convgrad_embedded._core import Labels, Real

INT32_MAX = 2**31 - 1
_FLOAT32_MAX = float(np.finfo(np.float32).max)

Pair = Union[int, Sequence[int]]
Padding = Union[int, str, Sequence[Any]]


def describe(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} with shape {value.shape}"
    return f"{type(value).__name__} {value!r}"


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
    if not (0 <= value <= _FLOAT32_MAX and np.float32(value) < below):
        limit = "a finite number >= 0" if below == math.inf else f"0 <= {name} < {below:g}"
        raise ValueError(f"{name}: expected {limit}, got {value}")
    return float(value)


def sequence(name: str, value: Any, expected: str) -> tuple[Any, ...]:
    try:
        return tuple(value)
    except TypeError:
        raise TypeError(f"{name}: expected {expected}, got {describe(value)}") from None


def choice(name: str, value: Any, choices: Sequence[str]) -> str:
    if value not in choices:
        raise ValueError(f"{name}: expected one of {', '.join(map(repr, choices))}, got {value!r}")
    return str(value)


def pair(name: str, value: Any, minimum: int = 1) -> tuple[int, int]:
    """An int for both axes, or (h, w)."""
    if not isinstance(value, (tuple, list)):
        both = integer(name, value, minimum)
        return both, both
    if len(value) != 2:
        raise ValueError(f"{name}: expected an int or (h, w), got {value!r}")
    return integer(f"{name}[0]", value[0], minimum), integer(f"{name}[1]", value[1], minimum)


def padding(value: Padding, size: Pair, kernel: Pair, stride: Pair, dilation: Pair) -> dict[str, int]:
    """int, (h, w), ((top, bottom), (left, right)) or "same", as the four fields of a geometry.

    "same" gives ceil(size / stride) outputs; an odd rest goes to the bottom and to the right, as in TensorFlow.
    """
    if isinstance(value, str):
        choice("padding", value, ["same"])
        sides = [_same(*axis) for axis in zip(_axes(size), _axes(kernel), _axes(stride), _axes(dilation))]
    elif isinstance(value, (tuple, list)) and any(isinstance(axis, (tuple, list)) for axis in value):
        if len(value) != 2:
            raise ValueError(f"padding: expected ((top, bottom), (left, right)), got {value!r}")
        sides = [pair(f"padding[{axis}]", value[axis], 0) for axis in (0, 1)]
    else:
        sides = [(side, side) for side in pair("padding", value, 0)]
    (top, bottom), (left, right) = sides
    return {"pad_top": top, "pad_left": left, "pad_bottom": bottom, "pad_right": right}


def _axes(value: Pair) -> tuple[int, int]:
    return pair("size", value)


def _same(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


# ---- arrays ----------------------------------------------------------------------------------------------------------


def real(name: str, value: ArrayLike, like: Real | None = None) -> Real:
    """A float32 or float64 array; `like` another one, if given."""
    try:
        array = np.asarray(value)
    except ValueError as error:  # nested lists of different lengths
        raise ValueError(f"{name}: expected an array, got {type(value).__name__} that makes none: {error}") from None
    if array.dtype.kind != "f" or array.dtype.itemsize not in (4, 8):
        raise TypeError(
            f"{name}: expected float32 or float64, got {describe(array)}; "
            f"convert it first, for example {name}.astype(np.float32)"
        )
    if like is not None and array.dtype != like.dtype:
        raise TypeError(f"{name}: expected {like.dtype} as the arguments before it, got {describe(array)}")
    result: Real = _dense(array, array.dtype.newbyteorder("="))
    return result


def _dense(array: Any, dtype: Any) -> Any:
    return np.require(array, dtype, ["C", "A"])


def shaped(name: str, array: Any, *shapes: Sequence[int | str]) -> Any:
    """`array`, if it has one of these shapes; a letter stands for any size from 1 up."""
    if not any(_fits(array.shape, shape) for shape in shapes):
        expected = " or ".join("(" + ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "") + ")" for shape in shapes)
        raise ValueError(f"{name}: expected shape {expected}, got {array.shape}")
    if math.prod(array.shape[-3:]) > _core.MAX_ELEMS or any(size > INT32_MAX for size in array.shape):
        raise ValueError(f"{name}: a sample of shape {array.shape} has more than {_core.MAX_ELEMS} numbers")
    return array


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
    result: Real = shaped(name, array, *shapes).reshape((-1,) + array.shape[-3:])
    return result


def like_batch(result: Real, given: ArrayLike, batched_rank: int = 4) -> Real:
    """`result` without its batch axis, if what the user gave had none."""
    return result if np.ndim(given) == batched_rank else result[0]


def labels(name: str, value: ArrayLike, count: int, classes: int) -> Labels:
    """(N,) class numbers 0 .. classes - 1 of any integer type."""
    array = np.asarray(value)
    if array.dtype.kind not in "iu":
        raise TypeError(
            f"{name}: expected integer class labels, got {describe(array)}; one-hot rows become labels by {name}.argmax(axis=1)"
        )
    shaped(name, array, (count,))
    if array.min() < 0 or array.max() >= classes:
        raise ValueError(f"{name}: expected labels 0 .. {classes - 1}, got {array.min()} .. {array.max()}")
    result: Labels = _dense(array, np.int32)
    return result
