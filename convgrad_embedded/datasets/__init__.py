"""Data to learn from: handwritten digits that come with the package, Fashion-MNIST where Debian installed it, idx files.

Pixels are divided by a power of two (256 for bytes): that is exact in float32, so a board gets the same numbers.

>>> (x, y), (x_test, y_test) = cge.datasets.load_digits()
>>> x.shape, y.shape, x_test.shape
((1437, 8, 8, 1), (1437,), (360, 8, 8, 1))
"""

from __future__ import annotations

import gzip
import itertools
import math
import os
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convgrad_embedded import _core, _names

Split = tuple[NDArray[np.float32], NDArray[np.int32]]  # images (N, H, W, 1) in 0 .. 1, labels (N,)

DIGITS_TEST_COUNT = 360
DIGITS_SPLIT_SEED = 1
FASHION_MNIST_DIRECTORIES = ("/usr/share/datasets/fashion-mnist", "/usr/share/dataset-fashion-mnist")

_IDX_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def load_digits() -> tuple[Split, Split]:
    """(x_train, y_train), (x_test, y_test): 1,437 and 360 handwritten digits of 8x8 pixels, classes 0 .. 9.

    The UCI Optical Recognition of Handwritten Digits test set (E. Alpaydin, C. Kaynak, 1998), CC BY 4.0; see
    digits.LICENSE.txt beside this file. The split is fixed: cge_rng_shuffle with seed 1 puts the 1,797 images in order,
    and the last 360 are for testing. (How hard a test set is depends on the split: with other seeds the network of the
    demo reaches 97 to 99 %, in other frameworks too.)

    >>> (x, y), test = cge.datasets.load_digits()
    >>> x.shape, x.dtype, float(x.max()), y[:5].tolist()
    ((1437, 8, 8, 1), dtype('float32'), 1.0, [8, 4, 1, 5, 1])
    """
    with np.load(Path(__file__).with_name("digits.npz")) as data:
        images, labels = data["images"], data["labels"]
    order = _core.Rng(DIGITS_SPLIT_SEED).permutation(len(labels))
    x = (images[order, :, :, None] / 16).astype(np.float32)
    y = labels[order].astype(np.int32)
    train = len(y) - DIGITS_TEST_COUNT
    return (x[:train], y[:train]), (x[train:], y[train:])


def load_fashion_mnist(path: str | os.PathLike[str] | None = None) -> tuple[Split, Split]:
    """(x_train, y_train), (x_test, y_test): 60,000 and 10,000 pictures of clothes, 28x28 (Zalando Research, MIT).

    Reads the four idx files from `path`, by default where Debian's dataset-fashion-mnist puts them. Their names may be
    train-images-idx3-ubyte or train-images.idx3-ubyte, with or without .gz. MNIST itself comes in such files as well.

    FileNotFoundError if they are not there, ValueError if they are something else.

    >>> (x, y), test = cge.datasets.load_fashion_mnist("fashion-mnist")
    >>> x.shape[1:], x.dtype
    ((28, 28, 1), dtype('float32'))
    """
    places = [Path(place) for place in (FASHION_MNIST_DIRECTORIES if path is None else [path])]
    directory = next((place for place in places if place.is_dir()), places[0])
    return _split(directory, "train"), _split(directory, "t10k")


def load_idx(path: str | os.PathLike[str]) -> NDArray[Any]:
    """The array in an idx file, plain or compressed with gzip: uint8, int8, int16, int32, float32 or float64.

    For a network, images (N, H, W) of uint8 become load_idx(path)[..., None].astype(np.float32) / 256; for one with
    input_scale=1/256, load_idx(path)[..., None].

    The format: two zero bytes, the type, the number of axes, each size in four bytes, the numbers; all big-endian.

    ValueError if the file is damaged or of another format.

    >>> with open("two.idx", "wb") as file:
    ...     length = file.write(bytes([0, 0, 0x08, 1, 0, 0, 0, 2, 7, 9]))
    >>> cge.datasets.load_idx("two.idx")
    array([7, 9], dtype=uint8)
    """
    data = Path(path).read_bytes()
    if data[:2] == b"\x1f\x8b":
        data = _decompressed(path, data)
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in _IDX_TYPES:
        raise ValueError(f"{path}: not an idx file")
    rank, kind = data[3], np.dtype(_IDX_TYPES[data[2]])
    begin = 4 + 4 * rank
    shape = tuple(np.frombuffer(data[4:begin], ">u4", len(data[4:begin]) // 4).tolist())
    expected = math.prod(shape) * kind.itemsize
    if len(data) - begin != expected:
        raise ValueError(f"{path}: expected {expected} bytes of shape {shape}, got {max(len(data) - begin, 0)}")
    return np.frombuffer(data, kind, offset=begin).reshape(shape).astype(kind.newbyteorder("="))


def _decompressed(path: str | os.PathLike[str], data: bytes) -> bytes:
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: damaged: {error}") from None


def _split(directory: Path, part: str) -> Split:
    images = _load(directory, f"{part}-images", "idx3-ubyte", 3)
    labels = _load(directory, f"{part}-labels", "idx1-ubyte", 1)
    if len(images) != len(labels):
        raise ValueError(f"{directory}: {len(images)} images but {len(labels)} labels in {part}")
    return images[..., None].astype(np.float32) / np.float32(256), labels.astype(np.int32)


def _load(directory: Path, name: str, kind: str, rank: int) -> NDArray[Any]:
    candidates = [directory / f"{name}{mark}{kind}{end}" for end, mark in itertools.product(("", ".gz"), "-.")]
    path = next((candidate for candidate in candidates if candidate.exists()), None)
    if path is None:
        raise FileNotFoundError(f"{candidates[0]}(.gz) is missing: apt install dataset-fashion-mnist, or name a directory")
    array = load_idx(path)
    if array.dtype != np.uint8 or array.ndim != rank:
        raise ValueError(f"{path}: expected unsigned bytes with {rank} axes, got {array.dtype} with {array.ndim}")
    return array


if not TYPE_CHECKING:  # which knows what there is
    __getattr__ = _names.of_module(globals())
