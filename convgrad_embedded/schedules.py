"""Learning rates from step to step, computed by the core, so that firmware has the same bits.

A schedule stands where an optimizer's learning_rate stands, or is set between steps: net.learning_rate = schedule. Then each
step takes the rate of its number, net.step_count. ReduceOnPlateau instead goes by what fit measures after each epoch.

Rates are finite and >= 0, steps 1 .. 2**24, factors 0 to 1; others are a ValueError.

>>> schedule = cge.schedules.Cosine(0.1, steps=2000, warm_up=100)
>>> net = cge.Network((2,), [cge.Dense(2)], "mse", cge.SGD(schedule, momentum=0.9))
>>> net.schedule
Cosine(0.1, 2000, warm_up=100)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from convgrad_embedded import _arguments, _arrays, _core, _names
from convgrad_embedded._layers import _by_position, _Described

__all__ = ["Schedule", "Constant", "Step", "Exponential", "Linear", "Cosine", "OneCycle", "ReduceOnPlateau"]

_MOST_STEPS = 1 << 24


@_arguments.checked_methods
class Schedule(_Described):
    """A learning rate for every step: schedule(step) is that of the step behind `step` others.

    A step below 0 is a ValueError. It is the class of all schedules, and none itself.

    >>> isinstance(cge.schedules.Constant(0.1), cge.schedules.Schedule)
    True
    """

    kind: ClassVar[int]  # of cge_schedule
    if TYPE_CHECKING:
        rate: float

    def __post_init__(self) -> None:
        try:
            self._check()
        except (TypeError, ValueError) as error:
            raise type(error)(f"{type(self).__name__}: {error}") from None

    def _check(self) -> None:
        _arrays.number("rate", self.rate)
        warm_up, first = getattr(self, "warm_up", 0), getattr(self, "warm_up_from", 0.0)
        _arrays.integer("warm_up", warm_up, 0, _MOST_STEPS - 1)
        _arrays.number("warm_up_from", first)

    def c_members(self) -> dict[str, Any]:
        """Of cge_schedule."""
        members = {"kind": self.kind, "rate": self.rate, "first": getattr(self, "warm_up_from", 0.0)}
        return {**members, "warm_up": float(getattr(self, "warm_up", 0))}

    def __call__(self, step: int) -> float:
        return _core.schedule_rate(self.c_members(), _arrays.integer("step", step, 0, 2**64 - 1))


@_by_position(1)
@dataclass(frozen=True, repr=False)
class Constant(Schedule):
    """The same rate; before, warm_up steps in which it grows from warm_up_from (0) in equal parts, as in all schedules but
    OneCycle.

    >>> [cge.schedules.Constant(0.5, warm_up=4)(step) for step in range(6)]
    [0.0, 0.125, 0.25, 0.375, 0.5, 0.5]
    """

    kind = _core.SCHEDULES["constant"]
    rate: float
    warm_up: int = 0
    warm_up_from: float = 0.0


@_by_position(2)
@dataclass(frozen=True, repr=False)
class Step(Schedule):
    """rate * factor^(step // steps): after every `steps` steps a `factor` of it (PyTorch's StepLR).

    >>> [cge.schedules.Step(1.0, steps=2, factor=0.5)(step) for step in range(6)]
    [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
    """

    kind = _core.SCHEDULES["step"]
    rate: float
    steps: int
    factor: float = 0.1
    warm_up: int = 0
    warm_up_from: float = 0.0

    def _check(self) -> None:
        super()._check()
        _arrays.integer("steps", self.steps, 1, _MOST_STEPS)
        _share("factor", self.factor)

    def c_members(self) -> dict[str, Any]:
        return {**super().c_members(), "steps": self.steps, "factor": self.factor}


@_by_position(2)
@dataclass(frozen=True, repr=False)
class Exponential(Schedule):
    """rate * factor^step (PyTorch's ExponentialLR, whose steps are usually epochs).

    >>> [cge.schedules.Exponential(1.0, factor=0.5)(step) for step in range(4)]
    [1.0, 0.5, 0.25, 0.125]
    """

    kind = _core.SCHEDULES["exponential"]
    rate: float
    factor: float
    warm_up: int = 0
    warm_up_from: float = 0.0

    def _check(self) -> None:
        super()._check()
        _share("factor", self.factor)

    def c_members(self) -> dict[str, Any]:
        return {**super().c_members(), "factor": self.factor}


class _ToTheEnd(Schedule):
    if TYPE_CHECKING:
        steps: int
        last: float

    def _check(self) -> None:
        super()._check()
        _arrays.integer("steps", self.steps, 1, _MOST_STEPS)
        _arrays.number("last", self.last)

    def c_members(self) -> dict[str, Any]:
        return {**super().c_members(), "steps": self.steps, "last": self.last}


@_by_position(2)
@dataclass(frozen=True, repr=False)
class Linear(_ToTheEnd):
    """From rate to `last` in `steps` steps of equal size, and there it stays (PyTorch's LinearLR).

    >>> [cge.schedules.Linear(1.0, steps=4)(step) for step in range(6)]
    [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    """

    kind = _core.SCHEDULES["linear"]
    rate: float
    steps: int
    last: float = 0.0
    warm_up: int = 0
    warm_up_from: float = 0.0


@_by_position(2)
@dataclass(frozen=True, repr=False)
class Cosine(_ToTheEnd):
    """From rate to `last` in `steps` steps along half a wave (Loshchilov & Hutter 2017), and there it stays.

    PyTorch's CosineAnnealingLR would rise again; Keras's CosineDecay stays too, and its alpha is last / rate.

    last + (rate - last) (1 + cos(pi step / steps)) / 2.

    >>> [cge.schedules.Cosine(1.0, steps=2)(step) for step in range(4)]
    [1.0, 0.4999999701976776, 0.0, 0.0]
    """

    kind = _core.SCHEDULES["cosine"]
    rate: float
    steps: int
    last: float = 0.0
    warm_up: int = 0
    warm_up_from: float = 0.0


@_by_position(2)
@dataclass(frozen=True, repr=False)
class OneCycle(Schedule):
    """From rate / div_factor up to rate and down again over `steps` steps, along two half waves (Smith & Topin 2019).

    As PyTorch's OneCycleLR: the peak is at pct_start * steps - 1, the last rate is rate / div_factor / final_div_factor.

    >>> schedule = cge.schedules.OneCycle(1.0, steps=10, div_factor=4.0)
    >>> schedule(0), schedule(2)
    (0.25, 1.0)
    """

    kind = _core.SCHEDULES["one_cycle"]
    rate: float
    steps: int
    pct_start: float = 0.3
    div_factor: float = 25.0
    final_div_factor: float = 1e4

    def _check(self) -> None:
        super()._check()
        _arrays.integer("steps", self.steps, 2, _MOST_STEPS)
        _share("pct_start", self.pct_start)
        if not 0 <= self._peak < self.steps - 1:
            raise ValueError(f"pct_start: expected a peak, pct_start * steps - 1, from 0 to steps - 2, got {self._peak:g}")
        for name in ("div_factor", "final_div_factor"):
            if _arrays.number(name, getattr(self, name)) < 1:
                raise ValueError(f"{name}: expected a number >= 1, got {getattr(self, name)}")

    @property
    def _peak(self) -> float:
        return float(self.pct_start * self.steps - 1)

    def c_members(self) -> dict[str, Any]:
        first = self.rate / self.div_factor
        members = {"first": first, "last": first / self.final_div_factor, "warm_up": self._peak, "steps": self.steps}
        return {**super().c_members(), **members}


@_arguments.checked_methods
@_by_position(1)
@dataclass(frozen=True, repr=False)
class ReduceOnPlateau(_Described):
    """Less when the loss gets no better, as PyTorch's ReduceLROnPlateau.

    fit measures after each epoch: the loss of validation_data where that is given, else the loss. It is better if it is below
    best * (1 - threshold). If it was not more than `patience` times in succession, the rate becomes rate * factor, but not
    less than `least`, and the next `cooldown` epochs do not count as bad.

    >>> rate = cge.schedules.ReduceOnPlateau(0.1, factor=0.5, patience=2)
    >>> cge.Network((2,), [cge.Dense(2)], "mse", cge.SGD(rate)).schedule
    ReduceOnPlateau(0.1, factor=0.5, patience=2)
    """

    rate: float
    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    cooldown: int = 0
    least: float = 0.0

    def __post_init__(self) -> None:
        try:
            _arrays.number("rate", self.rate)
            _arrays.number("least", self.least)
            _share("factor", self.factor)
            _arrays.number("threshold", self.threshold, below=1.0)
            _arrays.integer("patience", self.patience, 0, 2**31 - 1)
            _arrays.integer("cooldown", self.cooldown, 0, 2**31 - 1)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{type(self).__name__}: {error}") from None

    def c_members(self) -> dict[str, Any]:
        """Of cge_plateau."""
        names = ("rate", "factor", "threshold", "least", "patience", "cooldown")
        return {name: getattr(self, name) for name in names}

    def after(self, state: tuple[Any, ...], measured: float) -> tuple[float, tuple[Any, ...]]:
        """The rate from now on, and the state; () is that of the start."""
        return _core.plateau_rate(self.c_members(), state, measured)


def _share(name: str, value: Any) -> None:
    if _arrays.number(name, value) > 1:
        raise ValueError(f"{name}: expected a number from 0 to 1, got {value}")


if not TYPE_CHECKING:  # which knows what there is
    __getattr__ = _names.of_module(globals())
