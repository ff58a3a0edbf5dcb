"""Bad input in Python: a ValueError or TypeError that names the argument, what came and what was expected."""

import inspect

import numpy as np
import pytest
from nets import SPECS

import convgrad_embedded as cge


def f32(*shape):
    return np.ones(shape, np.float32)


X, W, B = f32(2, 6, 5, 4), f32(3, 3, 4, 8), f32(8)
DY = f32(2, 4, 3, 8)


def forward(x=X, w=W, b=B, **arguments):
    return lambda: cge.conv2d_forward(x, w, b, **arguments)


def weight_grad(x=X, dy=DY, kernel_size=3, **arguments):
    return lambda: cge.conv2d_weight_grad(x, dy, kernel_size, **arguments)


def input_grad(w=W, dy=DY, input_size=(6, 5), **arguments):
    return lambda: cge.conv2d_input_grad(w, dy, input_size, **arguments)


# call, error, what the message must hold: the argument's name, what came, what was expected
CONVOLUTION = {
    "integers": (forward(x=np.ones((6, 5, 4), np.int64)), TypeError, ["x", "int64", "float32"]),
    "half precision": (forward(x=X.astype(np.float16)), TypeError, ["x", "float16", "float32"]),
    "complex": (forward(x=X.astype(np.complex64)), TypeError, ["x", "complex64", "float32"]),
    "text": (forward(x=np.array([["a"]])), TypeError, ["x", "<U1", "float32"]),
    "ragged lists": (forward(x=[[1.0], [1.0, 2.0]]), (TypeError, ValueError), ["x:"]),
    "objects": (forward(x=np.array([[None]])), TypeError, ["x", "object", "float32"]),
    "mixed types": (forward(w=W.astype(np.float64)), TypeError, ["w", "float64", "float32"]),
    "mixed bias": (forward(b=B.astype(np.float64)), TypeError, ["b", "float64", "float32"]),
    "rank 2": (forward(x=f32(6, 5)), ValueError, ["x", "(6, 5)", "N"]),
    "rank 5": (forward(x=f32(1, 2, 6, 5, 4)), ValueError, ["x", "(1, 2, 6, 5, 4)", "N"]),
    "weights of rank 3": (forward(w=f32(3, 3, 4)), ValueError, ["w", "(3, 3, 4)", "K"]),
    "channels differ": (forward(w=f32(3, 3, 5, 8)), ValueError, ["w", "(3, 3, 5, 8)", "4"]),
    "bias length": (forward(b=f32(7)), ValueError, ["b", "(7,)", "(8,)"]),
    "empty batch": (forward(x=f32(0, 6, 5, 4)), ValueError, ["x", "(0, 6, 5, 4)"]),
    "no rows": (forward(x=f32(2, 0, 5, 4)), ValueError, ["x", "(2, 0, 5, 4)"]),
    "no filters": (forward(w=f32(3, 3, 4, 0), b=None), ValueError, ["w", "(3, 3, 4, 0)"]),
    "kernel too large": (forward(w=f32(7, 3, 4, 8)), ValueError, ["kernel", "7", "6"]),
    "dilation too large": (forward(dilation=3), ValueError, ["dilation", "3"]),
    "stride 0": (forward(stride=0), ValueError, ["stride", "0", "1"]),
    "stride negative": (forward(stride=(1, -2)), ValueError, ["stride", "-2", "1"]),
    "stride a fraction": (forward(stride=1.5), TypeError, ["stride", "1.5", "integer"]),
    "stride a bool": (forward(stride=True), TypeError, ["stride", "True", "integer"]),
    "stride of three": (forward(stride=(1, 1, 1)), ValueError, ["stride", "(1, 1, 1)", "(h, w)"]),
    "dilation 0": (forward(dilation=0), ValueError, ["dilation", "0", "1"]),
    "padding negative": (forward(padding=-1), ValueError, ["padding", "-1", "0"]),
    "padding of four": (forward(padding=(1, 1, 1, 1)), ValueError, ["padding", "(1, 1, 1, 1)", "(h, w)"]),
    "padding unknown": (forward(padding="full"), ValueError, ["padding", "'full'", "same", "valid"]),
    "padding none": (forward(padding=None), TypeError, ["padding", "None"]),
    "groups do not divide channels": (forward(w=f32(3, 3, 1, 8), groups=3), ValueError, ["groups", "3", "4"]),
    "groups do not divide filters": (forward(w=f32(3, 3, 1, 6), b=None, groups=4), ValueError, ["groups", "4", "6"]),
    "groups 0": (forward(groups=0), ValueError, ["groups", "0", "1"]),
    "groups huge": (forward(groups=2**40), ValueError, ["groups", str(2**40)]),
    "stride huge": (forward(stride=2**31), ValueError, ["stride", str(2**31)]),
    "gradient of other size": (weight_grad(dy=f32(2, 4, 4, 8)), ValueError, ["dy", "(2, 4, 4, 8)", "4, 3, 8"]),
    "gradient of other count": (weight_grad(dy=f32(3, 4, 3, 8)), ValueError, ["dy", "(3, 4, 3, 8)", "2"]),
    "gradient of other type": (weight_grad(dy=DY.astype(np.float64)), TypeError, ["dy", "float64", "float32"]),
    "kernel size text": (weight_grad(kernel_size="3"), TypeError, ["kernel_size", "'3'", "integer"]),
    "kernel size 0": (weight_grad(kernel_size=(3, 0)), ValueError, ["kernel_size", "0", "1"]),
    "weight gradient groups": (weight_grad(groups=3), ValueError, ["groups", "3", "4"]),
    "input gradient of other size": (input_grad(dy=f32(2, 4, 4, 8)), ValueError, ["dy", "(2, 4, 4, 8)", "4, 3, 8"]),
    "input size 0": (input_grad(input_size=(0, 5)), ValueError, ["input_size", "0", "1"]),
    "bias gradient of rank 2": (lambda: cge.conv2d_bias_grad(f32(3, 4)), ValueError, ["dy", "(3, 4)", "N"]),
    "manual of rank 3": (
        lambda: cge.manual_convolution_gradient(f32(3, 3, 1), f32(2, 2), f32(2, 2)),
        ValueError,
        ["input_map", "(3, 3, 1)", "H"],
    ),
    "manual gradient size": (
        lambda: cge.manual_convolution_gradient(f32(3, 3), f32(2, 2), f32(3, 3)),
        ValueError,
        ["output_grad", "(3, 3)", "(2, 2)"],
    ),
    "manual kernel too large": (
        lambda: cge.manual_convolution_gradient(f32(3, 3), f32(4, 4), f32(1, 1)),
        ValueError,
        ["kernel", "(4, 4)", "(3, 3)"],
    ),
    "manual kernel too tall": (
        lambda: cge.manual_convolution_gradient(f32(3, 3), f32(4, 2), f32(1, 2)),
        ValueError,
        ["kernel: expected at most", "(4, 2)", "(3, 3)"],
    ),
    "manual kernel too wide": (
        lambda: cge.manual_convolution_gradient(f32(3, 3), f32(2, 4), f32(2, 1)),
        ValueError,
        ["kernel: expected at most", "(2, 4)", "(3, 3)"],
    ),
    "manual rgb channels": (
        lambda: cge.manual_convolution_gradient_rgb(f32(3, 3, 4), f32(2, 2), f32(2, 2)),
        ValueError,
        ["input_map", "(3, 3, 4)", "3"],
    ),
    "manual rgb gradient size": (
        lambda: cge.manual_convolution_gradient_rgb(f32(3, 3, 3), f32(2, 2), f32(2, 3)),
        ValueError,
        ["output_grad", "(2, 3)", "(2, 2)"],
    ),
    "manual filters differ": (
        lambda: cge.manual_convolution_multi_filter_gradients(f32(3, 3), f32(2, 2, 2), f32(3, 2, 2)),
        ValueError,
        ["output_grads", "(3, 2, 2)", "2"],
    ),
    "manual filters gradient size": (
        lambda: cge.manual_convolution_multi_filter_gradients(f32(3, 3), f32(2, 2, 2), f32(2, 3, 3)),
        ValueError,
        ["output_grads", "(3, 3)", "(2, 2)"],
    ),
    "manual complex": (
        lambda: cge.manual_convolution_gradient(1j * f32(3, 3), f32(2, 2), f32(2, 2)),
        TypeError,
        ["input_map", "complex", "float"],
    ),
    "manual text": (
        lambda: cge.manual_convolution_gradient("abc", f32(2, 2), f32(2, 2)),
        (TypeError, ValueError),
        ["input_map"],
    ),
}


