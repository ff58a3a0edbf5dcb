"""What fit shows, on stderr: where it is a terminal, how far each epoch has got (a bar, if tqdm is installed); and a line
when an epoch is done."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

from convgrad_embedded._runtime import Losses

SILENT, LIVE, LINES = 0, 1, 2  # Keras's numbers


class Progress:
    """Of `epochs` epochs of `samples` samples each (None: nobody knows how many), of which `done` were trained before."""

    def __init__(self, epochs: int, samples: int | None, verbose: int, done: int = 0) -> None:
        self._epochs = epochs
        self._samples = samples
        self._verbose = verbose
        self._live = verbose == LIVE and sys.stderr.isatty()
        self._done = done
        self._total = None if samples is None else (epochs - done) * samples
        self._before = self._now = 0  # samples of the epochs that are done, and of this one
        self._bar: Any = None
        self._line = ""  # what stands on the terminal
        self._started = time.perf_counter()

    def __enter__(self) -> Progress:
        if self._live:
            self._bar = _tqdm(self._total)
        return self

    def samples(self, losses: Losses) -> None:
        """Of the samples of this epoch that are done."""
        self._now = done = losses.done
        if self._bar is not None:
            self._bar.set_description(self._epoch(), refresh=False)
            self._bar.update(self._before + done - self._bar.n)
        elif self._live:
            share = f"{done:,} samples" if self._samples is None else f"{100 * done // self._samples:3} %"
            self._line = f"{self._epoch()}  {share}  loss {losses.mean:.4f}"
            _write(f"\r{self._line}")

    def epoch(self, metrics: dict[str, Any]) -> None:
        """One epoch is done."""
        shown = {name: f"{value:.4f}" for name, value in metrics.items() if value is not None}
        if self._bar is not None:
            self._bar.set_postfix(shown)
        elif self._verbose != SILENT:
            now = time.perf_counter()
            text = "  ".join(f"{name} {value}" for name, value in shown.items())
            line = f"{self._epoch()}  {text}  {now - self._started:.2f} s"
            _write(f"\r{line:{len(self._line)}}\n" if self._live else f"{line}\n")
            self._started = now
        self._done += 1
        self._before += self._now
        self._now = 0

    def _epoch(self) -> str:
        return f"epoch {self._done + 1:{len(str(self._epochs))}}/{self._epochs}"

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        elif self._live and error is not None:
            _write("\n")  # what comes next begins on a line of its own


def _write(text: str) -> None:
    print(text, end="", file=sys.stderr, flush=True)


def _tqdm(samples: int | None) -> Any:
    try:
        from tqdm import tqdm
    except ImportError:  # lines will do
        return None
    return tqdm(total=samples, unit="samples", unit_scale=True, file=sys.stderr, dynamic_ncols=True)
