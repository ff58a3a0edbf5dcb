"""The command line: python -m convgrad_embedded, or convgrad-embedded.

Exit status: 0, or 1 if something does not fit, differs or is wrong, or 2 if the command or its files are not understood.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from convgrad_embedded import _boards, _core, _model_costs, _summary, _validate, datasets
from convgrad_embedded._gradcheck import GradientCheckError
from convgrad_embedded._network import Network
from convgrad_embedded._optimizers import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop

Report = dict[str, Any]
Result = tuple[int, Report, str]  # exit status, for --json, for people

_FINE, _NOT_FINE, _NOT_UNDERSTOOD, _READER_GONE = 0, 1, 2, 128 + 13  # the last as a shell tells SIGPIPE
_DATASETS = {"digits": datasets.load_digits, "fashion_mnist": datasets.load_fashion_mnist}
_READERS = {".onnx": Network.from_onnx, ".tflite": Network.from_tflite, ".keras": Network.from_keras, ".h5": Network.from_keras}
_OPTIMIZERS: dict[str, type[Optimizer]] = {kind.kind: kind for kind in (SGD, Adam, AdamW, RMSprop, Adagrad)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command, as in a shell, and returns its exit status. arguments None: those of the process.

    >>> from convgrad_embedded import cli
    >>> cli.main(["selftest"])
    passed: exact arithmetic, ... kernels
    0
    """
    parser = _parser()
    given = parser.parse_args(arguments)
    if not hasattr(given, "run"):
        parser.print_help()
        return _NOT_UNDERSTOOD
    try:
        status, report, text = given.run(given)
    except (ValueError, TypeError, OSError, ImportError, FloatingPointError) as error:
        print(f"convgrad-embedded {given.command}: {error}", file=sys.stderr)
        return _NOT_UNDERSTOOD
    except KeyboardInterrupt:
        return 130
    return _print(json.dumps(report, indent=2) if given.json else text) or int(status)


