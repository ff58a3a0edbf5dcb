"""Networks from the files and objects of other frameworks, and back: one module for each of them.

`Network.from_onnx` and its sisters are the door. A reader turns a file into calls of a Builder (builder.py), which knows
what our layers can express; what they cannot is refused with the name of the node.

>>> cge.Network((4,), [cge.Dense(2)]).to_onnx("net.onnx")
>>> cge.Network.from_onnx("net.onnx").import_notes
()
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

from convgrad_embedded import _core


def read(cls: Any, framework: str, path: Any, options: dict[str, Any]) -> Any:
    """The Network of class `cls` in the file, by the module of that name, which is loaded when it is asked for.

    framework is "onnx" or "tflite"; options are those of Network. A file that cannot be read is a ValueError.

    >>> cge.Network((4,), [cge.Dense(2)]).to_onnx("net.onnx")
    >>> cge.importers.read(cge.Network, "onnx", "net.onnx", {"loss": "mse"})
    Network((4,), [Dense(2)], loss='mean_squared_error')
    """
    module = importlib.import_module(f"convgrad_embedded.importers.{framework}")
    return module.read(cls, Path(path).read_bytes(), str(path), options)


def read_module(cls: Any, module: Any, input_shape: Any, options: dict[str, Any], folds: bool = True) -> Any:
    """The Network of class `cls` that a torch.nn.Module computes.

    input_shape and options are those of Network. folds: batch normalisation goes into the layer before it. What torch.fx
    cannot trace, or no layer expresses, is a ValueError.

    >>> from torch import nn
    >>> cge.importers.read_module(cge.Network, nn.Sequential(nn.Linear(4, 2)), (4,), {"loss": "mse"})
    Network((4,), [Dense(2)], loss='mean_squared_error')
    """
    return _torch().read_module(cls, module, input_shape, options, folds)


def read_safetensors(path: Any) -> dict[str, Any]:
    """All arrays of a safetensors file by name.

    A damaged file is a ValueError.

    >>> with open("a.safetensors", "wb") as file:
    ...     header = b'{"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}'
    ...     length = file.write(len(header).to_bytes(8, "little") + header + np.float32(1.5).tobytes())
    >>> cge.importers.read_safetensors("a.safetensors")
    {'w': array([1.5], dtype=float32)}
    """
    arrays: dict[str, Any] = _torch().read_safetensors(Path(path).read_bytes(), str(path))
    return arrays


def torch_weights(state: Any, network: Any, names: Any, context: str) -> list[Any]:
    """Arrays of a dictionary in PyTorch's layout, as the network's set_weights takes them.

    names are the parts before ".weight", in the order of the layers, or None: as they come. context begins the messages. Arrays
    that do not fit are a ValueError.

    >>> net = cge.Network((4,), [cge.Dense(2)])
    >>> weights = cge.importers.torch_weights(net.state_dict(), net, None, "state")
    >>> [array.shape for array in weights]
    [(4, 2), (2,)]
    """
    weights: list[Any] = _torch().weights_of(state, network, names, context)
    return weights


def state_dict(network: Any) -> dict[str, Any]:
    """Its parameters in PyTorch's layout: the other way, as Network.state_dict gives it.

    >>> {name: array.shape for name, array in cge.importers.state_dict(cge.Network((4,), [cge.Dense(2)])).items()}
    {'0.weight': (2, 4), '0.bias': (2,)}
    """
    state: dict[str, Any] = _torch().state_dict(network)
    return state


def _torch() -> Any:
    return importlib.import_module("convgrad_embedded.importers.torch")


def read_keras(cls: Any, source: Any, options: dict[str, Any]) -> Any:
    """The Network of class `cls` of a Keras model or of the path of its file.

    options are those of Network. What no layer expresses is a ValueError.

    >>> import keras
    >>> model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2)])
    >>> cge.importers.read_keras(cge.Network, model, {"loss": "mse"})
    Network((4,), [Dense(2)], loss='mean_squared_error')
    """
    module = importlib.import_module("convgrad_embedded.importers.keras")
    read = module.read if isinstance(source, (str, os.PathLike)) else module.read_model
    return read(cls, source, options)


def onnx_bytes(network: Any) -> bytes:
    """An ONNX model of it.

    >>> len(cge.importers.onnx_bytes(cge.Network((4,), [cge.Dense(2)]))) > 40
    True
    """
    written: bytes = importlib.import_module("convgrad_embedded.importers.onnx_writer").model_bytes(network, _core.VERSION)
    return written
