"""The README's pictures, which need matplotlib: pip install matplotlib

    python benchmarks/picture.py          # docs/benchmark.svg, from the committed baselines: this library beside its peers
    python benchmarks/picture.py memory   # docs/memory.svg: the plan of LeNet-5-like at level smallest

Of the first, above: their time divided by ours on a PC (bench_host.csv). Below: instructions for a multiply-add on a Cortex-M4F
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
PASSES = ("forward", "weight_grad", "input_grad")
HOST_PEERS = {
    "torch_ratio": "PyTorch",
    "torch_best_ratio": "PyTorch, best setting",
    "jax_ratio": "JAX",
    "ort_ratio": "ONNX Runtime",
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
    figure, (above, below) = plt.subplots(2, 1, figsize=(9, 7), layout="constrained")
    draw(
        above,
        host_bars(read(BASELINES / "bench_host.csv")),
        "PC, one thread: how many times faster than ...",
        "their time / ours",
    )
    above.axhline(1, linewidth=0.8, color="black")
    boards = board_bars(read(BASELINES / "bench_netduinoplus2.csv"), read(FOLDER / "peers_mcu.csv"))
    draw(below, boards, "Cortex-M4F: instructions for one multiply-add (less is better)", "instructions")
    write(figure, TARGET)


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
