"""Protocol Buffers' wire format, as far as ONNX needs it: fields by number, in the order in which they come.

https://protobuf.dev/programming-guides/encoding. Reading is total: any bytes give fields or a ValueError.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Union

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

Field = Union[int, memoryview]
Message = dict[int, list[Field]]


def parse(data: memoryview) -> Message:
    """All fields of one message: numbers for varints, bytes for all else."""
    fields: Message = {}
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        value: Field
        if kind == VARINT:
            value, at = _varint(data, at)
        elif kind in (BYTES, FIXED32, FIXED64):
            size = 4 if kind == FIXED32 else 8
            if kind == BYTES:
                size, at = _varint(data, at)
            if size > len(data) - at:
                raise ValueError("a field is longer than what holds it")
            value = data[at : at + size]
            at += size
        else:
            raise ValueError(f"a field of unknown wire type {kind}")
        fields.setdefault(key >> 3, []).append(value)
    return fields


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ValueError("it ends within a number")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (2**64 - 1), at
    raise ValueError("a number of more than ten bytes")


def signed(value: int) -> int:
    """An int64 field."""
    return value - 2**64 if value >= 2**63 else value


def message(fields: Message, number: int) -> Message:
    """The last field of that number as a message; empty if there is none."""
    return parse(_bytes(fields[number][-1])) if number in fields else {}


def messages(fields: Message, number: int) -> list[Message]:
    return [parse(_bytes(value)) for value in fields.get(number, [])]


def text(fields: Message, number: int) -> str:
    return str(_bytes(fields[number][-1]), "utf-8", "replace") if number in fields else ""


def texts(fields: Message, number: int) -> list[str]:
    return [str(_bytes(value), "utf-8", "replace") for value in fields.get(number, [])]


def integer(fields: Message, number: int, default: int = 0) -> int:
    if number not in fields:
        return default
    value = fields[number][-1]
    if not isinstance(value, int):
        raise ValueError(f"field {number} is no number")
    return signed(value)


def integers(fields: Message, number: int) -> list[int]:
    """Repeated, packed or not."""
    found = []
    for value in fields.get(number, []):
        if isinstance(value, int):
            found.append(signed(value))
            continue
        at = 0
        while at < len(value):
            item, at = _varint(value, at)
            found.append(signed(item))
    return found


def floats(fields: Message, number: int) -> list[float]:
    """Repeated float, packed or not."""
    found: list[float] = []
    for value in fields.get(number, []):
        data = _bytes(value)
        if len(data) % 4:
            raise ValueError(f"field {number} is no sequence of floats")
        found.extend(struct.unpack(f"<{len(data) // 4}f", data))
    return found


def _bytes(value: Field) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number where a message or text belongs")
    return value


# ---- writing ---------------------------------------------------------------------------------------------------------


def varint(value: int) -> bytes:
    value &= 2**64 - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def number_field(number: int, value: int) -> bytes:
    return varint(number << 3 | VARINT) + varint(value)


def bytes_field(number: int, value: bytes | str) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | BYTES) + varint(len(data)) + data


def float_field(number: int, value: float) -> bytes:
    return varint(number << 3 | FIXED32) + struct.pack("<f", value)


def packed(number: int, values: Iterable[int]) -> bytes:
    return bytes_field(number, b"".join(map(varint, values)))
