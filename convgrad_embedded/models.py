"""Published networks for small boards. Each function makes a new Network, with weights drawn from `seed`.

norm is what stands behind each convolution: None, "batch" for BatchNorm, or "group" for GroupNorm with 8 channels a group.
None is what is left of a network whose norms were folded. All other arguments are Network's: loss, optimizer, seed, capacity,
memory, input_scale ... Without them it trains by SGD(0.01). loss=None makes a network that predicts only.

>>> net = cge.models.ds_cnn(classes=4, optimizer=cge.Adam(), memory="smallest", seed=1)
>>> net.output_shape, net.param_count
((4,), 22084)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, Optional

from convgrad_embedded import _arrays, _names
from convgrad_embedded._graph import Input, Tensor
from convgrad_embedded._layers import (
    Add,
    BatchNorm,
    Conv2d,
    Dense,
    GlobalAvgPool2d,
    GroupNorm,
    Layer,
    MaxPool2d,
    ReLU,
    ReLU6,
)
from convgrad_embedded._network import Network
from convgrad_embedded._optimizers import SGD

__all__ = ["resnet8", "ds_cnn", "mobilenet_v1", "autoencoder", "mobilenet_v2", "frontnet", "lenet5", "net_n"]

Norm = Optional[Literal["batch", "group"]]

_LABELS, _VALUES = "softmax_cross_entropy", "mean_squared_error"
_GROUP = 8  # channels
# MobileNetV1: filters as a multiple of the channels, and the stride.
_SEPARABLE = ((2, 1), (2, 2), (1, 1), (2, 2), (1, 1), (2, 2), *[(1, 1)] * 5, (2, 2), (1, 1))
# MobileNetV2 at 0.35 of its channels: expansion, filters, number of blocks, stride of the first.
_INVERTED = ((1, 8, 1, 1), (6, 8, 2, 2), (6, 16, 3, 2), (6, 24, 4, 2), (6, 32, 3, 1), (6, 56, 3, 2), (6, 112, 1, 1))


def resnet8(norm: Norm = None, *, input_shape: Sequence[int] = (32, 32, 3), classes: int = 10, **options: Any) -> Network:
    """ResNet-8 of MLPerf Tiny (CIFAR-10): 16, 32 and 64 filters, a skip around every two convolutions.

    norm and options as at the module's head; ValueError for another norm, or classes below 1.

    >>> cge.models.resnet8().param_count
    77706
    """
    x = Input(input_shape)
    y = _through(x, _conv(norm, 16, 3))
    for filters, stride in ((16, 1), (32, 2), (64, 2)):
        main = _through(y, _conv(norm, filters, 3, stride=stride))
        skip = y if stride == 1 else Conv2d(filters, 1, stride=stride)(y)  # here, so that y's gradient begins late
        y = ReLU()(Add()(_through(main, _conv(norm, filters, 3, activation=None)), skip))
    return _graph(x, _through(y, _head(classes)), options)


def ds_cnn(norm: Norm = None, *, input_shape: Sequence[int] = (49, 10, 1), classes: int = 12, **options: Any) -> Network:
    """DS-CNN of MLPerf Tiny: words in 49 x 10 coefficients. Its dropout is left out.

    norm and options as at the module's head; ValueError for another norm, or classes below 1.

    >>> cge.models.ds_cnn("group").param_count
    23756
    """
    layers = _conv(norm, 64, (10, 4), stride=2)
    for _ in range(4):
        layers += _separable(norm, 64, 64)
    return _chain(input_shape, [*layers, *_head(classes)], options)


def mobilenet_v1(norm: Norm = None, *, input_shape: Sequence[int] = (96, 96, 3), classes: int = 2, **options: Any) -> Network:
    """MobileNetV1 with a quarter of the channels, of MLPerf Tiny: a person in the picture or none.

    norm and options as at the module's head; ValueError for another norm, or classes below 1.

    >>> cge.models.mobilenet_v1("batch").param_count
    221794
    """
    channels = 8
    layers = _conv(norm, channels, 3, stride=2)
    for more, stride in _SEPARABLE:
        layers += _separable(norm, channels, channels * more, stride)
        channels *= more
    return _chain(input_shape, [*layers, *_head(classes)], options)


def autoencoder(norm: Norm = None, **options: Any) -> Network:
    """The fully connected autoencoder of MLPerf Tiny: 640 numbers of a spectrogram by way of 8. Targets are the samples.

    norm and options as at the module's head; ValueError for another norm.

    >>> cge.models.autoencoder().param_count
    265864
    """
    layers: list[Layer] = []
    for units in (*[128] * 4, 8, *[128] * 4):
        layers += [Dense(units), *_norms(norm, units), ReLU()]
    return _chain(640, [*layers, Dense(640)], options, _VALUES)


def mobilenet_v2(
    norm: Norm = None, *, input_shape: Sequence[int] = (128, 128, 3), classes: int = 10, **options: Any
) -> Network:
    """MobileNetV2 with 0.35 of the channels, without the layer of 1,280: what MCUNetV3 trains.

    norm and options as at the module's head; ValueError for another norm, or classes below 1.

    >>> cge.models.mobilenet_v2().param_count
    245578
    """
    x, channels = Input(input_shape), 16
    geometry: dict[str, Any] = {"activation": ReLU6(), "use_bias": norm is None}
    y = _through(x, _conv(norm, channels, 3, stride=2, **geometry))
    for expansion, filters, count, first_stride in _INVERTED:
        for stride in (first_stride, *[1] * (count - 1)):
            inner = channels * expansion
            block = _conv(norm, inner, 1, **geometry) if expansion > 1 else []
            block += _conv(norm, inner, 3, stride=stride, groups=inner, **geometry)
            block += _conv(norm, filters, 1, activation=None, use_bias=norm is None)
            out = _through(y, block)
            y = Add()(out, y) if stride == 1 and channels == filters else out
            channels = filters
    return _graph(x, _through(y, _head(classes)), options)


def frontnet(norm: Norm = None, *, width: int = 32, input_shape: Sequence[int] = (96, 160, 1), **options: Any) -> Network:
    """Like PULP-Frontnet: where a person is, x, y, z and angle, in 160 x 96 grey pixels that a nano-drone sees.

    width is the filters of the first layer: 32, or 16 for the small one. norm and options as at the module's head; ValueError
    for another norm, or a width below 1.

    >>> [cge.models.frontnet(width=width).param_count for width in (16, 32)]
    [78212, 303876]
    """
    width, bias = _arrays.integer("width", width, 1), norm is None
    layers = [*_conv(norm, width, 5, stride=2, padding=2, use_bias=bias), MaxPool2d(2)]
    for more in (1, 2, 4):
        for stride in (2, 1):
            layers += _conv(norm, width * more, 3, stride=stride, padding=1, use_bias=bias)
    return _chain(input_shape, [*layers, Dense(4)], options, _VALUES)


def lenet5(norm: Norm = None, *, input_shape: Sequence[int] = (28, 28, 1), classes: int = 10, **options: Any) -> Network:
    """LeNet-5 with ReLU, max pooling and all maps connected: digits of 28 x 28 pixels.

    norm, of the convolutions, and options as at the module's head; ValueError for another norm, or classes below 1.

    >>> cge.models.lenet5().param_count
    61706
    """
    layers = [*_conv(norm, 6, 5), MaxPool2d(2), *_conv(norm, 16, 5, padding=0), MaxPool2d(2)]
    layers += [Dense(120), ReLU(), Dense(84), ReLU(), Dense(_classes(classes))]
    return _chain(input_shape, layers, options)


def net_n(norm: Norm = None, *, input_shape: Sequence[int] = (28, 28, 1), classes: int = 10, **options: Any) -> Network:
    """Two 3 x 3 convolutions of 8 and 16 filters, pooled by 2, and a dense layer: net N of this project's benchmarks.

    norm and options as at the module's head; ValueError for another norm, or classes below 1.

    >>> cge.models.net_n().param_count
    9098
    """
    layers = [*_conv(norm, 8, 3, padding=1), MaxPool2d(2), *_conv(norm, 16, 3, padding=1), MaxPool2d(2)]
    return _chain(input_shape, [*layers, Dense(_classes(classes))], options)


# ---- what they are made of ---------------------------------------------------------------------------------------------


def _norms(norm: Norm, channels: int) -> list[Layer]:
    """Behind a layer that puts out so many channels. What 8 does not divide is one group."""
    if norm is None:
        return []
    if _arrays.choice("norm", norm, ["batch", "group"]) == "batch":
        return [BatchNorm()]
    return [GroupNorm(1 if channels % _GROUP else channels // _GROUP)]


def _conv(
    norm: Norm,
    filters: int,
    kernel_size: Any,
    *,
    activation: Layer | None = ReLU(),
    padding: Any = "same",
    **geometry: Any,
) -> list[Layer]:
    """A convolution, its norm, its activation."""
    layers = [Conv2d(filters, kernel_size, padding=padding, **geometry), *_norms(norm, filters)]
    return layers if activation is None else [*layers, activation]


def _separable(norm: Norm, channels: int, filters: int, stride: int = 1) -> list[Layer]:
    return [*_conv(norm, channels, 3, stride=stride, groups=channels), *_conv(norm, filters, 1)]


def _head(classes: int) -> list[Layer]:
    return [GlobalAvgPool2d(), Dense(_classes(classes))]


def _classes(count: int) -> int:
    return _arrays.integer("classes", count, 1)


def _through(tensor: Tensor, layers: Iterable[Layer]) -> Tensor:
    for layer in layers:
        tensor = layer(tensor)
    return tensor


def _chain(input_shape: int | Sequence[int], layers: list[Layer], options: dict[str, Any], loss: str = _LABELS) -> Network:
    return Network(input_shape, layers, **_with_defaults(options, loss))


def _graph(inputs: Tensor, outputs: Tensor, options: dict[str, Any]) -> Network:
    return Network(inputs=inputs, outputs=outputs, **_with_defaults(options, _LABELS))


def _with_defaults(options: dict[str, Any], loss: str) -> dict[str, Any]:
    """The optimizer belongs to networks with a loss."""
    optimizer = SGD(0.01) if options.get("loss", loss) is not None else None
    return {"loss": loss, "optimizer": optimizer, **options}


if not TYPE_CHECKING:  # which knows what there is
    __getattr__ = _names.of_module(globals())
