"""An argument by a name that a function does not have: the answer names those that it has."""

import inspect

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
            lambda: cge.SGD(lr=0.1),
            "SGD: there is no argument lr; these are: learning_rate, momentum, weight_decay, nesterov",
        ),
        (lambda: cge.Conv2d(8, 3, pad=1), "Conv2d: there is no argument pad; did you mean padding?"),
        (lambda: cge.MaxPool2d(2, strides=2), "MaxPool2d: there is no argument strides; did you mean stride?"),
        (lambda: cge.Dense(10, name="last"), "Dense: there is no argument name; these are: units, use_bias"),
        (lambda: cge.LeakyReLU(negative_slope=0.1), "LeakyReLU: there is no argument negative_slope; these are: alpha"),
        (lambda: cge.ReLU(inplace=True), "ReLU: there is no argument inplace; these are: none"),
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


METHODS = [name for name, member in inspect.getmembers(cge.Network) if inspect.isroutine(member) and not name.startswith("_")]
PLAIN = {"GradientCheck", "GradientCheckError", "NotFiniteError", "Evaluation", "Plan", "Loss"}  # results and errors
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
