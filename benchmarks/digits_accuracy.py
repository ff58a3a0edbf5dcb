"""Test accuracy of the demo's network on the digits, for several seeds, as CSV.

    python benchmarks/digits_accuracy.py [--seeds 5] [--epochs 30]

The seed draws the weights and shuffles the samples; the split is load_digits' own. The last row is the median.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import sys
import time

import convgrad_embedded as cge


def network(seed: int) -> cge.Network:
    layers = [
        cge.Conv2d(8, 3, padding=1), cge.ReLU(), cge.MaxPool2d(2),
        cge.Conv2d(16, 3, padding=1), cge.ReLU(), cge.MaxPool2d(2),
        cge.Dense(10),
    ]  # fmt: skip
    return cge.Network((8, 8, 1), layers, "softmax_cross_entropy", cge.SGD(0.05, momentum=0.9), seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=30)
    options = parser.parse_args()
    (x, y), test = cge.datasets.load_digits()
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerow(["seed", "test_accuracy_percent", "test_loss", "seconds", "weights_hash"])
    accuracies = []
    for seed in range(options.seeds):
        net, began = network(seed), time.perf_counter()
        net.fit(x, y, epochs=options.epochs, batch_size=32, track_accuracy=False, verbose=False)
        seconds = time.perf_counter() - began
        loss, accuracy = net.evaluate(*test)
        accuracies.append(100 * accuracy)
        rows.writerow([seed, f"{accuracies[-1]:.2f}", f"{loss:.4f}", f"{seconds:.2f}", net.weights_hash()])
    rows.writerow(["median", f"{statistics.median(accuracies):.2f}", "", "", ""])


if __name__ == "__main__":
    main()
