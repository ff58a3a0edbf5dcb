"""What fit shows: a bar where stderr is a terminal and tqdm is installed, otherwise one line per epoch, on stderr."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any


class Progress:
    def __init__(self, epochs: int, verbose: bool) -> None:
        self._epochs = epochs
        self._done = 0
        self._verbose = verbose
        self._bar: Any = None
        self._started = time.perf_counter()

    def __enter__(self) -> Progress:
        if self._verbose and sys.stderr.isatty():
            self._bar = _tqdm(self._epochs)
        return self

    def epoch(self, metrics: dict[str, Any]) -> None:
        """One epoch is done."""
        self._done += 1
        shown = {name: f"{value:.4f}" for name, value in metrics.items() if value is not None}
        if self._bar is not None:
            self._bar.set_postfix(shown, refresh=False)
            self._bar.update()
        elif self._verbose:
            now = time.perf_counter()
            text = "  ".join(f"{name} {value}" for name, value in shown.items())
            width = len(str(self._epochs))
            print(
                f"epoch {self._done:{width}}/{self._epochs}  {text}  {now - self._started:.2f} s", file=sys.stderr, flush=True
            )
            self._started = now

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()


def _tqdm(epochs: int) -> Any:
    try:
        from tqdm import tqdm
    except ImportError:  # lines will do
        return None
    return tqdm(total=epochs, unit="epoch", file=sys.stderr, dynamic_ncols=True)
