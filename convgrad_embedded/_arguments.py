"""Arguments by a name that a function does not have: the answer names those that it has."""

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

_Function = TypeVar("_Function", bound=Callable[..., Any])
_Class = TypeVar("_Class", bound=type)


def check(what: str, given: Iterable[str], known: tuple[str, ...]) -> None:
    """Raises TypeError for the first name that is none of the known ones."""
    for name in given:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]}?" if close else f"these are: {', '.join(known) or 'none'}"
            raise TypeError(f"{what}: there is no argument {name}; {hint}")


def checked(function: _Function) -> _Function:
    """The function, which checks the names that it is called with."""
    of_object = "." in function.__qualname__
    known = tuple(inspect.signature(function).parameters)[1 if of_object else 0 :]

    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        if named:
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
