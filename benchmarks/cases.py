"""What the benchmarks measure: convolutions and networks. Standard library only."""

from __future__ import annotations

import re
from dataclasses import dataclass

PASSES = ("forward", "weight_grad", "input_grad")
BATCHES = (1, 32)


@dataclass(frozen=True)
class Shape:
    """A square convolution of `channels` to `filters`; size of the image in pixels, padding on all four sides."""

    channels: int
    filters: int
    size: int
    kernel: int
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    groups: int = 1

    @property
    def name(self) -> str:
        layers = f"depthwise {self.channels}" if self.groups > 1 else f"{self.channels}->{self.filters}"
        options = [("s", self.stride, 1), ("d", self.dilation, 1), ("p", self.padding, 0)]
        return f"{layers} {self.size} k{self.kernel}" + "".join(f"{k}{v}" for k, v, default in options if v != default)

    @property
    def out_size(self) -> int:
        return (self.size + 2 * self.padding - self.dilation * (self.kernel - 1) - 1) // self.stride + 1

    @property
    def macs(self) -> int:
        """Multiply-adds of one pass over one sample; taps in the padding count."""
        return self.out_size**2 * self.filters * self.channels // self.groups * self.kernel**2

    @property
    def is_dense(self) -> bool:
        """Enough channels on both sides to fill vectors: where a share of the processor's peak means something."""
        return self.groups == 1 and min(self.channels, self.filters) >= 16


SHAPES = (
    Shape(1, 8, 28, 3, padding=1),
    Shape(8, 16, 14, 3, padding=1),
    Shape(3, 16, 32, 3, padding=1),
    Shape(16, 32, 16, 3, stride=2, padding=1),
    Shape(32, 32, 8, 3, padding=1),
    Shape(3, 32, 96, 3, stride=2, padding=1),
    Shape(1, 6, 28, 5),
    Shape(6, 16, 12, 5),
    Shape(48, 48, 16, 3, padding=1, groups=48),
    Shape(96, 96, 24, 3, stride=2, padding=1, groups=96),
    Shape(48, 96, 8, 1),
    Shape(96, 24, 16, 1),
    Shape(16, 16, 16, 3, dilation=2, padding=2),
)


@dataclass(frozen=True)
class Net:
    """A chain for 28x28 pictures of one channel and ten classes. Layers: conv<filters>k<kernel>[p<padding>] and
    dense<outputs>, both but the last dense followed by ReLU, and pool, the maximum of 2x2."""

    name: str
    layers: str

    def steps(self) -> list[tuple[str, int, int, int]]:
        """(kind, outputs, kernel, padding) of each layer."""
        found = []
        for word in self.layers.split():
            kind, outputs, kernel, padding = re.fullmatch(r"([a-z]+?)(\d*)(?:k(\d+))?(?:p(\d+))?", word).groups()
            found.append((kind, int(outputs or 0), int(kernel or 0), int(padding or 0)))
        return found


NETS = (
    Net("N", "conv8k3p1 pool conv16k3p1 pool dense10"),
    Net("LeNet-5-like", "conv6k5 pool conv16k5 pool dense120 dense84 dense10"),
)
LEARNING_RATE, MOMENTUM = 0.01, 0.9
