"""Network.fit: what it is given is checked and made sources of samples, whose epochs _fit.py runs."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Callable

import numpy as np

from convgrad_embedded import _arrays, _batches, _c_model, _features, _fit, _optimizers
from convgrad_embedded._core import Real
from convgrad_embedded._losses import ClassWeights, SampleWeight
from convgrad_embedded._progress import Progress
from convgrad_embedded._runtime import Targets
from convgrad_embedded.schedules import Schedule

if TYPE_CHECKING:
    from convgrad_embedded._network import Network


def fit(
    network: Network,
    x: Any,
    y: Any,
    *,
    epochs: int,
    batch_size: int | None,
    shuffle: _fit.Shuffle,
    seed: int | None,
    validation_data: Any,
    validation_split: float,
    class_weight: ClassWeights | None,
    sample_weight: SampleWeight | None,
    track_accuracy: bool,
    verbose: int,
    clip_norm: float | None,
    clip_value: float | None,
    callbacks: Iterable[Any] | None,
    initial_epoch: int,
    learning_rate: Any,
    steps_per_epoch: int | None,
    cache_features: Any,
) -> dict[str, list[float]]:
    network._check_trainable()
    epochs = _arrays.integer("epochs", epochs, 1)
    trained = range(_arrays.integer("initial_epoch", initial_epoch, 0, epochs), epochs)
    clip = clipping(network, clip_norm, clip_value)
    track_accuracy = _arrays.boolean("track_accuracy", track_accuracy) and network._has_accuracy
    if verbose not in (0, 1, 2):
        raise ValueError(f"verbose: expected 0, 1 or 2, got {_arrays.shown(verbose)}")
    listeners = _fit.Listeners(callbacks)
    validation, split = _validation(network, validation_data, validation_split, len(trained))
    seed = None if seed is None else _arrays.integer("seed", seed, 0, 2**64 - 1)
    source: _fit.Source
    if y is None:
        check_of_arrays({"batch_size": batch_size, "sample_weight": sample_weight, "validation_split": split or None})
        source = batch_source(network, "x", x, len(trained), steps_per_epoch, class_weight, steps=True)
    else:
        if steps_per_epoch is not None:
            raise ValueError(f"steps_per_epoch: expected None with arrays, got {_arrays.shown(steps_per_epoch)}")
        source, rest = _array_sources(network, x, y, split, sample_weight, class_weight)
        validation = rest or validation
    size = 1 if y is None else _batch_size(network, batch_size)
    shuffle = _fit.checked_shuffle(shuffle, seed, y is not None)
    steps = _fit.Steps(clip, track_accuracy, size, shuffle, listeners.hear_batches)
    rate, by_epoch = _rates(learning_rate)
    if isinstance(cache_features, (str, os.PathLike)) or _arrays.boolean("cache_features", cache_features):
        source, validation = _features.cached(network, cache_features, source, validation)
    listeners.train_begin(network, _fit.metric_names(network, track_accuracy, validation is not None))
    if rate is not None:
        network.learning_rate = rate
    if seed is not None:
        start = network._runtime.seed_permutations if shuffle == "feistel" else network._runtime.seed_shuffles
        start(seed)
    network._history = {}
    with Progress(epochs, source.samples, int(verbose), trained.start) as progress:
        _fit.run(network, source, trained, steps, by_epoch, validation, listeners, progress, network._history)
    listeners.train_end()
    return network._history


def _validation(network: Network, data: Any, share: float, epochs: int) -> tuple[_fit.Source | None, float]:
    """What validates; or the share of the samples at the end that does."""
    source = None if data is None else _validation_source(network, data, epochs)
    split = _arrays.number("validation_split", share, below=1.0)
    if split > 0 and source is not None:
        raise ValueError(f"validation_split: expected 0 with validation_data, got {share}")
    return source, split


def _rates(given: Any) -> tuple[Any, Callable[[int], float] | None]:
    """The rate or the schedule that is set at once; or the function that says the rate of each epoch."""
    if callable(given) and not isinstance(given, Schedule):
        by_epoch: Any = given
        return None, by_epoch
    if given is not None:
        _optimizers.check_rate(given)
    return given, None


def _batch_size(network: Network, given: int | None) -> int:
    batch_size = 32 if given is None else _arrays.integer("batch_size", given, 1)
    if network.memory.startswith("smallest") and batch_size != 1:
        raise ValueError(
            f'batch_size: expected 1 with memory="{network.memory}", where each sample is a step, got {batch_size}; '
            f'pass batch_size=1, or make the network with memory="{network._level_of_batches}"'
        )
    return batch_size


def _array_sources(
    network: Network,
    x: Any,
    y: Any,
    split: float,
    sample_weight: SampleWeight | None,
    class_weight: ClassWeights | None,
) -> tuple[_fit.ArraySource, _fit.ArraySource | None]:
    """What trains, and the share at the end that validates."""
    samples, targets = network._data(x, y)
    _, training = network._weighted(samples, targets, sample_weight, class_weight)
    if split == 0:
        return _fit.ArraySource(network, samples, training), None
    end = math.floor(len(samples) * (1 - split))
    if end == 0 or end == len(samples):
        sides = "a share that leaves samples on both sides"
        raise ValueError(f"validation_split: expected {sides}, got {split:g} of {len(samples)}")
    _, validating = network._weighted(samples, targets, sample_weight)
    return (
        _fit.ArraySource(network, samples[:end], Targets(*(None if part is None else part[:end] for part in training))),
        _fit.ArraySource(network, samples[end:], Targets(*(None if part is None else part[end:] for part in validating))),
    )


def batch_source(
    network: Network,
    name: str,
    batches: Any,
    epochs: int,
    steps_per_epoch: int | None = None,
    class_weight: ClassWeights | None = None,
    *,
    steps: bool = False,
) -> _fit.BatchSource:
    """Batches of which each is a step, or is evaluated."""
    _batches.check_source(name, batches)
    if steps_per_epoch is not None:
        steps_per_epoch = _arrays.integer("steps_per_epoch", steps_per_epoch, 1)

    def check(batch: str, x: Any, y: Any, weight: Any) -> tuple[Real, Targets]:
        data = network._step_data if steps else network._data
        return network._weighted(*data(x, y, (f"{batch}[0]", f"{batch}[1]")), weight, class_weight, f"{batch}[2]")

    source = _batches.Batches(name, batches, check, steps_per_epoch)
    source.check_epochs(epochs)
    return _fit.BatchSource(network, source)


def _validation_source(network: Network, data: Any, epochs: int) -> _fit.Source:
    if _batches.are_batches(data):
        return batch_source(network, "validation_data", data, epochs)
    return _fit.ArraySource(network, *_validation_data(network, data))


def clipping(network: Network, norm: float | None, value: float | None) -> _c_model.Clipping | None:
    limits = {"clip_norm": norm, "clip_value": value}
    for name, limit in limits.items():
        if limit is not None:
            network._check_collects(name)
            limits[name] = above_0(name, limit)
    return None if norm is None and value is None else _c_model.Clipping(*limits.values())


def _validation_data(network: Network, data: Any) -> tuple[Real, Targets]:
    if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
        raise ValueError(f"validation_data: expected (x, y) or (x, y, sample_weight), got {_arrays.describe(data)}")
    x, y, *weight = data
    return network._weighted(*network._data(x, y, ("validation_data[0]", "validation_data[1]")), *weight)


def check_of_arrays(given: dict[str, Any]) -> None:
    """What goes with arrays, not with batches."""
    hints = {"sample_weight": ", each of which may bring its own: (x, y, sample_weight)"}
    for name, value in given.items():
        if value is not None:
            raise ValueError(
                f"{name}: expected None with x an iterable of batches{hints.get(name, '')}, got {_arrays.shown(value)}"
            )


def above_0(name: str, value: Any) -> float:
    if _arrays.number(name, value) == 0 or np.float32(value) == 0:
        raise ValueError(f"{name}: expected a number above 0, got {value}")
    return float(value)
