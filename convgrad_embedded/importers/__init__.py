"""Networks from the files and objects of other frameworks, and back: one module for each of them.

`Network.from_onnx` and its sisters are the door. A reader turns a file into calls of a Builder (builder.py), which knows
what our layers can express; what they cannot is refused with the name of the node.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

from convgrad_embedded import _core


def read(cls: Any, framework: str, path: Any, options: dict[str, Any]) -> Any:
    """The Network of class `cls` in the file, by the module of that name, which is loaded when it is asked for."""
    module = importlib.import_module(f"convgrad_embedded.importers.{framework}")
    return module.read(cls, Path(path).read_bytes(), str(path), options)


def read_module(cls: Any, module: Any, input_shape: Any, options: dict[str, Any], folds: bool) -> Any:
    """The Network of class `cls` that a torch.nn.Module computes. folds: batch normalisation goes into the layer before it."""
    return _torch().read_module(cls, module, input_shape, options, folds)


def read_safetensors(path: Any) -> dict[str, Any]:
    """All arrays of a safetensors file by name."""
    arrays: dict[str, Any] = _torch().read_safetensors(Path(path).read_bytes(), str(path))
    return arrays


def torch_weights(state: Any, network: Any, names: Any, context: str) -> list[Any]:
    """Arrays of a dictionary in PyTorch's layout, as the network's set_weights takes them."""
    weights: list[Any] = _torch().weights_of(state, network, names, context)
    return weights


def state_dict(network: Any) -> dict[str, Any]:
    """The other way."""
    state: dict[str, Any] = _torch().state_dict(network)
    return state


def _torch() -> Any:
    return importlib.import_module("convgrad_embedded.importers.torch")


def read_keras(cls: Any, source: Any, options: dict[str, Any]) -> Any:
    """The Network of class `cls` of a Keras model or of the path of its file."""
    module = importlib.import_module("convgrad_embedded.importers.keras")
    read = module.read if isinstance(source, (str, os.PathLike)) else module.read_model
    return read(cls, source, options)


def onnx_bytes(network: Any) -> bytes:
    """An ONNX model of it."""
    written: bytes = importlib.import_module("convgrad_embedded.importers.onnx_writer").model_bytes(network, _core.VERSION)
    return written
