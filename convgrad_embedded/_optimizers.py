"""Optimizers as plain descriptions. A Network turns one into the C core's settings, and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Union

from convgrad_embedded import _arguments, _arrays, _c_model
from convgrad_embedded._layers import _by_position, _Described, refuse_to_set, shortest
from convgrad_embedded.schedules import ReduceOnPlateau, Schedule

Rate = Union[float, Schedule, ReduceOnPlateau]

OPTIMIZERS: dict[str, type[Optimizer]] = {}  # by kind: every class below


@_arguments.checked_methods
class Optimizer(_Described, ABC):
    """An optimizer's settings: immutable, comparable, and free to be used in several networks."""

    kind: ClassVar[str]  # cge_<kind>
    keeps: ClassVar[str]  # what its numbers per parameter are
    if TYPE_CHECKING:  # fields of each, in an order of its own
        learning_rate: Rate
        weight_decay: float
        l1: float

    def __init_subclass__(cls) -> None:
        if "kind" in vars(cls):
            OPTIMIZERS[cls.kind] = cls

    def __post_init__(self) -> None:
        try:
            self._check()
        except (TypeError, ValueError) as error:
            raise type(error)(f"{type(self).__name__}: {error}") from None

    def _check(self) -> None:
        check_rate(self.learning_rate)
        _arrays.number("weight_decay", self.weight_decay)
        _arrays.number("l1", self.l1)

    @property
    def first_rate(self) -> float:
        """The learning rate of the first step."""
        return first_rate(self.learning_rate)

    @property
    @abstractmethod
    def slots(self) -> int:
        """Numbers of memory for each parameter that learns."""

    def c_members(self) -> _c_model.Optimizer:
        """As the C core has it, where an optimizer with L1 decay is a kind of its own."""
        plain = self._c_members()
        return plain._replace(kind=f"{self.kind}_l1", l1=self.l1) if _c_model.float32(self.l1) > 0 else plain

    @abstractmethod
    def _c_members(self) -> _c_model.Optimizer:
        """Without L1 decay."""

    @classmethod
    @abstractmethod
    def from_c(cls, c: _c_model.Optimizer) -> Optimizer:
        """The other way."""

    def without_momentum(self) -> Optimizer | None:
        """The same with less memory; None if there is none to save."""
        return None


@_by_position(2)
@dataclass(frozen=True, repr=False)
class SGD(Optimizer):
    """Stochastic gradient descent, in PyTorch's form: g += weight_decay w;  v = momentum v + g;  w -= learning_rate v.

    With nesterov, w -= learning_rate (g + momentum v). Momentum costs one number of memory per trainable parameter.

    learning_rate: a number >= 0 or a schedule. 0 <= momentum < 1; weight_decay >= 0; nesterov needs momentum. l1 >= 0 adds
    l1 sign(w) to g. Others are a ValueError. All but the first two are given by name.

    >>> net = cge.Network((1,), [cge.Dense(1, use_bias=False)], "mse", cge.SGD(0.125))
    >>> net.set_weights([[[1.0]]])
    >>> loss = net.train_on_batch(np.ones((1, 1)), [[0.0]])  # its gradient is 2
    >>> net.get_weights()[0].item()
    0.75
    """

    kind = "sgd"
    keeps = "velocities (momentum)"
    learning_rate: Rate = 0.01
    momentum: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False
    l1: float = 0.0

    def _check(self) -> None:
        super()._check()
        _arrays.number("momentum", self.momentum, below=1.0)
        if _arrays.boolean("nesterov", self.nesterov) and not self.momentum:
            raise ValueError("nesterov: expected momentum > 0 with it, got momentum 0")

    @property
    def slots(self) -> int:
        return int(_c_model.float32(self.momentum) > 0)

    def _c_members(self) -> _c_model.Optimizer:
        return _c_model.Optimizer(self.kind, self.first_rate, self.momentum, self.weight_decay, int(self.nesterov), 0.0, 0.0)

    @classmethod
    def from_c(cls, c: _c_model.Optimizer) -> SGD:
        rate, momentum, weight_decay = map(shortest, (c.learning_rate, c.momentum, c.weight_decay))
        return cls(rate, momentum, weight_decay=weight_decay, nesterov=bool(c.nesterov), l1=shortest(c.l1))

    def without_momentum(self) -> SGD | None:
        return replace(self, momentum=0.0, nesterov=False) if self.slots else None