def network(layers=(), input_shape=(6, 6, 1), loss="softmax_cross_entropy", optimizer=None, **more):
    return lambda: cge.Network(input_shape, list(layers) or [cge.Dense(3)], loss, optimizer, **more)


def fit(x=f32(4, 8, 8, 1), y=(0, 1, 2, 3), **arguments):
    return lambda: SPECS["digits"].network().fit(x, y, **{"verbose": False, **arguments})


def regression(y, x=f32(2, 12)):
    return lambda: SPECS["perceptron"].network().train_on_batch(x, y)


def weights(change):
    def call():
        net = SPECS["digits"].network()
        net.set_weights(change(net.get_weights()))

    return call


NETWORK = {
    "unknown loss": (network(loss="cross_entropy"), ValueError, ["loss", "'cross_entropy'", "softmax_cross_entropy"]),
    "loss not text": (network(loss=7), (TypeError, ValueError), ["loss", "7", "softmax_cross_entropy"]),
    "no layers": (lambda: cge.Network((6, 6, 1), []), ValueError, ["layers"]),
    "a class for a layer": (network([cge.ReLU]), TypeError, ["layers[0]", "ReLU(...)", "the class"]),
    "text for a layer": (network([cge.Dense(3), "relu"]), TypeError, ["layers[1]", "relu"]),
    "optimizer text": (network(optimizer="sgd"), TypeError, ["optimizer", "sgd", "SGD"]),
    "optimizer class": (network(optimizer=cge.SGD), TypeError, ["optimizer", "SGD"]),
    "input of rank 4": (network(input_shape=(6, 6, 1, 1)), ValueError, ["input_shape", "(6, 6, 1, 1)", "(H, W, C)"]),
    "input of size 0": (network(input_shape=(6, 0, 1)), ValueError, ["input_shape", "0", "1"]),
    "input a fraction": (network(input_shape=(6, 6.5, 1)), TypeError, ["input_shape", "6.5", "integer"]),
    "seed negative": (network(seed=-1), ValueError, ["seed", "-1", "0"]),
    "seed text": (network(seed="a"), TypeError, ["seed", "'a'", "integer"]),
    "capacity 0": (network(capacity=0), ValueError, ["capacity", "0", "1"]),
    "capacity beyond all memory": (network(capacity=2**31 - 1), (ValueError, MemoryError), ["capacity", str(2**31 - 1)]),
    "a layer for the list of layers": (lambda: cge.Network((4,), cge.Dense(3)), TypeError, ["layers", "Dense"]),
    "no list of layers": (lambda: cge.Network((4,), None), TypeError, ["layers", "None"]),
    "kernel larger than what comes in": (network([cge.MaxPool2d(2), cge.Conv2d(4, 5)]), ValueError, ["layers[1]", "5", "3, 3"]),
    "groups do not divide": (network([cge.Conv2d(4, 3, groups=2)]), ValueError, ["layers[0]", "groups", "2", "6, 6, 1"]),
    "pool padding": (network([cge.MaxPool2d(2, padding=2)]), ValueError, ["layers[0]", "padding", "2"]),
    "network too large": (network([cge.Dense(2**30)]), ValueError, ["layers[0]", str(2**30)]),
    "filters 0": (lambda: cge.Conv2d(0, 3), ValueError, ["filters", "0", "1"]),
    "filters a fraction": (lambda: cge.Conv2d(2.0, 3), TypeError, ["filters", "2.0", "integer"]),
    "kernel of three": (lambda: cge.Conv2d(2, (3, 3, 3)), ValueError, ["kernel_size", "(3, 3, 3)", "(h, w)"]),
    "units negative": (lambda: cge.Dense(-5), ValueError, ["units", "-5", "1"]),
    "init unknown": (lambda: cge.Dense(5, init="xavier"), ValueError, ["init", "'xavier'", "glorot_uniform"]),
    "frozen not a bool": (lambda: cge.Dense(5, frozen="no"), TypeError, ["frozen", "'no'", "True or False"]),
    "alpha negative": (lambda: cge.LeakyReLU(-0.1), ValueError, ["alpha", "-0.1", "0"]),
    "alpha nan": (lambda: cge.LeakyReLU(float("nan")), ValueError, ["alpha", "nan", "finite"]),
    "alpha text": (lambda: cge.LeakyReLU("0.1"), TypeError, ["alpha", "'0.1'", "number"]),
    "rate negative": (lambda: cge.SGD(-1.0), ValueError, ["learning_rate", "-1", "0"]),
    "rate infinite": (lambda: cge.SGD(float("inf")), ValueError, ["learning_rate", "inf", "finite"]),
    "rate too large for float32": (lambda: cge.SGD(1e39), ValueError, ["learning_rate", "1e+39"]),
    "momentum 1": (lambda: cge.SGD(0.1, momentum=1.0), ValueError, ["momentum", "1"]),
    "momentum that rounds to 1": (lambda: cge.SGD(0.1, momentum=1 - 1e-9), ValueError, ["momentum"]),
    "nesterov alone": (lambda: cge.SGD(0.1, nesterov=True), ValueError, ["nesterov", "momentum"]),
    "decay nan": (lambda: cge.SGD(0.1, weight_decay=float("nan")), ValueError, ["weight_decay", "nan", "finite"]),
    "images of other size": (fit(x=f32(4, 8, 7, 1)), ValueError, ["x", "(4, 8, 7, 1)", "8, 8, 1"]),
    "images without channels": (fit(x=f32(4, 8, 8)), ValueError, ["x", "(4, 8, 8)", "8, 8, 1"]),
    "images of bytes": (fit(x=np.ones((4, 8, 8, 1), np.uint8)), TypeError, ["x", "uint8", "float32"]),
    "no images": (fit(x=f32(0, 8, 8, 1), y=np.zeros(0, int)), ValueError, ["x", "(0, 8, 8, 1)"]),
    "labels of other count": (fit(y=[1, 2, 3]), ValueError, ["y", "(3,)", "(4,)"]),
    "labels one-hot": (fit(y=np.eye(10, dtype=np.float32)[:4]), TypeError, ["y", "float32", "integer"]),
    "labels one-hot of integers": (fit(y=np.eye(10, dtype=int)[:4]), ValueError, ["y", "(4, 10)", "(4,)"]),
    "labels of floats": (fit(y=[0.0, 1.0, 2.0, 3.0]), TypeError, ["y", "float64", "integer"]),
    "label too large": (fit(y=[0, 1, 2, 10]), ValueError, ["y", "10", "9"]),
    "label negative": (fit(y=[0, -1, 2, 3]), ValueError, ["y", "-1", "0"]),
    "label beyond int32": (fit(y=[0, 1, 2, 2**32 + 1]), ValueError, ["y", str(2**32 + 1), "9"]),
    "labels of bools": (fit(y=[True, False, True, False]), TypeError, ["y", "bool", "integer"]),
    "epochs 0": (fit(epochs=0), ValueError, ["epochs", "0", "1"]),
    "epochs a fraction": (fit(epochs=1.5), TypeError, ["epochs", "1.5", "integer"]),
    "batch size 0": (fit(batch_size=0), ValueError, ["batch_size", "0", "1"]),
    "seed a fraction": (fit(seed=0.5), TypeError, ["seed", "0.5", "integer"]),
    "validation images": (
        fit(validation_data=(f32(2, 8, 8, 2), [0, 1])),
        ValueError,
        ["validation_data", "(2, 8, 8, 2)", "8, 8, 1"],
    ),
    "validation labels": (fit(validation_data=(f32(2, 8, 8, 1), [0, 11])), ValueError, ["validation_data", "11", "9"]),
    "validation alone": (fit(validation_data=f32(2, 8, 8, 1)), ValueError, ["validation_data", "(x, y)"]),
    "targets of other size": (regression(f32(2, 4)), ValueError, ["y", "(2, 4)", "3"]),
    "targets of integers": (regression(np.ones((2, 3), int)), TypeError, ["y", "int64", "float32"]),
    "weights none": (weights(lambda w: None), TypeError, ["weights", "None"]),
    "weights too few": (weights(lambda w: w[:-1]), ValueError, ["weights", "5", "6"]),
    "weights of other shape": (weights(lambda w: [w[0].T, *w[1:]]), ValueError, ["weights[0]", "(8, 1, 3, 3)", "(3, 3, 1, 8)"]),
    "weights of integers": (weights(lambda w: [w[0].astype(int), *w[1:]]), TypeError, ["weights[0]", "int64", "float32"]),
    "export name": (lambda: SPECS["digits"].network().export("unused", name="my net"), ValueError, ["name", "'my net'"]),
    "board unknown": (lambda: SPECS["digits"].network().summary(board="arduino"), ValueError, ["board", "'arduino'"]),
}


