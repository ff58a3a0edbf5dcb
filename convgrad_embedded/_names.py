"""Attributes by a name that a module or a network does not have: the answer says what does it here."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

# What other libraries call what is in this package.
_ELSEWHERE = {
    "Linear": "Dense",
    "Sequential": "Network",
    "Model": "Network",
    "Module": "Network",
    "Convolution2D": "Conv2d",
    "Conv2DTranspose": "ConvTranspose2d",
    "Conv1DTranspose": "ConvTranspose1d",
    "MaxPooling2D": "MaxPool2d",
    "MaxPooling1D": "MaxPool1d",
    "AveragePooling2D": "AvgPool2d",
    "AveragePooling1D": "AvgPool1d",
    "GlobalAveragePooling2D": "GlobalAvgPool2d",
    "GlobalMaxPooling2D": "GlobalMaxPool2d",
    "AdaptiveAvgPool2d": "GlobalAvgPool2d",
    "AdaptiveMaxPool2d": "GlobalMaxPool2d",
    "BatchNormalization": "BatchNorm",
    "BatchNorm1d": "BatchNorm",
    "BatchNorm2d": "BatchNorm",
    "GroupNormalization": "GroupNorm",
    "LayerNormalization": "LayerNorm",
    "InstanceNorm2d": "InstanceNorm",
    "Upsample": "Upsample2d",
    "UpSampling2D": "Upsample2d",
    "ZeroPadding2D": "ZeroPad2d",
    "Cropping2D": "Crop2d",
    "Concatenate": "Concat",
    "Hardswish": "HardSwish",
    "Hardsigmoid": "HardSigmoid",
    "Swish": "SiLU",
    "CrossEntropyLoss": "SoftmaxCrossEntropy",
    "CategoricalCrossentropy": "SoftmaxCrossEntropy",
    "SparseCategoricalCrossentropy": "SoftmaxCrossEntropy",
    "BCEWithLogitsLoss": "BinaryCrossEntropy",
    "MSELoss": "MeanSquaredError",
    "L1Loss": "MeanAbsoluteError",
    "HuberLoss": "Huber",
    "EarlyStopping": "callbacks.EarlyStopping",
    "ModelCheckpoint": "callbacks.ModelCheckpoint",
    "load": "Network.load",
    "load_model": "Network.load",
    "load_digits": "datasets.load_digits",
}  # fmt: skip
_OF_NETWORKS = {
    "compile": "loss and optimizer are arguments of Network",
    "count_params": "use param_count",
    "forward": "use predict",
    "backward": "use gradients",
    "train": "use fit, or train_on_batch",
    "eval": "use predict or evaluate: no layer has to be told",
    "weights": "use get_weights()",
    "parameters": "use get_weights()",
    "trainable_weights": "use get_weights()",
    "save_weights": "use save",
    "load_weights": "use Network.load, or set_weights",
    "load_state_dict": "use Network.from_torch",
    "predict_classes": "use np.argmax(net.predict(x), axis=-1)",
    "predict_proba": "end with a layer Softmax(), or use cge.softmax_forward(net.predict(x))",
    "zero_grad": "gradients begin at zero in each step",
    "to": "it computes on the processor; Network(threads=...) uses several cores",
    "cuda": "it computes on the processor; Network(threads=...) uses several cores",
}


def missing_from_package(name: str, known: Iterable[str]) -> str:
    """The message of the AttributeError."""
    other = _ELSEWHERE.get(name) or next((ours for ours in known if ours.lower() == name.lower()), None)
    close = [other] if other else difflib.get_close_matches(name, list(known), 1)
    return f"convgrad_embedded has no {name}" + (f"; did you mean {close[0]}?" if close else "")


def missing_from_network(name: str, known: Iterable[str]) -> str:
    """The message of the AttributeError."""
    hint = _OF_NETWORKS.get(name)
    close = difflib.get_close_matches(name, [one for one in known if not one.startswith("_")], 1)
    if hint is None and close:
        hint = f"did you mean {close[0]}?"
    return f"a network has no {name}" + (f"; {hint}" if hint else "")
