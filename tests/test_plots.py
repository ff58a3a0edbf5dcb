"""Pictures of a training. Axes that only take notes stand in for matplotlib's."""

import builtins
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from test_timeline import Axes

import convgrad_embedded as cge
from convgrad_embedded import _plots

HISTORY = {"loss": [3.0, 2.0], "accuracy": [0.25, 0.5], "val_loss": [4.0, 3.0]}


def network(channels=1, **options):
    layers = [cge.Conv2d(5, (3, 2)), cge.ReLU(), cge.Conv2d(4, 1), cge.Dense(3)]
    return cge.Network((6, 6, channels), layers, "softmax_cross_entropy", cge.SGD(0.1), **options)


def test_a_history_is_drawn_over_epochs_from_1():
    axes = Axes()
    assert cge.plot_history(HISTORY, ax=axes) is axes
    (training, t), (validation, v) = axes.of("plot")
    assert training == ([1, 2], [3.0, 2.0]) and t["label"] == "training"
    assert validation == ([1, 2], [4.0, 3.0]) and v["label"] == "validation"
    assert axes.of("set_ylabel") == [(("loss",), {})]
    axes = Axes()
    cge.plot_history(HISTORY, "accuracy", axes, first_epoch=3)
    (((numbers, values), _),) = axes.of("plot")
    assert (numbers, values) == ([4, 5], [0.25, 0.5])


def test_one_of_several_outputs_is_drawn():
    history = {"loss": [3.0], "class_loss": [1.0], "val_loss": [4.0], "val_class_loss": [2.0]}
    axes = Axes()
    cge.plot_history(history, "class_loss", axes)
    assert [list(values) for (_, values), _ in axes.of("plot")] == [[1.0], [2.0]]
    with pytest.raises(ValueError, match="metric: expected one of 'loss', 'accuracy', 'class_loss', got 'box_loss'"):
        cge.plot_history(history, "box_loss", axes)


def test_the_history_of_a_network_is_that_of_its_last_fit(rng):
    net, axes = network(), Axes()
    net.fit(rng.normal(size=(8, 6, 6, 1)).astype(np.float32), np.arange(8) % 3, epochs=3, validation_split=0.25, verbose=0)
    cge.plot_history(net, ax=axes)
    assert [list(values) for (_, values), _ in axes.of("plot")] == [net.history["loss"], net.history["val_loss"]]


@pytest.mark.parametrize("channels, rows, columns", [(1, 2, 3), (3, 2, 3), (2, 5, 2)])
def test_filters_are_drawn_side_by_side(channels, rows, columns):
    net, axes = network(channels), Axes()
    assert cge.plot_filters(net, ax=axes) is axes
    (((picture,), options),) = axes.of("imshow")
    assert picture.shape == (4 * rows - 1, 3 * columns - 1, 3)[: 3 if channels == 3 else 2]
    assert (options["vmin"], options["vmax"]) == (0, 1) and np.nanmin(picture) >= 0 and np.nanmax(picture) <= 1
    w = net.get_weights()[0]
    scaled = 0.5 + w / (2 * np.abs(w).max())
    for k in range(5):
        for c in range(channels):
            row, column = divmod(k, columns) if channels != 2 else (k, c)
            tile = picture[4 * row : 4 * row + 3, 3 * column : 3 * column + 2]
            np.testing.assert_allclose(tile[..., c] if channels == 3 else tile, scaled[:, :, c, k], rtol=1e-6)
    assert np.isnan(picture[3]).all() and np.isnan(picture[:, 2]).all()


def test_filters_of_any_convolution():
    net = network()
    pictures = []
    for layer in (2, -2, net.layers[2]):
        axes = Axes()
        cge.plot_filters(net, layer, axes)
        pictures.append(axes.of("imshow")[0][0][0])
        assert axes.of("set_title") == [(("layers[2]: 4 filters of 1x1x5",), {})]
    assert all(np.array_equal(picture, pictures[0], equal_nan=True) for picture in pictures) and pictures[0].shape == (7, 9)
    net.set_weights([0 * w for w in net.get_weights()])
    axes = Axes()
    cge.plot_filters(net, 0, axes)
    assert np.nanmin(axes.of("imshow")[0][0][0]) == np.nanmax(axes.of("imshow")[0][0][0]) == 0.5


