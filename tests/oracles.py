"""Packages that tests compare with: in CI they must be there, elsewhere their tests are left out where they are not."""

import importlib
import importlib.util
import os

import pytest


def need(name):
    """The module. For the top of a test file."""
    if importlib.util.find_spec(name) is None:
        reason = f"needs {name}: pip install '.[oracles]', as CI does"
        if os.environ.get("CI") == "true":
            raise ModuleNotFoundError(reason)
        pytest.skip(reason, allow_module_level=True)
    return importlib.import_module(name)


def channels_last(x):
    """(N, C, H, W) or (N, C, T) as our networks take it."""
    return x.transpose(0, *range(2, x.ndim), 1)[:, :, None] if x.ndim == 3 else x.transpose(0, 2, 3, 1) if x.ndim == 4 else x


def only_value_errors(read, data, rng, count):
    """Damages `data` in `count` ways and reads it: it must come out or be refused."""
    for _ in range(count):
        bad = bytearray(data)
        for _ in range(rng.integers(1, 4)):
            way, at = rng.integers(3), rng.integers(len(bad))
            if way == 0:
                bad[at] = rng.integers(256)
            elif way == 1:
                bad[at] ^= 1 << rng.integers(8)
            else:
                del bad[at : at + rng.integers(1, 9)]
        try:
            read(bytes(bad))
        except ValueError:
            pass
