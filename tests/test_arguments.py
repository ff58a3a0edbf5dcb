"""An argument by a name that a function does not have: the answer names those that it has."""

import inspect

import numpy as np
import pytest
from nets import SPECS

import convgrad_embedded as cge


def network(**options):
    return SPECS["digits"].network(**options)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: network().plan(budget=1000), "Network.plan: there is no argument budget; did you mean budget_bytes?"),
        (lambda: network().fit(0, 0, epoch=3), "Network.fit: there is no argument epoch; did you mean epochs?"),
        (lambda: network().fit(0, 0, batchsize=3), "Network.fit: there is no argument batchsize; did you mean batch_size?"),
        (lambda: network().save(file="x"), "Network.save: there is no argument file; these are: path"),
        (lambda: network().gradcheck(0, 0, tol=1), "Network.gradcheck: there is no argument tol; these are: x, y, tolerance"),
        (
            lambda: cge.Network.load("x", level="small"),
            "Network.load: there is no argument level; these are: path, capacity, threads, memory",
        ),
        (
            lambda: cge.SGD(gamma=0.1),
            "SGD: there is no argument gamma; these are: learning_rate, momentum, weight_decay, nesterov",
        ),
        (lambda: cge.Conv2d(8, 3, pad=1), "Conv2d: there is no argument pad; did you mean padding?"),
        (lambda: cge.MaxPool2d(2, strides=2), "MaxPool2d: there is no argument strides; did you mean stride?"),
        (lambda: cge.Dense(10, tag="last"), "Dense: there is no argument tag; these are: units, use_bias"),
        (lambda: cge.ReLU(tag="first"), "ReLU: there is no argument tag; these are: none"),
        (
            lambda: cge.Network((8, 8, 1), [cge.Dense(2)], optimiser=cge.SGD(0.1)),
            "Network: there is no argument optimiser; did you mean optimizer?",
        ),
        (lambda: cge.conv2d_forward(0, 0, strides=2), "conv2d_forward: there is no argument strides; did you mean stride?"),
    ],
)
def test_a_wrong_name_is_answered_with_the_right_one(call, message):
    with pytest.raises(TypeError) as caught:
        call()
    assert str(caught.value).startswith(message)


KNOWN_BEFORE = "what comes in is known from the layer before, or from the network's input_shape"
OF_OTHER_LIBRARIES = {
    "activation": (lambda: cge.Conv1d(8, 3, activation="relu"), "an activation is a layer of its own, such as ReLU() behind"),
    "in_channels": (lambda: cge.Conv2d(in_channels=3, out_channels=8, kernel_size=3), KNOWN_BEFORE),
    "num_features": (lambda: cge.BatchNorm(num_features=3), KNOWN_BEFORE),
    "normalized_shape": (lambda: cge.LayerNorm(normalized_shape=3), KNOWN_BEFORE),
    "input_shape": (lambda: cge.Dense(3, input_shape=(4,)), KNOWN_BEFORE),
    "padding_mode": (lambda: cge.Conv2d(8, 3, padding_mode="zeros"), "padding is zeros"),
    "kernel_regularizer": (lambda: cge.Dense(3, kernel_regularizer="l2"), "weight_decay of the optimizer does that"),
    "inplace": (lambda: cge.ReLU6(inplace=True), "memory is planned for all layers together"),
    "metrics": (lambda: cge.Network((4,), [cge.Dense(2)], "mse", metrics=["acc"]), "fit and evaluate tell the accuracy"),
    "out_channels": (lambda: cge.Conv1d(out_channels=8, kernel_size=3), "did you mean filters?"),
    "filters": (lambda: cge.Dense(filters=8), "did you mean units?"),
    "units": (lambda: cge.Conv2d(units=8, kernel_size=3), "did you mean filters?"),
    "kernel_size": (lambda: cge.MaxPool2d(kernel_size=2), "did you mean pool_size?"),
    "kernel_initializer": (lambda: cge.Dense(3, kernel_initializer="he_normal"), "did you mean init?"),
    "num_groups": (lambda: cge.GroupNorm(num_groups=2), "did you mean groups?"),
    "negative_slope": (lambda: cge.LeakyReLU(negative_slope=0.1), "did you mean alpha?"),
    "rate": (lambda: cge.Dropout(rate=0.1), "did you mean p?"),
    "size": (lambda: cge.Upsample2d(size=2), "did you mean scale_factor?"),
    "lr": (lambda: cge.Adam(lr=0.1), "did you mean learning_rate?"),
    "clipnorm": (lambda: cge.Adam(clipnorm=1.0), "fit takes clip_norm"),
    "decay": (lambda: cge.SGD(0.1, decay=0.1), "learning_rate may be a schedule such as cge.schedules.Step(...)"),
    "axis": (lambda: cge.Concat(axis=-1), "channels are the last axis"),
    "workers": (lambda: network().fit([], [], workers=4), "Network takes threads"),
    "batch_size": (lambda: network().predict([], batch_size=4), "samples go through it in parts of its own choice"),
    "verbose": (lambda: network().evaluate([], [], verbose=0), "it prints nothing"),
}