class _Adaptive(Optimizer):
    """Divides by the root of the gradients' squares."""

    if TYPE_CHECKING:
        eps: float

    def _check(self) -> None:
        super()._check()
        _positive("eps", self.eps)


@dataclass(frozen=True, repr=False)
class _Adam(_Adaptive):
    keeps = "means and squares of Adam"
    learning_rate: Rate = 0.001
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    l1: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "betas", tuple(self.betas))  # a list would not be equal to the same tuple

    def _check(self) -> None:
        super()._check()
        betas = _arrays.sequence("betas", self.betas, "two numbers")
        if len(betas) != 2:
            raise ValueError(f"betas: expected two numbers, such as (0.9, 0.999), got {_arrays.shown(self.betas)}")
        _arrays.number("betas[0]", betas[0], below=1.0)
        _positive("betas[1]", betas[1], below=1.0)

    @property
    def slots(self) -> int:
        return 2

    def _c_members(self) -> _c_model.Optimizer:
        return _c_model.Optimizer(self.kind, self.first_rate, self.betas[0], self.weight_decay, 0, self.betas[1], self.eps)

    @classmethod
    def from_c(cls, c: _c_model.Optimizer) -> _Adam:
        betas = (shortest(c.momentum), shortest(c.beta2))
        rate, eps, weight_decay, l1 = map(shortest, (c.learning_rate, c.epsilon, c.weight_decay, c.l1))
        return cls(rate, betas, eps=eps, weight_decay=weight_decay, l1=l1)


@_by_position(2)
@dataclass(frozen=True, repr=False)
class Adam(_Adam):
    """Adam (Kingma & Ba 2015) in PyTorch's form: the mean m of the gradients and that of their squares, v, with the weights
    1 - betas; w -= learning_rate m' / (sqrt(v') + eps), m' and v' free of the bias of the first steps.

    weight_decay adds weight_decay w to the gradient; AdamW takes it from the weights. l1 adds l1 sign(w) to it. Keras's
    default of eps is 1e-7. Takes two numbers of memory per trainable parameter.

    learning_rate: a number >= 0 or a schedule. 0 <= betas < 1, the second above 0; eps > 0; weight_decay, l1 >= 0. Others
    are a ValueError.

    >>> cge.Network((1,), [cge.Dense(1)], "mse", cge.Adam(0.01)).optimizer
    Adam(learning_rate=0.01)
    """

    kind = "adam"


