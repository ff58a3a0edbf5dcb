"""What users get wrong first: each slip is answered, where it happens, with what would be right."""

import array
import inspect
import mmap
import re
import tempfile
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from nets import SPECS

import convgrad_embedded as cge


def message(call, error):
    with pytest.raises(error) as caught:
        call()
    return str(caught.value)


# ---- numbers that are none -----------------------------------------------------------------------------------


@pytest.mark.parametrize("value, shown", [(np.nan, "NaN"), (np.inf, "inf"), (-np.inf, "-inf")])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_first_bad_sample_is_named(value, shown, dtype, rng):
    spec = SPECS["digits"]
    x, y = spec.data(40, rng)
    x = x.astype(dtype)
    x[17, 3, 2, 0] = x[31, 0, 0, 0] = value
    expected = f"x[17]: expected finite numbers, got {shown}"
    assert message(lambda: spec.network().fit(x, y, epochs=3, verbose=False), cge.NotFiniteError) == expected
    assert message(lambda: spec.network().train_on_batch(x, y), cge.NotFiniteError) == expected
    labels = y.astype(np.int32)  # the fast path
    assert message(lambda: spec.network().train_on_batch(x, labels), cge.NotFiniteError) == expected


def test_bad_targets_are_named(rng):
    spec = SPECS["perceptron"]
    x, y = spec.data(9, rng)
    y[4, 1] = np.nan
    expected = "y[4]: expected finite numbers, got NaN"
    assert message(lambda: spec.network().fit(x, y, verbose=False), cge.NotFiniteError) == expected
    assert message(lambda: spec.network().train_on_batch(x, y), cge.NotFiniteError) == expected


def test_a_number_too_large_for_float32_is_refused(rng):
    spec = SPECS["perceptron"]
    net, (x, y) = spec.network(), spec.data(3, rng)
    x = x.astype(np.float64)
    x[1, 0] = 1e300
    before = net.get_weights()
    text = "x: expected numbers that are finite as float32, got 1e+300"
    assert message(lambda: net.train_on_batch(x, y), ValueError) == text
    assert all(np.array_equal(a, b) for a, b in zip(before, net.get_weights(), strict=True))


def test_good_data_are_not_blamed(rng):
    spec = SPECS["perceptron"]
    net, (x, y) = spec.network(), spec.data(9, rng)
    with np.errstate(over="ignore"):
        y = y * np.float32(1e30)
    text = message(lambda: net.fit(x, y, epochs=2, verbose=False), cge.NotFiniteError)
    assert text.startswith("epoch 1: ") and text.endswith("a smaller learning rate may help") and "[" not in text
    assert message(lambda: net.train_on_batch(x, y), cge.NotFiniteError).endswith("a smaller learning rate may help")


def test_bad_weights_are_named(rng):
    spec = SPECS["perceptron"]
    net, (x, y) = spec.network(), spec.data(9, rng)
    net.set_weights([w * np.float32(np.nan) for w in net.get_weights()])
    assert "the weights hold NaN" in message(lambda: net.train_on_batch(x, y), cge.NotFiniteError)


def test_outputs_that_are_no_numbers_are_not_right(rng):
    """They counted as answers of class 0: a network of NaN was right in a tenth of the cases."""
    spec = SPECS["digits"]
    net, (x, _) = spec.network(), spec.data(20, rng)
    net.set_weights([w * np.float32(np.nan) for w in net.get_weights()])
    assert net.evaluate(x, np.zeros(20, int)).accuracy == 0
    assert net.evaluate(x, np.arange(20) % 10).accuracy == 0


# ---- arguments in another framework's order ------------------------------------------------------------------

POSITIONAL = {cge.Conv2d: 2, cge.Dense: 1, cge.MaxPool2d: 2, cge.AvgPool2d: 2, cge.SGD: 2}


@pytest.mark.parametrize("layer", POSITIONAL, ids=lambda layer: layer.__name__)
def test_only_what_frameworks_agree_on_goes_by_position(layer):
    parameters = list(inspect.signature(layer).parameters.values())
    kinds = [parameter.kind for parameter in parameters]
    count = POSITIONAL[layer]
    assert kinds[:count] == [inspect.Parameter.POSITIONAL_OR_KEYWORD] * count
    assert kinds[count:] and set(kinds[count:]) == {inspect.Parameter.KEYWORD_ONLY}
    text = message(lambda: layer(*[1] * (count + 1)), TypeError)
    assert parameters[count - 1].name in text and "by name" in text
    layer(*[1, 0.5][:count] if layer is cge.SGD else [1] * count)


