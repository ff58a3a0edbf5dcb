"""uint8 arrays as samples: the bits of a network that is given (byte - offset) * scale, without a float copy."""

import copy
import pickle
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import convgrad_embedded as cge

SHAPE = (12, 10, 2)
CONV = [cge.Conv2d(4, 3, padding=1), cge.ReLU(), cge.MaxPool2d(2), cge.Dense(3)]
FIRST_LAYERS = {
    "convolution": CONV,
    "strides": [cge.Conv2d(3, 3, stride=2), cge.Tanh(), cge.Dense(3)],
    "max pooling": [cge.MaxPool2d(2), cge.Dense(3)],
    "average pooling": [cge.AvgPool2d(3, padding=1), cge.Dense(3)],
    "dense": [cge.Flatten(), cge.Dense(5), cge.ReLU(), cge.Dense(3)],
    "relu": [cge.ReLU(), cge.Dense(3)],
    "frozen": [cge.Conv2d(4, 3, frozen=True), cge.ReLU(), cge.Dense(3)],
}
MEANINGS = [(1 / 256, 0), (1 / 128, 128), (1 / 32, -7)]


def pictures(count=23):
    rng = np.random.default_rng(1)
    return rng.integers(0, 256, (count, *SHAPE), np.uint8), rng.integers(0, 3, count)


def numbers(x, scale, offset):
    return (x.astype(np.int32) - offset).astype(np.float32) * np.float32(scale)


def network(layers=CONV, loss="softmax_cross_entropy", **options):
    return cge.Network(SHAPE, layers, loss, cge.SGD(0.02, momentum=0.9), seed=3, **options)


# ---- the same bits ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale, offset", MEANINGS)
@pytest.mark.parametrize("layers", FIRST_LAYERS.values(), ids=FIRST_LAYERS)
def test_bytes_train_and_predict_as_the_numbers_that_they_stand_for(layers, scale, offset):
    x, y = pictures()
    floats = numbers(x, scale, offset)
    for options in ({}, {"capacity": 1}, {"threads": 3}, {"memory": "small"}, {"memory": "smallest"}):
        batch = 1 if options.get("memory") == "smallest" else 5
        expected = network(layers, memory=options.get("memory", "fast"))
        history = expected.fit(floats, y, epochs=2, batch_size=batch, validation_data=(floats, y), verbose=False)
        net = network(layers, input_scale=scale, input_offset=offset, **options)
        assert net.fit(x, y, epochs=2, batch_size=batch, validation_data=(x, y), verbose=False) == history
        assert net.weights_hash() == expected.weights_hash()
        assert net.evaluate(x, y) == expected.evaluate(floats, y)
        np.testing.assert_array_equal(net.predict(x), expected.predict(floats))


def test_dividing_by_256_is_what_a_scale_of_1_256_does():
    x, y = pictures()
    net, expected = network(input_scale=1 / 256), network()
    for begin in range(0, len(x), 4):
        loss = net.train_on_batch(x[begin : begin + 4], y[begin : begin + 4].astype(np.int32))
        assert loss == expected.train_on_batch(x[begin : begin + 4].astype(np.float32) / 256, y[begin : begin + 4])
    assert net.weights_hash() == expected.weights_hash()


def test_threads_read_through_windows_of_their_own():
    """Enough work that all threads have some at a time."""
    x = np.random.default_rng(4).integers(0, 256, (256, 28, 28, 1), np.uint8)
    y = np.arange(len(x)) % 10
    layers = [cge.Conv2d(8, 3, padding=1), cge.ReLU(), cge.MaxPool2d(2), cge.Dense(10)]
    expected = cge.Network((28, 28, 1), layers, "softmax_cross_entropy", cge.SGD(0.01))
    net = cge.Network((28, 28, 1), layers, "softmax_cross_entropy", cge.SGD(0.01), input_scale=1 / 256, threads=4)
    floats = x / np.float32(256)
    for _ in range(5):
        np.testing.assert_array_equal(net.predict(x), expected.predict(floats))
        net.fit(x, y, verbose=False), expected.fit(floats, y, verbose=False)
        assert net.weights_hash() == expected.weights_hash()


