"""Rows of other rows: series (T, C) as images (T, 1, C), whose kernels are one column wide, and convolutions without mixing.

Each function gives layers of `_layers.py`: that is what networks hold, save and load.
"""

from __future__ import annotations

from typing import Any, Callable, Literal, TypeVar, Union

from convgrad_embedded import _arguments, _arrays, _core
from convgrad_embedded._arrays import Padding as Padding2d
from convgrad_embedded._arrays import Pair
from convgrad_embedded._layers import AvgPool2d, Conv2d, ConvTranspose2d, MaxPool2d, Trainable

# Of a series: at both ends, (before, after), "valid" or "same".
Padding = Union[int, tuple[int, int], list[int], Literal["valid", "same"]]

_Made = TypeVar("_Made")


def _along(name: str, value: Any) -> Pair:
    """An int, along time alone, as layers that were loaded have it."""
    size = _arrays.integer(name, value, 1)
    return 1 if size == 1 else (size, 1)


def _ends(value: Any) -> Padding2d:
    if isinstance(value, str):
        return _arrays.choice("padding", value, _arrays.PADDINGS)
    before, after = _arrays.pair("padding", value, 0)
    if before != after:
        return (before, after), (0, 0)
    return (before, 0) if before else 0


def _named(name: str, make: Callable[[], _Made]) -> _Made:
    """Errors name what the user called."""
    try:
        return make()
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: {str(error).split('2d: ', 1)[-1]}") from None


@_arguments.checked
def Conv1d(
    filters: int,
    kernel_size: int,
    *,
    stride: int = 1,
    padding: Padding = 0,
    dilation: int = 1,
    groups: int = 1,
    use_bias: bool = True,
    init: _core.Init = "he_uniform",
    trainable: Trainable = True,
    learning_rate_factor: float = 1.0,
) -> Conv2d:
    """Convolution along a series (T, C), with weights (K, 1, C / groups, filters): a Conv2d with a kernel (K, 1).

    padding: int, (before, after), "valid" (0) or "same". The others are those of Conv2d. TypeError where one is not an int.

    (T, C) becomes (OT, filters), which is an image (OT, 1, filters).

    >>> net = cge.Network((20, 3), [cge.Conv1d(8, 5, stride=2)])
    >>> net.output_shape, net.get_weights()[0].shape
    ((8, 1, 8), (5, 1, 3, 8))
    """
    return _named(
        "Conv1d",
        lambda: Conv2d(
            filters,
            _along("kernel_size", kernel_size),
            stride=_along("stride", stride),
            padding=_ends(padding),
            dilation=_along("dilation", dilation),
            groups=groups,
            use_bias=use_bias,
            init=init,
            trainable=trainable,
            learning_rate_factor=learning_rate_factor,
        ),
    )


@_arguments.checked
def ConvTranspose1d(
    filters: int,
    kernel_size: int,
    *,
    stride: int = 1,
    padding: Padding = 0,
    output_padding: int = 0,
    dilation: int = 1,
    groups: int = 1,
    use_bias: bool = True,
    init: _core.Init = "he_uniform",
    trainable: Trainable = True,
    learning_rate_factor: float = 1.0,
) -> ConvTranspose2d:
    """Transposed convolution along a series (T, C), with weights (K, 1, filters / groups, C): a ConvTranspose2d of (K, 1).

    padding: as Conv1d's, what the output leaves out. output_padding: int, less than stride or dilation. The others are those of
    ConvTranspose2d. TypeError where one is not an int.

    (T, C) becomes (OT, filters), which is an image (OT, 1, filters).

    >>> net = cge.Network((10, 8), [cge.ConvTranspose1d(3, 4, stride=2, padding=1)])
    >>> net.output_shape, net.get_weights()[0].shape
    ((20, 1, 3), (4, 1, 3, 8))
    """
    return _named(
        "ConvTranspose1d",
        lambda: ConvTranspose2d(
            filters,
            _along("kernel_size", kernel_size),
            stride=_along("stride", stride),
            padding=_ends(padding),
            output_padding=(more, 0) if (more := _arrays.integer("output_padding", output_padding, 0)) else 0,
            dilation=_along("dilation", dilation),
            groups=groups,
            use_bias=use_bias,
            init=init,
            trainable=trainable,
            learning_rate_factor=learning_rate_factor,
        ),
    )