def test_an_optimizer_in_kerass_order_is_refused():
    """Its third argument is nesterov, PyTorch's is dampening."""
    assert "learning_rate and momentum by position" in message(lambda: cge.SGD(0.1, 0.9, 0.5), TypeError)


def test_a_convolution_in_pytorchs_order_is_refused():
    """It was one filter, of 8 by 8, every third pixel."""
    text = message(lambda: cge.Conv2d(1, 8, 3), TypeError)
    assert text == (
        "Conv2d: expected filters and kernel_size by position and all others by name, got Conv2d(1, 8, 3); "
        "the number of input channels is known from the layer before"
    )
    assert cge.Conv2d(8, 3, stride=2) == cge.Conv2d(filters=8, kernel_size=3, stride=2)
    assert cge.MaxPool2d(3, 2) == cge.MaxPool2d(pool_size=3, stride=2)


def test_padding_valid_is_none():
    net, twin = (cge.Network((5, 5, 1), [cge.Conv2d(2, 3, padding=padding)], seed=1) for padding in ("valid", 0))
    assert net.output_shape == (3, 3, 2) and net.to_bytes() == twin.to_bytes()
    x, w = np.ones((1, 5, 5, 1), np.float32), np.ones((3, 3, 1, 2), np.float32)
    assert np.array_equal(cge.conv2d_forward(x, w, padding="valid"), cge.conv2d_forward(x, w))
    assert cge.Network((4, 4, 1), [cge.MaxPool2d(2, padding="valid")]).output_shape == (2, 2, 1)


# ---- attributes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, words",
    [
        ("learing_rate", ["learing_rate", "did you mean learning_rate?"]),
        ("learningrate", ["did you mean learning_rate?"]),
        ("momentun", ["did you mean momentum?"]),
        ("color", ["color", "learning_rate, momentum"]),
        ("weight_decay", ["SGD(weight_decay=...)"]),
        ("nesterov", ["SGD(nesterov=...)"]),
        ("loss", ["fixed when the network is made"]),
        ("layers", ["fixed when the network is made"]),
        ("input_shape", ["fixed when the network is made"]),
        ("optimizer", ["fixed when the network is made"]),
        ("step_count", ["cannot be set"]),
        ("fit", ["cannot be set"]),
    ],
)
def test_attributes_that_have_no_effect_cannot_be_set(name, words):
    net = SPECS["digits"].network()
    text = message(lambda: setattr(net, name, 0.5), AttributeError)
    assert all(word in text for word in words), text
    assert name not in vars(net) or name in ("loss", "layers", "input_shape")


def test_momentum_can_be_set_where_there_is_memory_for_it(rng):
    spec = SPECS["digits"]
    net, twin = spec.network(), spec.network(optimizer=dict(learning_rate=0.05, momentum=0.25))
    net.momentum = 0.25
    assert net.momentum == 0.25 and net.optimizer == twin.optimizer
    for trainee in (net, twin):
        trainee.train_on_batch(*spec.data(4, np.random.default_rng(1)))
        trainee.train_on_batch(*spec.data(4, np.random.default_rng(2)))
    assert net.weights_hash() == twin.weights_hash() != spec.network().weights_hash()
    assert "0 <= momentum < 1" in message(lambda: setattr(net, "momentum", 1.0), ValueError)
    assert "above 0" in message(lambda: setattr(net, "momentum", 0), ValueError)
    without = spec.network(optimizer=dict(learning_rate=0.05))
    assert without.momentum == 0
    assert "SGD(learning_rate, momentum=...)" in message(lambda: setattr(without, "momentum", 0.5), ValueError)
    assert "no optimizer" in message(lambda: cge.Network((4,), [cge.Dense(2)]).momentum, ValueError)


def test_repr_tells_what_the_network_is():
    net = SPECS["camera"].network()
    net.learning_rate = 0.125
    text = repr(net)
    assert text.startswith("Network((9, 11, 3), [Conv2d(6, 3, stride=(2, 1), padding=((0, 1), (2, 0))), LeakyReLU(")
    assert text.endswith(f"Dense(5)], loss='softmax_cross_entropy', optimizer={net.optimizer!r})")
    again = eval(text, vars(cge).copy())
    assert repr(again) == text and again.layer_infos == net.layer_infos
    assert repr(cge.Network(4, [cge.Dense(2)])) == "Network((4,), [Dense(2)])"


# ---- fit's arguments -----------------------------------------------------------------------------------------