def test_confusion_is_drawn_by_shares_of_a_label():
    labels, predicted = [0, 0, 0, 0, 1, 1, 2], [0, 0, 0, 1, 1, 0, 2]
    axes = Axes()
    assert cge.plot_confusion(labels, predicted, ax=axes) is axes
    (((shares,), _),) = axes.of("imshow")
    assert shares.tolist() == [[0.75, 0.25, 0], [0.5, 0.5, 0], [0, 0, 1]]
    texts = {(column, row): text for (column, row, text), _ in axes.of("text")}
    assert texts == {(0, 0): "3", (1, 0): "1", (0, 1): "1", (1, 1): "1", (2, 2): "1"}
    assert axes.of("set_xticks")[0][0] == (range(3), ["0", "1", "2"])
    axes = Axes()
    cge.plot_confusion(labels, np.eye(3, dtype=np.float32)[predicted], names=("cat", "dog", "cow"), ax=axes)
    assert axes.of("imshow")[0][0][0].tolist() == shares.tolist()
    assert axes.of("set_yticks")[0][0] == (range(3), ["cat", "dog", "cow"])


def test_confusion_of_many_classes_has_no_numbers():
    axes = Axes()
    cge.plot_confusion(range(21), range(21), ax=axes)
    assert axes.of("text") == [] and axes.of("set_xticks") == []
    cge.plot_confusion([0, 1], [0, 1], names=list("abcd"), ax=axes)
    assert axes.of("imshow")[1][0][0].shape == (4, 4)


BAD = {
    "no history": (
        lambda: cge.plot_history([1.0], ax=Axes()),
        TypeError,
        "history: expected what fit returned, or a Network, got ",
    ),
    "not trained": (
        lambda: cge.plot_history(network(), ax=Axes()),
        ValueError,
        "history: expected epochs with 'loss', got none",
    ),
    "no accuracy": (
        lambda: cge.plot_history({"loss": [1]}, "accuracy", Axes()),
        ValueError,
        "history: expected epochs with 'accuracy', got 'loss'",
    ),
    "metric": (lambda: cge.plot_history(HISTORY, "mae"), ValueError, "metric: expected one of 'loss', 'accuracy', got 'mae'"),
    "first epoch": (lambda: cge.plot_history(HISTORY, first_epoch=-1), ValueError, "first_epoch: expected at least 0"),
    "no network": (lambda: cge.plot_filters(HISTORY), TypeError, "network: expected a Network, got dict"),
    "ReLU": (lambda: cge.plot_filters(network(), 1), ValueError, "layer: expected a convolution, got layers[1], ReLU()"),
    "Dense": (lambda: cge.plot_filters(network(), "Dense"), ValueError, "layer: expected a convolution, got layers[3]"),
    "no layer": (lambda: cge.plot_filters(network(), 4), ValueError, "layer: expected at most 3, got 4"),
    "two layers": (
        lambda: cge.plot_filters(network(), "Conv2d"),
        ValueError,
        "layer: expected one layer of this network, got 'Conv2d', which layers 0, 2 are; pass a number",
    ),
    "labels": (lambda: cge.plot_confusion([0, 1], [0]), ValueError, "labels: expected shape"),
    "too few names": (
        lambda: cge.plot_confusion([0, 1], [0, 2], names=["a"]),
        ValueError,
        "names: expected one for each of 3 classes, got 1",
    ),
    "too many names": (
        lambda: cge.plot_confusion([0], np.ones((1, 2)), names="abc"),
        ValueError,
        "names: expected one for each of 2 classes, got 3",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_drawn(name):
    call, error, begins = BAD[name]
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value).startswith(begins)


DRAWN = {
    "plot_history": lambda: cge.plot_history(HISTORY),
    "plot_filters": lambda: cge.plot_filters(network()),
    "plot_confusion": lambda: cge.plot_confusion([0, 1], [0, 1]),
}


@pytest.mark.parametrize("name", DRAWN)
def test_without_matplotlib_one_line_says_what_to_install(name, monkeypatch):
    own = builtins.__import__

    def without(module, *arguments, **options):
        if module.startswith("matplotlib"):
            raise ImportError(module)
        return own(module, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=f"^{name}: the picture needs matplotlib: pip install matplotlib$"):
        DRAWN[name]()


@pytest.mark.parametrize("name", DRAWN)
def test_axes_are_made_where_none_are_given(name, monkeypatch):
    axes = Axes()
    matplotlib = ModuleType("matplotlib")
    matplotlib.pyplot = SimpleNamespace(subplots=lambda **options: (None, axes))
    monkeypatch.setitem(sys.modules, "matplotlib", matplotlib)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", matplotlib.pyplot)
    assert DRAWN[name]() is axes and len(axes.calls) > 2


def test_a_mosaic_of_one_filter_has_no_borders():
    w = np.array([[1.0, -2.0], [0.0, 2.0]], np.float32)[:, :, None, None]
    assert _plots.mosaic(w).tolist() == [[0.75, 0.0], [0.5, 1.0]]
