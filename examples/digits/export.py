"""Trains README's network and writes it as digits.h and digits.c, beside this file or into the directory that is named.

    python examples/digits/export.py [DIRECTORY]

`make digits` runs it. The files are in the repository, so that firmware can be tried without Python. The same bits come
out on every computer, and a test compares.
"""

from __future__ import annotations

import sys
from pathlib import Path

import convgrad_embedded as cge


def main(directory: Path) -> None:
    (x, y), _ = cge.datasets.load_digits()
    net = cge.Network(
        input_shape=(8, 8, 1),
        layers=[
            cge.Conv2d(8, 3, padding="same"), cge.ReLU(), cge.MaxPool2d(2),
            cge.Conv2d(16, 3, padding="same"), cge.ReLU(), cge.MaxPool2d(2),
            cge.Dense(10),
        ],
        loss="softmax_cross_entropy",
        optimizer=cge.SGD(0.05, momentum=0.9),
        seed=0,
    )  # fmt: skip
    net.fit(x, y, epochs=10, batch_size=32, verbose=False)
    net.export(directory, name="digits")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