def fit(**arguments):
    x, y = np.zeros((4, 8, 8, 1), np.float32), np.arange(4)
    return lambda: SPECS["digits"].network().fit(**{"x": x, "y": y, "verbose": 0, **arguments})


@pytest.mark.parametrize("verbose", [3, -1, "auto", None, 0.5])
def test_other_values_of_verbose_are_refused(verbose):
    assert "verbose: expected 0, 1 or 2" in message(fit(verbose=verbose), ValueError)


def test_switches_are_true_or_false():
    assert "track_accuracy: expected True or False, got str 'batch'" == message(fit(track_accuracy="batch"), TypeError)
    for name in ("shuffle", "track_accuracy"):
        fit(**{name: np.bool_(False)})()


SHUFFLES = {
    "another word": ({"shuffle": "batch"}, ValueError, """shuffle: expected True, False or "feistel", got 'batch'"""),
    "a number": ({"shuffle": 2}, TypeError, 'shuffle: expected True, False or "feistel", got int 2'),
    "batches": (
        {"shuffle": "feistel", "x": [(np.zeros((4, 8, 8, 1), np.float32), np.arange(4))], "y": None},
        ValueError,
        "shuffle: expected False or True with x an iterable of batches, got 'feistel'",
    ),
    "a long seed": (
        {"shuffle": "feistel", "seed": 2**32},
        ValueError,
        'seed: expected at most 4294967295 with shuffle="feistel", got 4294967296',
    ),
}


@pytest.mark.parametrize("name", SHUFFLES)
def test_other_ways_to_shuffle_are_refused(name):
    arguments, kind, expected = SHUFFLES[name]
    assert message(fit(**arguments), kind) == expected


def test_nesterov_is_true_or_false():
    assert "nesterov: expected True or False" in message(lambda: cge.SGD(0.1, 0.9, nesterov="no"), TypeError)


HINTS = {
    "one-hot": (np.eye(10, dtype=np.float32)[:4], TypeError, "one-hot rows become labels by np.argmax(y, axis=1)"),
    "one-hot of integers": (np.eye(10, dtype=int)[:4], ValueError, "one-hot rows become labels by np.argmax(y, axis=1)"),
    "one-hot of bools": (np.eye(10, dtype=bool)[:4], TypeError, "one-hot rows become labels by np.argmax(y, axis=1)"),
    "whole floats": (np.array([0.0, 1, 2, 3]), TypeError, "whole numbers become labels by np.asarray(y, np.int32)"),
    "bools": (np.array([True, False, True, False]), TypeError, "whole numbers become labels by np.asarray(y, np.int32)"),
    "column": (np.arange(4)[:, None], ValueError, "a column becomes labels by np.ravel(y)"),
    "fractions": (np.array([0.1, 0.2, 0.3, 0.4]), TypeError, 'numbers as targets need loss="mean_squared_error"'),
    "names": (np.array(["a", "c", "b", "a"]), TypeError, "names become labels by np.unique(y, return_inverse=True)[1]"),
    "from 1": (np.array([1, 10, 2, 3]), ValueError, "labels from 1 become labels from 0 by np.subtract(y, 1)"),
    "too many": (np.array([0, 10, 2, 3]), ValueError, "labels up to 10 need 11 classes"),
    "of other samples": (np.arange(3), ValueError, "each of 4 samples has one label"),
}
BECOME = {"names": [0, 2, 1, 0], "from 1": [0, 9, 1, 2]}


@pytest.mark.parametrize("name", HINTS)
def test_hints_for_labels_lead_to_labels(name):
    y, error, hint = HINTS[name]
    assert message(fit(y=y), error).endswith(f"; {hint}")
    recommended = re.search(r"np\.\w+\(.*\)(\[1\])?", hint)
    if recommended:
        labels = eval(recommended[0], {"np": np, "y": y})
        fit(y=labels)()
        expected = BECOME[name] if name in BECOME else y.argmax(axis=1) if "one-hot" in name else y.ravel()
        assert np.array_equal(labels.ravel(), expected)


def test_hints_for_targets_lead_to_targets():
    net = cge.Network((3,), [cge.Dense(1)], "mse", cge.SGD(0.1))
    x, y = np.ones((5, 3), np.float32), np.ones(5, np.float32)
    text = message(lambda: net.fit(x, y, verbose=0), ValueError)
    assert text == "y: expected shape (5, 1), got (5,); use np.reshape(y, (-1, 1))"
    net.fit(x, np.reshape(y, (-1, 1)), verbose=0)
    wide = cge.Network((3,), [cge.Dense(4)], "mse", cge.SGD(0.1))
    assert 'class labels need loss="softmax_cross_entropy"' in message(lambda: wide.fit(x, np.arange(5), verbose=0), TypeError)


