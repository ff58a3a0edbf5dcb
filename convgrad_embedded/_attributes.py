"""What a network's attributes are: which may be set, and why the others may not."""

from __future__ import annotations

import difflib
from typing import Any

from convgrad_embedded import _optimizers

SETTABLE = ("learning_rate", "momentum")
# Set once, when the network is made.
FIXED_INPUT = ("input_offset", "input_scale", "input_shape")
FIXED = (
    *FIXED_INPUT, "layers", "sources", "loss", "memory", "frozen_in", "memory_ranges", "arithmetic", "output_shape",
    "output_shapes", "output_names",
)  # fmt: skip
FIXED_OPTIMIZER = tuple(sorted(_optimizers.settings() - set(SETTABLE)))


def options_text(given: dict[str, Any]) -> str:
    """Those that are no default."""
    return "".join(f", {name}={value!r}" for name, value in given.items() if value)


def is_set(network: object, name: str) -> bool:
    """hasattr, without working out a message. vars(network) would make every later look-up slower."""
    try:
        object.__getattribute__(network, name)
    except AttributeError:
        return False
    return True


def why_not_set(name: str, is_known: bool) -> str:
    if name in FIXED_OPTIMIZER:
        owner = _optimizers.owner(name)
        return f"{name}: cannot be set; it is fixed when the network is made, by optimizer={owner}({name}=...)"
    if is_known or name in FIXED:
        return f"{name}: cannot be set; it is fixed when the network is made"
    close = difflib.get_close_matches(name, SETTABLE, 1)
    hint = f"did you mean {close[0]}?" if close else f"what can be set: {', '.join(SETTABLE)}"
    return f"{name}: a network has no such setting; {hint}"
