"""Speed on this computer: the library's kernels and training steps beside other packages', in one run, on one thread.

    python benchmarks/bench.py [--quick] [--csv build/bench/host.csv]

Ours and theirs take turns, and the shortest time of each counts: what else the computer does makes times longer, never
shorter. A ratio is their time divided by ours. Times are microseconds; gflops counts a multiply-add as two; peak_share is
the part of the multiplications and additions, each rounded, that this core does at best on registers of that width. The
peers (PyTorch, JAX, ONNX Runtime training) are optional.
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import time
from pathlib import Path
from typing import Any, Callable, Iterator

ONE_THREAD = {
    "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}  # fmt: skip
os.environ.update(ONE_THREAD)  # before the packages that read them

import numpy as np  # noqa: E402
from cases import BATCHES, NETS, PASSES, SHAPES, Net  # noqa: E402
from ours import Library, Problem, Step, network, pictures, problem  # noqa: E402
from peers import installed  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
PEER_COLUMNS = {"PyTorch": "torch", "JAX": "jax", "ONNX Runtime": "ort"}
FIELDS = [
    "kind", "case", "pass", "batch", "ours_us", "reference_us", "gflops", "peak_share",
    "torch_us", "torch_best_us", "torch_best_setting", "jax_us", "ort_us",
    "torch_ratio", "torch_best_ratio", "jax_ratio", "ort_ratio",
]  # fmt: skip
RATIOS = [field for field in FIELDS if field.endswith("_ratio")]


# ---- times ---------------------------------------------------------------------------------------------------------


def shortest(run: Callable[[], Any], budget: float) -> float:
    """Seconds of the fastest of as many runs as the budget allows, one at least."""
    best, end = math.inf, time.perf_counter() + budget
    while True:
        began = time.perf_counter()
        run()
        now = time.perf_counter()
        best = min(best, now - began)
        if now > end:
            return best


def take_turns(contestants: dict[Any, Callable[[float], float]], rounds: int, budget: float) -> dict[Any, float]:
    """{name: shortest seconds}; each contestant is called with its budget, round after round."""
    best = dict.fromkeys(contestants, math.inf)
    for _ in range(rounds):
        for name, contestant in contestants.items():
            best[name] = min(best[name], contestant(budget))
    return best


def of_peers(peers: list[Any], make: Callable[[Any, str], Callable[[], Any]]) -> dict[Any, Callable[[float], float]]:
    def contestant(peer: Any, setting: str) -> Callable[[float], float]:
        peer.before(setting)
        run = make(peer, setting)
        run()  # compiles, where there is something to compile

        def timed(budget: float) -> float:
            peer.before(setting)
            return shortest(run, budget)

        return timed

    return {(peer.name, setting): contestant(peer, setting) for peer in peers for setting in peer.settings}


def row_of(best: dict[Any, float], macs: int | None = None, peak: float | None = None, **fields: Any) -> dict[str, Any]:
    ours = best["ours"]
    row = dict(fields, ours_us=microseconds(ours))
    if "reference" in best:
        row["reference_us"] = microseconds(best["reference"])
    if macs is not None:
        row["gflops"] = f"{2e-9 * macs / ours:.1f}"
    if macs is not None and peak is not None:
        row["peak_share"] = f"{macs / ours / peak:.3f}"
    for name, column in PEER_COLUMNS.items():
        times = {key[1]: seconds for key, seconds in best.items() if key[0] == name}
        if times:
            row[f"{column}_us"] = microseconds(times["default"])
            row[f"{column}_ratio"] = f"{times['default'] / ours:.2f}"
        if len(times) > 1:
            fastest = min(times, key=lambda setting: times[setting])
            row[f"{column}_best_us"], row[f"{column}_best_setting"] = microseconds(times[fastest]), fastest
            row[f"{column}_best_ratio"] = f"{times[fastest] / ours:.2f}"
    return row


def microseconds(seconds: float) -> str:
    return f"{1e6 * seconds:.2f}"


# ---- what is measured ------------------------------------------------------------------------------------------------


def check_agreement(library: Library, p: Problem, peers: list[Any]) -> None:
    """All kernel sets to the last bit; peers within rounding."""
    expected = library.result(p, "ref")
    got = library.result(p, library.best)
    if got.tobytes() != expected.tobytes():
        raise SystemExit(f"{p.shape.name}, {p.pass_name}, batch {p.batch}: {library.best} is not equal to ref")
    for peer in peers:
        theirs = peer.result(p, peer.convolution(p, "default")())
        scale = float(np.abs(expected).max())
        if not np.allclose(expected, theirs, rtol=1e-3, atol=1e-4 * scale):
            raise SystemExit(f"{p.shape.name}, {p.pass_name}, batch {p.batch}: {peer.name} has another result")


def kernels(library: Library, peers: list[Any], batches: tuple[int, ...], rounds: int, budget: float) -> Iterator[dict[str, Any]]:
    peers = [peer for peer in peers if hasattr(peer, "convolution")]
    peak = library.peak(library.best)
    for batch in batches:
        for shape in SHAPES:
            for pass_name in PASSES:
                p = problem(shape, pass_name, batch)
                check_agreement(library, p, peers)
                contestants = {
                    "ours": lambda budget, p=p: library.convolve(p, library.best, budget),
                    "reference": lambda budget, p=p: library.convolve(p, "ref", budget / 4),
                    **of_peers(peers, lambda peer, setting, p=p: peer.convolution(p, setting)),
                }
                best = take_turns(contestants, rounds, budget)
                yield row_of(best, p.macs, peak, kind="kernel", case=shape.name, **{"pass": pass_name, "batch": batch})


def steps(peers: list[Any], batches: tuple[int, ...], rounds: int, budget: float) -> Iterator[dict[str, Any]]:
    for net in NETS:
        for batch in batches:
            x, labels = pictures(batch)
            ours = network(net)
            contestants = {
                "ours": lambda budget, n=ours, x=x, y=labels: shortest(lambda: n.train_on_batch(x, y), budget),
                **of_peers(peers, lambda peer, setting, x=x, y=labels, n=net: peer.step(n, x, y, setting)),
            }
            best = take_turns(contestants, rounds, budget)
            yield row_of(best, kind="step", case=net.name, **{"pass": "train_on_batch", "batch": batch})


def overhead(library: Library, net: Net, rounds: int, budget: float) -> dict[str, Any]:
    """A training step of one sample from Python, beside the same step called from C (in the column of the reference)."""
    x, labels = pictures(1)
    from_python = network(net)
    from_c = Step(library, from_python, capacity=1)
    contestants = {
        "ours": lambda budget: shortest(lambda: from_python.train_on_batch(x, labels), budget),
        "reference": lambda budget: from_c.seconds(x, labels, budget),
    }
    row = row_of(take_turns(contestants, rounds, budget), kind="overhead", case=net.name, **{"pass": "Python beside C", "batch": 1})
    from_c.close()
    return row


def threads(library: Library, net: Net, batch: int, rounds: int, budget: float) -> dict[str, Any]:
    """Two threads, beside one (in the column of the reference); not pinned."""
    x, labels = pictures(batch)
    two, one = (Step(library, network(net), capacity=batch, threads=count) for count in (2, 1))
    contestants = {"ours": lambda b: two.seconds(x, labels, b), "reference": lambda b: one.seconds(x, labels, b)}
    row = row_of(take_turns(contestants, rounds, budget), kind="threads", case=net.name, **{"pass": "two beside one", "batch": batch})
    two.close()
    return row


def measure(quick: bool) -> Iterator[dict[str, Any]]:
    library, peers = Library(), installed()
    everywhere = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    rounds, budget, batches = (1, 0.0005, (1,)) if quick else (5, 0.02, BATCHES)
    print(f"kernels: {library.best}; peak {2e-9 * library.peak(library.best):.0f} GFLOP/s on one core", flush=True)
    yield threads(library, NETS[0], BATCHES[-1], rounds * 4, budget * 4)  # before threads that start later inherit the pinning
    if everywhere:
        os.sched_setaffinity(0, {max(everywhere)})
    yield from kernels(library, peers, batches, rounds, budget)
    yield from steps(peers, batches, rounds, budget * 5)
    yield overhead(library, NETS[0], rounds * 4, budget)
    if everywhere:
        os.sched_setaffinity(0, everywhere)


# ---- tables ----------------------------------------------------------------------------------------------------------


def geometric_mean(values: list[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values))


def print_row(row: dict[str, Any]) -> None:
    figures = [f"{row['ours_us']:>9} us"]
    figures += [f"{float(row['gflops']):6.1f} GFLOP/s {100 * float(row['peak_share']):3.0f} %"] if row.get("peak_share") else []
    figures += [f"reference {row['reference_us']} us"] if row.get("reference_us") else []
    figures += [f"{ratio[: -len('_ratio')]} x{row[ratio]}" for ratio in RATIOS if row.get(ratio)]
    print(f"{row['kind']:8} {row['case']:22} {row['pass']:15} {row['batch']:>3} " + "  ".join(figures), flush=True)


def print_summary(rows: list[dict[str, Any]]) -> None:
    """Geometric mean and minimum of each ratio, per pass and batch."""
    for batch in sorted({row["batch"] for row in rows if row["kind"] == "kernel"}):
        for pass_name in PASSES:
            chosen = [row for row in rows if (row["kind"], row["pass"], row["batch"]) == ("kernel", pass_name, batch)]
            parts = []
            for ratio in RATIOS:
                values = [float(row[ratio]) for row in chosen if row.get(ratio)]
                if values:
                    parts.append(f"{ratio[: -len('_ratio')]} x{geometric_mean(values):.2f} (least {min(values):.2f})")
            if parts:
                print(f"all shapes, {pass_name}, batch {batch}: " + ", ".join(parts))


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"written: {path}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="every code path, figures worth nothing")
    parser.add_argument("--csv", type=Path, default=ROOT / "build" / "bench" / "host.csv")
    options = parser.parse_args()
    rows = []
    for row in measure(options.quick):
        rows.append(row)
        print_row(row)
    print_summary(rows)
    write(options.csv, rows)


if __name__ == "__main__":
    main()