TWO_CLASSES = np.array([-1, 1, 1, -1])
SERIES, PICTURES = [cge.Conv1d(2, 3, padding="same")], [cge.Conv2d(2, 3, padding="same")]
# Input shape, layers, loss, x and y (or their shapes), and the end of the message, which repairs one of them.
REPAIRS = {
    "two classes": ((3,), [cge.Dense(2)], "softmax_cross_entropy", (4, 3), TWO_CLASSES, "np.greater(y, 0).astype(np.int32)"),
    "two sides": ((3,), [cge.Dense(1)], "binary_cross_entropy", (4, 3), TWO_CLASSES[:, None], "np.greater(y, 0)"),
    "transposed values": ((3,), [cge.Dense(2)], "mse", (4, 3), (2, 4), "np.transpose(y)"),
    "more axes": ((3,), [cge.Dense(2)], "mse", (4, 3), (4, 1, 1, 2), "np.reshape(y, (-1, 2))"),
    "maps": ((5, 6, 1), PICTURES, "mse", (4, 5, 6, 1), (4, 2, 5, 6), "np.moveaxis(np.asarray(y), 1, -1)"),
    "flat maps": ((5, 6, 1), PICTURES, "mse", (4, 5, 6, 1), (4, 60), "np.reshape(y, (-1, 5, 6, 2))"),
    "transposed samples": ((3,), [cge.Dense(2)], "mse", (3, 4), (4, 2), "np.transpose(x)"),
    "one sample": ((3,), [cge.Dense(2)], "mse", (3,), (1, 2), "np.reshape(x, (-1, 3))"),
    "one picture": ((5, 6, 1), PICTURES, "mse", (5, 6), (1, 5, 6, 2), "np.reshape(x, (-1, 5, 6, 1))"),
    "without channels": ((5, 6, 1), PICTURES, "mse", (4, 5, 6), (4, 5, 6, 2), "np.reshape(x, (-1, 5, 6, 1))"),
    "flat pictures": ((5, 6, 1), PICTURES, "mse", (4, 30), (4, 5, 6, 2), "np.reshape(x, (-1, 5, 6, 1))"),
    "series": ((7, 3), SERIES, "mse", (4, 3, 7), (4, 7, 1, 2), "np.moveaxis(np.asarray(x), 1, -1)"),
}


@pytest.mark.parametrize("name", REPAIRS)
def test_a_message_about_axes_says_how_to_repair_them(name):
    shape, layers, loss, x, y, repair = REPAIRS[name]
    net = cge.Network(shape, layers, loss, cge.SGD(0.1))
    data = {"x": np.ones(x, np.float32), "y": np.ones(y, np.float32) if isinstance(y, tuple) else y}
    text = message(lambda: net.fit(**data, verbose=0), ValueError)
    assert text.endswith(repair)
    broken = "x" if text.startswith("x: ") else "y"
    data[broken] = eval(repair, {"np": np, **data})
    net.fit(**data, verbose=0)


def test_hints_for_one_output_and_for_columns_of_weights():
    net = cge.Network((3,), [cge.Dense(1)], "softmax_cross_entropy", cge.SGD(0.1))
    text = message(lambda: net.fit(np.ones((2, 3)), [0, 1], verbose=0), ValueError)
    assert text == 'y: expected labels 0 .. 0, got 0 .. 1; one output for two classes needs loss="binary_cross_entropy"'
    text = message(fit(sample_weight=np.ones((4, 1))), ValueError)
    assert text.endswith("; a column becomes weights by np.ravel(sample_weight)")


def test_pictures_with_channels_first_are_recognised(rng):
    net = cge.Network((5, 4, 3), [cge.Dense(2)], "softmax_cross_entropy", cge.SGD(0.1))
    x = rng.normal(size=(6, 3, 5, 4)).astype(np.float32)
    text = message(lambda: net.fit(x, np.arange(6) % 2, verbose=0), ValueError)
    assert text == (
        "x: expected shape (N, 5, 4, 3), got (6, 3, 5, 4); "
        "channels first become channels last by np.moveaxis(np.asarray(x), 1, -1)"
    )
    net.fit(eval(text.split(" by ")[1], {"np": np, "x": x}), np.arange(6) % 2, verbose=0)
    text = message(lambda: net.evaluate([(x, np.arange(6) % 2)]), ValueError)
    assert text.startswith("x[0][0]: ") and text.endswith("np.moveaxis(np.asarray(x[0][0]), 1, -1)")
    square = cge.Network((3, 3, 3), [cge.Dense(2)])
    assert square.predict(x[:, :, :3, :3]).shape == (6, 2), "nobody can know"
    assert "channels" not in message(lambda: net.predict(x[:, :2]), ValueError)


