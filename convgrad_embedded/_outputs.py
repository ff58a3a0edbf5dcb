"""How a user tells the outputs of a network apart: by their number, or by their name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from convgrad_embedded import _arrays

_Part = TypeVar("_Part")

REQUIRED = object()


@dataclass(frozen=True)
class Keys:
    """Of `count` outputs. What is said of each of them is a list, or with names a dict."""

    count: int
    names: tuple[str, ...] | None

    def values(self, argument: str, given: Any, what: str, default: Any = REQUIRED) -> list[Any]:
        """What was given for each output, in their order; `default` for those that a dict leaves out."""
        if self.names is not None:
            return self._named(argument, given, what, default)
        if isinstance(given, Mapping):
            raise TypeError(
                f"{argument}: expected {self.expected(what)}, got a dict; outputs have names if the network is made with "
                'outputs={"a": ..., "b": ...}'
            )
        if not isinstance(given, (list, tuple)):
            raise TypeError(f"{argument}: expected {self.expected(what)}, got {_arrays.describe(given)}")
        if len(given) != self.count:
            raise ValueError(f"{argument}: expected {self.expected(what)}, got one of {len(given)}")
        return list(given)

    def _named(self, argument: str, given: Any, what: str, default: Any) -> list[Any]:
        names = self.names or ()
        if not isinstance(given, Mapping):
            raise TypeError(f"{argument}: expected {self.expected(what)}, got {_arrays.describe(given)}")
        for name in given:
            if name not in names:
                close = difflib.get_close_matches(name, names, 1) if isinstance(name, str) else []
                hint = f"did you mean {close[0]!r}?" if close else f"the outputs are {_listed(names)}"
                raise ValueError(f"{argument}: there is no output {_arrays.shown(name)}; {hint}")
        missing = [name for name in names if name not in given]
        if missing and default is REQUIRED:
            raise ValueError(f"{argument}: expected {self.expected(what)}, got nothing for {_listed(missing)}")
        return [given.get(name, default) for name in names]

    def expected(self, what: str) -> str:
        """For messages."""
        if self.names is None:
            return f"a list of {self.count}, of each output {what}"
        return f"a dict from each of {_listed(self.names)} to {what}"

    def within(self, argument: str) -> list[str]:
        """What each part of an argument is called in messages."""
        return [f"{argument}[{key!r}]" for key in self.names or range(self.count)]

    @property
    def prefixes(self) -> list[str]:
        """What the names of each output's metrics begin with."""
        return [f"{name}_" for name in self.names or [f"output_{number}" for number in range(self.count)]]

    def shown(self, parts: Sequence[_Part]) -> list[_Part] | dict[str, _Part]:
        """Of each output something, as users get it."""
        return list(parts) if self.names is None else dict(zip(self.names, parts))


def checked_names(argument: str, given: Any, count: int) -> tuple[str, ...]:
    """Names whose metrics can be told from others, in histories and in the paths of checkpoints."""
    names = (given,) if isinstance(given, str) else _arrays.sequence(argument, given, "a list of names")
    for name in names:
        if not isinstance(name, str) or not (name.isascii() and name.isidentifier()):
            raise ValueError(f'{argument}: expected names such as "class_1", got {_arrays.describe(name)}')
        if f"{name}_".startswith("val_"):
            raise ValueError(f'{argument}: expected names that do not begin as metrics of validation do, "val_", got {name!r}')
    if len(names) != count:
        raise ValueError(f"{argument}: expected {count} names, one for each output, got {len(names)}")
    if len(set(names)) != count:
        raise ValueError(f"{argument}: expected names that differ, got {_listed(names)}")
    return tuple(names)


def _listed(names: Sequence[str]) -> str:
    shown = [repr(name) for name in names]
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
