"""Losses as plain descriptions, what of targets they read, and weights of samples and classes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Literal, Optional, Union

import numpy as np
from numpy.typing import ArrayLike

from convgrad_embedded import _arrays, _outputs
from convgrad_embedded._c_model import LossRow, OutputRow
from convgrad_embedded._core import Real
from convgrad_embedded._layers import _by_position, _Described, shortest
from convgrad_embedded._outputs import Keys
from convgrad_embedded._runtime import Targets

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
# Of several outputs of each its own.
ClassWeights = Union[ClassWeight, Mapping[str, Optional[ClassWeight]], Sequence[Optional[ClassWeight]]]
SampleWeight = Union[ArrayLike, Mapping[str, Optional[ArrayLike]], Sequence[Optional[ArrayLike]]]


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

    def row(self) -> LossRow:
        """As a cge_model has it."""
        return LossRow(self.kind, self.c_members())

    def targets(self, name: str, y: Any, count: int, shape: Any) -> Targets:
        """Checked targets of `count` samples, for outputs of this shape."""
        return Targets(None, _values(name, y, (count, *shape)))

    def right_of(self, count: int, out_elems: int) -> int:
        """How many there are of what evaluation counts."""
        return count

    def share(self, right: int, count: int, out_elems: int) -> float | None:
        """The accuracy of `count` samples; None: this loss has none."""
        return right / self.right_of(count, out_elems) if self.has_accuracy else None

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


@_by_position(2)
@dataclass(frozen=True, repr=False)
class MultiOutput(Loss):
    """Of several outputs side by side, each with a loss of its own: the sum of weight * loss, in their order.

    Network(inputs=, outputs=[a, b], loss=[...], loss_weights=[...]) makes one, and `net.loss` is it. As Network(loss=) it takes
    the outputs of any network apart: sizes are how many numbers each output is, weights are 1 by default, finite and >= 0.

    Targets are a list, of each output what its loss reads; with names a dict, from each name to that. ValueError if there are
    not as many sizes, weights and names as losses, or sizes do not add up to the network's outputs. Names are of letters,
    digits and _, and none begins as those of validation do: "val" or "val_".

    >>> loss = cge.MultiOutput(["softmax_cross_entropy", "mse"], sizes=[2, 1], weights=[1.0, 0.5])
    >>> net = cge.Network((3,), [cge.Flatten()], loss)
    >>> net.evaluate([[0.0, 100.0, 3.0]], [[1], [[1.0]]]).loss
    2.0
    """

    losses: Sequence[LossName | Loss]
    sizes: Sequence[int]
    weights: Sequence[float] | None = None
    names: Sequence[str] | None = None

    name = "multi_output"  # type: ignore[assignment]

    def __post_init__(self) -> None:
        self._checked(self._check)

    def _check(self) -> None:
        given = _arrays.sequence("losses", self.losses, "a list of losses")
        if not given:
            raise ValueError("losses: expected at least one loss, got none")
        losses = tuple(_of_output(f"losses[{index}]", loss) for index, loss in enumerate(given))
        sizes = _arrays.sequence("sizes", self.sizes, "a list of numbers of outputs")
        weights = (1.0,) * len(losses) if self.weights is None else self.weights
        weights = _arrays.sequence("weights", weights, "a list of numbers")
        for name, values in (("sizes", sizes), ("weights", weights)):
            if len(values) != len(losses):
                raise ValueError(f"{name}: expected {len(losses)} numbers, one for each loss, got {len(values)}")
        if self.names is not None:
            object.__setattr__(self, "names", _outputs.checked_names("names", self.names, len(losses)))
        object.__setattr__(self, "losses", losses)
        object.__setattr__(self, "sizes", tuple(_arrays.integer(f"sizes[{i}]", size, 1) for i, size in enumerate(sizes)))
        object.__setattr__(self, "weights", tuple(float(_arrays.number(f"weights[{i}]", w)) for i, w in enumerate(weights)))

    def row(self) -> LossRow:
        outputs = tuple(
            OutputRow(loss.kind, loss.c_members(), size, weight)  # type: ignore[union-attr]
            for loss, size, weight in zip(self.losses, self.sizes, self.weights or ())
        )
        return LossRow(self.name, {}, outputs)

    def targets(self, name: str, y: Any, count: int, shape: Any) -> Targets:
        """shape: that of each output."""
        given = self.keys.values(name, y, "its targets")
        parts = zip(self.losses, self.keys.within(name), given, shape)
        found = [loss.targets(own_name, own, count, own_shape) for loss, own_name, own, own_shape in parts]  # type: ignore[union-attr]
        labels = [one.labels for one in found if one.labels is not None]
        values = None
        if any(one.values is not None for one in found):
            values = np.zeros((count, sum(self.sizes)), np.float32)
            for one, columns in zip(found, self.columns):
                if one.values is not None:
                    values[:, columns] = one.values.reshape(count, -1)
        return Targets(np.stack(labels, axis=1) if labels else None, values)

    @property
    def keys(self) -> Keys:
        """How users tell the outputs apart."""
        return Keys(len(self.losses), None if self.names is None else tuple(self.names))

    @property
    def columns(self) -> list[slice]:
        """Where each output is among all of them."""
        ends = list(itertools.accumulate(self.sizes))
        return [slice(end - size, end) for end, size in zip(ends, self.sizes)]

    def parts(self, targets: Targets) -> list[Targets]:
        """Of each output, from what targets() gave. Weights are left out."""
        found: list[Targets] = []
        column = 0
        for loss, columns in zip(self.losses, self.columns):
            labels = values = None
            if loss.reads_labels and targets.labels is not None:  # type: ignore[union-attr]
                labels = np.ascontiguousarray(targets.labels[:, column])
                column += 1
            if loss.reads_values and targets.values is not None:  # type: ignore[union-attr]
                values = np.ascontiguousarray(targets.values[:, columns])
            found.append(Targets(labels, values))
        return found

    def weighted(self, targets: Targets, sample_weight: Any, class_weight: Any, count: int, name: str) -> Targets:
        """The targets, each of whose outputs weighs its own sample_weight times class_weight of its label."""
        if sample_weight is None and class_weight is None:
            return targets
        weights: Any = np.ones((count, len(self.losses)), np.float32)
        if self._is_apart(sample_weight):
            given = self.keys.values(name, sample_weight, "weights of samples, or None", default=None)
            for column, (own_name, own) in enumerate(zip(self.keys.within(name), given)):
                if own is not None:
                    weights[:, column] = _arrays.weights(own_name, own, count)
        elif sample_weight is not None:
            weights[:] = _arrays.weights(name, sample_weight, count)[:, None]
        if class_weight is not None:
            self._weigh_classes(weights, targets, class_weight)
        return targets._replace(weights=weights)

    def _is_apart(self, sample_weight: Any) -> bool:
        """Of each output its own, rather than one array for all."""
        if isinstance(sample_weight, (list, tuple)):
            return any(own is None or np.ndim(own) > 0 for own in sample_weight)
        return isinstance(sample_weight, Mapping)

    def _weigh_classes(self, weights: Any, targets: Targets, class_weight: Any) -> None:
        given = self.keys.values("class_weight", class_weight, "weights of its classes, or None", default=None)
        parts = zip(self.keys.within("class_weight"), given, self.parts(targets), self.sizes)
        for column, (name, own, part, classes) in enumerate(parts):
            if own is not None:
                weights[:, column] *= _of_labels(name, own, part, classes)


def _of_output(name: str, value: Any) -> Loss:
    loss = of(value, name)
    if loss is None or isinstance(loss, MultiOutput):
        raise TypeError(f"{name}: expected a loss of one output, got {_arrays.describe(value)}")
    return loss


def of_outputs(given: Any, weights: Any, sizes: Sequence[int], keys: Keys) -> MultiOutput | None:
    """The loss of several outputs that Network is given: one for each of them, or one that counts for all."""
    names = keys.names
    if given is None or isinstance(given, MultiOutput):
        if weights is not None:
            raise ValueError(f"loss_weights: expected None with loss={_arrays.shown(given)}, got {_arrays.shown(weights)}")
        return given if given is None else with_names(given, names)
    if isinstance(given, (list, tuple, Mapping)):
        losses = [_of_output(name, loss) for name, loss in zip(keys.within("loss"), keys.values("loss", given, "its loss"))]
    else:
        losses = [_of_output("loss", given)] * len(sizes)
    if weights is None:
        return MultiOutput(losses, sizes, names=names)
    weights = keys.values("loss_weights", weights, "its weight", default=1.0)
    numbers = [_arrays.number(name, weight) for name, weight in zip(keys.within("loss_weights"), weights)]
    return MultiOutput(losses, sizes, weights=numbers, names=names)


def with_names(loss: MultiOutput, names: tuple[str, ...] | None) -> MultiOutput:
    if names is None or loss.names == names:
        return loss
    if loss.names is not None or len(names) != len(loss.losses):
        of_loss = f"{len(loss.losses)} outputs" if loss.names is None else _arrays.shown(list(loss.names))
        raise ValueError(f"loss: expected one of outputs {_arrays.shown(list(names))}, got a MultiOutput of {of_loss}")
    return replace(loss, names=names)


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
    "CrossEntropyLoss": "softmax_cross_entropy",
    "MSELoss": "mean_squared_error",
    "L1Loss": "mean_absolute_error",
    "BCEWithLogitsLoss": "binary_cross_entropy",
    "l1": "mean_absolute_error",
    "l2": "mean_squared_error",
}


def of(value: Any, argument: str = "loss") -> Loss | None:
    """The loss that a network is made with."""
    if value is None or isinstance(value, Loss):
        return value
    if isinstance(value, type) and issubclass(value, Loss):
        raise TypeError(f"{argument}: expected a loss such as {value.__name__}(), got the class {value.__name__}")
    if isinstance(value, str) and value in _FOREIGN:
        raise ValueError(f"{argument}: there is none called {value!r}; did you mean {_FOREIGN[value]!r}?")
    name = _arrays.choice(argument, value, [*LOSSES, *_SHORT])
    return LOSSES[_SHORT.get(name, name)]()


def shown(loss: Loss | None) -> LossName | Loss | None:
    """As Network.loss has it: by name, if it has no settings but defaults."""
    return loss if loss is None or isinstance(loss, MultiOutput) or loss != type(loss)() else loss.name


def decode(row: LossRow) -> Loss:
    """The loss of a saved network."""
    if not row.outputs:
        return _decode_one(row.kind, row.config)
    losses = [_decode_one(output.loss, output.loss_config) for output in row.outputs]
    return MultiOutput(losses, [output.elems for output in row.outputs], weights=[shortest(o.weight) for o in row.outputs])


def _decode_one(kind: str, config: Mapping[str, float]) -> Loss:
    """Zero means default."""
    cls = SoftmaxCrossEntropy if kind == "smoothed_cross_entropy" else LOSSES[kind]
    return cls(**{f.name: shortest(config[f.name]) for f in fields(cls) if config[f.name] != 0})  # type: ignore[arg-type]


# ---- weights -----------------------------------------------------------------------------------------------------------


def with_weights(
    targets: Targets,
    sample_weight: Any,
    class_weight: Any,
    count: int,
    classes: int,
    name: str = "sample_weight",
) -> Targets:
    """The targets, whose samples weigh sample_weight times class_weight of their label."""
    if sample_weight is None and class_weight is None:
        return targets
    weights = None if sample_weight is None else _arrays.weights(name, sample_weight, count)
    if class_weight is not None:
        of_label = _of_labels("class_weight", class_weight, targets, classes)
        weights = of_label if weights is None else weights * of_label
    return targets._replace(weights=weights)


def _of_labels(name: str, given: Any, targets: Targets, classes: int) -> Real:
    """Of each sample what its label weighs."""
    if targets.labels is None:
        raise ValueError(f"{name}: expected None for a loss without labels, got one; sample_weight weighs samples")
    result: Real = _class_table(name, given, classes)[targets.labels]
    return result


def _class_table(name: str, given: Any, classes: int) -> Real:
    """[classes]; classes that a mapping does not name weigh 1."""
    if isinstance(given, Mapping):
        table = np.ones(classes, np.float32)
        for label, weight in given.items():
            table[_arrays.integer(f"{name}: a class", label, 0, classes - 1)] = _arrays.number(f"{name}[{label}]", weight)
        return table
    if isinstance(given, (str, bytes)):
        raise TypeError(f"{name}: expected a dict or one number for each class, got {_arrays.describe(given)}")
    return _arrays.weights(name, given, classes)