def test_messages_do_not_print_data(rng):
    x, y = rng.normal(size=(50, 8, 8, 1)), np.arange(50) % 10
    text = message(fit(validation_data=(x, y, y, y)), ValueError)
    assert text == (
        "validation_data: expected (x, y) or (x, y, sample_weight), got tuple (an array of float64 with shape (50, 8, 8, 1), "
        + ", ".join([f"an array of {y.dtype} with shape (50,)"] * 3)
        + ")"
    )
    for call in (
        fit(validation_data=[x.tolist()]),
        fit(epochs=list(range(1000))),
        fit(seed="a" * 1000),
        lambda: cge.Network(list(range(1, 500)), [cge.Dense(1)]),
        lambda: cge.Network(4, [list(range(10000))]),
        lambda: cge.Network(4, [cge.Dense(1)], loss=x),
        lambda: cge.Conv2d(1, tuple(range(1000))),
        lambda: cge.Conv2d(1, 3, padding=((1, 2), list(range(1000)), x)),
        lambda: cge.SGD(x.tolist()),
        lambda: SPECS["digits"].network().set_weights(7),
    ):
        text = message(call, (TypeError, ValueError))
        assert len(text) < 1000 and text.count("\n") == 0, text


# ---- things that are nearly bytes or arrays ------------------------------------------------------------------


def test_bytes_like_objects_are_bytes():
    net = SPECS["digits"].network()
    data = net.to_bytes()
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            assert cge.Network.from_bytes(mapped).to_bytes() == data
    words = np.frombuffer(data, np.uint32)
    for given in (bytearray(data), memoryview(data), array.array("B", data), words, memoryview(words)):
        assert cge.Network.from_bytes(given).to_bytes() == data
    for wrong in ("text", 5, None, list(data)):
        text = message(lambda wrong=wrong: cge.Network.from_bytes(wrong), TypeError)
        assert text.startswith("data: expected bytes, bytearray, memoryview or the like, got ") and len(text) < 300


class Tensor:
    """A tensor of PyTorch that requires a gradient."""

    def __array__(self, *arguments, **keywords):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")

    def detach(self):
        return self


def test_tensors_that_require_a_gradient_are_explained():
    hint = "expected an array, got a Tensor that is none; use {0}.detach().cpu().numpy()"
    assert message(lambda: SPECS["digits"].network().predict(Tensor()), TypeError) == "x: " + hint.format("x")
    assert message(fit(y=Tensor()), TypeError) == "y: " + hint.format("y")
    assert message(lambda: cge.relu_forward(Tensor()), TypeError) == "x: " + hint.format("x")
    regression = SPECS["perceptron"].network()
    assert message(lambda: regression.evaluate(np.ones((2, 12), np.float32), Tensor()), TypeError) == "y: " + hint.format("y")


class Broken:
    def __array__(self, *arguments, **keywords):
        raise RuntimeError("no array today")


def test_objects_that_make_no_array_are_named():
    text = message(lambda: SPECS["digits"].network().predict(Broken()), TypeError)
    assert text == "x: expected an array, got Broken that makes none: no array today"


