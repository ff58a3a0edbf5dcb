"""Does training get slower with the steps? CSV: processor time of the last thousand steps beside that of the first thousand.

    .venv/bin/python benchmarks/long_run.py [--steps 20000] [--csv FILE]

Batches of one, random pictures and labels. Processors that are slow with subnormal numbers (Intel's take some 150 cycles for
one) show it if velocities or weights without gradient decay into them and stay. `subnormal_velocities` and
`subnormal_weights` count those at the end. Each figure is the median of ten parts of its thousand steps. NumPy.
"""

import argparse
import csv
import statistics
import sys
import time

import numpy as np

import convgrad_embedded as cge

PART, PARTS = 100, 10


def convolutions():
    return [layer for count in (8, 16) for layer in (cge.Conv2d(count, 3, padding=1), cge.ReLU(), cge.MaxPool2d(2))]


def lenet():
    layers = [cge.Conv2d(6, 5), cge.ReLU(), cge.MaxPool2d(2), cge.Conv2d(16, 5), cge.ReLU(), cge.MaxPool2d(2)]
    return [*layers, cge.Dense(120), cge.ReLU(), cge.Dense(84), cge.ReLU()]


CASES = {  # input, layers before the last, optimizer
    "net N, momentum": ((28, 28, 1), convolutions, cge.SGD(0.05, momentum=0.9)),
    "LeNet-5-like, dead units": ((28, 28, 1), lenet, cge.SGD(0.02, momentum=0.9)),
    "digits, weight decay": ((8, 8, 1), lambda: [cge.Dense(32), cge.ReLU()], cge.SGD(0.1, momentum=0.9, weight_decay=0.05)),
    "net N, plain": ((28, 28, 1), convolutions, cge.SGD(0.05)),
}


def microseconds_per_step(net, x, y, start):
    begin = time.thread_time()
    for i in range(start, start + PART):
        net.train_on_batch(x[i % len(x)][None], y[i % len(y)][None])
    return (time.thread_time() - begin) / PART * 1e6


def subnormal(values):
    return int(np.sum((values != 0) & (np.abs(values) < np.finfo(np.float32).tiny)))


def measure(name, steps):
    shape, layers, optimizer = CASES[name]
    net = cge.Network(shape, [*layers(), cge.Dense(10)], "softmax_cross_entropy", optimizer, seed=0)
    rng = np.random.default_rng(0)
    x, y = rng.random((500, *shape), dtype=np.float32), rng.integers(0, 10, 500).astype(np.int32)
    microseconds_per_step(net, x, y, 0)  # warm
    parts = [microseconds_per_step(net, x, y, start) for start in range(0, steps, PART)]
    first, last = statistics.median(parts[:PARTS]), statistics.median(parts[-PARTS:])
    velocity = np.frombuffer(net.to_bytes()[-4 - 4 * net.param_count : -4], "<f4") if optimizer.momentum else np.zeros(0)
    return {
        "case": name,
        "steps": steps,
        "first_us": f"{first:.1f}",
        "last_us": f"{last:.1f}",
        "ratio": f"{last / first:.2f}",
        "subnormal_velocities": subnormal(velocity),
        "subnormal_weights": sum(subnormal(w) for w in net.get_weights()),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20000)
    parser.add_argument("--csv", type=argparse.FileType("w"), default=sys.stdout)
    arguments = parser.parse_args()
    writer = None
    for name in CASES:
        row = measure(name, arguments.steps)
        if writer is None:
            writer = csv.DictWriter(arguments.csv, list(row), lineterminator="\n")
            writer.writeheader()
        writer.writerow(row)
        arguments.csv.flush()


if __name__ == "__main__":
    main()
