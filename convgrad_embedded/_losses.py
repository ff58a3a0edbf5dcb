"""Losses as plain descriptions, what of targets they read, and weights of samples and classes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, Union

import numpy as np
from numpy.typing import ArrayLike

from convgrad_embedded import _arrays
from convgrad_embedded._core import Real, Targets
from convgrad_embedded._layers import _by_position, _Described, shortest

LossName = Literal[
    "softmax_cross_entropy",
    "binary_cross_entropy",
    "mean_squared_error",
    "mse",
    "mean_absolute_error",
    "mae",
    "huber",
    "distillation",
]
ClassWeight = Union[Mapping[int, float], Sequence[float]]


class Loss(_Described):
    """What all losses have in common: Network(loss=...) takes one, or its name if it has no settings.

    It is the class of all losses, and none itself.

    >>> cge.Network((2,), [cge.Dense(2)], "mse").loss, isinstance(cge.MeanSquaredError(), cge.Loss)
    ('mean_squared_error', True)
    """

    name: ClassVar[LossName]
    reads_labels: ClassVar[bool] = False
    reads_values: ClassVar[bool] = False
    has_accuracy: ClassVar[bool] = False

    @property
    def kind(self) -> str:
        """The C core's name for it."""
        return self.name

    def c_members(self) -> dict[str, float]:
        """Of cge_loss_config."""
        return {}

    def targets(self, name: str, y: Any, count: int, shape: Sequence[int]) -> Targets:
        """Checked targets of `count` samples, for outputs of this shape."""
        return Targets(None, _values(name, y, (count, *shape)))

    def right_of(self, count: int, out_elems: int) -> int:
        """How many there are of what evaluation counts."""
        return count

    def _checked(self, check: Any) -> None:
        try:
            check()
        except (TypeError, ValueError) as error:
            raise type(error)(f"{type(self).__name__}: {error}") from None


def _values(name: str, y: Any, shape: Sequence[int]) -> Real:
    return _arrays.single(name, _arrays.values(name, y, shape))


def _labels(name: str, y: Any, count: int, shape: Sequence[int]) -> Any:
    return _arrays.labels(name, y, count, math.prod(shape))


@_by_position(0)
@dataclass(frozen=True, repr=False)
class SoftmaxCrossEntropy(Loss):
    """-log of the label's probability, from logits; labels (N,) are class numbers.

    With label_smoothing e, 0 to 1, the target is 1 - e at the label plus e / n everywhere: PyTorch's CrossEntropyLoss.

    Labels outside 0 .. n - 1, and a label_smoothing outside 0 .. 1, are a ValueError. Its accuracy is the share of samples
    whose largest output is at the label.

    >>> net = cge.Network((3,), [cge.Flatten()], cge.SoftmaxCrossEntropy(label_smoothing=0.1))
    >>> net.evaluate(np.array([[0.0, 5.0, 0.0], [5.0, 0.0, 0.0]]), [1, 2]).accuracy
    0.5
    """

    label_smoothing: float = 0.0

    name = "softmax_cross_entropy"
    reads_labels = True
    has_accuracy = True

    def __post_init__(self) -> None:
        self._checked(lambda: _arrays.share("label_smoothing", self.label_smoothing))

    @property
    def kind(self) -> str:
        return "smoothed_cross_entropy" if np.float32(self.label_smoothing) > 0 else self.name

    def c_members(self) -> dict[str, float]:
        return {"label_smoothing": self.label_smoothing}

    def targets(self, name: str, y: Any, count: int, shape: Sequence[int]) -> Targets:
        return Targets(_labels(name, y, count, shape), None)


