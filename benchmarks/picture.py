"""The README's pictures, which need matplotlib: pip install matplotlib

    python benchmarks/picture.py          # docs/benchmark.svg, from the committed baselines: this library beside its peers
    python benchmarks/picture.py memory   # docs/memory.svg: the plan of LeNet-5-like at level smallest
    python benchmarks/picture.py architecture   # docs/architecture.svg: the parts, and which knows which

Of the first, above: their time divided by ours on a PC (bench_host.csv). In the middle, where that has rows `python`: the same
of functions as Python calls them. Below: instructions for a multiply-add on a Cortex-M4F
(bench_netduinoplus2.csv), and what peers_mcu.csv has of others, each measured with the same counter on the same emulator.
"""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Iterable
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
BASELINES = FOLDER / "baselines"
TARGET = FOLDER.parent / "docs" / "benchmark.svg"
MEMORY_TARGET = FOLDER.parent / "docs" / "memory.svg"
ARCHITECTURE_TARGET = FOLDER.parent / "docs" / "architecture.svg"
PASSES = ("forward", "weight_grad", "input_grad")
HOST_PEERS = {
    "torch_ratio": "PyTorch",
    "torch_best_ratio": "PyTorch, best setting",
    "jax_ratio": "JAX",
    "ort_ratio": "ONNX Runtime",
}
PARTS = {  # the place from left and from below, what it has, which parts it knows beside those that these know
    "base": (1, 0, "words, numbers, exp, log", ()),
    "kernels": (1, 1, "loops over arrays, in sets", ("base",)),
    "layers": (1, 2, "an operator as a layer", ("kernels",)),
    "losses, optimizers": (0, 3, "the same for these", ("layers",)),
    "ops": (2, 2, "single operators, checked", ("kernels",)),
    "net": (1, 4, "plan of memory, walk over layers", ("layers", "losses, optimizers")),
    "safe": (1, 5, "files, self-test", ("net",)),
    "host": (1, 6, "threads, double precision", ("safe", "ops")),
    "data": (3, 1, "orders, augmentation, replay", ("base",)),
    "binding": (1, 7, "Python's compiled module", ("host", "data")),
    "Python": (1, 8, "NumPy arrays, names, messages", ("binding",)),
}
OURS = "convgrad_embedded"

Bars = dict[str, dict[str, float]]  # {group: {bar: height}}


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def geometric_mean(values: Iterable[float]) -> float:
    logarithms = [math.log(value) for value in values]
    return math.exp(sum(logarithms) / len(logarithms))


def host_bars(rows: list[dict[str, str]]) -> Bars:
    """Ratios: kernels as the mean over all shapes, then whole training steps."""
    bars: Bars = {}
    for batch in ("1", "32"):
        for pass_name in PASSES:
            chosen = [row for row in rows if (row["kind"], row["pass"], row["batch"]) == ("kernel", pass_name, batch)]
            heights = {name: [float(row[column]) for row in chosen if row[column]] for column, name in HOST_PEERS.items()}
            bars[f"{pass_name.replace('_', ' ')}\nbatch {batch}"] = {n: geometric_mean(v) for n, v in heights.items() if v}
    for row in rows:
        if row["kind"] == "step":
            heights_ = {name: float(row[column]) for column, name in HOST_PEERS.items() if row[column]}
            bars[f"step {row['case']}\nbatch {row['batch']}"] = heights_
    return bars


def python_bars(rows: list[dict[str, str]]) -> Bars:
    """Ratios of the functions as a Python user calls them."""
    chosen = [row for row in rows if row["kind"] == "python" and row["torch_ratio"]]
    return {row["pass"].replace("_", "\n", 1): {"PyTorch": float(row["torch_ratio"])} for row in chosen}


def board_bars(rows: list[dict[str, str]], peers: list[dict[str, str]]) -> Bars:
    """Instructions for a multiply-add: ours, and each peer that has the case."""
    bars: Bars = {}
    for case in dict.fromkeys(row["case"] for row in peers):
        for pass_name in PASSES:
            heights = {OURS: float(r["instructions_per_mac"]) for r in rows if (r["case"], r["pass"]) == (case, pass_name)}
            heights.update({r["package"]: float(r[pass_name]) for r in peers if r["case"] == case and r[pass_name]})
            if len(heights) > 1:
                bars[f"{case}\n{pass_name.replace('_', ' ')}"] = heights
    return bars