# ---- geometries that are impossible --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shape, layer, text",
    [
        ((8, 9, 4), cge.Conv2d(8, (9, 3)), "kernel_size: expected at most 8, the height of the padded input, got 9"),
        (
            (8, 9, 4),
            cge.Conv2d(8, (3, 12), padding=1),
            "kernel_size: expected at most 11, the width of the padded input, got 12",
        ),
        (
            (8, 9, 4),
            cge.Conv2d(8, 5, dilation=2),
            "kernel_size: expected at most 8, the height of the padded input, got 5 with dilation 2, which reaches over 9",
        ),
        (
            (8, 9),
            cge.Conv2d(8, 3),
            "kernel_size: expected at most 1, the width of the padded input, got 3; a picture of one channel is (8, 9, 1)",
        ),
        ((8, 9, 4), cge.Conv2d(8, 3, groups=3), "groups: expected a divisor of 4, the number of input channels, got 3"),
        ((8, 9, 4), cge.Conv2d(9, 3, groups=2), "groups: expected a divisor of 9, the number of filters, got 2"),
        ((8, 9, 4), cge.MaxPool2d(9), "pool_size: expected at most 8, the height of the padded input, got 9"),
        (
            (8, 9, 4),
            cge.AvgPool2d((2, 3), padding=((1, 2), (0, 0))),
            "padding: expected less than the window's height, 2, got 2",
        ),
        ((8, 9, 4), cge.MaxPool2d((5, 3), padding=(2, 3)), "padding: expected less than the window's width, 3, got 3"),
        ((8, 9, 4), cge.Crop2d((4, 0)), "cropping: expected less than the height 8, top and bottom together, got 8"),
        ((8, 9, 4), cge.Crop2d(((0, 0), (4, 5))), "cropping: expected less than the width 9, left and right together, got 9"),
        ((8, 9, 4), cge.ChannelSlice(3, 2), "expected channels 0 .. 3, got 3 .. 4"),
    ],
)
def test_a_layer_that_does_not_fit_says_which_argument(shape, layer, text):
    got = message(lambda: cge.Network(shape, [layer]), ValueError)
    assert got.startswith(f"layers[0] {layer!r} on input ") and got.endswith(f"): {text}")


def test_an_operator_that_does_not_fit_says_which_argument():
    x = np.ones((1, 8, 9, 4))
    expected = "kernel_size: expected at most 8, the height of the padded input, got 9"
    assert message(lambda: cge.conv2d_forward(x, np.ones((9, 3, 4, 2))), ValueError) == expected
    expected = "groups: expected a divisor of 3, the number of filters, got 2"
    assert message(lambda: cge.conv2d_forward(x, np.ones((3, 3, 2, 3)), groups=2), ValueError) == expected
    expected = "kernel_size: expected at most 9, the width of the padded input, got 10"
    assert message(lambda: cge.maxpool2d_forward(x, (2, 10)), ValueError) == expected


def test_branches_that_do_not_meet_say_their_shapes():
    x = cge.Input((8, 9, 4))
    more, smaller = cge.Conv2d(5, 1)(x), cge.MaxPool2d(2)(x)
    text = message(lambda: cge.Network(inputs=x, outputs=cge.Add()(x, more)), ValueError)
    assert text.endswith("expected inputs of one shape, got (8, 9, 4) and (8, 9, 5)")
    text = message(lambda: cge.Network(inputs=x, outputs=cge.Concat()(x, smaller)), ValueError)
    assert text.endswith("expected inputs of one height and width, got (8, 9, 4) and (4, 4, 4)")


# ---- names from elsewhere ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, ours",
    [
        ("Linear", "Dense"), ("Sequential", "Network"), ("BatchNorm2d", "BatchNorm"), ("Conv2D", "Conv2d"),
        ("MaxPooling2D", "MaxPool2d"), ("con2d_forward", "conv2d_forward"), ("EarlyStopping", "callbacks.EarlyStopping"),
    ],
)  # fmt: skip
def test_the_package_knows_what_others_call_it(name, ours):
    assert message(lambda: getattr(cge, name), AttributeError) == f"convgrad_embedded has no {name}; did you mean {ours}?"
    assert not hasattr(cge, name)


def test_all_names_that_are_proposed_exist():
    for ours in cge._names._ELSEWHERE.values():
        found = cge
        for part in ours.split("."):
            found = getattr(found, part)
    assert not set(cge._names._ELSEWHERE) & set(cge.__all__)
    assert not [name for name in cge._names._OF_NETWORKS if hasattr(cge.Network, name)]


def test_a_network_knows_what_others_call_it():
    net = cge.Network((4,), [cge.Dense(2)])
    expected = "a network has no count_params; use param_count"
    assert message(lambda: net.count_params(), AttributeError) == expected
    assert message(lambda: net.pred, AttributeError) == "a network has no pred; did you mean predict?"
    assert message(lambda: net.xyzzy, AttributeError) == "a network has no xyzzy"
    assert not hasattr(net, "__array__")


def test_an_optimizer_by_its_name():
    def made(optimizer):
        return lambda: cge.Network((4,), [cge.Dense(2)], "mse", optimizer)

    start = "optimizer: expected an optimizer such as "
    assert message(made("adam"), TypeError) == start + "Adam(...), got str 'adam'"
    assert message(made(cge.SGD), TypeError) == start + "SGD(...), got the class SGD"
    assert message(made(0.1), TypeError) == start + "SGD(0.01) or Adam(), or None, got float 0.1"


