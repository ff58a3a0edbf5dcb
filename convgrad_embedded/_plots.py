"""Pictures of a training: its history, filters, and which classes are taken for which."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Union

import numpy as np
from numpy.typing import ArrayLike

from convgrad_embedded import _arguments, _arrays, metrics
from convgrad_embedded._core import Real
from convgrad_embedded._layers import Layer, layer_number
from convgrad_embedded._network import Network

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_NUMBERS = 20  # classes, of which each cell says its count


def new_axes(function: str, size: tuple[float, float] = (6.4, 4.8)) -> Axes:
    """Of a new figure, for that function's picture."""
    try:
        from matplotlib import pyplot
    except ImportError:
        raise ImportError(f"{function}: the picture needs matplotlib: pip install matplotlib") from None
    axes: Axes = pyplot.subplots(figsize=size, layout="constrained")[1]
    return axes


@_arguments.checked
def plot_history(
    history: Network | Mapping[str, Sequence[float]],
    metric: Union[Literal["loss", "accuracy"], str] = "loss",
    ax: Axes | None = None,
    first_epoch: int = 0,
) -> Axes:
    """Draws a metric, "loss" or "accuracy", of training and of validation over the epochs, and returns the axes.

    Of several outputs also one of theirs, such as "class_loss".

    history: what fit returned, or the network, whose last fit is drawn. first_epoch is fit's initial_epoch. ax: matplotlib axes
    to draw into; None makes some, which needs matplotlib (`pip install matplotlib`).

    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> cge.plot_history({"loss": [0.5, 0.25], "val_loss": [0.6, 0.5]}).figure.savefig("history.png")
    """
    curves: Any = history.history if isinstance(history, Network) else history
    if not isinstance(curves, Mapping):
        raise TypeError(f"history: expected what fit returned, or a Network, got {_arrays.describe(history)}")
    known = dict.fromkeys(["loss", "accuracy", *(name for name in curves if not name.startswith("val_"))])
    _arrays.choice("metric", metric, list(known))
    first = _arrays.integer("first_epoch", first_epoch, 0)
    found = {name: curves[name] for name in (metric, f"val_{metric}") if len(curves.get(name, ())) > 0}
    if not found:
        raise ValueError(f"history: expected epochs with {metric!r}, got {', '.join(map(repr, curves)) or 'none'}")
    axes = new_axes("plot_history") if ax is None else ax
    for name, values in found.items():
        numbers = range(first + 1, first + 1 + len(values))
        axes.plot(list(numbers), list(values), marker=".", label="validation" if name.startswith("val_") else "training")
    axes.set_xlabel("epoch")
    axes.set_ylabel(metric)
    axes.legend()
    return axes


@_arguments.checked
def plot_filters(network: Network, layer: int | str | Layer = 0, ax: Axes | None = None) -> Axes:
    """Draws the weights of a convolution as pictures, on one scale around 0, and returns the axes.

    Filters of one channel are gray, those of three channels coloured, side by side; of others each row is a filter and each
    column a channel. layer is its number in net.layers, the layer itself, or the name of its class if there is one of it.
    ax as in plot_history.

    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> cge.plot_filters(cge.Network((8, 8, 1), [cge.Conv2d(4, 3)])).figure.savefig("filters.png")
    """
    if not isinstance(network, Network):
        raise TypeError(f"network: expected a Network, got {_arrays.describe(network)}")
    number = layer_number(network.layers, layer, "layer")
    shape = network.layer_infos[number].weight_shape
    if len(shape) != 4:
        raise ValueError(f"layer: expected a convolution, got layers[{number}], {network.layers[number]!r}")
    before = sum(len(info.parameter_shapes) for info in network.layer_infos[:number])
    picture = mosaic(network.get_weights()[before])
    axes = new_axes("plot_filters") if ax is None else ax
    axes.imshow(picture, cmap="gray", vmin=0, vmax=1)
    axes.set_axis_off()
    axes.set_title(f"layers[{number}]: {shape[3]} filters of {shape[0]}x{shape[1]}x{shape[2]}")
    return axes


def mosaic(weights: Real) -> Real:
    """(rows, columns) or, of filters with three channels, (rows, columns, 3), of numbers 0 .. 1: 0.5 is weight 0; NaN, which
    is not drawn, lies between the filters."""
    kernel_h, kernel_w, channels, filters = weights.shape
    largest = float(np.abs(weights).max())
    tiles = 0.5 + weights / (2 * largest) if largest > 0 else np.full_like(weights, 0.5)
    if channels in (1, 3):
        columns = math.ceil(math.sqrt(filters))
        rows = -(-filters // columns)
        tiles = tiles.transpose(3, 0, 1, 2)  # (filters, KH, KW, 1 or 3)
    else:
        rows, columns = filters, channels
        tiles = tiles.transpose(3, 2, 0, 1).reshape(filters * channels, kernel_h, kernel_w, 1)
    result = np.full((rows * (kernel_h + 1) - 1, columns * (kernel_w + 1) - 1, tiles.shape[3]), np.nan, np.float32)
    for number, tile in enumerate(tiles):
        top, left = number // columns * (kernel_h + 1), number % columns * (kernel_w + 1)
        result[top : top + kernel_h, left : left + kernel_w] = tile
    picture: Real = result if tiles.shape[3] == 3 else result[:, :, 0]
    return picture


@_arguments.checked
def plot_confusion(labels: ArrayLike, predicted: ArrayLike, names: Sequence[str] | None = None, ax: Axes | None = None) -> Axes:
    """Draws metrics.confusion_matrix(labels, predicted), its rows as shares of their class, and returns the axes.

    predicted is class numbers (N,), or outputs (N, classes) as Network.predict gives them. names: of the classes, by default
    their numbers. Up to 20 classes have their counts in the cells. ax as in plot_history.

    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> cge.plot_confusion([0, 1, 1], [0, 1, 0], names=["cat", "dog"]).figure.savefig("confusion.png")
    """
    counts = metrics.confusion_matrix(labels, predicted)
    classes = len(counts)
    if names is not None:
        names = _arrays.sequence("names", names, "a name for each class")
        if len(names) < classes or (len(names) > classes and np.ndim(predicted) == 2):
            raise ValueError(f"names: expected one for each of {classes} classes, got {len(names)}")
        classes = len(names)
        counts = metrics.confusion_matrix(labels, predicted, classes)
    axes = new_axes("plot_confusion") if ax is None else ax
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if classes <= _MOST_NUMBERS:
        for row, column in zip(*np.nonzero(counts)):
            color = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=color, fontsize="small")
        axes.set_xticks(range(classes), list(names or map(str, range(classes))))
        axes.set_yticks(range(classes), list(names or map(str, range(classes))))
    axes.set_xlabel("predicted")
    axes.set_ylabel("label")
    return axes