def test_bytes_of_any_layout():
    x, y = pictures()
    net, expected = network(input_scale=1 / 256), network(input_scale=1 / 256)
    expected.fit(x, y, epochs=1, batch_size=4, verbose=False)
    wide = np.zeros((len(x), *SHAPE[:2], 5), np.uint8)
    wide[..., 1:3] = x
    net.fit(wide[..., 1:3], y, epochs=1, batch_size=4, verbose=False)
    assert net.weights_hash() == expected.weights_hash()
    np.testing.assert_array_equal(net.predict(np.asfortranarray(x)), expected.predict(x))


def test_values_as_targets():
    x, _ = pictures()
    targets = np.random.default_rng(2).normal(size=(len(x), 3)).astype(np.float32)
    net, expected = network(loss="mse", input_scale=1 / 256), network(loss="mse")
    assert net.fit(x, targets, verbose=False) == expected.fit(x / np.float32(256), targets, verbose=False)
    assert net.weights_hash() == expected.weights_hash()


@pytest.mark.parametrize("layers", FIRST_LAYERS.values(), ids=FIRST_LAYERS)
def test_gradients_of_bytes_are_right(layers):
    x, y = pictures(3)
    assert network(layers, input_scale=1 / 128, input_offset=128).gradcheck(x, y).max_error < 1e-6


# ---- memory ---------------------------------------------------------------------------------------------------------------

