"""Data for training as boards have it, computed by the core: the same orders, pictures and choices from the same seeds.

    order = cge.data.permutation(len(x), seed=1, epoch=3)
    augment = cge.data.Augmentation(shift=2, flip_horizontal=0.5, brightness=20, contrast=0.2, centre=128)
    pictures = augment(x[order], seed=1, counter=0)
    memory = cge.data.ReplayBuffer(100, x.shape[1:], x.dtype, classes=10)

Formulas are in csrc/include/cge_data.h. docs/data.md has the program of a board.

>>> sorted(cge.data.permutation(5, seed=1).tolist())
[0, 1, 2, 3, 4]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Union

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from convgrad_embedded import _arguments, _arrays, _core, _names
from convgrad_embedded._layers import _by_position, _Described

__all__ = ["permutation", "Augmentation", "ReplayBuffer"]

_MOST_64 = 2**64 - 1
Pair = Union[int, Sequence[int]]


def permutation(count: int, seed: int = 0, epoch: int = 0) -> NDArray[np.int32]:
    """0 .. count - 1 in an order that a board computes place by place, without storing it: cge_permute.

    The same count, seed and epoch give the same order everywhere. Another epoch gives another order.

    >>> first, second = cge.data.permutation(100, seed=1), cge.data.permutation(100, seed=1, epoch=1)
    >>> sorted(first.tolist()) == list(range(100)), first.tolist() == second.tolist()
    (True, False)
    """
    count = _arrays.integer("count", count, 1)
    seed = _arrays.integer("seed", seed, 0, _MOST_64)
    return _core.permuted(count, seed, _arrays.integer("epoch", epoch, 0, 2**32 - 1))


@_by_position(0)
@dataclass(frozen=True, repr=False)
class Augmentation(_Described):
    """Pictures that are never the same twice: augmentation(x, seed, counter), the bits of cge_augment_f32 or cge_augment_u8.

    In this order: crop, flips, contrast, brightness and noise, cutout. An int stands for both axes.

    shift            (h, w): how far a picture is moved at most, each way; less than its size
    crop             (h, w) of the result, a random part of the picture with `shift` rows and columns of padding around it
    fill, fill_edge  what is outside of the picture and in the cutout; or outside the nearest pixel
    flip_horizontal  probability that columns, flip_vertical that rows are in reverse order
    contrast         0 .. 1: differences to `centre` are multiplied by 1 - contrast to 1 + contrast
    brightness       -brightness to brightness is added
    noise            standard deviation of what is added to each number (triangular law)
    cutout           (h, w) of a rectangle of `fill` anywhere in the picture, cut off at its borders

    Bytes are rounded and stay within 0 .. 255, the settings are in their units. Numbers are float32 and are not clipped.

    >>> picture = np.array([[[1], [2]], [[3], [4]]], np.uint8)  # (H, W, C)
    >>> cge.data.Augmentation(flip_horizontal=1)(picture, seed=1)[:, :, 0].tolist()
    [[2, 1], [4, 3]]
    """

    shift: Pair = 0
    crop: Pair | None = None
    fill: float = 0.0
    fill_edge: bool = False
    flip_horizontal: float = 0.0
    flip_vertical: float = 0.0
    contrast: float = 0.0
    centre: float = 0.0
    brightness: float = 0.0
    noise: float = 0.0
    cutout: Pair = 0

    def __post_init__(self) -> None:
        try:
            self._c_members()
        except (TypeError, ValueError) as error:
            raise type(error)(f"Augmentation: {error}") from None

    def _c_members(self) -> dict[str, Any]:
        """Of cge_augmentation, without the picture's size."""
        shift, cutout = _arrays.pair("shift", self.shift, 0), _arrays.pair("cutout", self.cutout, 0)
        crop = (0, 0) if self.crop is None else _arrays.pair("crop", self.crop)
        if (cutout[0] == 0) != (cutout[1] == 0):
            raise ValueError(f"cutout: expected both sizes above 0, or 0, got {cutout}")
        members: dict[str, Any] = {"out_h": crop[0], "out_w": crop[1], "shift_h": shift[0], "shift_w": shift[1]}
        members.update(cutout_h=cutout[0], cutout_w=cutout[1], fill_edge=_arrays.boolean("fill_edge", self.fill_edge))
        for name in ("flip_horizontal", "flip_vertical", "contrast"):
            members[name] = _arrays.share(name, getattr(self, name))
        for name in ("brightness", "noise"):
            members[name] = _arrays.number(name, getattr(self, name))
        for name in ("fill", "centre"):
            members[name] = _signed(name, getattr(self, name))
        return members

    @_arguments.checked
    def __call__(self, x: ArrayLike, seed: int = 0, counter: int | Sequence[int] | NDArray[Any] = 0) -> NDArray[Any]:
        """x (N, H, W, C) or (H, W, C), uint8 or float32. Sample i has number counter + i, or counter[i]; with other numbers, or
        another seed, other things happen to it."""
        samples = _pictures(x)
        members = self._c_members()
        size = dict(zip(("h", "w"), samples.shape[1:3]))
        out = {axis: members[f"out_{axis}"] or size[axis] for axis in size}
        for axis in size:
            self._check_axis(axis, size[axis], out[axis], members)
        if samples.dtype == np.uint8:
            for name in ("fill", "centre", "brightness", "noise"):
                if not 0 <= members[name] <= 255:
                    raise ValueError(f"{name}: expected a number from 0 to 255, as x are bytes, got {members[name]}")
        members.update(in_h=size["h"], in_w=size["w"], in_c=samples.shape[3])
        seed = _arrays.integer("seed", seed, 0, _MOST_64)
        result = np.empty((len(samples), out["h"], out["w"], samples.shape[3]), samples.dtype)
        _core.augment(members, seed, _counters(counter, len(samples)), samples, result)
        return result if np.ndim(x) == 4 else result[0]

    def _check_axis(self, axis: str, size: int, out: int, members: dict[str, Any]) -> None:
        shift = members[f"shift_{axis}"]
        if shift >= out:
            raise ValueError(f"shift: expected less than the result's {axis} = {out}, got {shift}")
        if out > size + 2 * shift:
            raise ValueError(f"crop: expected at most {axis} + 2 * shift = {size + 2 * shift}, got {out}")
        if members[f"cutout_{axis}"] > out:
            raise ValueError(f"cutout: expected at most the result's {axis} = {out}, got {members[f'cutout_{axis}']}")