def draw(axes: object, bars: Bars, title: str, label: str) -> None:
    names = list(dict.fromkeys(name for heights in bars.values() for name in heights))
    width = 0.8 / len(names)
    for index, name in enumerate(names):
        places = [place for place, heights in enumerate(bars.values()) if name in heights]
        heights = [group[name] for group in bars.values() if name in group]
        drawn = axes.bar([place + (index - (len(names) - 1) / 2) * width for place in places], heights, width, label=name)
        axes.bar_label(drawn, fmt="%.1f", fontsize=5)
    axes.set_xticks(range(len(bars)), list(bars), fontsize=6)
    axes.set_yscale("log")
    axes.set_title(title, fontsize=9)
    axes.set_ylabel(label, fontsize=7)
    axes.tick_params(axis="y", labelsize=6)
    axes.legend(fontsize=6)


def main() -> None:
    try:
        import matplotlib
    except ModuleNotFoundError:
        raise SystemExit("the picture needs matplotlib: pip install matplotlib") from None
    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"svg.hashsalt": OURS, "svg.fonttype": "none"})  # the same file from the same figures; text as text
    if sys.argv[1:] == ["memory"]:
        write(memory_figure(), MEMORY_TARGET)
        return
    if sys.argv[1:] == ["architecture"]:
        write(architecture_figure(plt), ARCHITECTURE_TARGET)
        return
    host = read(BASELINES / "bench_host.csv")
    calls = python_bars(host)
    figure, (above, *between, below) = plt.subplots(3 if calls else 2, 1, figsize=(9, 10 if calls else 7), layout="constrained")
    ratio = "their time / ours"
    draw(above, host_bars(host), "PC, one thread, kernels from C, steps from Python: how many times faster than ...", ratio)
    for axes in between:
        draw(axes, calls, "Functions as Python calls them, on tiny arrays: how many times faster than ...", ratio)
    for axes in (above, *between):
        axes.axhline(1, linewidth=0.8, color="black")
    boards = board_bars(read(BASELINES / "bench_netduinoplus2.csv"), read(FOLDER / "peers_mcu.csv"))
    draw(below, boards, "Cortex-M4F: instructions for one multiply-add (less is better)", "instructions")
    write(figure, TARGET)


def architecture_figure(plt: object) -> object:
    """Boxes, and an arrow from each part to those that it knows."""
    figure, axes = plt.subplots(figsize=(8, 5.6), layout="constrained")
    wide, high = 0.88, 0.6
    for name, (column, row, text, known) in PARTS.items():
        color = "#f4ead8" if name in ("binding", "Python") else "#dce9f7"
        axes.add_patch(plt.Rectangle((column, row), wide, high, facecolor=color, edgecolor="black", linewidth=0.8))
        axes.text(column + wide / 2, row + 0.4, name, ha="center", va="center", fontsize=9, weight="bold")
        axes.text(column + wide / 2, row + 0.16, text, ha="center", va="center", fontsize=6.5)
        for other in known:
            to_column, to_row, *_ = PARTS[other]
            is_far = to_column > column  # past what stands below
            begin = (column + wide, row + high / 2) if is_far else (column + wide / 2, row)
            ends = {"xy": (to_column + wide / 2, to_row + high), "xytext": begin}
            axes.annotate("", **ends, arrowprops={"arrowstyle": "-|>", "linewidth": 0.8, "color": "black"})
    axes.set_xlim(-0.05, 4)
    axes.set_ylim(-0.1, 8.7)
    axes.axis("off")
    return figure


def memory_figure() -> object:
    import memory

    import convgrad_embedded as cge

    shape, layers = memory.NETWORKS["LeNet-5-like"]
    net = cge.Network(shape, layers, "softmax_cross_entropy", memory.OPTIMIZERS["SGD"], memory="smallest")
    return cge.plot_memory(net).figure


def write(figure: object, target: Path) -> None:
    figure.savefig(target, metadata={"Date": None})
    print(f"written: {target.relative_to(FOLDER.parent)}, {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