@pytest.mark.parametrize("name", OF_OTHER_LIBRARIES)
def test_words_of_other_libraries_are_understood(name):
    call, hint = OF_OTHER_LIBRARIES[name]
    with pytest.raises(TypeError) as caught:
        call()
    assert f": there is no argument {name}; {hint}" in str(caught.value)


def test_a_class_is_no_layer():
    with pytest.raises(TypeError, match=r"^layers\[1\]: expected a layer such as ReLU\(\.\.\.\), got the class ReLU$"):
        cge.Network((4,), [cge.Dense(2), cge.ReLU])


def test_a_layer_whose_arguments_all_have_names_says_so():
    with pytest.raises(TypeError, match=r"^BatchNorm: expected all arguments by name, got BatchNorm\(16\); the number of"):
        cge.BatchNorm(16)


METHODS = [name for name, member in inspect.getmembers(cge.Network) if inspect.isroutine(member) and not name.startswith("_")]
# results and errors
PLAIN = {"GradientCheck", "GradientCheckError", "NotFiniteError", "Evaluation", "OutputsEvaluation", "Plan", "Loss"}
NO_ARGUMENTS = {"kernel_set", "include_dir", "source_files"}
CALLABLES = [name for name in cge.__all__ if callable(getattr(cge, name)) and name not in PLAIN | NO_ARGUMENTS]


@pytest.mark.parametrize("name", [*CALLABLES, *(f"Network.{name}" for name in METHODS)])
def test_every_public_function_answers(name):
    owner, _, method = name.rpartition(".")
    function = getattr(network(), method) if owner else getattr(cge, name)
    with pytest.raises(TypeError, match=f"^{name}: there is no argument no_such; "):
        function(no_such=1)


def test_what_is_right_passes_and_signatures_stay():
    assert cge.Dense(units=3) == cge.Dense(3)
    assert network().summary(print_fn=None)
    assert list(inspect.signature(cge.Network.plan).parameters) == ["self", "budget_bytes", "frozen_in"]
    assert cge.Network.plan.__doc__ and cge.dense_forward.__name__ == "dense_forward"


def test_layers_say_what_has_a_name_and_a_rate():
    with pytest.raises(TypeError, match=r'no argument name; .*Network\(outputs=\{"a"'):
        cge.Dense(3, name="class")
    for word in ("lr", "learning_rate"):
        with pytest.raises(TypeError, match=f"no argument {word}; a layer has a learning_rate_factor"):
            cge.Dense(3, **{word: 0.1})
    with pytest.raises(TypeError, match="did you mean learning_rate"):
        cge.SGD(lr=0.1)
    with pytest.raises(TypeError, match="no argument monitor; it follows val_loss where there is one"):
        cge.schedules.ReduceOnPlateau(0.1, monitor="val_what_loss")


def test_what_has_a_name_says_so():
    with pytest.raises(TypeError, match=r"^Network\.fit: expected x and y by position and all others by name, got 3 by "):
        network().fit([], [], 3)
    with pytest.raises(TypeError, match=r"^conv2d_forward: expected x, w and b by position and all others by name, got 4 by "):
        cge.conv2d_forward(*[np.zeros((1, 3, 3, 1))] * 3, 1)