@_by_position(0)
@dataclass(frozen=True, repr=False)
class BinaryCrossEntropy(Loss):
    """Binary cross-entropy on logits, the mean over all outputs: PyTorch's BCEWithLogitsLoss.

    Each output is a question of its own (multi-label); targets (N,) + output_shape are 0 to 1, of numbers, integers or
    booleans. Its accuracy is the share of outputs, over all samples, whose logit is above 0 where the target is above 0.5
    and not above 0 elsewhere.

    Targets outside 0 .. 1 are a ValueError.

    >>> net = cge.Network((2,), [cge.Flatten()], "binary_cross_entropy")
    >>> net.evaluate(np.array([[3.0, -3.0]]), [[1, 1]]).accuracy
    0.5
    """

    name = "binary_cross_entropy"
    reads_values = True
    has_accuracy = True

    def targets(self, name: str, y: Any, count: int, shape: Sequence[int]) -> Targets:
        return Targets(None, _arrays.probabilities(name, y, (count, *shape)))

    def right_of(self, count: int, out_elems: int) -> int:
        return count * out_elems


@_by_position(0)
@dataclass(frozen=True, repr=False)
class MeanSquaredError(Loss):
    """The mean of (output - target)^2 over the outputs; targets are (N,) + output_shape.

    >>> net = cge.Network((2,), [cge.Flatten()], "mse")
    >>> net.evaluate(np.array([[1.0, 2.0]]), [[0.0, 0.0]]).loss
    2.5
    """

    name = "mean_squared_error"
    reads_values = True


@_by_position(0)
@dataclass(frozen=True, repr=False)
class MeanAbsoluteError(Loss):
    """The mean of |output - target| over the outputs; targets are (N,) + output_shape. Its gradient at 0 is 0.

    >>> net = cge.Network((2,), [cge.Flatten()], "mae")
    >>> net.evaluate(np.array([[1.0, -2.0]]), [[0.0, 0.0]]).loss
    1.5
    """

    name = "mean_absolute_error"
    reads_values = True


@_by_position(1)
@dataclass(frozen=True, repr=False)
class Huber(Loss):
    """Quadratic up to an error of `delta`, linear beyond: PyTorch's HuberLoss. delta > 0; targets are (N,) + output_shape.

    With d = |output - target|: d^2 / 2 where d <= delta, else delta (d - delta / 2), and of that the mean over the outputs.
    ValueError unless delta > 0.

    >>> net = cge.Network((2,), [cge.Flatten()], cge.Huber(delta=1.0))
    >>> net.evaluate(np.array([[1.0, -2.0]]), [[0.0, 0.0]]).loss
    1.0
    """

    delta: float = 1.0

    name = "huber"
    reads_values = True

    def __post_init__(self) -> None:
        self._checked(lambda: _arrays.positive("delta", self.delta))

    def c_members(self) -> dict[str, float]:
        return {"delta": 0.0 if self.delta == 1 else self.delta}


@_by_position(0)
@dataclass(frozen=True, repr=False)
class Distillation(Loss):
    """From a teacher's logits, after Hinton et al. 2015: y is (labels (N,), logits (N,) + output_shape).

    alpha times the cross-entropy of the labels, plus 1 - alpha times temperature^2 times the Kullback-Leibler divergence from
    the teacher's softmax to the network's, both of logits / temperature. temperature > 0; alpha 0 to 1, and 0 leaves the labels
    to the accuracy alone. A network's own logits of before, stored, keep it from forgetting what it knew.

    Settings outside their range are a ValueError, and a y that is no pair is a TypeError.

    >>> net = cge.Network((2,), [cge.Flatten()], cge.Distillation(temperature=2.0, alpha=0.1))
    >>> round(net.evaluate(np.array([[0.0, 1.0]]), ([1], [[0.0, 1.0]])).loss, 4)
    0.0313
    """

    temperature: float = 1.0
    alpha: float = 0.0

    name = "distillation"
    reads_labels = True
    reads_values = True
    has_accuracy = True

    def __post_init__(self) -> None:
        self._checked(lambda: (_arrays.positive("temperature", self.temperature), _arrays.share("alpha", self.alpha)))

    def c_members(self) -> dict[str, float]:
        return {"temperature": 0.0 if self.temperature == 1 else self.temperature, "alpha": self.alpha}

    def targets(self, name: str, y: Any, count: int, shape: Sequence[int]) -> Targets:
        if not isinstance(y, (tuple, list)) or len(y) != 2:
            raise TypeError(f"{name}: expected (labels, the teacher's logits) for distillation, got {_arrays.describe(y)}")
        labels = _labels(f"{name}[0]", y[0], count, shape)
        return Targets(labels, _values(f"{name}[1]", y[1], (count, *shape)))