TRAINS = """
    import resource
    import sys

    import numpy as np

    import convgrad_embedded as cge

    x = np.zeros((count, 28, 28, 1), np.uint8)
    x[:] = np.arange(28, dtype=np.uint8)[:, None, None]
    y = np.arange(count, dtype=np.int32) % 10
    layers = [cge.Conv2d(2, 3, stride=3), cge.ReLU(), cge.MaxPool2d(2), cge.Dense(10)]
    net = cge.Network((28, 28, 1), layers, "softmax_cross_entropy", cge.SGD(0.01), input_scale=1 / 256)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    net.fit(x, y, epochs=1, validation_data=(x, y), verbose=False)
    net.predict(x)
    print(1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts the kilobytes of Linux's getrusage")
def test_training_takes_no_copy_of_the_pictures():
    """20,000 pictures: 16 MB of bytes, 63 MB as float32. So 60,000 take far less than 60 MB more."""
    count = 20_000
    program = f"count = {count}\n" + textwrap.dedent(TRAINS)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert int(done.stdout) < count * 28 * 28 / 2


def test_firmware_needs_a_window_and_no_frame():
    plain, reads_bytes = network(), network(input_scale=1 / 256)
    window = 6 * SHAPE[1] * SHAPE[2] * 4  # rows that four rows of the output look at
    assert reads_bytes.arena_bytes == plain.arena_bytes + window
    assert window < 4 * np.prod(SHAPE)
    small = [network(memory="small", **options).arena_bytes for options in ({}, {"input_scale": 1 / 256})]
    assert small[1] - small[0] <= 4 * SHAPE[1] * SHAPE[2] * 4  # rows that one pooled row looks at, at most


# ---- what a network says of itself --------------------------------------------------------------------------------------


def test_repr_summary_and_attributes():
    net = network(input_scale=1 / 128, input_offset=128, memory="small")
    assert (net.input_scale, net.input_offset) == (1 / 128, 128)
    assert repr(net).endswith(", input_scale=1/128, input_offset=128, memory='small')")
    assert eval(repr(net), vars(cge)).input_scale == net.input_scale
    assert "reads bytes as (byte - 128) * 1/128" in net.summary(print_fn=None).splitlines()[0]
    assert "reads bytes as byte * 2" in network(input_scale=2).summary(print_fn=None)
    plain = network()
    assert (plain.input_scale, plain.input_offset) == (None, 0)
    assert "input" not in repr(plain) and "bytes as" not in plain.summary(print_fn=None)


def test_files_copies_and_plans_keep_it(tmp_path):
    x, y = pictures()
    net = network(input_scale=1 / 128, input_offset=-3)
    net.fit(x, y, verbose=False)
    net.save(tmp_path / "net.cge")
    planned = network(input_scale=1 / 128, input_offset=-3, plan=net.plan(net.arena_bytes))
    assert (planned.input_scale, planned.memory) == (1 / 128, "fast")
    copies = [copy.deepcopy(net), pickle.loads(pickle.dumps(net)), cge.Network.from_bytes(net.to_bytes(), memory="small")]
    for other in (cge.Network.load(tmp_path / "net.cge"), *copies):
        assert (other.input_scale, other.input_offset) == (1 / 128, -3)
        np.testing.assert_array_equal(other.predict(x), net.predict(x))


def test_exported_models_say_it(tmp_path):
    network(input_scale=1 / 256, input_offset=5).export(tmp_path, "eye")
    source, header = (tmp_path / "eye.c").read_text(), (tmp_path / "eye.h").read_text()
    assert ".input_kind = &cge_input_u8,\n    .input_scale = 0x1p-8f,\n    .input_offset = 5,\n" in source
    assert "#define EYE_INPUT_ELEMS 240 /* uint8_t */\n" in header
    network().export(tmp_path, "plain")
    assert ".input_kind = 0,\n    .input_scale = 0,\n    .input_offset = 0,\n" in (tmp_path / "plain.c").read_text()


# ---- what is refused ---------------------------------------------------------------------------------------------------------

REFUSED = [
    ({"input_scale": 1 / 255}, ValueError, r"input_scale: expected a power of two .* 2\*\*64, such as 1/256, got 0.0039"),
    ({"input_scale": 0}, ValueError, "input_scale: expected a power of two .* got 0"),
    ({"input_scale": -0.5}, ValueError, "input_scale: expected a power of two .* got -0.5"),
    ({"input_scale": float("nan")}, ValueError, "input_scale: expected a power of two .* got nan"),
    ({"input_scale": float("inf")}, ValueError, "input_scale: expected a power of two .* got inf"),
    ({"input_scale": 2.0**65}, ValueError, "input_scale: expected a power of two"),
    ({"input_scale": 2.0**-65}, ValueError, "input_scale: expected a power of two"),
    ({"input_scale": True}, TypeError, "input_scale: expected a number, got bool True"),
    ({"input_scale": "1/256"}, TypeError, "input_scale: expected a number, got str '1/256'"),
    ({"input_scale": 1, "input_offset": 0.5}, TypeError, "input_offset: expected an integer"),
    ({"input_scale": 1, "input_offset": 65536}, ValueError, "input_offset: expected at most 65535, got 65536"),
    ({"input_scale": 1, "input_offset": -65536}, ValueError, "input_offset: expected at least -65535"),
    ({"input_offset": 1}, ValueError, "input_offset: expected 0 for a network without input_scale, got 1"),
    ({"input_scale": 1, "layers": [cge.Flatten()]}, ValueError, "input_scale: expected layers of which one computes"),
]


@pytest.mark.parametrize("options, kind, message", REFUSED)
def test_meanings_that_are_none(options, kind, message):
    with pytest.raises(kind, match=message):
        network(**options)


@pytest.mark.parametrize("scale", [2.0**-64, 1, np.float32(0.5), 2.0**64])
def test_meanings_that_are_some(scale):
    assert network(input_scale=scale).input_scale == scale


@pytest.mark.parametrize("scale, offset", MEANINGS)
def test_numbers_for_a_network_that_reads_bytes(scale, offset):
    """The remedy that the message names gives the bytes back."""
    x, y = pictures()
    floats = numbers(x, scale, offset)
    net = network(input_scale=scale, input_offset=offset)
    before = net.weights_hash()
    for call in (net.fit, net.train_on_batch, net.evaluate, net.gradcheck, lambda x, y: net.predict(x)):
        with pytest.raises(TypeError, match="x: expected uint8, as this .* input_scale=1/.* without input_scale") as caught:
            call(floats, y)
    remedy = str(caught.value).split("use ")[1].split(", or make")[0]
    np.testing.assert_array_equal(eval(remedy, {"np": np, "x": floats}), x)
    assert net.weights_hash() == before
    with pytest.raises(TypeError, match=r"validation_data\[0\]: expected uint8"):
        net.fit(x, y, validation_data=(floats, y), verbose=False)


def test_bytes_for_a_network_that_reads_numbers():
    x, y = pictures()
    for call in (lambda: network().fit(x, y), lambda: network().predict(x)):
        with pytest.raises(TypeError, match="got an array of uint8 .* / 256; a network made with input_scale=1/256 takes them"):
            call()


def test_shapes_are_checked_as_ever():
    with pytest.raises(ValueError, match="x: expected shape"):
        network(input_scale=1 / 256).predict(np.zeros((2, 12, 10, 3), np.uint8))


def test_a_meaning_is_fixed():
    with pytest.raises(AttributeError, match="input_scale: cannot be set; it is fixed when the network is made"):
        network(input_scale=1).input_scale = 2


# ---- with graphs, parts that learn and slices -----------------------------------------------------------------------------


def skip_graph(reads_input_again):
    x = cge.Input(SHAPE)
    a = cge.ReLU()(cge.Conv2d(2, 3, padding=1)(x))
    b = cge.Conv2d(2, 3, padding=1)(x if reads_input_again else a)
    return {"inputs": x, "outputs": cge.Dense(3)(cge.Add()(a, b))}


def graph_network(reads_input_again=False, memory="small", **options):
    optimizer = cge.SGD(0.02, momentum=0.9)
    options.update(skip_graph(reads_input_again), optimizer=optimizer, seed=3, memory=memory)
    return cge.Network(loss="softmax_cross_entropy", **options)


@pytest.mark.parametrize("options", [{}, {"memory": "fast"}, {"memory": "fast", "threads": 2, "capacity": 3}])
def test_a_graph_of_which_one_layer_reads_the_bytes(options):
    x, y = pictures()
    expected, net = graph_network(), graph_network(input_scale=1 / 128, input_offset=128, **options)
    floats = numbers(x, 1 / 128, 128)
    history = expected.fit(floats, y, epochs=2, batch_size=5, verbose=False)
    assert net.fit(x, y, epochs=2, batch_size=5, verbose=False) == history
    assert net.weights_hash() == expected.weights_hash()
    again = cge.Network.from_bytes(net.to_bytes(), memory="small")
    np.testing.assert_array_equal(again.predict(x), expected.predict(floats))


def test_a_graph_of_which_two_layers_read_the_input_takes_numbers_alone():
    assert graph_network(True).input_scale is None
    with pytest.raises(ValueError, match=r"input_scale: expected one layer that .* got layers\[0\] and layers\[2\]"):
        graph_network(True, input_scale=1 / 256)


@pytest.mark.parametrize("memory", ["fast", "small", "smallest"])
@pytest.mark.parametrize(
    "layers",
    [
        [cge.Conv2d(4, 3, trainable="bias"), cge.ReLU(), cge.MaxPool2d(2), cge.Dense(3)],
        [cge.Conv2d(4, 3, trainable=1), cge.ReLU(), cge.MaxPool2d(2), cge.Dense(3)],
        [cge.Dense(5, trainable="bias"), cge.Dense(3)],
        [cge.Dense(5, trainable=100), cge.Dense(3)],
    ],
    ids=["biases", "channels", "biases of a dense layer", "inputs"],
)
def test_bytes_train_layers_of_which_a_part_learns(layers, memory):
    x, y = pictures()
    batch = 1 if memory == "smallest" else 5
    expected, net = network(layers, memory=memory), network(layers, memory=memory, input_scale=1 / 256)
    history = expected.fit(numbers(x, 1 / 256, 0), y, epochs=2, batch_size=batch, verbose=False)
    assert net.fit(x, y, epochs=2, batch_size=batch, verbose=False) == history
    assert net.weights_hash() == expected.weights_hash()


def test_bytes_train_and_predict_in_slices():
    x, y = pictures()
    floats = numbers(x, 1 / 256, 0)
    expected, net = network(memory="small_sliced"), network(memory="small_sliced", input_scale=1 / 256)
    expected.train_on_batch(floats[:5], y[:5])
    net.train_begin(x[:5], y[:5])
    while net.resume(1000):
        pass
    assert net.weights_hash() == expected.weights_hash()
    net.predict_begin(x[:4])
    while net.resume(1000):
        pass
    np.testing.assert_array_equal(net.step_result, expected.predict(floats[:4]))
