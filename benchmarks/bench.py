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
import multiprocessing
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Iterator

ONE_THREAD = {
    "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}  # fmt: skip
os.environ.update(ONE_THREAD)  # before the packages that read them

import numpy as np  # noqa: E402
from cases import BATCHES, NETS, PASSES, SHAPES, Net, Shape  # noqa: E402
from ours import Library, Problem, Step, build, from_python, network, pictures, problem  # noqa: E402
from peers import announce, load  # noqa: E402
from python_calls import FUNCTIONS, NETWORK_CALLS  # noqa: E402

import convgrad_embedded as cge  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
PEER_COLUMNS = {"PyTorch": "torch", "JAX": "jax", "ONNX Runtime": "ort"}
FIELDS = [
    "kind", "case", "pass", "batch", "ours_us", "reference_us", "gflops", "peak_share",
    "torch_us", "torch_best_us", "torch_best_setting", "jax_us", "ort_us",
    "torch_ratio", "torch_best_ratio", "jax_ratio", "ort_ratio",
]  # fmt: skip
RATIOS = [field for field in FIELDS if field.endswith("_ratio")]
CALLS = 50  # of a function in a row, where a call is shorter than the clock can tell
Times = Dict[Any, float]  # {"ours", "reference" or (peer, setting): seconds}


# ---- times ---------------------------------------------------------------------------------------------------------


def shortest(run: Callable[[], Any], budget: float, clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds of the fastest of as many runs as the budget allows, one at least."""
    best, end = math.inf, clock() + budget
    while True:
        began = clock()
        run()
        now = clock()
        best = min(best, now - began)
        if now > end:
            return best


def take_turns(contestants: dict[Any, Callable[[float], float]], rounds: int, budget: float) -> Times:
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


def row_of(best: Times, macs: int | None = None, **fields: Any) -> dict[str, Any]:
    ours = best["ours"]
    row = dict(fields, ours_us=microseconds(ours))
    if "reference" in best:
        row["reference_us"] = microseconds(best["reference"])
    if macs is not None:
        row["gflops"] = f"{2e-9 * macs / ours:.1f}"
    if macs is not None and "peak" in best:
        row["peak_share"] = f"{macs * best['peak'] / ours:.3f}"
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


def kernel(library: Library, peers: list[Any], shape: Shape, pass_name: str, batch: int, rounds: int, budget: float) -> Times:
    peers = [peer for peer in peers if hasattr(peer, "convolution")]
    p = problem(shape, pass_name, batch)
    check_agreement(library, p, peers)
    contestants = {
        "ours": lambda budget: library.convolve(p, library.best, budget),
        "reference": lambda budget: library.convolve(p, "ref", budget / 4),
        "peak": lambda budget: 1 / library.peak(library.best),  # the processor's clock is not always the same
        **of_peers(peers, lambda peer, setting: peer.convolution(p, setting)),
    }
    return take_turns(contestants, rounds, budget)


def fused(peers: list[Any], shape: Shape, pass_name: str, batch: int, rounds: int, budget: float) -> Times:
    """The operator from Python with fused multiply-adds, beside the exact one (as the reference)."""
    p = problem(shape, pass_name, batch)

    def contestant(arithmetic: str) -> Callable[[float], float]:
        def timed(budget: float) -> float:
            with cge.arithmetic(arithmetic):
                return shortest(run, budget)

        run = from_python(p)
        return timed

    ways = {"ours": contestant("fused"), "reference": contestant("exact")}
    return take_turns({**ways, **of_peers(peers, lambda peer, setting: peer.convolution(p, setting))}, rounds, budget)


def step(peers: list[Any], net: Net, batch: int, rounds: int, budget: float) -> Times:
    x, labels = pictures(batch)
    ours = network(net)
    contestants = {
        "ours": lambda budget: shortest(lambda: ours.train_on_batch(x, labels), budget),
        **of_peers(peers, lambda peer, setting: peer.step(net, x, labels, setting)),
    }
    return take_turns(contestants, rounds, budget)


def overhead(library: Library, net: Net, batch: int, rounds: int, budget: float) -> Times:
    """A training step from Python, beside the same step called from C (as the reference)."""
    x, labels = pictures(batch)
    from_python = network(net)
    from_c = Step(library, from_python, capacity=batch)
    contestants = {
        "ours": lambda budget: shortest(lambda: from_python.train_on_batch(x, labels), budget),
        "reference": lambda budget: from_c.seconds(x, labels, budget),
    }
    times = take_turns(contestants, rounds, budget)
    from_c.close()
    return times


def called(name: str, rounds: int, budget: float, with_peers: bool) -> Times:
    """A function as a Python user calls it, on a tiny array, beside its C function (as the reference) and PyTorch's."""
    import python_calls

    def contestant(run: Callable[[], Any]) -> Callable[[float], float]:
        run()
        return lambda budget: shortest(lambda: [run() for _ in range(CALLS)], budget) / CALLS

    ways = {who: contestant(run) for who, run in python_calls.contestants(name).items() if with_peers or isinstance(who, str)}
    return take_turns(ways, rounds, budget)


def threads(library: Library, net: Net, batch: int, rounds: int, budget: float) -> Times:
    """Two threads, beside one (as the reference); not pinned."""
    x, labels = pictures(batch)
    two, one = (Step(library, network(net), capacity=batch, threads=count) for count in (2, 1))
    contestants = {"ours": lambda b: two.seconds(x, labels, b), "reference": lambda b: one.seconds(x, labels, b)}
    times = take_turns(contestants, rounds, budget)
    two.close()
    return times


# ---- processes -----------------------------------------------------------------------------------------------------------

# glibc gives memory back to the system and takes it again in every step, unless a program tells it not to or has once
# freed a large block. PyTorch pays for it by default. So each case has a process of its own, and a second one in which
# the allocator is told, for PyTorch's best.
TUNED_ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "33554432", "MALLOC_TRIM_THRESHOLD_": "1073741824", "MALLOC_TOP_PAD_": "67108864"}


@dataclass(frozen=True)
class Calls:
    """Functions of the package and of a network, one for each pass."""

    name: str = "call"


@dataclass(frozen=True)
class Case:
    kind: str
    what: Any  # a Shape, a Net or Calls
    passes: tuple[str, ...]
    batch: int
    rounds: int
    budget: float


def cases(quick: bool) -> list[Case]:
    rounds, budget, batches = (1, 0.0005, (1,)) if quick else (5, 0.02, BATCHES)
    found = [Case("threads", NETS[0], ("two beside one",), BATCHES[-1], rounds * 4, budget * 4)]
    found += [Case("overhead", NETS[0], ("Python beside C",), 1, rounds * 4, budget)]
    found += [Case("python", Calls(), (*FUNCTIONS, *NETWORK_CALLS), 1, rounds, budget)]
    found += [Case("step", net, ("train_on_batch",), batch, rounds, budget * 5) for net in NETS for batch in batches]
    found += [Case("kernel", shape, PASSES, batch, rounds, budget) for batch in batches for shape in SHAPES]
    found += [Case("fused", shape, PASSES, batches[-1], rounds, budget) for shape in SHAPES]
    return found


def run_case(case: Case, peer_names: list[str]) -> list[Times]:
    """One for each pass. In a process of its own, on one core but where threads are compared."""
    if case.kind != "threads" and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    library, peers = Library(), load(peer_names)
    how = case.batch, case.rounds, case.budget
    if case.kind == "kernel":
        return [kernel(library, peers, case.what, name, *how) for name in case.passes]
    if case.kind == "fused":
        peers = [peer for peer in peers if hasattr(peer, "convolution")]
        return [fused(peers, case.what, name, *how) for name in case.passes]
    if case.kind == "python":
        return [called(name, case.rounds, case.budget, bool(peers)) for name in case.passes]
    if case.kind == "step":
        return [step(peers, case.what, *how)]
    return [(overhead if case.kind == "overhead" else threads)(library, case.what, *how)]


def child() -> Any:
    return multiprocessing.get_context("spawn").Pool(1)


def in_child(case: Case, peer_names: list[str], **environment: str) -> list[Times]:
    os.environ.update(environment)
    try:
        with child() as pool:
            return pool.apply(run_case, (case, peer_names))
    finally:
        for name in environment:
            del os.environ[name]


def merged(times: Times, tuned: Times) -> Times:
    """The shorter time of ours, and PyTorch's times with the tuned allocator as further settings."""
    both = {name: min(seconds, tuned.get(name, seconds)) for name, seconds in times.items()}
    both.update(
        {(name[0], f"{name[1]}, tuned allocator"): seconds for name, seconds in tuned.items() if isinstance(name, tuple)}
    )
    return {name: times[name] if isinstance(name, tuple) and name in times else seconds for name, seconds in both.items()}


def measure(quick: bool) -> Iterator[dict[str, Any]]:
    """Each case in a process of its own; of quick ones those without peers in one, and PyTorch's allocator as it comes."""
    build()
    with child() as shared:
        yield from rows_of(quick, shared)


def rows_of(quick: bool, shared: Any) -> Iterator[dict[str, Any]]:
    library, names = Library(), announce()
    peak = library.peak(library.best)
    print(f"kernels: {library.best}; peak {2e-9 * peak:.0f} GFLOP/s on one core", flush=True)
    for case in cases(quick):
        in_quick = case.what in (NETS[0], SHAPES[0], Calls())
        has_peers = case.kind in ("kernel", "fused", "step", "python") and (in_quick or not quick)
        if quick and not has_peers:
            times = shared.apply(run_case, (case, []))
        else:
            times = in_child(case, names if has_peers else [])
        if has_peers and "PyTorch" in names and not (quick and case.kind != "kernel"):
            times = list(map(merged, times, in_child(case, ["PyTorch"], **TUNED_ALLOCATOR)))
        macs = case.batch * case.what.macs if case.kind in ("kernel", "fused") else None
        for pass_name, best in zip(case.passes, times):
            yield row_of(best, macs, kind=case.kind, case=case.what.name, **{"pass": pass_name, "batch": case.batch})


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
    """Geometric mean and minimum of each ratio, per kind, batch and pass."""
    groups: dict[Any, list[dict[str, Any]]] = {}
    for row in rows:
        if row["kind"] in ("kernel", "fused"):
            groups.setdefault((row["kind"] == "fused", row["batch"], PASSES.index(row["pass"])), []).append(row)
    for (is_fused, batch, index), chosen in sorted(groups.items()):
        ratios = {ratio[: -len("_ratio")]: [float(row[ratio]) for row in chosen if row.get(ratio)] for ratio in RATIOS}
        if is_fused:
            ratios["exact"] = [float(row["reference_us"]) / float(row["ours_us"]) for row in chosen]
        parts = [f"{name} x{geometric_mean(values):.2f} (least {min(values):.2f})" for name, values in ratios.items() if values]
        if parts:
            print(f"all shapes{', fused' * is_fused}, {PASSES[index]}, batch {batch}: " + ", ".join(parts))


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"written: {path}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="every code path, peers once, figures worth nothing")
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