def _print(text: str) -> int:
    """To standard output; the status of a process whose reader has gone, as `head` does, or 0."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python flushes at its end
        return _READER_GONE
    return 0


# ---- commands --------------------------------------------------------------------------------------------------------


def _list_boards(given: argparse.Namespace) -> Result:
    boards = [_boards.load(name) for name in _boards.names()]
    report = [
        {
            "name": board.name,
            "description": board.description,
            "core": board.core,
            "ram_bytes": board.chip.ram_bytes,
            "flash_bytes": board.chip.flash_bytes,
            "release": board.release,
            "free_ram_bytes": board.free.ram_bytes,
            "free_ccm_bytes": board.free.ccm_bytes,
            "free_flash_bytes": board.free.flash_bytes,
        }
        for board in boards
    ]
    width = max(len(board.name) for board in boards)
    lines = [f"{board.name:{width}}  {board.core:12} {board.description}" for board in boards]
    return _FINE, {"boards": report}, "\n".join(lines)


def _list_models(given: argparse.Namespace) -> Result:
    rows = _model_costs.costs()
    return _FINE, {"models": [row._asdict() for row in rows]}, _model_costs.table(rows)


def _summarise(given: argparse.Namespace) -> Result:
    network = _network(given)
    text = network.summary(board=given.board, print_fn=None)
    layers = [
        {
            "layer": repr(layer),
            "output": list(info.out_shape),
            "parameters": info.param_elems,
            "macs": info.macs,
            "parameter_bytes": sizes.parameters,
            "learning_bytes": sizes.learning,
            "output_bytes": sizes.output,
            "freezing_saves_bytes": sizes.freezing_saves,
        }
        for layer, info, sizes in zip(network.layers, network.layer_infos, _summary.layer_bytes(network))
    ]
    report = {"network": repr(network), "parameters": network.param_count, "weights": network.weights_hash(), "layers": layers}
    return _FINE, report, str(text)


def _size(given: argparse.Namespace) -> Result:
    """What it takes at each memory level. With a board: 1 unless what the network is for fits there at its own level."""
    network = _network(given)
    levels = {level: _summary.level_bytes(network, level) for level in _core.MEMORY_LEVELS}
    flash, code = _summary.flash_bytes(network), _summary.code_bytes(network)
    report: Report = {"levels": levels, "flash_bytes": flash, "code_bytes_at_most": code}
    rows = [
        f"{level:9} {_shown(uses['train'])} to train {_shown(uses['predict'])} to predict" for level, uses in levels.items()
    ]
    rows.append(f"flash     {flash:>10,} of weights and tables, and at most {code:,} of code")
    status = _FINE
    if given.board is not None:
        board = _boards.load(given.board)
        need = network.arena_bytes + _summary.stack_bytes(board.core, network.memory)
        room = board.chip.ram_bytes if board.free.ram_bytes is None else board.free.ram_bytes
        fits = (room is None or need <= room) and (board.chip.flash_bytes is None or flash + code <= board.chip.flash_bytes)
        where = board.name if board.free.ram_bytes is None else f"{board.name} beside {board.release}"
        report["board"] = {"name": board.name, "ram_bytes": room, "needed_bytes": need, "fits": fits}
        verdict = "fits" if fits else "does not fit"
        rows.append(f"{where}: {verdict}: {need:,} bytes with the stack" + ("" if room is None else f" of {room:,}"))
        status = _FINE if fits else _NOT_FINE
    return status, report, "\n".join(rows)


def _plan(given: argparse.Namespace) -> Result:
    network = _network(given)
    budget = given.budget_bytes if len(given.budget_bytes) > 1 else given.budget_bytes[0]
    plan = network.plan(budget, frozen_in=given.frozen_in)
    report = {
        "fits": plan.missing_bytes == 0,
        "memory": plan.memory,
        "trainable": {str(layer): part for layer, part in zip(plan.trainable, plan.parts)},
        "optimizer": repr(plan.optimizer),
        "arena_bytes": plan.arena_bytes,
        "range_bytes": plan.range_bytes,
        "missing_bytes": plan.missing_bytes,
    }
    return _NOT_FINE if plan.missing_bytes else _FINE, report, plan.explain()


def _train(given: argparse.Namespace) -> Result:
    """An interrupt loses nothing: a new file gets what was learned, and the one that it came from stays."""
    network = _network(given)
    out = given.out or given.network
    if not Path(out).absolute().parent.is_dir():
        raise FileNotFoundError(f"--out: there is no directory for {out}")
    (x, y), test = _data(given.data)
    if given.learning_rate is not None:
        network.learning_rate = given.learning_rate
    try:
        history = network.fit(
            x, y, epochs=given.epochs, batch_size=given.batch_size, validation_data=test, verbose=0 if given.json else 2
        )
    except KeyboardInterrupt:
        if out != given.network:
            network.save(out)
        left = f"{out} is as it was" if out == given.network else f"saved to {out}"
        print(f"convgrad-embedded train: interrupted; {left}", file=sys.stderr)
        raise
    network.save(out)
    report = {"history": history, "weights": network.weights_hash(), "saved": str(out)}
    return _FINE, report, f"saved to {out}: weights {network.weights_hash()}"


def _evaluate(given: argparse.Namespace) -> Result:
    network = _network(given)
    part, test = _data(given.data)
    x, y = part if test is None else test
    result = network.evaluate(x, y)
    text = f"{len(x)} samples: loss {result.loss:.6g}"
    text += "" if result.accuracy is None else f", accuracy {100 * result.accuracy:.2f} %"
    return _FINE, {"samples": len(x), **result._asdict()}, text


def _export(given: argparse.Namespace) -> Result:
    network = _network(given)
    if given.out.endswith(".onnx"):
        network.to_onnx(given.out)
        paths = [Path(given.out)]
    else:
        paths = network.export(given.out, given.name)
    return _FINE, {"files": list(map(str, paths))}, "\n".join(map(str, paths))


def _optimizer(given: argparse.Namespace) -> Optimizer:
    kind = _OPTIMIZERS[given.optimizer]
    chosen = {"learning_rate": given.learning_rate, "momentum": given.momentum}
    settings = {name: value for name, value in chosen.items() if value is not None}
    if "momentum" in settings and not hasattr(kind, "momentum"):
        raise ValueError(f"--momentum: {given.optimizer} has none; sgd and rmsprop have")
    return kind(**settings)


def _import(given: argparse.Namespace) -> Result:
    suffix = Path(given.source).suffix.lower()
    if suffix not in _READERS:
        raise ValueError(f"{given.source}: expected a file that ends in {', '.join(_READERS)}")
    optimizer = None if given.loss is None else _optimizer(given)
    network = _READERS[suffix](given.source, loss=given.loss, optimizer=optimizer)
    network.save(given.out)
    notes = list(network.import_notes)
    report = {"network": repr(network), "parameters": network.param_count, "notes": notes, "saved": given.out}
    return _FINE, report, "\n".join([*notes, f"saved to {given.out}: {network.param_count:,} parameters"])


def _validate_board(given: argparse.Namespace) -> Result:
    """Trains on the board and here, and compares loss, gradients and weights bit by bit."""
    network = _network(given)
    batch = 1 if network.memory.startswith("smallest") else given.batch_size
    count = given.steps * batch
    if given.data is None:
        x, y = _made_up(network, count)
    else:
        (x, y), _ = _data(given.data)
        if len(x) < count:
            raise ValueError(f"data: expected at least {count} samples for {given.steps} steps of {batch}, got {len(x)}")
    samples, targets = network._data(x[:count], y[:count])
    result = _validate.run(network, given.board, samples, targets, given.steps, batch, given.runner)
    report = {
        "board": given.board,
        "equal": result.is_equal,
        "here": [step._asdict() for step in result.here],
        "there": [step._asdict() for step in result.there],
    }
    lines = [_compared(number, *pair) for number, pair in enumerate(zip(result.here, result.there))]
    lines.append(f"{given.board}: {'the same bits' if result.is_equal else 'OTHER BITS'}")
    return _FINE if result.is_equal else _NOT_FINE, report, "\n".join(lines)


def _compared(number: int, here: _validate.Step, there: _validate.Step) -> str:
    parts = []
    for name in _validate.Step._fields:
        a, b = getattr(here, name), getattr(there, name)
        parts.append(f"{name} {a}" if a == b else f"{name} {a} here, {b} there")
    return f"step {number}: {', '.join(parts)}"


def _gradcheck(given: argparse.Namespace) -> Result:
    network = _network(given)
    x, y = _made_up(network, given.samples) if given.data is None else tuple(a[: given.samples] for a in _data(given.data)[0])
    try:
        result = network.gradcheck(x, y)
    except GradientCheckError as error:
        return _NOT_FINE, {"passed": False, **error.result._asdict()}, str(error)
    return _FINE, {"passed": True, **result._asdict()}, f"largest error {result.max_error:.3g} of {result.checked:,} gradients"


def _selftest(given: argparse.Namespace) -> Result:
    result = _core.selftest()
    text = f"{'passed' if result.passed else 'FAILED'}: {result.arithmetic} arithmetic, {_core.kernel_set()} kernels"
    return _FINE if result.passed else _NOT_FINE, {**result._asdict(), "kernels": _core.kernel_set()}, text


def _bench(given: argparse.Namespace) -> Result:
    """Median times of one call, on this computer."""
    network = _network(given)
    x, y = _made_up(network, given.batch_size)
    calls: dict[str, Callable[[], object]] = {"predict": lambda: network.predict(x)}
    if network.loss is not None and network.optimizer is not None:
        calls["train_on_batch"] = lambda: network.train_on_batch(x, y)
    times = {name: _median_us(call, given.seconds) for name, call in calls.items()}
    text = "\n".join(f"{name:15} {us:10.1f} us for {len(x)} samples" for name, us in times.items())
    return _FINE, {"samples": len(x), "microseconds": times}, text


def _median_us(call: Callable[[], object], seconds: float) -> float:
    call()
    times: list[float] = []
    begin = time.perf_counter()
    while not times or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1e6)
    return float(np.median(times))


# ---- what commands work on -------------------------------------------------------------------------------------------


def _network(given: argparse.Namespace) -> Network:
    named = {name: getattr(given, name) for name in ("memory", "frozen_in") if getattr(given, name, None) is not None}
    return Network.load(given.network, **named)


def _data(name: str) -> tuple[tuple[Any, Any], tuple[Any, Any] | None]:
    """A data set of ours, or an .npz file with x and y, or x_train, y_train, x_test and y_test."""
    if name in _DATASETS:
        return _DATASETS[name]()
    try:
        file = np.load(name)
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise ValueError("it holds one array and no names")
        with file:
            arrays = {key: file[key] for key in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"data: expected {', '.join(_DATASETS)} or an .npz file, got {name!r}: {error}") from None
    if {"x", "y"} <= set(arrays):
        return (arrays["x"], arrays["y"]), None
    if {"x_train", "y_train"} <= set(arrays):
        test = (arrays["x_test"], arrays["y_test"]) if {"x_test", "y_test"} <= set(arrays) else None
        return (arrays["x_train"], arrays["y_train"]), test
    raise ValueError(f"data: expected x and y, or x_train and y_train, in {name}, got {', '.join(arrays) or 'nothing'}")


def _made_up(network: Network, count: int) -> tuple[Any, Any]:
    """Random samples and targets, the same each time."""
    rng = np.random.default_rng(0)
    if network.input_scale is None:
        x: Any = rng.random((count, *network.input_shape), dtype=np.float32)
    else:
        x = rng.integers(0, 256, (count, *network.input_shape)).astype(np.uint8)
    labels = rng.integers(0, int(np.prod(network.output_shape)), count).astype(np.int32)
    values = rng.random((count, *network.output_shape), dtype=np.float32)
    loss = network._loss
    if loss is None or not loss.reads_labels:
        return x, values
    return x, (labels, values) if loss.reads_values else labels


def _shown(size: int | None) -> str:
    return f"{'-':>12}" if size is None else f"{size:>12,}"


# ---- arguments -------------------------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="convgrad-embedded", description="Networks that train on microcontrollers.")
    parser.add_argument("--version", action="version", version=_core.VERSION)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], Result], help: str, network: bool = True) -> Any:
        own = commands.add_parser(name, help=help, description=help)
        own.add_argument("--json", action="store_true", help="print JSON")
        own.set_defaults(run=run)
        if network:
            own.add_argument("network", help="a file that Network.save wrote")
            levels = [*_core.MEMORY_LEVELS, *_core.SLICED_LEVELS]
            own.add_argument("--memory", choices=levels, help='memory level, "fast" by default')
            own.add_argument("--frozen-in", choices=["ram", "flash"], help="where what does not learn lies on a board")
        return own

    command("boards", _list_boards, "the boards that are known", network=False)
    command("models", _list_models, "what the networks of convgrad_embedded.models cost on a board", network=False)
    own = command("summary", _summarise, "layers, multiply-adds, memory")
    own.add_argument("--board", help="compare with what this board has")
    own = command("size", _size, "bytes at each memory level; status 1 if it does not fit on the board")
    own.add_argument("--board", help="does it fit there, beside the board's usual firmware?")
    own = command("plan", _plan, "the best way to train in so many bytes of RAM; status 1 if none fits")
    own.add_argument("budget_bytes", type=int, nargs="+", help="of several memories: of each, the arena first")
    own = command("train", _train, "trains it and saves it")
    own.add_argument("--data", required=True, help=f"{', '.join(_DATASETS)}, or an .npz file")
    own.add_argument("--epochs", type=int, default=1)
    own.add_argument("--batch-size", type=int, default=32)
    own.add_argument("--learning-rate", type=float, help="from now on")
    own.add_argument("--out", help="where to save it; by default where it came from")
    own = command("evaluate", _evaluate, "loss and accuracy, on the test part if there is one")
    own.add_argument("--data", required=True, help=f"{', '.join(_DATASETS)}, or an .npz file")
    own = command("export", _export, "C source for firmware into a directory, or an .onnx file")
    own.add_argument("out")
    own.add_argument("--name", default="network", help="of the C source")
    own = command("import", _import, "a network of another framework, saved as one of ours", network=False)
    own.add_argument("source", help=f"a file that ends in {', '.join(_READERS)}")
    own.add_argument("out")
    own.add_argument("--loss", help="without one it predicts only")
    own.add_argument("--optimizer", choices=_OPTIMIZERS, default="sgd", help="sgd by default")
    own.add_argument("--learning-rate", type=float, help="the optimizer's own by default")
    own.add_argument("--momentum", type=float, help="of sgd or rmsprop, 0 by default")
    own = command("validate", _validate_board, "trains on a board and here; status 1 if a bit differs")
    own.add_argument("--board", required=True)
    own.add_argument("--data", help="random samples by default")
    own.add_argument("--steps", type=int, default=3)
    own.add_argument("--batch-size", type=int, default=2)
    own.add_argument("--runner", help="a command that runs a program on a real board and prints what it prints")
    own = command("gradcheck", _gradcheck, "each gradient against a central difference; status 1 if one is wrong")
    own.add_argument("--data", help="random samples by default")
    own.add_argument("--samples", type=int, default=2)
    command("selftest", _selftest, "does this build compute as it should? status 1 if not", network=False)
    own = command("bench", _bench, "how long a call takes here")
    own.add_argument("--batch-size", type=int, default=1)
    own.add_argument("--seconds", type=float, default=1.0)
    return parser
