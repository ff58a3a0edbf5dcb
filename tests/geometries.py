"""Convolution geometries for the sweeps, drawn from a seed, and data to go with them."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Conv:
    count: int
    input_size: tuple
    kernel: tuple
    group_in: int
    group_out: int
    groups: int = 1
    stride: tuple = (1, 1)
    dilation: tuple = (1, 1)
    padding: tuple = ((0, 0), (0, 0))

    @property
    def arguments(self):
        return dict(stride=self.stride, padding=self.padding, dilation=self.dilation, groups=self.groups)

    @property
    def reach(self):
        return tuple(d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel))

    @property
    def padded(self):
        return tuple(size + sum(pad) for size, pad in zip(self.input_size, self.padding))

    @property
    def output_size(self):
        return tuple((p - r) // s + 1 for p, r, s in zip(self.padded, self.reach, self.stride))

    @property
    def in_c(self):
        return self.groups * self.group_in

    @property
    def out_c(self):
        return self.groups * self.group_out

    def data(self, rng, dtype):
        """x, w, b, dy"""
        shapes = (
            (self.count, *self.input_size, self.in_c),
            (*self.kernel, self.group_in, self.out_c),
            (self.out_c,),
            (self.count, *self.output_size, self.out_c),
        )
        return [rng.normal(size=shape).astype(dtype) for shape in shapes]


def draw(rng):
    def ints(low, high):
        return tuple(int(i) for i in rng.integers(low, high, 2))

    kernel, stride, dilation = ints(1, 5), ints(1, 5), ints(1, 4)
    padding = (ints(0, 5), ints(0, 5)) if rng.random() < 0.7 else ((0, 0), (0, 0))
    # From "the kernel is as large as the padded input" upwards.
    size = tuple(
        max(1, d * (k - 1) + 1 - sum(p)) + int(extra)
        for k, d, p, extra in zip(kernel, dilation, padding, np.maximum(rng.integers(-2, 8, 2), 0))
    )
    groups, group_in, group_out = (int(i) for i in rng.integers(1, [5, 6, 6]))
    return Conv(int(rng.integers(1, 4)), size, kernel, group_in, group_out, groups, stride, dilation, padding)


def sweep(count, seed=0):
    rng = np.random.default_rng(seed)
    return [draw(rng) for _ in range(count)]


EDGES = {
    "1x1_input": Conv(1, (1, 1), (1, 1), 1, 1),
    "1x1_input_padded": Conv(1, (1, 1), (3, 3), 2, 3, padding=((1, 1), (1, 1))),
    "stride_above_kernel": Conv(1, (9, 8), (2, 2), 2, 2, stride=(3, 5)),
    "padding_at_least_kernel": Conv(1, (3, 3), (2, 2), 2, 3, padding=((2, 3), (4, 2))),
    "padding_one_sided": Conv(1, (4, 5), (3, 3), 2, 2, padding=((0, 2), (2, 0))),
    "rows_of_padding_alone_dilated": Conv(1, (2, 2), (3, 3), 2, 2, dilation=(3, 3), padding=((3, 3), (3, 3))),
    "kernel_as_large_as_padded_input": Conv(2, (3, 2), (5, 4), 3, 2, padding=((1, 1), (0, 2))),
    "kernel_reads_nothing_but_padding": Conv(1, (1, 1), (2, 2), 1, 1, stride=(2, 2), padding=((2, 2), (2, 2))),
    "depthwise": Conv(1, (5, 5), (3, 3), 1, 1, groups=9, padding=((1, 1), (1, 1))),
    "depthwise_multiplied": Conv(1, (5, 4), (3, 2), 1, 3, groups=4, stride=(2, 1)),
    "camera": Conv(1, (9, 8), (3, 3), 3, 8, stride=(2, 2), padding=((1, 1), (1, 1))),
    "row": Conv(1, (1, 11), (1, 3), 2, 4),
    "column": Conv(1, (11, 1), (3, 1), 2, 4, padding=((1, 1), (0, 0))),
}
# fmt: off
# Channel counts around the sizes that blocked kernels like.
CHANNELS = [1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33]
EDGES.update({f"pointwise_{c}_to_{k}": Conv(1, (3, 4), (1, 1), c, k) for c in CHANNELS for k in (1, 4, 17, 33)})
EDGES.update({f"3x3_{c}_to_{k}": Conv(1, (4, 5), (3, 3), c, k, padding=((1, 1), (1, 1))) for c, k in
              [(1, 8), (3, 32), (4, 4), (7, 9), (8, 16), (9, 7), (16, 8), (17, 33)]})
# fmt: on
