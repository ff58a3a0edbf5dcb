"""Series (T, C): images one column wide; and convolutions that are two of others, or one of each channel."""

import numpy as np
import pytest

import convgrad_embedded as cge


def series(count=24, length=20, channels=3):
    rng = np.random.default_rng(5)
    return rng.normal(size=(count, length, channels)).astype(np.float32), rng.integers(0, 3, count)


LAYERS = [
    cge.Conv1d(6, 5, padding="same"),
    cge.ReLU(),
    cge.MaxPool1d(2),
    cge.Conv1d(4, 3, stride=2, dilation=2, padding=(0, 2), groups=2),
    cge.AvgPool1d(2, 1, padding=(1, 0)),
    cge.Tanh(),
    cge.Dense(3),
]


def network(**options):
    return cge.Network((20, 3), LAYERS, "softmax_cross_entropy", cge.SGD(0.1, 0.9), seed=1, **options)


def test_rows_are_those_of_images_one_column_wide():
    assert cge.Conv1d(4, 3, stride=2, dilation=2, padding=(0, 2)) == cge.Conv2d(
        4, (3, 1), stride=(2, 1), dilation=(2, 1), padding=((0, 2), (0, 0))
    )
    assert cge.Conv1d(4, 3, padding=1) == cge.Conv2d(4, (3, 1), padding=(1, 0))
    assert cge.MaxPool1d(3) == cge.MaxPool2d((3, 1))
    assert cge.AvgPool1d(3, 2) == cge.AvgPool2d((3, 1), (2, 1))
    assert cge.Conv1d(4, 1) == cge.Conv2d(4, 1)


def test_a_series_is_an_image_one_column_wide():
    x, y = series()
    net = network()
    assert net.input_shape == (20, 1, 3)
    assert net.predict(x).tobytes() == net.predict(x[:, :, None]).tobytes()
    with pytest.raises(ValueError, match=r"^x: expected shape \(N, 20, 1, 3\) or \(N, 20, 3\), got \(24, 20, 4\)"):
        net.predict(np.zeros((24, 20, 4), np.float32))


def test_no_column_but_the_one_is_computed():
    """As many multiply-adds as the formula has, "same" included."""
    assert cge.Network((20, 3), [cge.Conv1d(6, 5, padding="same")]).layer_infos[0].macs == 20 * 6 * 5 * 3


@pytest.mark.parametrize("memory", ["small", "smallest"])
def test_every_memory_level_gives_the_same_bits(memory):
    x, y = series()
    expected, net = network(), network(memory=memory)
    for i in range(4):
        expected.train_on_batch(x[i : i + 1], y[i : i + 1])
        net.train_on_batch(x[i : i + 1], y[i : i + 1])
    assert net.weights_hash() == expected.weights_hash()


def test_it_learns_is_saved_and_right_in_its_gradients(tmp_path):
    x, y = series()
    net = network()
    before = net.evaluate(x, y).loss
    net.gradcheck(x[:3], y[:3])
    net.fit(x, y, epochs=20, verbose=False)
    assert net.evaluate(x, y).loss < before
    net.save(tmp_path / "net.cge")
    again = cge.Network.load(tmp_path / "net.cge")
    assert again.layers[1:] == net.layers[1:] and again.weights_hash() == net.weights_hash()
    assert again.predict(x).tobytes() == net.predict(x).tobytes()


def test_a_graph_takes_a_series():
    x = cge.Input((20, 3))
    h = cge.Conv1d(3, 3, padding="same")(x)
    net = cge.Network(inputs=x, outputs=cge.Dense(2)(cge.Add()(h, x)))
    assert net.predict(series()[0]).shape == (24, 2)


def test_bytes_come_as_series_too():
    net = cge.Network((20, 3), LAYERS, input_scale=1 / 256)
    x = np.random.default_rng(1).integers(0, 256, (2, 20, 3), dtype=np.uint8)
    assert net.predict(x).tobytes() == net.predict(x[:, :, None]).tobytes()


def test_depthwise_and_separable():
    assert cge.DepthwiseConv2d(4, 3, multiplier=2, padding="same") == cge.Conv2d(8, 3, padding="same", groups=4)
    assert cge.SeparableConv2d(4, 6, (3, 2), stride=2) == [
        cge.Conv2d(4, (3, 2), stride=2, groups=4, use_bias=False),
        cge.Conv2d(6, 1),
    ]
    net = cge.Network(
        (8, 8, 4), [*cge.SeparableConv2d(4, 6, 3), cge.ReLU(), cge.Dense(3)], "softmax_cross_entropy", cge.SGD(0.1)
    )
    rng = np.random.default_rng(0)
    net.gradcheck(rng.normal(size=(2, 8, 8, 4)), [0, 2])


WRONG = {
    "Conv1d: kernel_size: expected an integer, got": lambda: cge.Conv1d(4, (3, 3)),
    "Conv1d: stride: expected at least 1, got 0": lambda: cge.Conv1d(4, 3, stride=0),
    "Conv1d: padding: expected one of 'same', 'valid', got 'full'": lambda: cge.Conv1d(4, 3, padding="full"),
    "Conv1d: filters: expected at least 1, got 0": lambda: cge.Conv1d(0, 3),
    "MaxPool1d: pool_size: expected an integer, got": lambda: cge.MaxPool1d((2, 2)),
    "MaxPool1d: stride: expected an integer, got": lambda: cge.MaxPool1d(2, (2, 1)),
    "AvgPool1d: padding[0]: expected at least 0, got -1": lambda: cge.AvgPool1d(2, padding=(-1, 0)),
    "DepthwiseConv2d: channels: expected at least 1, got 0": lambda: cge.DepthwiseConv2d(0, 3),
    "DepthwiseConv2d: multiplier: expected an integer, got": lambda: cge.DepthwiseConv2d(4, 3, multiplier=1.5),
    "SeparableConv2d: kernel_size: expected at least 1, got 0": lambda: cge.SeparableConv2d(4, 8, 0),
    "input_shape: expected (H, W, C), (T, C) or (n,), got": lambda: cge.Network((1, 2, 3, 4), [cge.ReLU()]),
}


@pytest.mark.parametrize("message", WRONG)
def test_what_is_wrong_is_named(message):
    with pytest.raises((TypeError, ValueError)) as refused:
        WRONG[message]()
    assert str(refused.value).startswith(message)