class ReplayBuffer:
    """Some samples of a stream, in a fixed number of slots, as boards keep them: cge_replay.

    With classes=0 each sample of the stream is held with the same probability (reservoir sampling, Vitter 1985). With
    classes=n, labels are 0 .. n - 1, and rare classes keep what they have (class-balanced, Chrysakis & Moens 2020).

    >>> memory = cge.data.ReplayBuffer(2, (4,), np.uint8, seed=1)
    >>> for label in range(10):
    ...     slot = memory.add(np.full(4, label, np.uint8), label)  # None if it was not kept
    >>> len(memory), memory.seen, memory.draw(3)[0].shape
    (2, 10, (3, 4))
    """

    @_arguments.checked
    def __init__(
        self, capacity: int, shape: Sequence[int], dtype: DTypeLike = np.float32, classes: int = 0, seed: int = 0
    ) -> None:
        sizes = tuple(_arrays.integer("shape", size, 1) for size in _arrays.sequence("shape", shape, "sizes"))
        capacity = _arrays.integer("capacity", capacity, 1)
        kind = np.dtype(dtype)
        if kind.kind not in "iufb":
            raise TypeError(f"dtype: expected numbers, got {kind}")
        total = capacity * kind.itemsize * int(np.prod(sizes, dtype=object))
        if total > _arrays.INT32_MAX:
            raise ValueError(f"capacity: expected at most {_arrays.INT32_MAX} bytes of samples, got {total}")
        self._classes = _arrays.integer("classes", classes, 0)
        seed = _arrays.integer("seed", seed, 0, _MOST_64)
        self._replay = _core.Replay(capacity, sizes, kind, self._classes, seed)

    def __len__(self) -> int:
        """How many samples it holds."""
        return self._replay.held

    @property
    def seen(self) -> int:
        """How many samples were added, held or not."""
        return self._replay.seen

    @property
    def samples(self) -> NDArray[Any]:
        """A copy of those that it holds, slot by slot."""
        return self._replay.samples[: len(self)].copy()

    @property
    def labels(self) -> NDArray[np.int32]:
        return self._replay.labels[: len(self)].copy()

    @_arguments.checked
    def add(self, x: ArrayLike, label: int = 0) -> int | None:
        """The slot that the sample takes, None if it was not kept. x has the buffer's shape and type."""
        sample, like = np.asarray(x), self._replay.samples
        if sample.shape != like.shape[1:] or sample.dtype != like.dtype:
            raise ValueError(f"x: expected {like.dtype} with shape {like.shape[1:]}, got {_arrays.describe(sample)}")
        most = self._classes - 1 if self._classes else _arrays.INT32_MAX
        label = _arrays.integer("label", label, 0 if self._classes else -(2**31), most)
        slot = self._replay.add(np.require(sample, like.dtype.newbyteorder("="), ["C"]), label)
        return None if slot < 0 else slot

    @_arguments.checked
    def draw(self, n: int) -> tuple[NDArray[Any], NDArray[np.int32]]:
        """n samples and their labels, each any of those held, whatever was drawn before."""
        n = _arrays.integer("n", n, 1)
        if not len(self):
            raise ValueError("draw: expected samples in the buffer, got none; add() some first")
        slots = self._replay.draw(n)
        return self._replay.samples[slots], self._replay.labels[slots]


def _signed(name: str, value: Any) -> float:
    """A finite number, as float32."""
    if isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool) and value < 0:
        return -_arrays.number(name, -value)
    return _arrays.number(name, value)


def _pictures(value: ArrayLike) -> NDArray[Any]:
    array = np.asarray(value)
    if array.dtype == np.uint8:
        shapes = (("N", "H", "W", "C"), ("H", "W", "C"))
        dense: NDArray[Any] = np.require(_arrays.shaped("x", array, *shapes), None, ["C", "A"])
        return _arrays.batch("x", dense, 3)  # type: ignore[no-any-return]
    images = _arrays.images("x", value)
    if images.dtype != np.float32:
        raise TypeError(f"x: expected float32 or uint8, got {images.dtype}; use np.asarray(x, np.float32)")
    return images


def _counters(value: Any, count: int) -> list[int]:
    if np.ndim(value) == 0:
        first = _arrays.integer("counter", value, 0, _MOST_64 - count)
        return list(range(first, first + count))
    numbers = _arrays.sequence("counter", value, "an integer, or one for each sample")
    if len(numbers) != count:
        raise ValueError(f"counter: expected one integer, or {count}, got {len(numbers)}")
    return [_arrays.integer("counter", number, 0, _MOST_64) for number in numbers]


_arguments.check_functions(globals())


if not TYPE_CHECKING:  # which knows what there is
    __getattr__ = _names.of_module(globals())
