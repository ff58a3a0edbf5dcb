"""What a benchmark's figures changed against a baseline. Standard library only.

    python3 benchmarks/compare.py NEW.csv BASELINE.csv

Files of bench.py or board_bench.py. Prints each figure that differs by more than its tolerance; ends with status 1 if one
became worse or is gone.
"""

from __future__ import annotations

import csv
import sys
from typing import Iterator

# (column, the larger the better, part by which it may get worse). Times are of one computer on one day: only ratios count.
COMPARED = (
    *((ratio, True, 0.15) for ratio in ("torch_ratio", "torch_best_ratio", "jax_ratio", "ort_ratio", "peak_share")),
    ("instructions_per_mac", False, 0.01),
    ("instructions", False, 0.01),
)
KEYS = ("kind", "board", "options", "case", "pass", "batch")


def read(path: str) -> dict[tuple[str, ...], dict[str, str]]:
    try:
        with open(path, newline="", encoding="utf-8") as file:
            return {tuple(row.get(key, "") for key in KEYS): row for row in csv.DictReader(file)}
    except FileNotFoundError:
        raise SystemExit(
            f"{path} is not there: `make bench` writes figures, `make bench-baseline` makes them the baseline"
        ) from None


def changes(new: dict[str, str], old: dict[str, str]) -> Iterator[tuple[str, bool]]:
    """(what changed by more than the tolerance, whether for the worse)"""
    for column, larger_is_better, tolerance in COMPARED:
        if new.get(column) and old.get(column):
            factor = float(new[column]) / float(old[column])
            better = factor if larger_is_better else 1 / factor
            if not 1 - tolerance <= better <= 1 / (1 - tolerance):
                yield f"{column} {old[column]} -> {new[column]}", better < 1


def compare(new_path: str, old_path: str) -> int:
    """Prints what differs; 1 if something became worse or is gone."""
    new, old = read(new_path), read(old_path)
    worse = 0
    for key in {**old, **new}:
        name = " ".join(part for part in key if part)
        if key not in new or key not in old:
            print(f"{name}: {'gone' if key in old else 'new'}")
            worse += key in old
            continue
        for text, is_worse in changes(new[key], old[key]):
            print(f"{name}: {text}{'  WORSE' if is_worse else ''}")
            worse += is_worse
    print(f"{len(new)} rows, {worse} worse")
    return 1 if worse else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    sys.exit(compare(*sys.argv[1:]))
