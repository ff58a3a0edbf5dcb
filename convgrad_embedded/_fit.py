"""The epochs of Network.fit: over arrays, or over batches as they come; and who hears of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Callable, Literal, NamedTuple, Union

import numpy as np

from convgrad_embedded import _arrays
from convgrad_embedded._batches import Batches
from convgrad_embedded._c_model import Clipping
from convgrad_embedded._core import Labels, NotFiniteError, Real
from convgrad_embedded._evaluation import Evaluation, OutputsEvaluation
from convgrad_embedded._losses import MultiOutput
from convgrad_embedded._progress import Progress
from convgrad_embedded._runtime import Losses, Targets
from convgrad_embedded.callbacks import Callback

if TYPE_CHECKING:
    from convgrad_embedded._network import Network

EpochFunction = Callable[[int, "dict[str, float]"], Any]  # of the epoch's number and its logs
Metrics = dict[str, float]
Shuffle = Union[bool, Literal["feistel"]]


class Steps(NamedTuple):
    """How an epoch is trained."""

    clip: Clipping | None
    tracks_accuracy: bool
    batch_size: int = 1
    shuffle: Shuffle = False
    reports_each: bool = False  # batch


def checked_shuffle(given: Any, seed: int | None, of_arrays: bool) -> Shuffle:
    if not isinstance(given, str):
        if not isinstance(given, (bool, np.bool_, int, np.integer)) or given not in (0, 1):
            raise TypeError(f'shuffle: expected True, False or "feistel", got {_arrays.describe(given)}')
        return bool(given)
    if given != "feistel":
        raise ValueError(f'shuffle: expected True, False or "feistel", got {given!r}')
    if not of_arrays:
        raise ValueError("shuffle: expected False or True with x an iterable of batches, got 'feistel'")
    if seed is not None and seed >= 2**32:
        raise ValueError(f'seed: expected at most {2**32 - 1} with shuffle="feistel", got {seed}')
    return "feistel"


class _AtEpochEnd(Callback):
    """A plain function."""

    def __init__(self, function: EpochFunction) -> None:
        self._function = function

    def on_epoch_end(self, epoch: int, logs: Metrics) -> bool | None:
        return True if self._function(epoch, logs) is True else None


class Listeners:
    """The callbacks of one call of fit."""

    def __init__(self, given: Iterable[Any] | None) -> None:
        if isinstance(given, Callback) or callable(given):
            raise TypeError(f"callbacks: expected a list of callbacks, got {_arrays.describe(given)}; use callbacks=[it]")
        listed = _arrays.sequence("callbacks", () if given is None else given, "a list of callbacks")
        self._callbacks = [_callback(index, one) for index, one in enumerate(listed)]
        self._of_batches = [one for one in self._callbacks if type(one).on_batch_end is not Callback.on_batch_end]
        self._batch = 0
        self.ends = False  # training, since one of them says so

    @property
    def hear_batches(self) -> bool:
        return len(self._of_batches) > 0

    def train_begin(self, network: Network, metrics: tuple[str, ...]) -> None:
        for one in self._callbacks:
            one.network, one.metrics = network, metrics
        for one in self._callbacks:
            one.on_train_begin()

    def epoch_begin(self, epoch: int) -> None:
        self._batch = 0
        for one in self._callbacks:
            one.on_epoch_begin(epoch)

    def batch_end(self, loss: float) -> None:
        for one in self._of_batches:
            self._note(one.on_batch_end(self._batch, {"loss": loss}))
        self._batch += 1

    def epoch_end(self, epoch: int, metrics: Metrics) -> None:
        for one in self._callbacks:
            self._note(one.on_epoch_end(epoch, dict(metrics)))

    def train_end(self) -> None:
        for one in self._callbacks:
            one.on_train_end()

    def _note(self, answer: Any) -> None:
        self.ends = self.ends or answer is True


def _callback(index: int, given: Any) -> Callback:
    if isinstance(given, type):
        name = given.__name__
        raise TypeError(f"callbacks[{index}]: expected a callback such as {name}(...), got the class {name}")
    if isinstance(given, Callback):
        return given
    if not callable(given):
        expected = "a Callback or a function of (epoch, logs)"
        raise TypeError(f"callbacks[{index}]: expected {expected}, got {_arrays.describe(given)}")
    return _AtEpochEnd(given)


class Report:
    """Of samples that were trained: on the terminal, and to those who hear of batches."""

    def __init__(self, progress: Progress, listeners: Listeners) -> None:
        self._progress = progress
        self._listeners = listeners

    def __call__(self, losses: Losses) -> bool:
        self._progress.samples(losses)
        if self._listeners.hear_batches:
            self._listeners.batch_end(losses.mean)
        return self.ends

    @property
    def ends(self) -> bool:
        return self._listeners.ends


class Measure:
    """Adds up what a network puts out, batch by batch."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.losses = new_losses(network)

    def add(self, samples: Real, targets: Targets, *, sharing: bool) -> None:
        self._network._runtime.evaluate(samples, targets, sharing=sharing, losses=self.losses)

    @property
    def result(self) -> Evaluation | OutputsEvaluation:
        return self._network._evaluation(self.losses)


