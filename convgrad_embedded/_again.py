"""Operators called again: what was checked once needs no check for arrays of the same shapes and types.

A call's key is made of these, of the operator's settings and of the arithmetic. What the check found, the C function, the
geometry and the sizes, is kept by key. A later call with that key makes buffers, an array for the result, and one C call.
Whatever is unusual falls through to the checks with their messages: arguments that are no arrays, not contiguous, not
aligned or of other types.
"""

from __future__ import annotations

import functools
import inspect
import marshal
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from typing import Any, Callable, NamedTuple, Optional

import numpy as np

from convgrad_embedded import _core
from convgrad_embedded._core import Operand, Real

_MOST = 4096  # calls kept of one operator
_MOST_LABELS = 64
_NULL, _from_buffer, _new_labels = _core.NULL, _core.from_buffer, _core.new_labels
_arithmetic = _core.ARITHMETIC.get
_NONE = marshal.dumps((), 2)  # no settings besides the arrays

Function = Callable[..., Any]


class Call(NamedTuple):
    function: Callable[..., int]  # of C, with the number of samples, and the geometry or sizes
    sizes: tuple[int, ...]  # bytes of each array; of labels their number
    steps: tuple[int, ...]  # elements of a sample, 0: all samples share it; the last is the result's
    new: Callable[..., Real]  # np.empty, or np.zeros for what is added to
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class Operator(dict[Any, Call]):
    """The calls of one operator that were checked, by key."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def keep(self, key: Any, call: Call) -> None:
        if len(self) >= _MOST:
            self.clear()
        self[key] = call


OPERATORS: dict[str, Operator] = {}


class _Asked(NamedTuple):
    """A call that is being checked."""

    operator: Operator
    key: Any  # None: there is none, so the call is not kept
    arrays: Sequence[Any]  # the user's


_ASKED: ContextVar[Optional[_Asked]] = ContextVar("asked", default=None)


def run(name: str, count: int, head: Sequence[Any], operands: Sequence[Operand], shape: tuple[int, ...]) -> None:
    """The operator on checked arrays, the result last. The call is kept for others like the one that was asked for.

    `shape` is the result's as the user gets it. () may be a number, which is no array.
    """
    result, _ = operands[-1]
    assert result is not None
    _core.run(name, result.dtype, count, head, *operands)
    asked = _ASKED.get()
    if asked is None or asked.operator.name != name or asked.key is None:
        return
    if shape == () or not all(_is_usual(array, result.dtype) for array in asked.arrays):
        return
    sizes = tuple(_size(array) for array, _ in operands[:-1])
    steps = tuple(array.size // count if each and array is not None else 0 for array, each in operands)
    new = np.zeros if name.endswith(("weight_grad", "bias_grad")) else np.empty
    function = functools.partial(_core.precision(result.dtype).batch(name), count, *head)
    asked.operator.keep(asked.key, Call(function, sizes, steps, new, shape, result.dtype))


def _is_usual(array: Any, dtype: np.dtype[Any]) -> bool:
    """What a later call may hand to the core as it is; labels, if they are few, are copied one by one."""
    if array is None:
        return True
    return type(array) is np.ndarray and (array.dtype == dtype or array.dtype.kind in "iu" and array.size <= _MOST_LABELS)


def _size(array: Any) -> int:
    if array is None:
        return 0
    return int(array.size if array.dtype == np.int32 else array.nbytes)


class _Door:
    """What an operator's quick function needs for calls that are new or unusual; `function` checks them."""

    def __init__(self, operator: Operator, function: Function) -> None:
        parameters = inspect.signature(function).parameters.values()
        self.arrays = [(each.name, each.default) for each in parameters if str(each.annotation).startswith("ArrayLike")]
        self._operator, self._function = operator, function

    def split(self, given: tuple[Any, ...], named: dict[str, Any]) -> tuple[tuple[Any, ...], bytes]:
        """The arrays, none where settings are of no usual sort; and the settings as part of a key.

        1, 1.0 and True are equal in a dictionary: marshal tells them apart.
        """
        count, settings = len(self.arrays), named
        if len(given) < count:
            missing = dict(self.arrays[len(given) :])
            given = (*given, *(named.get(name, default) for name, default in missing.items()))
            settings = {name: value for name, value in named.items() if name not in missing}
        try:
            return given[:count], marshal.dumps([given[count:], settings] if settings else given[count:], 2)
        except ValueError:
            return (), _NONE

    def check(self, key: Any, arrays: Sequence[Any], given: Sequence[Any], named: dict[str, Any]) -> Any:
        token = _ASKED.set(_Asked(self._operator, key, arrays))
        try:
            return self._function(*given, **named)
        finally:
            _ASKED.reset(token)


