"""Fashion-MNIST (Xiao, Rasul, Vollgraf 2017): test accuracy of net N and the time of an epoch, beside PyTorch's, as CSV.

    python benchmarks/fashion_mnist.py [--seeds 3] [--epochs 5] [--data DIRECTORY]

Net N of cases.py, SGD 0.01 with momentum 0.9, batches of 32, one thread, pixels divided by 256. The data are Debian's
package dataset-fashion-mnist, or its four files in another directory. PyTorch is optional; its epochs are timed in turn
with ours. A row per package and seed, then the medians.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any, Callable

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")  # before NumPy and PyTorch

import numpy as np  # noqa: E402
from cases import LEARNING_RATE, MOMENTUM, NETS  # noqa: E402
from ours import network  # noqa: E402

from convgrad_embedded.datasets import load_fashion_mnist  # noqa: E402

BATCH = 32
FIELDS = ["package", "seed", "test_accuracy_percent", "seconds_per_epoch"]
Learn = Callable[[int], float]  # one epoch: its number -> test accuracy in percent


def ours(data: list[tuple[np.ndarray, np.ndarray]], seed: int) -> Learn:
    net = network(NETS[0])
    net.initialize(seed)
    (x, y), test = data

    def learn(epoch: int) -> float:
        net.fit(x, y, batch_size=BATCH, track_accuracy=False, verbose=False)
        return 100 * net.evaluate(*test).accuracy

    return learn


def torchs(data: list[tuple[np.ndarray, np.ndarray]], seed: int) -> Learn:
    import torch
    from torch import nn

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    layers = [
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
    ]
    model, loss = nn.Sequential(*layers, nn.Flatten(), nn.Linear(784, 10)), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM, fused=True)
    (x, y), (x_test, y_test) = [
        (torch.from_numpy(x).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(y).long()) for x, y in data
    ]

    def learn(epoch: int) -> float:
        order = torch.randperm(len(x))
        for begin in range(0, len(x), BATCH):
            chosen = order[begin : begin + BATCH]
            optimizer.zero_grad(set_to_none=True)
            loss(model(x[chosen]), y[chosen]).backward()
            optimizer.step()
        with torch.no_grad():
            return 100 * (model(x_test).argmax(1) == y_test).double().mean().item()

    return learn


def race(learners: dict[str, Learn], epochs: int) -> dict[str, tuple[float, float]]:
    """{package: (accuracy after the last epoch, seconds of the fastest epoch)}, taking turns."""
    results: dict[str, tuple[float, float]] = {}
    for epoch in range(epochs):
        for package, learn in learners.items():
            began = time.perf_counter()
            accuracy = learn(epoch)
            seconds = time.perf_counter() - began
            results[package] = accuracy, min(seconds, results.get(package, (0.0, seconds))[1])
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--data", type=Path, help="directory of the four files, if not Debian's")
    options = parser.parse_args()
    data = list(load_fashion_mnist(options.data))
    makers: dict[str, Any] = {"convgrad_embedded": ours}
    if importlib.util.find_spec("torch") is not None:
        makers["PyTorch"] = torchs
    else:
        print("PyTorch is not installed and left out: pip install torch", file=sys.stderr)
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerow(FIELDS)
    figures: dict[str, list[tuple[float, float]]] = {package: [] for package in makers}
    for seed in range(options.seeds):
        for package, result in race({name: make(data, seed) for name, make in makers.items()}, options.epochs).items():
            rows.writerow([package, seed, f"{result[0]:.2f}", f"{result[1]:.2f}"])
            figures[package].append(result)
            sys.stdout.flush()
    for package, results in figures.items():
        accuracies, seconds = zip(*results)
        rows.writerow([package, "median", f"{statistics.median(accuracies):.2f}", f"{min(seconds):.2f}"])


if __name__ == "__main__":
    main()
