"""Published networks for small boards; norms are folded into the convolutions before them.

ResNet-8, DS-CNN and MobileNetV1 are those of MLPerf Tiny. MobileNetV2 is the one that MCUNetV3 trains, without the layer of
1,280 channels. Frontnet is PULP-Frontnet. Where a paper has ReLU6, ReLU stands for it: the memory is the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import convgrad_embedded as cge
from convgrad_embedded import Add, Conv2d, Dense, GlobalAvgPool2d, Input, Layer, MaxPool2d, ReLU

Shape = tuple[int, int, int]


class Table(NamedTuple):
    """A network before it has a loss: its layers, and which rows each of them reads; -1 is the input."""

    input_shape: Shape
    layers: list[Layer]
    sources: list[tuple[int, ...]]


class _Rows:
    """Rows of a table as they are written."""

    def __init__(self, input_shape: Shape) -> None:
        self.table = Table(input_shape, [], [])

    @property
    def last(self) -> int:
        return len(self.table.layers) - 1

    def add(self, layer: Layer, *sources: int) -> int:
        """The row before if no other is named. Returns its number."""
        self.table.layers.append(layer)
        self.table.sources.append(sources or (self.last - 1,))
        return self.last

    def relu(self, layer: Layer, *sources: int) -> int:
        self.add(layer, *sources)
        return self.add(ReLU())


def chain(input_shape: Shape, layers: Iterable[Layer]) -> Table:
    rows = _Rows(input_shape)
    for layer in layers:
        rows.add(layer)
    return rows.table


def resnet8() -> Table:
    """Pictures of CIFAR-10: 16, 32 and 64 filters."""
    rows = _Rows((32, 32, 3))
    skip = rows.relu(Conv2d(16, 3, padding="same"))
    for filters, stride in ((16, 1), (32, 2), (64, 2)):
        begin = skip
        rows.relu(Conv2d(filters, 3, stride=stride, padding="same"), begin)
        main = rows.add(Conv2d(filters, 3, padding="same"))
        if stride > 1:
            begin = rows.add(Conv2d(filters, 1, stride=stride), begin)
        skip = rows.relu(Add(), main, begin)
    rows.add(GlobalAvgPool2d())
    rows.add(Dense(10))
    return rows.table


def _separable(rows: _Rows, channels: int, filters: int, stride: int = 1) -> None:
    rows.relu(Conv2d(channels, 3, stride=stride, padding="same", groups=channels))
    rows.relu(Conv2d(filters, 1))


def ds_cnn() -> Table:
    """Words in 49x10 coefficients."""
    rows = _Rows((49, 10, 1))
    rows.relu(Conv2d(64, (10, 4), stride=2, padding="same"))
    for _ in range(4):
        _separable(rows, 64, 64)
    rows.add(GlobalAvgPool2d())
    rows.add(Dense(12))
    return rows.table


def mobilenet_v1() -> Table:
    """A person in 96x96 pixels or none, a quarter of the channels."""
    rows, channels = _Rows((96, 96, 3)), 8
    rows.relu(Conv2d(channels, 3, stride=2, padding="same"))
    for more, stride in ((2, 1), (2, 2), (1, 1), (2, 2), (1, 1), (2, 2), *[(1, 1)] * 5, (2, 2), (1, 1)):
        _separable(rows, channels, channels * more, stride)
        channels *= more
    rows.add(GlobalAvgPool2d())
    rows.add(Dense(2))
    return rows.table


def mobilenet_v2() -> Table:
    """Ten classes of 128x128 pixels, 0.35 of the channels."""
    rows, channels = _Rows((128, 128, 3)), 16
    rows.relu(Conv2d(channels, 3, stride=2, padding="same"))
    blocks = ((1, 8, 1, 1), (6, 8, 2, 2), (6, 16, 3, 2), (6, 24, 4, 2), (6, 32, 3, 1), (6, 56, 3, 2), (6, 112, 1, 1))
    for expansion, filters, count, first_stride in blocks:
        for number in range(count):
            stride, begin, inner = (first_stride if number == 0 else 1), rows.last, channels * expansion
            if expansion > 1:
                rows.relu(Conv2d(inner, 1))
            rows.relu(Conv2d(inner, 3, stride=stride, padding="same", groups=inner))
            main = rows.add(Conv2d(filters, 1))
            if stride == 1 and channels == filters:
                rows.add(Add(), main, begin)
            channels = filters
    rows.add(GlobalAvgPool2d())
    rows.add(Dense(10))
    return rows.table


def frontnet(filters: int) -> Table:
    """A person's pose in 160x96 grey pixels, as a nano-drone sees it."""
    layers: list[Layer] = [Conv2d(filters, 5, stride=2, padding=2), ReLU(), MaxPool2d(2)]
    for more in (1, 2, 4):
        for stride in (2, 1):
            layers += [Conv2d(filters * more, 3, stride=stride, padding=1), ReLU()]
    return chain((96, 160, 1), [*layers, Dense(4)])


def network(table: Table, layers: Sequence[Layer], loss: str | None, optimizer: cge.SGD | None, **options: Any) -> cge.Network:
    """The table with these layers in place of its own."""
    tensors = [Input(table.input_shape)]
    for layer, sources in zip(layers, table.sources):
        tensors.append(layer(*(tensors[source + 1] for source in sources)))
    return cge.Network(inputs=tensors[0], outputs=tensors[-1], loss=loss, optimizer=optimizer, **options)