# ---- calls -----------------------------------------------------------------------------------------------------------
# By the number of arrays and whether the last are labels: the key, and the call. Arrays may change their size meanwhile, in
# other threads: a call whose arrays are no longer those of the key returns None.

_UNUSUAL = (AttributeError, KeyError, OverflowError, TypeError, ValueError)


def _key_of_one(settings: bytes, x: Any) -> Any:
    return _arithmetic(), x.shape, x.dtype, settings


def _key_of_two(settings: bytes, a: Any, b: Any) -> Any:
    return _arithmetic(), a.shape, a.dtype, b.shape, b.dtype, settings


def _key_of_three(settings: bytes, a: Any, b: Any, c: Any) -> Any:
    """The second and the last may be None."""
    second, last = None if b is None else (b.shape, b.dtype), None if c is None else (c.shape, c.dtype)
    return _arithmetic(), a.shape, a.dtype, second, last, settings


def _run_one(call: Call, x: Any) -> Any:
    function, (size,), (step, out_step), new, shape, dtype = call
    c_x = _from_buffer(x)
    y = new(shape, dtype)
    return y if len(c_x) == size and function(c_x, step, _from_buffer(y), out_step) == 0 else None


def _run_two(call: Call, a: Any, b: Any) -> Any:
    function, sizes, (a_step, b_step, out_step), new, shape, dtype = call
    c_a, c_b = _from_buffer(a), _from_buffer(b)
    y = new(shape, dtype)
    if (len(c_a), len(c_b)) != sizes or function(c_a, a_step, c_b, b_step, _from_buffer(y), out_step) != 0:
        return None
    return y


def _run_with_labels(call: Call, x: Any, labels: Any) -> Any:
    """Labels of any integer type, one for each sample; the core reads a copy, and checks their range."""
    function, sizes, (step, _, out_step), new, shape, dtype = call
    c_x, own = _from_buffer(x), _new_labels(labels.tolist())
    y = new(shape, dtype)
    return y if (len(c_x), len(own)) == sizes and function(c_x, step, own, _from_buffer(y), out_step) == 0 else None


def _run_three(call: Call, a: Any, b: Any, c: Any) -> Any:
    function, sizes, (a_step, b_step, c_step, out_step), new, shape, dtype = call
    c_a, c_b, c_c = _from_buffer(a), _NULL if b is None else _from_buffer(b), _NULL if c is None else _from_buffer(c)
    y = new(shape, dtype)
    if (len(c_a), 0 if b is None else len(c_b), 0 if c is None else len(c_c)) != sizes:
        return None
    return y if function(c_a, a_step, c_b, b_step, c_c, c_step, _from_buffer(y), out_step) == 0 else None


def _run_with_labels_between(call: Call, x: Any, labels: Any, c: Any) -> Any:
    function, sizes, (step, _, c_step, out_step), new, shape, dtype = call
    c_x, own, c_c = _from_buffer(x), _new_labels(labels.tolist()), _from_buffer(c)
    y = new(shape, dtype)
    if (len(c_x), len(own), len(c_c)) != sizes:
        return None
    return y if function(c_x, step, own, c_c, c_step, _from_buffer(y), out_step) == 0 else None


_WAYS: dict[int, tuple[Function, Function]] = {
    1: (_key_of_one, _run_one),
    2: (_key_of_two, _run_two),
    3: (_key_of_three, _run_three),
}


def _quick(operator: Operator, door: _Door) -> Function:
    count = len(door.arrays)
    key_of, run_again = _WAYS[count]
    if "labels" in dict(door.arrays):
        run_again = _run_with_labels if door.arrays[-1][0] == "labels" else _run_with_labels_between

    def call(*given: Any, **named: Any) -> Any:
        arrays, settings, key = given, _NONE, None
        if named or len(given) != count:
            arrays, settings = door.split(given, named)
        try:
            key = key_of(settings, *arrays)
            y = run_again(operator[key], *arrays)
            if y is not None:
                return y
        except _UNUSUAL:
            pass
        return door.check(key, arrays, given, named)

    return call


def quick(module: dict[str, Any], names: Iterable[str]) -> None:
    """Makes these functions quick, which a module defines and which call run(); called at its end with its globals().

    Their arrays come first and in C's order. A public function with another order calls one of its own name behind a _.
    """
    for name in names:
        operator = Operator(name.lstrip("_"))
        OPERATORS[operator.name] = operator
        door = _Door(operator, module[name])
        module[name] = functools.wraps(module[name])(_quick(operator, door))