@_by_position(2)
@dataclass(frozen=True, repr=False)
class AdamW(_Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019): w *= 1 - learning_rate weight_decay before each step.

    The default of weight_decay is PyTorch's. l1 adds l1 sign(w) to the gradient, as in Adam. Takes two numbers of memory per
    trainable parameter.

    Arguments as Adam's.

    >>> cge.Network((1,), [cge.Dense(1)], "mse", cge.AdamW(0.01, weight_decay=0.1)).optimizer
    AdamW(learning_rate=0.01, weight_decay=0.1)
    """

    kind = "adamw"
    weight_decay: float = 0.01


@_by_position(2)
@dataclass(frozen=True, repr=False)
class RMSprop(_Adaptive):
    """RMSprop (Tieleman & Hinton 2012) in PyTorch's form: v = alpha v + (1 - alpha) g g;
    w -= learning_rate g / (root(v) + eps).

    With momentum, b = momentum b + g / (root(v) + eps) and w -= learning_rate b. l1 adds l1 sign(w) to g. Keras calls
    alpha rho (0.9 there, and eps is 1e-7). Takes one number of memory per trainable parameter, two with momentum.

    learning_rate: a number >= 0 or a schedule. 0 < alpha < 1; eps > 0; weight_decay, l1 >= 0; 0 <= momentum < 1. Others
    are a ValueError.

    >>> cge.Network((1,), [cge.Dense(1)], "mse", cge.RMSprop(0.01, momentum=0.9)).optimizer
    RMSprop(momentum=0.9)
    """

    kind = "rmsprop"
    keeps = "squares (and velocities) of RMSprop"
    learning_rate: Rate = 0.01
    alpha: float = 0.99
    eps: float = 1e-8
    weight_decay: float = 0.0
    momentum: float = 0.0
    l1: float = 0.0

    def _check(self) -> None:
        super()._check()
        _positive("alpha", self.alpha, below=1.0)
        _arrays.number("momentum", self.momentum, below=1.0)

    @property
    def slots(self) -> int:
        return 2 if _c_model.float32(self.momentum) > 0 else 1

    def _c_members(self) -> _c_model.Optimizer:
        return _c_model.Optimizer(self.kind, self.first_rate, self.momentum, self.weight_decay, 0, self.alpha, self.eps)

    @classmethod
    def from_c(cls, c: _c_model.Optimizer) -> RMSprop:
        rate, alpha, eps, weight_decay, momentum = map(
            shortest, (c.learning_rate, c.beta2, c.epsilon, c.weight_decay, c.momentum)
        )
        return cls(rate, alpha, eps=eps, weight_decay=weight_decay, momentum=momentum, l1=shortest(c.l1))

    def without_momentum(self) -> RMSprop | None:
        return replace(self, momentum=0.0) if self.slots > 1 else None


@_by_position(1)
@dataclass(frozen=True, repr=False)
class Adagrad(_Adaptive):
    """Adagrad (Duchi et al. 2011) in PyTorch's form: v += g^2;  w -= learning_rate g / (sqrt(v) + eps), v from 0.

    l1 adds l1 sign(w) to g. Keras begins with v = 0.1, and its eps is 1e-7. Takes one number of memory per trainable parameter.

    learning_rate: a number >= 0 or a schedule. eps > 0; weight_decay, l1 >= 0. Others are a ValueError.

    >>> cge.Network((1,), [cge.Dense(1)], "mse", cge.Adagrad(0.5)).optimizer
    Adagrad(learning_rate=0.5)
    """

    kind = "adagrad"
    keeps = "sums of squares of Adagrad"
    learning_rate: Rate = 0.01
    eps: float = 1e-10
    weight_decay: float = 0.0
    l1: float = 0.0

    @property
    def slots(self) -> int:
        return 1

    def _c_members(self) -> _c_model.Optimizer:
        return _c_model.Optimizer(self.kind, self.first_rate, 0.0, self.weight_decay, 0, 0.0, self.eps)

    @classmethod
    def from_c(cls, c: _c_model.Optimizer) -> Adagrad:
        rate, eps, weight_decay, l1 = map(shortest, (c.learning_rate, c.epsilon, c.weight_decay, c.l1))
        return cls(rate, eps=eps, weight_decay=weight_decay, l1=l1)


def check_rate(rate: Any) -> None:
    if not isinstance(rate, (Schedule, ReduceOnPlateau)):
        _arrays.number("learning_rate", rate)


def first_rate(rate: Rate) -> float:
    if isinstance(rate, ReduceOnPlateau):
        return rate.rate
    return rate(0) if isinstance(rate, Schedule) else rate


def _positive(name: str, value: Any, below: float = float("inf")) -> None:
    """That is normal as a float32: the core divides by it."""
    _arrays.number(name, value, below)
    if _c_model.float32(value) < _c_model.SMALLEST_NORMAL:
        raise ValueError(f"{name}: expected a number above 0, at least {_c_model.SMALLEST_NORMAL:.8g}, got {value}")


_BETWEEN_STEPS = {name: f"Between two steps set net.{name}" for name in ("learning_rate", "momentum")}
refuse_to_set(OPTIMIZERS.values(), "an optimizer", {**_BETWEEN_STEPS, "lr": _BETWEEN_STEPS["learning_rate"]})


def decode(c: _c_model.Optimizer) -> Optimizer:
    """Of the C core's settings."""
    return OPTIMIZERS[c.kind.removesuffix("_l1")].from_c(c)


def owner(setting: str) -> str:
    """The first class that has this setting."""
    return next(cls.__name__ for cls in OPTIMIZERS.values() if setting in (f.name for f in fields(cls)))  # type: ignore[arg-type]


def settings() -> set[str]:
    """The names of all settings of all optimizers."""
    return {f.name for cls in OPTIMIZERS.values() for f in fields(cls)}  # type: ignore[arg-type]


def why_none(given: Any) -> str:
    """What is wrong with what was given as an optimizer."""
    name = given.__name__ if isinstance(given, type) else given if isinstance(given, str) else ""
    meant = next((cls.__name__ for cls in OPTIMIZERS.values() if cls.__name__.lower() == name.lower()), None)
    expected = "SGD(0.01) or Adam(), or None" if meant is None else f"{meant}(...)"
    what = f"the class {name}" if isinstance(given, type) else _arrays.describe(given)
    return f"optimizer: expected an optimizer such as {expected}, got {what}"