def metrics_of(measured: Evaluation | OutputsEvaluation) -> Metrics:
    """By the names that histories have. Those that are None are left out."""
    found = measured._asdict()
    outputs = found.pop("outputs", ())
    named = outputs if isinstance(outputs, dict) else {f"output_{number}": output for number, output in enumerate(outputs)}
    for prefix, output in named.items():
        found.update({f"{prefix}_{name}": value for name, value in output._asdict().items()})
    return {name: value for name, value in found.items() if value is not None}


def metric_names(network: Network, track_accuracy: bool, validates: bool) -> tuple[str, ...]:
    """Names that fit's history will have."""
    names: tuple[str, ...] = ("loss", "accuracy") if network._has_accuracy else ("loss",)
    if isinstance(network._loss, MultiOutput):
        names = ("loss",)
        for prefix, loss in zip(network._loss.keys.prefixes, network._loss.losses):
            own = ("loss", "accuracy") if loss.has_accuracy else ("loss",)  # type: ignore[union-attr]
            names += tuple(prefix + name for name in own)
    of_training = tuple(name for name in names if track_accuracy or not name.endswith("accuracy"))
    return of_training + tuple(f"val_{name}" for name in names) * validates


def new_losses(network: Network, counts: bool = False) -> Losses:
    """Of samples that will be evaluated; or trained, with `counts` what is right of them counted."""
    apart = len(network._loss.losses) if isinstance(network._loss, MultiOutput) else int(counts)
    return Losses(network._model.kind, apart)


def trained(network: Network, losses: Losses, tracks_accuracy: bool) -> Metrics:
    """Metrics of an epoch, while it trained."""
    found = metrics_of(network._evaluation(losses))
    return {name: found[name] for name in metric_names(network, tracks_accuracy, validates=False)}


class ArraySource:
    """Samples in arrays."""

    def __init__(self, network: Network, samples: Real, targets: Targets) -> None:
        self._network = network
        self.data = samples, targets
        self.samples = len(samples)

    def train(self, steps: Steps, report: Report, where: str) -> Metrics:
        """One epoch; its loss, and its accuracy, of each sample before its step."""
        runtime, stored = self._network._runtime, steps.shuffle != "feistel"
        order = runtime.permutation(self.samples, stored=stored) if steps.shuffle else None
        losses = new_losses(self._network, steps.tracks_accuracy)
        try:
            self.epoch(order, steps, report, losses)
        except NotFiniteError as error:
            raise self._network._explained(error, *self.data, where) from None
        return trained(self._network, losses, steps.tracks_accuracy)

    def epoch(self, order: Labels | None, steps: Steps, report: Report, losses: Losses) -> None:
        train_epoch(self._network, *self.data, order, steps, report, losses)

    def evaluate(self) -> Any:
        return self._network._evaluate(*self.data, sharing=True)


def train_epoch(
    network: Network,
    samples: Real,
    targets: Targets,
    order: Labels | None,
    steps: Steps,
    report: Callable[[Losses], bool | None],
    losses: Losses,
) -> None:
    runtime = network._runtime
    runtime.train_epoch(samples, targets, order, steps.batch_size, report, steps.clip, losses, each=steps.reports_each)


class BatchSource:
    """Batches as they come."""

    samples = None  # of an epoch: nobody knows before its end

    def __init__(self, network: Network, batches: Batches) -> None:
        self._network = network
        self.batches = batches

    def train(self, steps: Steps, report: Report, where: str) -> Metrics:
        """One epoch; its loss, and its accuracy, of each sample before its step."""
        network, runtime = self._network, self._network._runtime
        losses = new_losses(network, steps.tracks_accuracy)
        for name, samples, targets in self.batches.epoch():
            try:
                runtime.train_epoch(samples, targets, None, len(samples), report, steps.clip, losses)
            except NotFiniteError as error:
                raise network._explained(error, samples, targets, where, (f"{name}[0]", f"{name}[1]")) from None
            if report.ends:
                break
        return trained(network, losses, steps.tracks_accuracy)

    def evaluate(self) -> Any:
        measure = Measure(self._network)
        for _, samples, targets in self.batches.epoch():
            measure.add(samples, targets, sharing=True)
        return measure.result


Source = Union[ArraySource, BatchSource]


def run(
    network: Network,
    source: Source,
    epochs: range,
    steps: Steps,
    rate: Callable[[int], float] | None,
    validation: Source | None,
    listeners: Listeners,
    progress: Progress,
    history: dict[str, list[float]],
) -> None:
    """Trains, and fills the history epoch by epoch."""
    report = Report(progress, listeners)
    for epoch in epochs:
        if rate is not None:
            network.learning_rate = rate(epoch)
        listeners.epoch_begin(epoch)
        metrics = source.train(steps, report, f"epoch {epoch + 1}: ")
        if validation is not None:
            metrics.update({f"val_{name}": value for name, value in metrics_of(validation.evaluate()).items()})
        for name, value in metrics.items():
            history.setdefault(name, []).append(value)
        network._follow_plateau(metrics)
        progress.epoch(metrics)
        listeners.epoch_end(epoch, metrics)
        if listeners.ends:
            return
