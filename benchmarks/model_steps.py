"""A training step of published networks with batch normalisation and Adam, beside PyTorch eager, on one thread, as CSV.

    python benchmarks/model_steps.py [--nets resnet8 ...] [--batches 1 8 32] [--rounds COUNT] [--csv FILE]

All contestants take turns in one process, pinned to one core. A round's time is its shortest step, a figure the median of the
rounds. It is microseconds of processor time, so that programs beside it count little. torch_us is PyTorch as it comes, with
Adam(fused=True). torch_best_us is the fastest of its settings: memory format, oneDNN or not, fused or foreach Adam. ratio and
best_ratio are these divided by ours_us. The allocator is told to keep memory, which PyTorch gains by.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from bench import ONE_THREAD, TUNED_ALLOCATOR, shortest

import convgrad_embedded as cge
from convgrad_embedded import models

NETS = {"ResNet-8": models.resnet8, "DS-CNN": models.ds_cnn, "MobileNetV1 x0.25": models.mobilenet_v1}
BATCHES = (1, 8, 32)
ARITHMETICS = ("exact", "fused")
SETTINGS = {  # memory format is channels_last, oneDNN, Adam's implementation
    "default": (False, True, "fused"),
    "foreach": (False, True, "foreach"),
    "channels_last": (True, True, "fused"),
    "no oneDNN": (False, False, "fused"),
    "channels_last, no oneDNN": (True, False, "fused"),
}
FIELDS = ["net", "batch", "arithmetic", "ours_us", "torch_us", "torch_best_us", "torch_best_setting", "ratio", "best_ratio"]
Step = Callable[[], Any]


# ---- contestants -----------------------------------------------------------------------------------------------------


def ours(name: str, arithmetic: str, x: np.ndarray, labels: np.ndarray) -> Step:
    with cge.arithmetic(arithmetic):
        net = NETS[name]("batch", optimizer=cge.Adam(0.001), seed=1, capacity=len(x))
    return lambda: net.train_on_batch(x, labels)


def torch_layer(layer: cge.Layer, shape: Sequence[int]) -> Any:
    """The module that does a layer's work on an input of that shape. Where padding is uneven, it is one more on a side."""
    import torch

    nn, channels = torch.nn, shape[-1]
    if isinstance(layer, cge.Conv2d):
        kernel, stride = (size if isinstance(size, tuple) else (size, size) for size in (layer.kernel_size, layer.stride))
        sizes = [((-(-n // s) - 1) * s + k - n) for n, k, s in zip(shape, kernel, stride)]
        padding = tuple((max(size, 0) + 1) // 2 for size in sizes)
        return nn.Conv2d(channels, layer.filters, kernel, stride, padding, groups=layer.groups, bias=layer.use_bias)
    if isinstance(layer, cge.BatchNorm):
        return nn.BatchNorm2d(channels)
    if isinstance(layer, cge.Dense):
        return nn.Linear(channels, layer.units)
    return {cge.ReLU: nn.ReLU, cge.GlobalAvgPool2d: lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())}[type(layer)]()


def torch_model(net: cge.Network) -> Any:
    """The same network as a module: as many parameters that learn, shapes and multiply-adds."""
    import torch

    shapes = [info.out_shape for info in net.layer_infos]

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.steps: list[tuple[Any, tuple[int, ...]]] = []
            for layer, sources in zip(net.layers, net.sources):
                shape = shapes[sources[0]] if sources[0] >= 0 else net.input_shape
                module = None if isinstance(layer, cge.Add) else torch_layer(layer, shape)
                if module is not None:
                    self.add_module(str(len(self.steps)), module)
                self.steps.append((module, sources))

        def forward(self, x: Any) -> Any:
            results: list[Any] = []
            for module, sources in self.steps:
                inputs = [results[source] if source >= 0 else x for source in sources]
                results.append(module(inputs[0]) if module is not None else inputs[0] + inputs[1])
            return results[-1]

    model = Model()
    learning = sum(p.numel() for p in model.parameters())
    statistics_ = sum(b.numel() for b in model.buffers() if b.dim() > 0)
    if learning + statistics_ != net.param_count:
        raise SystemExit(f"PyTorch's network has {learning} + {statistics_} parameters, ours {net.param_count}")
    return model


def theirs(name: str, setting: str, x: np.ndarray, labels: np.ndarray) -> Step:
    import torch

    last, one_dnn, implementation = SETTINGS[setting]
    torch.set_num_threads(1)
    layout = torch.channels_last if last else torch.contiguous_format
    model = torch_model(NETS[name]("batch", seed=1)).to(memory_format=layout)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001, **{implementation: True})
    loss = torch.nn.CrossEntropyLoss()
    samples = torch.from_numpy(x.copy()).permute(0, 3, 1, 2).contiguous(memory_format=layout)
    targets = torch.from_numpy(labels.astype(np.int64))

    def step() -> None:
        torch.backends.mkldnn.enabled = one_dnn
        optimizer.zero_grad(set_to_none=True)
        loss(model(samples), targets).backward()
        optimizer.step()

    return step


def contestants(name: str, batch: int) -> dict[str, Step]:
    shape, classes = NETS[name]().input_shape, NETS[name]().output_shape[0]
    rng = np.random.default_rng(batch)
    x = rng.normal(size=(batch, *shape)).astype(np.float32)
    labels = rng.integers(0, classes, batch).astype(np.int32)
    steps = {arithmetic: ours(name, arithmetic, x, labels) for arithmetic in ARITHMETICS}
    return {**steps, **{setting: theirs(name, setting, x, labels) for setting in SETTINGS}}


# ---- times -----------------------------------------------------------------------------------------------------------


def medians(steps: dict[str, Step], rounds: int, budget: float) -> dict[str, float]:
    """Microseconds of each, by turns."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        step()
    for _ in range(rounds):
        for name, step in steps.items():
            times[name].append(shortest(step, budget, time.process_time))
    return {name: 1e6 * statistics.median(found) for name, found in times.items()}


def rows(name: str, batch: int, rounds: int, budget: float) -> Iterator[dict[str, Any]]:
    times = medians(contestants(name, batch), rounds, budget)
    best = min(SETTINGS, key=lambda setting: times[setting])
    for arithmetic in ARITHMETICS:
        figures = [f"{times[key]:.0f}" for key in (arithmetic, "default", best)]
        ratios = [f"{times[key] / times[arithmetic]:.2f}" for key in ("default", best)]
        yield dict(zip(FIELDS, (name, batch, arithmetic, *figures, best, *ratios)))


def processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="ascii") as file:
            return next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nets", nargs="+", default=list(NETS), choices=list(NETS))
    parser.add_argument("--batches", nargs="+", type=int, default=list(BATCHES))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.1, help="of a contestant in a round, at least a step")
    parser.add_argument("--csv", type=argparse.FileType("w"), default=sys.stdout)
    options = parser.parse_args()
    environment = {**ONE_THREAD, **TUNED_ALLOCATOR}
    if any(os.environ.get(key) != value for key, value in environment.items()):  # read where a process begins
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **environment})
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    print(f"{processor()}, kernels {cge.kernel_set()}", file=sys.stderr)
    writer = csv.DictWriter(options.csv, FIELDS, lineterminator="\n")
    writer.writeheader()
    for name in options.nets:
        for batch in options.batches:
            for row in rows(name, batch, options.rounds, options.seconds):
                writer.writerow(row)
                options.csv.flush()


if __name__ == "__main__":
    main()