def test_one_callback_is_no_list(rng):
    net = cge.Network((4,), [cge.Dense(2)], "mse", cge.SGD(0.1))
    stop = cge.callbacks.EarlyStopping("loss")
    for one in (stop, print):
        text = message(lambda one=one: net.fit(np.ones((2, 4)), np.ones((2, 2)), callbacks=one, verbose=False), TypeError)
        assert text.startswith("callbacks: expected a list of callbacks, got ") and text.endswith("; use callbacks=[it]")


def test_arrays_without_samples_and_of_two_types():
    net = cge.Network((4,), [cge.Dense(2)], "mse", cge.SGD(0.1))
    text = message(lambda: net.fit(np.ones((0, 4)), np.ones((0, 2))), ValueError)
    assert text.startswith("x: expected shape (N, 4)") and text.endswith(", got (0, 4); there is no sample in it")
    text = message(lambda: cge.dense_forward(np.ones((1, 4), np.float32), np.ones((4, 2))), TypeError)
    assert text.endswith("; use np.asarray(w, np.float32)")


def test_budgets_in_words_are_refused():
    net = cge.Network((4,), [cge.Dense(2)], "mse", cge.SGD(0.1))
    assert message(lambda: net.plan(budget_bytes="10KB"), TypeError) == "budget_bytes: expected an integer, got str '10KB'"


def test_a_missing_directory_is_named_as_the_caller_knows_it(tmp_path):
    path = tmp_path / "none" / "net.cge"
    with pytest.raises(FileNotFoundError) as caught:
        cge.Network((4,), [cge.Dense(2)]).save(path)
    assert caught.value.filename == str(path)


@pytest.mark.parametrize(
    "name, hint",
    [
        ("Activation", "an activation is a layer of its own, such as ReLU()"),
        ("nn", "layers are here, such as cge.Conv2d"),
        ("layers", "layers are here, such as cge.Conv2d"),
        ("optim", "optimizers are here, such as cge.SGD"),
        ("losses", "losses are here, such as cge.Huber, and Network takes their names"),
        ("save", "a network has save(path)"),
        ("LSTM", "there are no recurrent layers"),
    ],
)
def test_the_package_says_what_it_has_in_place_of_other_names(name, hint):
    assert message(lambda: getattr(cge, name), AttributeError) == f"convgrad_embedded has no {name}; {hint}"


@pytest.mark.parametrize(
    "name, hint",
    [
        ("callbacks.ReduceLROnPlateau", "fit takes learning_rate=cge.schedules.ReduceOnPlateau(...)"),
        ("callbacks.EarlyStop", "did you mean EarlyStopping?"),
        ("schedules.CosineDecay", "did you mean Cosine?"),
        ("schedules.CosineAnnealingLR", "did you mean Cosine?"),
        ("schedules.StepLR", "did you mean Step?"),
        ("schedules.ReduceLROnPlateau", "did you mean ReduceOnPlateau?"),
        ("metrics.accuracy", "use net.evaluate(x, y).accuracy"),
        ("metrics.f1_score", "did you mean precision_recall_f1?"),
        ("datasets.load_mnist", "load_idx reads its files, and load_digits is here"),
        ("datasets.fashion_mnist", "did you mean load_fashion_mnist?"),
        ("models.Sequential", "use cge.Network"),
        ("models.ResNet8", "did you mean resnet8?"),
        ("data.Augment", "did you mean Augmentation?"),
        ("data.xyzzy", ""),
    ],
)
def test_the_modules_know_what_others_call_it(name, hint):
    module, _, missing = name.partition(".")
    expected = f"{module} has no {missing}" + (f"; {hint}" if hint else "")
    assert message(lambda: getattr(getattr(cge, module), missing), AttributeError) == expected


def test_what_modules_propose_exists():
    for module, hints in cge._names._OF_MODULES.items():
        assert not [name for name in hints if name in vars(getattr(cge, module))]
        for hint in hints.values():
            if hint.startswith("did you mean "):
                assert hint[len("did you mean ") : -1] in vars(getattr(cge, module))


def test_a_network_is_not_called():
    net = cge.Network((4,), [cge.Dense(2)])
    assert message(lambda: net(np.ones((1, 4))), TypeError) == "a network is not called; use predict(x)"