LOSSES: dict[str, type[Loss]] = {
    cls.name: cls for cls in (SoftmaxCrossEntropy, MeanSquaredError, BinaryCrossEntropy, MeanAbsoluteError, Huber, Distillation)
}
_SHORT = {"mse": "mean_squared_error", "mae": "mean_absolute_error"}
# What other libraries call them.
_FOREIGN = {
    "binary_crossentropy": "binary_cross_entropy",
    "bce": "binary_cross_entropy",
    "categorical_crossentropy": "softmax_cross_entropy",
    "sparse_categorical_crossentropy": "softmax_cross_entropy",
    "cross_entropy": "softmax_cross_entropy",
    "crossentropy": "softmax_cross_entropy",
    "kl_divergence": "distillation",
    "smooth_l1": "huber",
    "l1": "mean_absolute_error",
    "l2": "mean_squared_error",
}


def of(value: Any) -> Loss | None:
    """The loss that a network is made with."""
    if value is None or isinstance(value, Loss):
        return value
    if isinstance(value, type) and issubclass(value, Loss):
        raise TypeError(f"loss: expected a loss such as {value.__name__}(), got the class {value.__name__}")
    if isinstance(value, str) and value in _FOREIGN:
        raise ValueError(f"loss: there is none called {value!r}; did you mean {_FOREIGN[value]!r}?")
    name = _arrays.choice("loss", value, [*LOSSES, *_SHORT])
    return LOSSES[_SHORT.get(name, name)]()


def shown(loss: Loss | None) -> LossName | Loss | None:
    """As Network.loss has it: by name, if it has no settings but defaults."""
    return loss.name if loss is not None and loss == type(loss)() else loss


def decode(kind: str, config: Mapping[str, float]) -> Loss:
    """The loss of a saved network. Zero means default."""
    cls = SoftmaxCrossEntropy if kind == "smoothed_cross_entropy" else LOSSES[kind]
    return cls(**{f.name: shortest(config[f.name]) for f in fields(cls) if config[f.name] != 0})  # type: ignore[arg-type]


# ---- weights -----------------------------------------------------------------------------------------------------------


def with_weights(
    targets: Targets,
    sample_weight: ArrayLike | None,
    class_weight: Any,
    count: int,
    classes: int,
    name: str = "sample_weight",
) -> Targets:
    """The targets, whose samples weigh sample_weight times class_weight of their label."""
    weights = None if sample_weight is None else _arrays.weights(name, sample_weight, count)
    if class_weight is not None:
        if targets.labels is None:
            raise ValueError("class_weight: expected None for a loss without labels, got one; sample_weight weighs samples")
        of_label = _class_table(class_weight, classes)[targets.labels]
        weights = of_label if weights is None else weights * of_label
    return targets._replace(weights=weights)


def _class_table(given: Any, classes: int) -> Real:
    """[classes]; classes that a mapping does not name weigh 1."""
    if isinstance(given, Mapping):
        table = np.ones(classes, np.float32)
        for label, weight in given.items():
            table[_arrays.integer("class_weight: a class", label, 0, classes - 1)] = _arrays.number(
                f"class_weight[{label}]", weight
            )
        return table
    if isinstance(given, (str, bytes)):
        raise TypeError(f"class_weight: expected a dict or one number for each class, got {_arrays.describe(given)}")
    return _arrays.weights("class_weight", given, classes)
