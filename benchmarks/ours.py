"""The library as the benchmarks drive it: host_bench.c and the core, compiled into one file, called through ctypes."""

from __future__ import annotations

import ctypes
import os
import subprocess
from pathlib import Path
from typing import Any, Callable, Dict, NamedTuple

import numpy as np
from cases import LEARNING_RATE, MOMENTUM, PASSES, Net, Shape

import convgrad_embedded as cge

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = ROOT / "build" / "bench" / "libbench.so"


class Geometry(ctypes.Structure):
    """cge_conv2d"""

    _fields_ = [
        (name, ctypes.c_int32)
        for name in (
            "in_h", "in_w", "in_c", "out_c", "kernel_h", "kernel_w", "stride_h", "stride_w", "dilation_h", "dilation_w",
            "pad_top", "pad_left", "pad_bottom", "pad_right", "groups",
        )
    ]  # fmt: skip


class Operands(ctypes.Structure):
    """bench_operands"""

    _fields_ = [(name, ctypes.c_void_p) for name in ("x", "w", "b", "dy", "result")]


def aligned(*shape: int, fill: np.random.Generator | None = None) -> np.ndarray:
    """float32 that begins at a cache line, as large arrays of PyTorch do."""
    size = int(np.prod(shape))
    memory = np.zeros(size + 16, np.float32)
    start = -memory.ctypes.data // 4 % 16
    array = memory[start : start + size].reshape(shape)
    if fill is not None:
        array[...] = fill.normal(size=shape)
    return array


class Problem(NamedTuple):
    """One pass over a batch: operands as the library lays them out, [n][h][w][c] and [kh][kw][c / groups][k]."""

    shape: Shape
    pass_name: str
    batch: int
    x: np.ndarray
    w: np.ndarray
    b: np.ndarray
    dy: np.ndarray
    result: np.ndarray

    @property
    def macs(self) -> int:
        return self.batch * self.shape.macs


def problem(shape: Shape, pass_name: str, batch: int) -> Problem:
    rng = np.random.default_rng(shape.macs + batch)
    x = aligned(batch, shape.size, shape.size, shape.channels, fill=rng)
    w = aligned(shape.kernel, shape.kernel, shape.channels // shape.groups, shape.filters, fill=rng)
    b = aligned(shape.filters, fill=rng)
    dy = aligned(batch, shape.out_size, shape.out_size, shape.filters, fill=rng)
    result = aligned(*{"forward": dy, "weight_grad": w, "input_grad": x}[pass_name].shape)
    return Problem(shape, pass_name, batch, x, w, b, dy, result)


def from_python(p: Problem) -> Callable[[], np.ndarray]:
    """The pass as a Python user calls it."""
    s = p.shape
    how: Dict[str, Any] = {"stride": s.stride, "padding": s.padding, "dilation": s.dilation, "groups": s.groups}
    return {
        "forward": lambda: cge.conv2d_forward(p.x, p.w, p.b, **how),
        "weight_grad": lambda: cge.conv2d_weight_grad(p.x, p.dy, (s.kernel, s.kernel), **how),
        "input_grad": lambda: cge.conv2d_input_grad(p.w, p.dy, (s.size, s.size), **how),
    }[p.pass_name]


def build() -> None:
    subprocess.run(["make", "-s", str(LIBRARY.relative_to(ROOT))], cwd=ROOT, check=True)


class Library:
    def __init__(self) -> None:
        self._lib = ctypes.CDLL(str(LIBRARY))
        self._lib.bench_set_name.restype = ctypes.c_char_p
        for name in ("bench_conv2d", "bench_step", "bench_peak"):
            getattr(self._lib, name).restype = ctypes.c_double
        for name in ("bench_network_bytes", "bench_arena_bytes"):
            getattr(self._lib, name).restype = ctypes.c_size_t
        names = []
        while (name := self._lib.bench_set_name(len(names))) is not None:
            names.append(name.decode())
        self.sets: list[str] = names

    @property
    def best(self) -> str:
        forced = os.environ.get("CGE_KERNELS", "")
        return forced if forced in self.sets else self.sets[-1]

    def peak(self, kernels: str) -> float:
        """Multiplications with an addition, each rounded, a second, on registers as wide as that set's."""
        return float(self._lib.bench_peak(self.sets.index(kernels)))

    def convolve(self, p: Problem, kernels: str, seconds: float) -> float:
        """Shortest time of the pass, in seconds, over as many repetitions as the budget allows."""
        s = p.shape
        g = Geometry(
            s.size, s.size, s.channels, s.filters, s.kernel, s.kernel, s.stride, s.stride, s.dilation, s.dilation,
            s.padding, s.padding, s.padding, s.padding, s.groups,
        )  # fmt: skip
        o = Operands(*(array.ctypes.data for array in (p.x, p.w, p.b, p.dy, p.result)))
        index, pass_index = self.sets.index(kernels), PASSES.index(p.pass_name)
        return float(
            self._lib.bench_conv2d(index, ctypes.byref(g), pass_index, p.batch, ctypes.byref(o), ctypes.c_double(seconds))
        )

    def result(self, p: Problem, kernels: str) -> np.ndarray:
        """What the pass computes, once (gradients of weights add)."""
        p.result[...] = 0
        self.convolve(p, kernels, 0.0)
        return p.result.copy()


class Step:
    """A network's training step called from C: what Python adds is the difference to Network.train_on_batch."""

    def __init__(self, library: Library, net: cge.Network, capacity: int, threads: int = 1) -> None:
        self._lib = library._lib
        data = net.to_bytes()
        self._state = ctypes.create_string_buffer(self._lib.bench_network_bytes() + 64)
        self._t = ctypes.c_void_p(-(-ctypes.addressof(self._state) // 64) * 64)
        size = self._lib.bench_arena_bytes(self._t, data, ctypes.c_size_t(len(data)), capacity)
        self._arena = aligned(size // 4)
        arena = ctypes.c_void_p(self._arena.ctypes.data)
        if not size or not self._lib.bench_open(
            self._t, data, ctypes.c_size_t(len(data)), arena, ctypes.c_size_t(size), capacity, threads
        ):
            raise SystemExit("the core does not take its own network back")

    def seconds(self, x: np.ndarray, labels: np.ndarray, budget: float) -> float:
        pointers = [ctypes.c_void_p(array.ctypes.data) for array in (x, labels)]
        return float(self._lib.bench_step(self._t, *pointers, len(x), ctypes.c_double(budget)))

    def close(self) -> None:
        self._lib.bench_close(self._t)


def network(net: Net, **options: int) -> cge.Network:
    layers: list[cge.Layer] = []
    for kind, outputs, kernel, padding in net.steps():
        if kind == "pool":
            layers.append(cge.MaxPool2d(2))
        else:
            layers += [cge.Dense(outputs) if kind == "dense" else cge.Conv2d(outputs, kernel, padding=padding), cge.ReLU()]
    optimizer = cge.SGD(LEARNING_RATE, momentum=MOMENTUM)
    return cge.Network((28, 28, 1), layers[:-1], "softmax_cross_entropy", optimizer, seed=1, **options)


def pictures(batch: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(batch)
    return aligned(batch, 28, 28, 1, fill=rng), rng.integers(0, 10, batch).astype(np.int32)