def check(call, error, words):
    with pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    missing = [word for word in words if word not in message]
    assert not missing, f"{message!r} does not hold {missing}"
    assert "CGE_ERR" not in message and "0x" not in message, f"{message!r} is not for users"


@pytest.mark.parametrize("name", CONVOLUTION)
def test_convolution(name):
    check(*CONVOLUTION[name])


@pytest.mark.parametrize("name", NETWORK)
def test_network(name):
    check(*NETWORK[name])


def test_the_good_calls_beside_them_are_good():
    """Guards the tables: with their defaults the calls succeed."""
    for call in (forward(), weight_grad(), input_grad(), network(), fit(), regression(f32(2, 3)), weights(lambda w: w)):
        call()
    assert DY.shape == cge.conv2d_forward(X, W).shape


def test_refused_training_leaves_the_network_as_it_was():
    net = SPECS["digits"].network()
    before = net.to_bytes()
    for x, y in ((f32(4, 8, 8, 1), [0, 1, 2, 10]), (f32(4, 8, 7, 1), [0, 1, 2, 3]), (f32(0, 8, 8, 1), [])):
        with pytest.raises((TypeError, ValueError)):
            net.fit(x, y, verbose=False)
        with pytest.raises((TypeError, ValueError)):
            net.train_on_batch(x, y)
    with pytest.raises(ValueError):  # the last array is wrong, the ones before it must not have been taken
        net.set_weights([0 * w for w in net.get_weights()[:-1]] + [f32(3)])
    assert net.to_bytes() == before


def test_arguments_that_are_options_must_be_named():
    """fit(x, y, 10) would leave open whether 10 are epochs or the size of a batch."""
    for function in (cge.conv2d_forward, cge.conv2d_weight_grad, cge.conv2d_input_grad):
        parameters = inspect.signature(function).parameters
        assert all(
            parameters[name].kind is inspect.Parameter.KEYWORD_ONLY for name in ("stride", "padding", "dilation", "groups")
        )
    with pytest.raises(TypeError):
        cge.conv2d_forward(X, W, B, 1)
    with pytest.raises(TypeError):
        SPECS["digits"].network().fit(f32(4, 8, 8, 1), [0, 1, 2, 3], 10)


def test_lists_are_taken_where_they_are_exact():
    assert cge.conv2d_bias_grad([[[1.0, 2.0]], [[3.0, 4.0]]]).tolist() == [4.0, 6.0]
