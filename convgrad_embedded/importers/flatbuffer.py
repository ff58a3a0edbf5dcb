"""FlatBuffers' tables (https://flatbuffers.dev/internals), as far as TensorFlow Lite needs them.

Reading is total: any bytes give values or a ValueError.
"""

from __future__ import annotations

import struct
from typing import Any


class Table:
    """A table of fields, which a table of offsets before it finds."""

    def __init__(self, data: memoryview, at: int) -> None:
        self._data, self._at = data, at
        self._offsets = at - _read(data, "<i", at)
        self._end = _read(data, "<H", self._offsets)

    def _field(self, index: int) -> int:
        """Where field `index` lies; 0: it is at its default."""
        entry = 4 + 2 * index
        offset = _read(self._data, "<H", self._offsets + entry) if entry + 2 <= self._end else 0
        return self._at + offset if offset else 0

    def number(self, index: int, code: str, default: Any = 0) -> Any:
        """A scalar of struct's `code`."""
        at = self._field(index)
        return _read(self._data, f"<{code}", at) if at else default

    def table(self, index: int) -> Table | None:
        at = self._field(index)
        return Table(self._data, at + _read(self._data, "<I", at)) if at else None

    def tables(self, index: int) -> list[Table]:
        begin, count = self._vector(index, 4)
        places = range(begin, begin + 4 * count, 4)
        return [Table(self._data, place + _read(self._data, "<I", place)) for place in places]

    def numbers(self, index: int, code: str) -> tuple[Any, ...]:
        begin, count = self._vector(index, struct.calcsize(f"<{code}"))
        return struct.unpack_from(f"<{count}{code}", self._data, begin)

    def bytes(self, index: int) -> memoryview:
        begin, count = self._vector(index, 1)
        return self._data[begin : begin + count]

    def text(self, index: int) -> str:
        return str(self.bytes(index), "utf-8", "replace")

    def _vector(self, index: int, item_bytes: int) -> tuple[int, int]:
        at = self._field(index)
        if not at:
            return 0, 0
        begin = at + _read(self._data, "<I", at)
        count = _read(self._data, "<I", begin)
        if begin + 4 + count * item_bytes > len(self._data):
            raise ValueError("a list is longer than what holds it")
        return begin + 4, count


def root(data: memoryview, identifier: bytes) -> Table:
    if bytes(data[4:8]) != identifier:
        raise ValueError(f"it does not begin as one ({identifier.decode()})")
    return Table(data, _read(data, "<I", 0))


def _read(data: memoryview, code: str, at: int) -> Any:
    if at < 0 or at + struct.calcsize(code) > len(data):
        raise ValueError("it ends too early")
    return struct.unpack_from(code, data, at)[0]
