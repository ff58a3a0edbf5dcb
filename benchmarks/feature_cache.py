"""What an epoch takes with fit(cache_features=True) beside one without, of networks whose last layer learns, as CSV.

    python benchmarks/feature_cache.py [--samples COUNT] [--epochs COUNT]

Both train from the same weights, in one run; `equal` says whether their files are the same bytes behind it. features is the
time in which they are computed, once; epoch and without are medians of epochs.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import sys
import time
from typing import Any

import numpy as np

import convgrad_embedded as cge
from convgrad_embedded import models

NETWORKS = {
    "ResNet-8": models.resnet8,
    "DS-CNN": models.ds_cnn,
    "MobileNetV1 x0.25": models.mobilenet_v1,
    "net N": models.net_n,
}
FIELDS = ["network", "samples", "features_ms", "epoch_ms", "without_ms", "ratio", "equal"]


class Watch(cge.callbacks.Callback):
    def __init__(self) -> None:
        self.begins: list[float] = []
        self.epochs: list[float] = []

    def on_epoch_begin(self, epoch: int) -> None:
        self.begins.append(time.perf_counter())

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        self.epochs.append(time.perf_counter() - self.begins[-1])


def row(name: str, samples: int, epochs: int) -> dict[str, Any]:
    whole = NETWORKS[name](optimizer=cge.SGD(0.001, momentum=0.9), seed=0)
    rng = np.random.default_rng(0)
    x = rng.random((samples, *whole.input_shape), dtype=np.float32)
    y = rng.integers(0, whole.output_shape[0], samples)
    trained = {}
    for kept in (True, False):
        net, watch, begin = whole.freeze(upto=-2), Watch(), time.perf_counter()
        options: dict[str, Any] = {"track_accuracy": False, "verbose": 0, "cache_features": kept}
        net.fit(x, y, epochs=epochs, batch_size=32, callbacks=[watch], **options)
        trained[kept] = net.to_bytes(), watch.begins[0] - begin, statistics.median(watch.epochs)
    (one, features, epoch), (other, _, without) = trained.values()
    figures = [f"{1000 * value:.2f}" for value in (features, epoch, without)]
    return dict(zip(FIELDS, (name, samples, *figures, f"{without / epoch:.0f}", one == other)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=512)
    parser.add_argument("--epochs", type=int, default=5)
    options = parser.parse_args()
    writer = csv.DictWriter(sys.stdout, FIELDS, lineterminator="\n")
    writer.writeheader()
    for name in NETWORKS:
        writer.writerow(row(name, options.samples, options.epochs))


if __name__ == "__main__":
    main()
