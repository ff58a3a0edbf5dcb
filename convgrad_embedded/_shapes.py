"""Why a geometry is impossible: which argument it is, what was expected, what came. The core says only that it is so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Shape = Sequence[int]  # h, w, c
_AXES = (("h", "height", "top", "bottom"), ("w", "width", "left", "right"))


def why_impossible(kind: str, fields: Mapping[str, Any], inputs: Sequence[Shape]) -> str | None:
    """Of a layer's or an operator's kind, with its geometry and what it reads; None if it is something else."""
    if kind == "add" and inputs[0] != inputs[1]:
        return f"expected inputs of one shape, got {inputs[0]} and {inputs[1]}"
    if kind == "concat" and inputs[0][:2] != inputs[1][:2]:
        return f"expected inputs of one height and width, got {inputs[0]} and {inputs[1]}"
    if kind == "channel_slice":
        return f"expected channels 0 .. {inputs[0][2] - 1}, got {fields['begin']} .. {fields['begin'] + fields['count'] - 1}"
    if kind == "crop2d":
        return _why_nothing_is_left(fields, inputs[0])
    if kind == "conv2d":
        return _why_not_grouped(fields, inputs[0][2]) or _why_too_large("kernel_size", fields, inputs[0])
    if kind.endswith("pool2d") and not kind.startswith("global"):
        name = "kernel_size" if kind == "pool2d" else "pool_size"  # an operator's, a layer's
        return _why_too_much_padding(fields) or _why_too_large(name, fields, inputs[0])
    return None


def _why_not_grouped(fields: Mapping[str, Any], channels: int) -> str | None:
    groups = fields.get("groups") or 1
    for name, count in (("input channels", channels), ("filters", fields["out_c"])):
        if count % groups:
            return f"groups: expected a divisor of {count}, the number of {name}, got {groups}"
    return None


def _why_too_large(name: str, fields: Mapping[str, Any], shape: Shape) -> str | None:
    """A window that no place in the padded input holds."""
    for (axis, word, before, after), size in zip(_AXES, shape):
        room = size + fields.get(f"pad_{before}", 0) + fields.get(f"pad_{after}", 0)
        kernel, dilation = fields[f"kernel_{axis}"], fields.get(f"dilation_{axis}") or 1
        reach = (kernel - 1) * dilation + 1
        if reach > room:
            spread = f" with dilation {dilation}, which reaches over {reach}" if dilation > 1 else ""
            return f"{name}: expected at most {room}, the {word} of the padded input, got {kernel}{spread}{_axes(axis, shape)}"
    return None


def _axes(axis: str, shape: Shape) -> str:
    """What may have been meant by a shape that is too small along that axis."""
    if axis == "w" and shape[1] == 1:
        return f"; a picture of one channel is ({shape[0]}, {shape[2]}, 1)"
    if tuple(shape[:2]) == (1, 1):
        return "; rows and columns end at the first Dense or Flatten"
    if axis == "h" and shape[0] in (1, 3) and shape[1] > 1 and shape[2] > 4:
        return f"; channels come last: ({shape[1]}, {shape[2]}, {shape[0]})"
    return ""


def _why_too_much_padding(fields: Mapping[str, Any]) -> str | None:
    """A window of which nothing lies in the image."""
    for axis, word, *sides in _AXES:
        most = max(fields.get(f"pad_{side}", 0) for side in sides)
        if most >= fields[f"kernel_{axis}"]:
            return f"padding: expected less than the window's {word}, {fields[f'kernel_{axis}']}, got {most}"
    return None


def _why_nothing_is_left(fields: Mapping[str, Any], shape: Shape) -> str | None:
    for (_, word, before, after), size in zip(_AXES, shape):
        cut = fields.get(f"pad_{before}", 0) + fields.get(f"pad_{after}", 0)
        if cut >= size:
            return f"cropping: expected less than the {word} {size}, {before} and {after} together, got {cut}"
    return None
