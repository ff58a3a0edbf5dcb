"""Arguments by a name that a function does not have: the answer names those that it has."""

import difflib
import functools
import inspect
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar, cast

_Function = TypeVar("_Function", bound=Callable[..., Any])
_Class = TypeVar("_Class", bound=type)

# What other libraries call an argument.
_SYNONYMS = {
    "out_channels": "filters",
    "units": "filters",
    "out_features": "units",
    "filters": "units",
    "kernel_initializer": "init",
    "num_groups": "groups",
    "negative_slope": "alpha",
    "rate": "p",
    "size": "scale_factor",
    "interpolation": "mode",
    "lr": "learning_rate",
    "lr_mult": "learning_rate_factor",
}
_AT_ONCE = "samples go through it in parts of its own choice; Network takes capacity, how many at once"
# Of one function each, as it calls itself.
_OF_FUNCTIONS = {
    "Network.predict": {"batch_size": _AT_ONCE, "verbose": "it prints nothing"},
    "Network.evaluate": {"batch_size": _AT_ONCE, "verbose": "it prints nothing"},
}
_KNOWN_BEFORE = "what comes in is known from the layer before, or from the network's input_shape"
# What they say by an argument, and we otherwise.
_OTHERWISE = {
    "activation": "an activation is a layer of its own, such as ReLU() behind this one",
    "in_channels": _KNOWN_BEFORE,
    "in_features": _KNOWN_BEFORE,
    "num_features": _KNOWN_BEFORE,
    "num_channels": _KNOWN_BEFORE,
    "normalized_shape": _KNOWN_BEFORE,
    "input_shape": _KNOWN_BEFORE,
    "input_dim": _KNOWN_BEFORE,
    "data_format": "arrays are (N, H, W, C)",
    "padding_mode": "padding is zeros",
    "kernel_regularizer": "weight_decay of the optimizer does that",
    "inplace": "memory is planned for all layers together",
    "metrics": "fit and evaluate tell the accuracy, and cge.metrics has others",
    "name": 'layers have numbers, and several outputs have names by Network(outputs={"a": ..., "b": ...})',
    "monitor": "it follows val_loss where there is one, else loss",
    "clipnorm": "fit takes clip_norm",
    "clipvalue": "fit takes clip_value",
    "decay": "learning_rate may be a schedule such as cge.schedules.Step(...)",
    "axis": "channels are the last axis",
    "workers": "Network takes threads",
    "device": "it computes on the processor, and Network takes threads",
    "dtype": "a network computes in float32, an operator in the type of its arrays",
}


def check(what: str, given: Iterable[str], known: tuple[str, ...]) -> None:
    """Raises TypeError for the first name that is none of the known ones."""
    for name in given:
        if name not in known:
            hint = _OF_FUNCTIONS.get(what, {}).get(name) or _hint(name, known)
            raise TypeError(f"{what}: there is no argument {name}; {hint}")


def _hint(name: str, known: tuple[str, ...]) -> str:
    if name in _OTHERWISE:
        return _OTHERWISE[name]
    if name in ("lr", "learning_rate") and "learning_rate_factor" in known:
        return "a layer has a learning_rate_factor, by which the optimizer's learning rate is multiplied"
    synonym = _SYNONYMS.get(name)
    close = [synonym] if synonym in known else difflib.get_close_matches(name, known, 1)
    return f"did you mean {close[0]}?" if close else f"these are: {', '.join(known) or 'none'}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def checked(function: _Function) -> _Function:
    """The function, which checks the names that it is called with."""
    of_object = "." in function.__qualname__
    parameters = inspect.signature(function).parameters.values()
    known = tuple(parameter.name for parameter in parameters)[1 if of_object else 0 :]
    named_only = sum(parameter.kind == inspect.Parameter.KEYWORD_ONLY for parameter in parameters)
    most = len(parameters) - named_only if named_only else sys.maxsize

    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        if len(arguments) > most:
            first = known[: len(known) - named_only]
            expected = f"{_listed(first)} by position and all others by name" if first else "all arguments by name"
            raise TypeError(f"{function.__qualname__}: expected {expected}, got {len(arguments) - of_object} by position")
        if not named:
            return function(*arguments)
        constructs = function.__name__ == "__init__"
        check(type(arguments[0]).__name__ if constructs else function.__qualname__, named, known)
        return function(*arguments, **named)

    return cast(_Function, call)


def checked_methods(cls: _Class) -> _Class:
    """The class, whose constructor and public methods check the names that they are called with."""
    for name, member in list(vars(cls).items()):
        if isinstance(member, classmethod):
            setattr(cls, name, classmethod(checked(member.__func__)))
        elif inspect.isfunction(member) and (name == "__init__" or not name.startswith("_")):
            setattr(cls, name, checked(member))
    return cls


def check_functions(module: dict[str, Any]) -> None:
    """The same for the public functions that a module defines; called at its end with its globals()."""
    for name, member in list(module.items()):
        if inspect.isfunction(member) and member.__module__ == module["__name__"] and not name.startswith("_"):
            module[name] = checked(member)
