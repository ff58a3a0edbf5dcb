"""Training behind layers that do not learn: what these put out is computed once for each sample, and kept.

A network is cut in two: the front, whose outputs never change, and the tail, which trains in the network's place and hands
back what it learned.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Callable, Union

import numpy as np

from convgrad_embedded import _copies, _fit, _graph, _learning
from convgrad_embedded._core import Labels, Real
from convgrad_embedded._layers import Dropout
from convgrad_embedded._runtime import Losses

if TYPE_CHECKING:
    from convgrad_embedded._network import Network

Kept = Union[bool, str, "os.PathLike[str]"]  # in RAM, or in the file of that name


def reading_across(layers: Sequence[Any], sources: _graph.Sources, last: int) -> str:
    """Which layer behind `last` is the first that reads one before it; empty: the network can be cut there."""
    pairs = ((index, source) for index in range(last + 1, len(sources)) for source in sources[index])
    across = (f"layers[{index}] {layers[index]!r} reads {_named(source)}, too" for index, source in pairs if source < last)
    return next(across, "")


def cached(
    network: Network, kept: Kept, source: _fit.Source, validation: _fit.Source | None
) -> tuple[_fit.Source, _fit.Source | None]:
    """The same sources as features. What is validated batch by batch stays as it is."""
    if not isinstance(source, _fit.ArraySource):
        raise ValueError(
            "cache_features: expected False with x an iterable of batches, which need not be the same in each epoch"
        )
    tail = Tail(network)
    arrays = [one for one in (source, validation) if isinstance(one, _fit.ArraySource)]
    features = _room(kept, sum(one.samples for one in arrays), tail.network.input_shape)
    found, begin = [], 0
    for one in arrays:
        own = features[begin : begin + one.samples]
        begin += one.samples
        tail.front._runtime.forward(one.data[0], own)
        found.append(FeatureSource(network, one, tail, own))
    return found[0], found[1] if len(found) > 1 else validation


def _room(kept: Kept, samples: int, shape: tuple[int, ...]) -> Real:
    if isinstance(kept, (str, os.PathLike)):
        return np.lib.format.open_memmap(os.fspath(kept), "w+", np.float32, (samples, *shape))
    return np.empty((samples, *shape), np.float32)


def last_of_front(network: Network) -> int:
    """The last layer that can be cut behind: it and all before it put out the same in each epoch. ValueError: there is none."""
    layers, infos, sources = network.layers, network.layer_infos, network.sources
    changing = (
        (index, "learns" if _learning.learned_elems(layer, info) > 0 else "draws anew each time")
        for index, (layer, info) in enumerate(zip(layers, infos))
        if _learning.learned_elems(layer, info) > 0 or isinstance(layer, Dropout)
    )
    first, why = next(changing, (len(layers) - 1, "is the only one"))
    for last in range(first - 1, -1, -1):
        if not reading_across(layers, sources, last):
            return last
    if first > 0:
        raise ValueError(
            f"cache_features: expected a layer before layers[{first}] {layers[first]!r}, which {why}, that all behind it read "
            f"alone; {reading_across(layers, sources, first - 1)}"
        )
    raise ValueError(
        f"cache_features: expected a network whose first layers do not learn, got layers[0] {layers[0]!r}, which {why}; "
        "net.freeze(upto=...) makes one"
    )


def check_cut(layers: Sequence[Any], sources: _graph.Sources, last: int) -> None:
    if last == len(layers) - 1:
        raise ValueError(f"upto: expected a layer before the last, got layer {last}; nothing is behind it")
    across = reading_across(layers, sources, last)
    if across:
        raise ValueError(f"upto: expected a layer that all behind it read alone, got layer {last}; {across}")


def _named(source: int) -> str:
    return "the input" if source == _graph.INPUT else f"layer {source}"


class Tail:
    """What is behind the front, at work for the whole network."""

    def __init__(self, whole: Network) -> None:
        last = last_of_front(whole)
        self._whole = whole._runtime
        self.front, self.network = _copies.part(whole, range(last + 1)), _copies.tail(whole, last)

    def take_over(self) -> None:
        """The state of the whole network: callbacks may have changed it, but not the front."""
        begin, front = self.front.param_count, self.front._runtime.params
        state = self._whole.training_state(begin)
        if not np.array_equal(self._whole.params[:begin].view(np.uint32), front.view(np.uint32)):
            raise RuntimeError("fit: with cache_features the layers that do not learn keep their weights; these were changed")
        self.network._runtime.set_training_state(0, state)
        self.network._runtime.set_learning_rate_factors(self._whole.learning_rate_factors[-len(self.network.layers) :])

    def hand_back(self) -> None:
        self._whole.set_training_state(self.front.param_count, self.network._runtime.training_state(0))


class FeatureSource(_fit.ArraySource):
    """Samples in an array, with what the front puts out of them."""

    def __init__(self, network: Network, source: _fit.ArraySource, tail: Tail, features: Real) -> None:
        super().__init__(network, *source.data)
        self._tail = tail
        self._features = features

    def epoch(
        self, order: Labels | None, steps: _fit.Steps, report: Callable[[Losses], bool | None], losses: Losses
    ) -> None:
        tail = self._tail

        def handed_back(so_far: Losses) -> bool | None:
            tail.hand_back()
            ends = report(so_far)
            tail.take_over()
            return ends

        tail.take_over()
        try:
            _fit.train_epoch(tail.network, self._features, self.data[1], order, steps, handed_back, losses)
        finally:
            tail.hand_back()

    def evaluate(self) -> Any:
        """Of the tail as the epoch left it."""
        return self._tail.network._evaluate(self._features, self.data[1], sharing=True)