def test_what_is_fixed_says_what_can_be_done():
    net = cge.Network((4,), [cge.Dense(2)], "mse", cge.SGD(0.1))
    layer = net.layers[0]
    start = "cannot be set; a layer stays as it was made"
    expected = f"trainable: {start}. Say trainable= where the layer is made, or use net.freeze(upto=...)"
    assert message(lambda: setattr(layer, "trainable", False), FrozenInstanceError) == expected
    assert message(lambda: setattr(layer, "units", 3), FrozenInstanceError) == f"units: {start}"
    expected = "learning_rate: cannot be set; an optimizer stays as it was made. Between two steps set net.learning_rate"
    assert message(lambda: setattr(net.optimizer, "learning_rate", 1.0), FrozenInstanceError) == expected
    assert layer == cge.Dense(2) and net.optimizer == cge.SGD(0.1)


def test_weights_are_looked_for_in_the_network():
    layer = cge.Conv2d(8, 3)
    for name in ("weight", "get_weights", "bias"):
        assert message(lambda name=name: getattr(layer, name), AttributeError) == f"Conv2d has no {name}; {WEIGHTS}"
    assert message(lambda: layer.xyzzy, AttributeError) == "Conv2d has no xyzzy"


WEIGHTS = "the network has them: use get_weights()"


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 40)])
def test_a_shape_with_channels_first_is_recognised(shape):
    text = message(lambda: cge.Network(shape, [cge.Conv2d(8, 5)]), ValueError)
    assert text.endswith(f", got 5; channels come last: ({shape[1]}, {shape[2]}, {shape[0]})")
    assert "channels" not in message(lambda: cge.Network((4, 28, 28), [cge.Conv2d(8, 5)]), ValueError)


def test_convolutions_of_arrays_in_pytorchs_order_say_how_to_turn_them(rng):
    x, w = rng.normal(size=(2, 3, 9, 8)), rng.normal(size=(4, 3, 5, 3))
    text = message(lambda: cge.conv2d_forward(x, w), ValueError)
    turned = "np.moveaxis(x, 1, -1) and np.transpose(w, (2, 3, 1, 0))"
    assert text == f"w: expected shape (4, 3, 8, 3), got (4, 3, 5, 3); channels first become channels last by {turned}"
    assert cge.conv2d_forward(np.moveaxis(x, 1, -1), np.transpose(w, (2, 3, 1, 0))).shape == (2, 5, 6, 4)
    text = message(lambda: cge.conv2d_forward(np.moveaxis(x, 1, -1), w), ValueError)
    assert text.endswith("; channels first become channels last by np.transpose(w, (2, 3, 1, 0))")
    assert "channels first" not in message(lambda: cge.conv2d_forward(x, rng.normal(size=(4, 5, 5, 3))), ValueError)


def test_layers_without_a_shape_before_them():
    expected = "input_shape: expected (H, W, C) or (n,), got layers; the shape comes before them: Network((28, 28, 1), [...])"
    assert message(lambda: cge.Network([cge.Dense(10)]), TypeError) == expected


def test_files_and_their_bytes_are_no_paths(tmp_path):
    net = cge.Network((4,), [cge.Dense(2)])
    with open(tmp_path / "net.cge", "wb") as file:
        expected = "path: expected a path, got BufferedWriter; to_bytes() gives what it would hold"
        assert message(lambda: net.save(file), TypeError) == expected
    expected = "path: expected a path, got bytes; from_bytes takes what a file holds"
    assert message(lambda: cge.Network.load(net.to_bytes()), TypeError) == expected


def test_a_state_dict_is_no_list_of_weights():
    net = cge.Network((4,), [cge.Dense(2)])
    expected = "weights: expected a list of arrays, got a dict; Network.from_torch takes a state_dict()"
    assert message(lambda: net.set_weights(net.state_dict()), TypeError) == expected


@pytest.mark.parametrize("flat", [cge.Dense(9), cge.Flatten()])
def test_a_window_behind_a_vector_says_where_the_picture_ended(flat):
    text = message(lambda: cge.Network((3, 3, 1), [flat, cge.Conv2d(8, 3)]), ValueError)
    assert text.endswith(", got 3; rows and columns end at the first Dense or Flatten")


def test_fewer_targets_than_samples_are_no_matter_of_axes():
    net = cge.Network((4,), [cge.Dense(3)], "mse", cge.SGD(0.1))
    with pytest.raises(ValueError, match=r"y: expected shape \(5, 3\), got \(4, 3\)") as error:
        net.fit(np.zeros((5, 4), np.float32), np.zeros((4, 3), np.float32))
    assert "channels" not in str(error.value)
