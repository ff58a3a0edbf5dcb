"""What fit, evaluate and predict take samples from: arrays, or iterables that give one batch after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Callable, NamedTuple

from convgrad_embedded import _arrays
from convgrad_embedded._core import Real
from convgrad_embedded._runtime import Targets

_EXPECTED = "(x, y) or (x, y, sample_weight)"


class Batch(NamedTuple):
    """Checked."""

    name: str  # for messages
    samples: Real
    targets: Targets


Check = Callable[[str, Any, Any, Any], "tuple[Real, Targets]"]  # name of the batch, x, y, sample_weight


def are_batches(value: Any) -> bool:
    """Whether it gives batches one by one: a generator, PyTorch's DataLoader, a list of (x, y). No array, no nested list."""
    if isinstance(value, (list, tuple)):
        return len(value) > 0 and all(map(_is_batch, value))
    return _gives_items(value)


def check_source(name: str, value: Any) -> None:
    """For an argument that stands without y."""
    if not _gives_items(value):
        raise TypeError(
            f"y: expected targets, got None; without y, {name} is an iterable of batches {_EXPECTED}, "
            f"got {_arrays.describe(value)}"
        )


def samples_of(batch: Any) -> Any:
    """For predictions: of (x, y) or (x, y, sample_weight), or samples alone."""
    return batch[0] if _is_batch(batch) else batch


def _is_batch(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) in (2, 3) and hasattr(value[0], "shape")


def _gives_items(value: Any) -> bool:
    """No array, nor what NumPy would make one of."""
    if hasattr(value, "__array__") or isinstance(value, (str, range, Mapping)):
        return False
    try:
        memoryview(value)
    except TypeError:
        return isinstance(value, Iterable)
    return False


class Batches:
    """Batches in the order in which they come. One is held at a time.

    An epoch goes once through the iterable. With `steps` it is so many batches, the next epoch goes on behind them, and where
    the iterable ends it begins again.
    """

    def __init__(self, name: str, source: Iterable[Any], check: Check, steps: int | None = None) -> None:
        self.name = name
        self.source = source
        self._check = check
        self._steps = steps
        self._running = self._once_through()

    @property
    def gives_once(self) -> bool:
        """A generator or another iterator: nobody can begin it again."""
        return isinstance(self.source, Iterator)

    def check_epochs(self, count: int) -> None:
        """Before anything is taken from it."""
        if count > 1 and self.gives_once and self._steps is None:
            kind = type(self.source).__name__
            more = ", or steps_per_epoch if it goes on long enough" if self.name == "x" else ""
            raise ValueError(
                f"{self.name}: expected batches that can be gone through {count} times, got a {kind}, which gives them once; "
                f"pass a list or a DataLoader{more}"
            )

    def epoch(self) -> Iterator[Batch]:
        if self._steps is None:
            yield from self._once_through()
            return
        for step in range(self._steps):
            batch = next(self._running, None)
            if batch is None:
                if self.gives_once:
                    raise ValueError(
                        f"{self.name}: expected steps_per_epoch={self._steps} batches in each epoch, got {step} in the last one"
                    )
                self._running = self._once_through()
                batch = next(self._running)
            yield batch

    def _once_through(self) -> Iterator[Batch]:
        number = -1
        for number, batch in enumerate(self.source):
            yield self._checked(f"{self.name}[{number}]", batch)
        if number < 0:
            raise ValueError(f"{self.name}: expected at least one batch, got none")

    def _checked(self, name: str, batch: Any) -> Batch:
        if not isinstance(batch, (list, tuple)) or len(batch) not in (2, 3):
            raise TypeError(f"{name}: expected {_EXPECTED}, got {_arrays.describe(batch)}")
        x, y, *weight = batch
        return Batch(name, *self._check(name, x, y, weight[0] if weight else None))