@_arguments.checked
def MaxPool1d(pool_size: int = 2, stride: int | None = None, *, padding: Padding = 0) -> MaxPool2d:
    """The largest value of each window along a series (T, C); stride None means the window's size.

    pool_size and stride are ints, else TypeError. padding as Conv1d's. (T, C) becomes (OT, C), which is an image (OT, 1, C).

    >>> net = cge.Network((4, 1), [cge.MaxPool1d(2)])
    >>> net.predict(np.array([[[1.0], [5.0], [3.0], [2.0]]])).ravel().tolist()
    [5.0, 3.0]
    """
    steps = None if stride is None else _named("MaxPool1d", lambda: _along("stride", stride))
    return _named("MaxPool1d", lambda: MaxPool2d(_along("pool_size", pool_size), steps, padding=_ends(padding)))


@_arguments.checked
def AvgPool1d(pool_size: int = 2, stride: int | None = None, *, padding: Padding = 0) -> AvgPool2d:
    """The mean of each window along a series (T, C), padding not counted; stride None means the window's size.

    Arguments and shapes as MaxPool1d's.

    >>> net = cge.Network((4, 1), [cge.AvgPool1d(2)])
    >>> net.predict(np.array([[[1.0], [5.0], [3.0], [2.0]]])).ravel().tolist()
    [3.0, 2.5]
    """
    steps = None if stride is None else _named("AvgPool1d", lambda: _along("stride", stride))
    return _named("AvgPool1d", lambda: AvgPool2d(_along("pool_size", pool_size), steps, padding=_ends(padding)))


@_arguments.checked
def DepthwiseConv2d(
    channels: int,
    kernel_size: Pair,
    *,
    multiplier: int = 1,
    stride: Pair = 1,
    padding: Padding2d = 0,
    dilation: Pair = 1,
    use_bias: bool = True,
    init: _core.Init = "he_uniform",
    trainable: Trainable = True,
    learning_rate_factor: float = 1.0,
) -> Conv2d:
    """`multiplier` filters for each of the `channels` that come in, which it does not mix: a Conv2d with groups=channels.

    multiplier is at least 1. The others are those of Conv2d. In the network's shapes C is channels, else ValueError.

    >>> cge.DepthwiseConv2d(4, 3, padding="same")
    Conv2d(4, 3, padding='same', groups=4)
    """
    return _named(
        "DepthwiseConv2d",
        lambda: Conv2d(
            _arrays.integer("channels", channels, 1) * _arrays.integer("multiplier", multiplier, 1),
            kernel_size,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=channels,
            use_bias=use_bias,
            init=init,
            trainable=trainable,
            learning_rate_factor=learning_rate_factor,
        ),
    )


@_arguments.checked
def SeparableConv2d(
    channels: int,
    filters: int,
    kernel_size: Pair,
    *,
    multiplier: int = 1,
    stride: Pair = 1,
    padding: Padding2d = 0,
    dilation: Pair = 1,
    use_bias: bool = True,
    init: _core.Init = "he_uniform",
    trainable: Trainable = True,
    learning_rate_factor: float = 1.0,
) -> list[Conv2d]:
    """The two layers [DepthwiseConv2d, Conv2d(filters, 1)], as Keras has them: the first without bias.

    In a list of layers write `*SeparableConv2d(...)`.

    Arguments as DepthwiseConv2d's; filters are those of the second.

    >>> cge.SeparableConv2d(4, 16, 3, padding="same")
    [Conv2d(4, 3, padding='same', groups=4, use_bias=False), Conv2d(16, 1)]
    """

    def make() -> list[Conv2d]:
        each = DepthwiseConv2d(
            channels,
            kernel_size,
            multiplier=multiplier,
            stride=stride,
            padding=padding,
            dilation=dilation,
            use_bias=False,
            init=init,
            trainable=trainable,
            learning_rate_factor=learning_rate_factor,
        )
        factor = learning_rate_factor
        return [each, Conv2d(filters, 1, use_bias=use_bias, init=init, trainable=trainable, learning_rate_factor=factor)]

    return _named("SeparableConv2d", make)
