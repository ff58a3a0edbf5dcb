"""Attributes by a name that a module, a network or a layer does not have: the answer says what does it here."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

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
    "load_fashion_mnist": "datasets.load_fashion_mnist",
    "ReduceLROnPlateau": "schedules.ReduceOnPlateau",
}  # fmt: skip
# What they have, and we otherwise.
_OTHERWISE = {
    "Activation": "an activation is a layer of its own, such as ReLU()",
    "layers": "layers are here, such as cge.Conv2d",
    "nn": "layers are here, such as cge.Conv2d",
    "optim": "optimizers are here, such as cge.SGD",
    "optimizers": "optimizers are here, such as cge.SGD",
    "losses": "losses are here, such as cge.Huber, and Network takes their names",
    "save": "a network has save(path)",
    "no_grad": "predict and evaluate compute no gradients",
    "manual_seed": "Network takes a seed, and so does fit",
    "to_categorical": "labels are the numbers of classes",
    "LSTM": "there are no recurrent layers",
    "GRU": "there are no recurrent layers",
    "SimpleRNN": "there are no recurrent layers",
}
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
    "step": "train_on_batch makes one",
    "zero_grad": "gradients begin at zero in each step",
    "fit_generator": "fit takes generators, too",
    "add": "layers are given when it is made: Network(input_shape, [...])",
    "get_layer": "use layers",
    "to": "it computes on the processor; Network(threads=...) uses several cores",
    "cuda": "it computes on the processor; Network(threads=...) uses several cores",
}
_NO_WEIGHTS = "the network has them: use get_weights()"
_OF_LAYERS = {name: _NO_WEIGHTS for name in ("weight", "weights", "bias", "kernel", "get_weights", "parameters")}
_OF_LAYERS["set_weights"] = "the network has them: use set_weights(...)"
_OF_MODULES = {
    "callbacks": {
        "ReduceLROnPlateau": "fit takes learning_rate=cge.schedules.ReduceOnPlateau(...)",
        "LearningRateScheduler": "fit takes a schedule, or a function of the epoch, as learning_rate",
        "LambdaCallback": "a function of (epoch, logs) is a callback",
        "TerminateOnNaN": "a step that is not finite is refused",
        "TensorBoard": "CSVLogger writes a table",
        "History": "fit returns it",
    },
    "schedules": {
        "LinearLR": "did you mean Linear?",
        "PolynomialDecay": "did you mean Linear?",
        "CosineAnnealingLR": "did you mean Cosine?",
        "LambdaLR": "fit takes a function of the epoch as learning_rate",
    },
    "metrics": {
        "accuracy": "use net.evaluate(x, y).accuracy",
        "accuracy_score": "use net.evaluate(x, y).accuracy",
        "f1_score": "did you mean precision_recall_f1?",
        "recall": "did you mean precision_recall_f1?",
    },
    "datasets": {
        "load_mnist": "load_idx reads its files, and load_digits is here",
        "mnist": "load_idx reads its files, and load_digits is here",
    },
    "models": {
        "Sequential": "use cge.Network",
        "Model": "use cge.Network",
        "load_model": "use cge.Network.load",
    },
}


def missing_from_package(name: str, known: Iterable[str]) -> str:
    """The message of the AttributeError."""
    if name in _OTHERWISE:
        return f"convgrad_embedded has no {name}; {_OTHERWISE[name]}"
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


def missing_from_layer(layer: str, name: str) -> str:
    """The message of the AttributeError."""
    hint = _OF_LAYERS.get(name)
    return f"{layer} has no {name}" + (f"; {hint}" if hint else "")


def of_module(module: dict[str, Any]) -> Callable[[str], NoReturn]:
    """The __getattr__ of a module of this package, called at its end with its globals()."""
    full, short = module["__name__"], module["__name__"].rpartition(".")[2]
    known = [name for name, value in module.items() if name[0] != "_" and getattr(value, "__module__", None) == full]

    def missing(name: str) -> NoReturn:
        hint = _OF_MODULES.get(short, {}).get(name)
        close = difflib.get_close_matches(name, known, 1)
        if hint is None and close:
            hint = f"did you mean {close[0]}?"
        raise AttributeError(f"{short} has no {name}" + (f"; {hint}" if hint else ""))

    return missing
