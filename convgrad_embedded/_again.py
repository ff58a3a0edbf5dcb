"""Operators called again: what was checked once needs no check for arrays of the same shapes and types.

A call's key is made of these, of the operator's settings and of the arithmetic. What the check found, the C function, the
geometry and the sizes, is kept by key. A later call with that key makes buffers, an array for the result, and one C call.
Whatever is unusual falls through to the checks with their messages: arguments that are no arrays, not contiguous, not
aligned or of other types.
"""

from __future__ import annotations

import marshal
from collections.abc import Sequence
from typing import Any, Callable, NamedTuple, Optional

import numpy as np

from convgrad_embedded import _core
from convgrad_embedded._core import Operand, Real

_MOST = 4096  # calls kept of one operator
_NULL, _from_buffer, _new_labels = _core.NULL, _core.from_buffer, _core.new_labels
_arithmetic = _core.ARITHMETIC.get
_ONE, _ZERO = 1, 0  # small integers are single objects


class Call(NamedTuple):
    function: Any
    head: tuple[Any, ...]  # number of samples; geometry or sizes
    c_type: Any
    elems: tuple[int, ...]  # of each array
    steps: tuple[int, ...]  # elements of a sample, 0: all samples share it; the last is the result's
    new: Callable[..., Real]  # np.empty, or np.zeros for what is added to
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def _is_usual(array: Any, dtype: np.dtype[Any]) -> bool:
    """What a later call may hand to the core as it is; labels are copied."""
    return array is None or type(array) is np.ndarray and (array.dtype == dtype or array.dtype.kind in "iu")


class Operator(dict[Any, Call]):
    """The calls of one operator that were checked, by key."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def run(
        self,
        key: Any,
        given: Sequence[Any],
        count: int,
        head: Sequence[Any],
        operands: Sequence[Operand],
        shape: tuple[int, ...],
    ) -> None:
        """The call itself, and keeps it. `given` are the user's arrays, `operands` the checked ones and the result."""
        result, _ = operands[-1]
        assert result is not None
        _core.run(self.name, result.dtype, count, head, *operands)
        if key is None or not all(_is_usual(array, result.dtype) for array in given):
            return
        kind = _core.precision(result.dtype)
        elems = tuple(0 if array is None else array.size for array, _ in operands[:-1])
        steps = tuple(array.size // count if each and array is not None else 0 for array, each in operands)
        new = np.zeros if self.name.endswith(("weight_grad", "bias_grad")) else np.empty
        if len(self) >= _MOST:
            self.clear()
        self[key] = Call(kind.batch(self.name), (count, *head), kind.buffer_type, elems, steps, new, shape, result.dtype)


# ---- keys ------------------------------------------------------------------------------------------------------------
# None: there is none, as an argument is no array, or no setting of the usual sort.


def settings(*values: Any) -> Any:
    """As part of a key. 1, 1.0 and True are equal in a dictionary: marshal tells them apart."""
    try:
        return marshal.dumps(values, 2)
    except ValueError:
        return None


_DEFAULT = settings(1, 0, 1, 1)


def conv2d_settings(stride: Any, padding: Any, dilation: Any, groups: Any) -> Any:
    if stride is _ONE and padding is _ZERO and dilation is _ONE and groups is _ONE:
        return _DEFAULT
    return settings(stride, padding, dilation, groups)


def key_of_one(a: Any, given: Any = b"") -> Any:
    try:
        return None if given is None else (_arithmetic(), a.shape, a.dtype, given)
    except AttributeError:
        return None


def key_of_two(a: Any, b: Any, given: Any = b"", size: Any = 0) -> Any:
    """`size`: another setting, an int or a pair."""
    try:
        if type(size) is not int:
            size = settings(size)
        return None if given is None or size is None else (_arithmetic(), a.shape, a.dtype, b.shape, b.dtype, given, size)
    except AttributeError:
        return None


def key_with_bias(x: Any, w: Any, b: Any, given: Any = b"") -> Any:
    try:
        bias = None if b is None else (b.shape, b.dtype)
        return None if given is None else (_arithmetic(), x.shape, x.dtype, w.shape, w.dtype, bias, given)
    except AttributeError:
        return None


# ---- calls -----------------------------------------------------------------------------------------------------------
# The result, or None: to be checked. Arrays may change their size meanwhile, in other threads.


def with_one(operator: Operator, key: Any, x: Any) -> Optional[Real]:
    call = operator.get(key)
    if call is None:
        return None
    function, head, c_type, (elems,), (step, out_step), new, shape, dtype = call
    try:
        c_x = _from_buffer(c_type, x)
    except ValueError:  # not contiguous
        return None
    y = new(shape, dtype)
    if len(c_x) == elems and function(*head, c_x, step, _from_buffer(c_type, y), out_step) == 0:
        return y
    return None


def with_two(operator: Operator, key: Any, a: Any, b: Any) -> Optional[Real]:
    call = operator.get(key)
    if call is None:
        return None
    function, head, c_type, (a_elems, b_elems), (a_step, b_step, out_step), new, shape, dtype = call
    try:
        c_a, c_b = _from_buffer(c_type, a), _from_buffer(c_type, b)
    except ValueError:
        return None
    y = new(shape, dtype)
    if len(c_a) == a_elems and len(c_b) == b_elems:
        if function(*head, c_a, a_step, c_b, b_step, _from_buffer(c_type, y), out_step) == 0:
            return y
    return None


def with_labels(operator: Operator, key: Any, x: Any, labels: Any) -> Optional[Real]:
    """labels: of any integer type, one for each sample; the core reads a copy, and checks their range."""
    call = operator.get(key)
    if call is None:
        return None
    function, head, c_type, elems, steps, new, shape, dtype = call
    try:
        c_x = _from_buffer(c_type, x)
        own = _new_labels(labels.tolist())
    except (ValueError, OverflowError, TypeError):
        return None
    y = new(shape, dtype)
    if len(c_x) == elems[0] and len(own) == elems[1]:
        if function(*head, c_x, steps[0], own, _from_buffer(c_type, y), steps[-1]) == 0:
            return y
    return None


def with_bias(operator: Operator, key: Any, x: Any, w: Any, b: Any) -> Optional[Real]:
    """b may be None."""
    call = operator.get(key)
    if call is None:
        return None
    function, head, c_type, (x_elems, w_elems, b_elems), (x_step, _, _, out_step), new, shape, dtype = call
    try:
        c_x, c_w = _from_buffer(c_type, x), _from_buffer(c_type, w)
        c_b = _NULL if b is None else _from_buffer(c_type, b)
    except ValueError:
        return None
    y = new(shape, dtype)
    if len(c_x) == x_elems and len(c_w) == w_elems and (b is None or len(c_b) == b_elems):
        if function(*head, c_x, x_step, c_w, 0, c_b, 0, _from_buffer(c_type, y), out_step) == 0:
            return y
    return None
