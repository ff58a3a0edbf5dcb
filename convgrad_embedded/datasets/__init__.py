"""Data to learn from: handwritten digits that come with the package, and Fashion-MNIST where Debian installed it."""

from __future__ import annotations

import gzip
import os
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convgrad_embedded import _core

Split = tuple[NDArray[np.float32], NDArray[np.int32]]  # images (N, H, W, 1) in 0 .. 1, labels (N,)

DIGITS_TEST_COUNT = 360
DIGITS_SPLIT_SEED = 1
FASHION_MNIST_DIRECTORY = "/usr/share/dataset-fashion-mnist"


def load_digits() -> tuple[Split, Split]:
    """(x_train, y_train), (x_test, y_test): 1,437 and 360 handwritten digits of 8x8 pixels, classes 0 .. 9.

    The UCI Optical Recognition of Handwritten Digits test set (E. Alpaydin, C. Kaynak, 1998), CC BY 4.0; see
    digits.LICENSE.txt beside this file. The split is fixed: cge_rng_shuffle with seed 1 puts the 1,797 images in order,
    and the last 360 are for testing. (How hard a test set is depends on the split: with other seeds the network of the
    demo reaches 97 to 99 %, in other frameworks too.)
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

    Reads the four idx files, plain or .gz, from `path`, by default where Debian's dataset-fashion-mnist puts them.
    """
    directory = Path(FASHION_MNIST_DIRECTORY if path is None else path)
    return _idx_split(directory, "train"), _idx_split(directory, "t10k")


def _idx_split(directory: Path, part: str) -> Split:
    images = _read_idx(directory, f"{part}-images-idx3-ubyte", 3)
    labels = _read_idx(directory, f"{part}-labels-idx1-ubyte", 1)
    if len(images) != len(labels):
        raise ValueError(f"{directory}: {len(images)} images but {len(labels)} labels in {part}")
    return (images[..., None] / np.float32(255)).astype(np.float32), labels.astype(np.int32)


def _read_idx(directory: Path, name: str, rank: int) -> NDArray[np.uint8]:
    """LeCun's idx format: two zero bytes, the type (8: unsigned bytes), the rank, each size as big-endian, the data."""
    data = _read(directory, name)
    header = 4 + 4 * rank
    if data[:4] != bytes([0, 0, 8, rank]) or len(data) < header:
        raise ValueError(f"{directory / name}: not an idx file of unsigned bytes with {rank} axes")
    shape = struct.unpack(f">{rank}I", data[4:header])
    if len(data) - header != np.prod(shape, dtype=np.int64):
        raise ValueError(f"{directory / name}: expected {shape} bytes behind the header, got {len(data) - header}")
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def _read(directory: Path, name: str) -> bytes:
    for path, open_file in ((directory / name, open), (directory / f"{name}.gz", gzip.open)):
        if path.exists():
            with open_file(path, "rb") as file:
                content: bytes = file.read()
                return content
    raise FileNotFoundError(f"{directory / name}(.gz) is missing: apt install dataset-fashion-mnist, or name a directory")
