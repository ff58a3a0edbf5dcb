"""What happens between the epochs of fit, as in Keras.

    net.fit(x, y, epochs=100, validation_split=0.2, callbacks=[cge.callbacks.EarlyStopping(patience=5)])

A callback is an object of a class below, or of a class of one's own derived from Callback; or a plain function, which is
called with (epoch, logs) at the end of each epoch. `logs` is what history gets: "loss", "accuracy", "val_loss", "val_accuracy",
as far as they are measured. Who returns True ends the training. Epochs and batches are counted from 0.

Learning rates have no callback: see cge.schedules, ReduceOnPlateau among them, and fit(learning_rate=).

>>> net = cge.Network((4,), [cge.Dense(2)], "mse", cge.SGD(0.01), seed=0)
>>> history = net.fit(np.eye(4), np.ones((4, 2)), epochs=3, callbacks=[cge.callbacks.CSVLogger("log.csv")], verbose=False)
>>> len(open("log.csv").readlines())  # a head and three epochs
4
"""

from __future__ import annotations

import csv
import io
import math
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Union

from convgrad_embedded import _arguments, _arrays, _names

if TYPE_CHECKING:
    from convgrad_embedded._network import Network

__all__ = ["Callback", "EarlyStopping", "ModelCheckpoint", "CSVLogger"]

PathLike = Union[str, "os.PathLike[str]"]
Metric = Union[Literal["loss", "accuracy", "val_loss", "val_accuracy"], str]  # of an output such as "val_class_loss"
_METRICS = ("loss", "accuracy", "val_loss", "val_accuracy")


_OF_AN_OUTPUT = re.compile(r"\w+_(loss|accuracy)")


def _checked_metric(name: Any) -> str:
    """One of those above, or one of several outputs, whose names fit knows."""
    if isinstance(name, str) and (name in _METRICS or _OF_AN_OUTPUT.fullmatch(name)):
        return name
    known = ", ".join(map(repr, _METRICS))
    raise ValueError(
        f"monitor: expected one of {known}, or of several outputs one such as 'val_class_loss', got {_arrays.shown(name)}"
    )


class Callback:
    """Derive from it and override what you need. An exception ends fit; the epochs that were finished are in net.history.

    In its methods `self.network` is the network that trains, and `self.metrics` are the names that `logs` will have.

    >>> class Told(cge.callbacks.Callback):
    ...     def on_epoch_end(self, epoch, logs):
    ...         print(epoch, list(logs))
    >>> net = cge.Network((4,), [cge.Dense(2)], "mse", cge.SGD(0.01), seed=0)
    >>> history = net.fit(np.eye(4), np.ones((4, 2)), epochs=2, callbacks=[Told()], verbose=False)
    0 ['loss']
    1 ['loss']
    """

    network: Network
    metrics: tuple[str, ...]

    def on_train_begin(self) -> None:
        """Before the first epoch."""

    def on_train_end(self) -> None:
        """After the last epoch, or the one that was ended early; not after an error or Ctrl-C."""

    def on_epoch_begin(self, epoch: int) -> None:
        """Before that epoch. learning_rate may be set here."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> bool | None:
        """After that epoch, when history has it."""

    def on_batch_end(self, batch: int, logs: dict[str, float]) -> bool | None:
        """After that step of the epoch; logs["loss"] is the mean of the epoch so far. Where nobody overrides it, many steps are
        one call into the core."""


class _Monitor(Callback):
    """Compares one of the metrics from epoch to epoch."""

    best: float | None

    def __init__(self, monitor: Metric, min_delta: float = 0.0) -> None:
        self.monitor = _checked_metric(monitor)
        self._min_delta = _arrays.number("min_delta", min_delta)
        self.best = None

    def on_train_begin(self) -> None:
        self.best = None
        if self.monitor not in self.metrics:
            validates = any(name.startswith("val_") for name in self.metrics)
            hint = "; pass validation_data or validation_split" if self.monitor.startswith("val_") and not validates else ""
            measured = ", ".join(map(repr, self.metrics))
            raise ValueError(
                f"{type(self).__name__}: monitor: expected what this fit measures, {measured}, got {self.monitor!r}{hint}"
            )

    def is_better(self, logs: dict[str, float]) -> bool:
        """Than all before; then it is the best."""
        value = logs[self.monitor]
        if math.isnan(value):
            return False
        gain = math.inf if self.best is None else self.best - value
        if self.monitor.endswith("accuracy") and self.best is not None:
            gain = -gain
        better = gain > self._min_delta
        if better:
            self.best = value
        return better


@_arguments.checked_methods
class EarlyStopping(_Monitor):
    """Ends the training when `monitor` gets no better.

    A loss is better if it is below the best by more than min_delta, an accuracy if it is above. After `patience` epochs in
    succession that were no better (with 0 after the first) training ends. With restore_best the network then, or when all
    epochs are done, has the weights of the best epoch; the optimizer's memory and step_count stay. After Ctrl-C the weights
    are the last.

    best_epoch and best say what was best; stopped_epoch is None if all epochs were trained.

    >>> net = cge.Network((4,), [cge.Dense(2)], "mse", cge.SGD(0.0), seed=0)  # learns nothing
    >>> stop = cge.callbacks.EarlyStopping(monitor="loss", patience=2)
    >>> len(net.fit(np.eye(4), np.ones((4, 2)), epochs=9, callbacks=[stop], verbose=False)["loss"])
    3
    """

    def __init__(
        self, monitor: Metric = "val_loss", patience: int = 0, min_delta: float = 0.0, restore_best: bool = True
    ) -> None:
        super().__init__(monitor, min_delta)
        self._patience = _arrays.integer("patience", patience, 0)
        self._restores = _arrays.boolean("restore_best", restore_best)
        self._forget()

    def _forget(self) -> None:
        self.best_epoch: int | None = None
        self.stopped_epoch: int | None = None
        self._weights: list[Any] | None = None
        self._waited = 0

    def on_train_begin(self) -> None:
        super().on_train_begin()
        self._forget()

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> bool | None:
        if self.is_better(logs):
            self.best_epoch, self._waited = epoch, 0
            self._weights = self.network.get_weights() if self._restores else None
            return None
        self._waited += 1
        if self._waited < self._patience:
            return None
        self.stopped_epoch = epoch
        return True

    def on_train_end(self) -> None:
        if self._weights is not None:
            self.network.set_weights(self._weights)
            self._weights = None


@_arguments.checked_methods
class ModelCheckpoint(_Monitor):
    """Saves the network after each epoch, with all that training needs to go on (Network.save).

    `path` may hold {epoch}, counted from 1, and the metrics: "net-{epoch:03}-{val_loss:.3f}.cge". Without them each epoch
    replaces the file, which is never seen half written. With save_best_only: if `monitor` is better than in all epochs before.

    >>> net = cge.Network((4,), [cge.Dense(2)], "mse", cge.SGD(0.01), seed=0)
    >>> saved = cge.callbacks.ModelCheckpoint("epoch.cge")
    >>> history = net.fit(np.eye(4), np.ones((4, 2)), epochs=2, callbacks=[saved], verbose=False)
    >>> cge.Network.load("epoch.cge").weights_hash() == net.weights_hash()
    True
    """

    def __init__(self, path: PathLike, save_best_only: bool = False, monitor: Metric = "val_loss") -> None:
        super().__init__(monitor)
        self._path = _path(path)
        self._best_only = _arrays.boolean("save_best_only", save_best_only)

    def on_train_begin(self) -> None:
        if self._best_only:
            super().on_train_begin()
        try:
            self._path.format(epoch=1, **dict.fromkeys(self.metrics, 0.0))
        except (AttributeError, LookupError, ValueError) as error:
            known = ", ".join(f"{{{name}}}" for name in ("epoch", *self.metrics))
            raise ValueError(f"path: expected a path with {known} or without braces, got {self._path!r} ({error!r})") from None

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        if not self._best_only or self.is_better(logs):
            self.network.save(self._path.format(epoch=epoch + 1, **logs))


@_arguments.checked_methods
class CSVLogger(Callback):
    """Writes a line per epoch: its number, counted from 0, and the metrics, as decimals that mean the same floats.

    With append=True the lines go behind those of a file that is there, which must have the same columns.

    >>> net = cge.Network((4,), [cge.Dense(2)], "mse", cge.SGD(0.01), seed=0)
    >>> history = net.fit(np.eye(4), np.ones((4, 2)), callbacks=[cge.callbacks.CSVLogger("log.csv")], verbose=False)
    >>> open("log.csv").readline().strip()
    'epoch,loss'
    """

    def __init__(self, path: PathLike, append: bool = False) -> None:
        self._path = Path(_path(path))
        self._append = _arrays.boolean("append", append)

    def on_train_begin(self) -> None:
        columns = ["epoch", *self.metrics]
        if self._append and self._path.exists() and self._path.stat().st_size > 0:
            with open(self._path, encoding="utf-8", newline="") as file:
                found = next(csv.reader(file), [])
            if found != columns:
                expected, got = (",".join(names) for names in (columns, found))
                raise ValueError(f"append: expected a file with columns {expected}, got {self._path} with {got}")
        else:
            self._path.write_text(_line(columns), encoding="utf-8")

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        with open(self._path, "a", encoding="utf-8", newline="") as file:
            file.write(_line([epoch, *(logs[name] for name in self.metrics)]))


def _line(values: list[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()


def _path(value: Any) -> str:
    try:
        path = os.fspath(value)
    except TypeError:
        path = None
    if not isinstance(path, str):
        raise TypeError(f"path: expected a path, got {_arrays.describe(value)}")
    return path


if not TYPE_CHECKING:  # which knows what there is
    __getattr__ = _names.of_module(globals())
