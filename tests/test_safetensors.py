"""Dictionaries of arrays in PyTorch's layout, and safetensors files of them. Needs neither package."""

import json

import numpy as np
import pytest
from oracles import only_value_errors

import convgrad_embedded as cge

LAYERS = [cge.Conv2d(4, (3, 2), groups=2), cge.ReLU(), cge.Dense(5), cge.Tanh(), cge.Dense(3, use_bias=False)]
SHAPE = (6, 5, 2)


def safetensors(path, arrays, kinds=None):
    """As huggingface's library writes them: names in alphabetical order."""
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        kind = (kinds or {}).get(name, "F32")
        raw = (
            (array.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes() if kind == "BF16" else array.astype("<f4").tobytes()
        )
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def net_and_state():
    net = cge.Network(SHAPE, LAYERS, seed=4)
    return net, net.state_dict()


def test_the_way_out_and_back(tmp_path):
    net, state = net_and_state()
    assert {name: array.shape for name, array in state.items()} == {
        "0.weight": (4, 1, 3, 2),
        "0.bias": (4,),
        "2.weight": (5, 4 * 4 * 4),
        "2.bias": (5,),
        "4.weight": (3, 5),
    }
    assert cge.Network.from_torch(state, SHAPE, LAYERS).weights_hash() == net.weights_hash()
    path = safetensors(tmp_path / "net.safetensors", state)
    assert cge.Network.from_safetensors(path, SHAPE, LAYERS).weights_hash() == net.weights_hash()


def test_dense_rows_are_channels_first_there():
    """The 0.15 that it is off when done by hand."""
    _, state = net_and_state()
    net, _ = net_and_state()
    own = net.get_weights()[2].reshape(4, 4, 4, 5)  # h, w, c, units
    np.testing.assert_array_equal(state["2.weight"].reshape(5, 4, 4, 4), own.transpose(3, 2, 0, 1))


def test_ten_layers_come_in_the_order_of_their_numbers(tmp_path):
    layers = [cge.Dense(3) for _ in range(12)]
    net = cge.Network((3,), layers, seed=1)
    path = safetensors(tmp_path / "net.safetensors", net.state_dict())
    assert cge.Network.from_safetensors(path, (3,), layers).weights_hash() == net.weights_hash()


def test_names_give_the_order(tmp_path):
    net, state = net_and_state()
    renamed = {key.replace("0.", "z.first.").replace("2.", "b.").replace("4.", "a."): value for key, value in state.items()}
    path = safetensors(tmp_path / "net.safetensors", renamed)
    with pytest.raises(ValueError, match="expected weight"):
        cge.Network.from_safetensors(path, SHAPE, LAYERS)
    again = cge.Network.from_safetensors(path, SHAPE, LAYERS, names=["z.first", "b", "a"])
    assert again.weights_hash() == net.weights_hash()
    with pytest.raises(ValueError, match="there are no arrays of 'c'; there are a, b, z.first"):
        cge.Network.from_safetensors(path, SHAPE, LAYERS, names=["z.first", "b", "c"])


def test_bfloat16_is_the_upper_half(tmp_path):
    net, state = net_and_state()
    path = safetensors(tmp_path / "net.safetensors", state, {"2.weight": "BF16"})
    weights = cge.Network.from_safetensors(path, SHAPE, LAYERS).get_weights()
    want = (net.get_weights()[2].view(np.uint32) & 0xFFFF0000).view(np.float32)
    np.testing.assert_array_equal(weights[2], want)


def test_batch_normalisation_goes_into_the_layer_before(rng):
    net, state = net_and_state()
    factor, mean, shift = rng.normal(size=(3, 4))
    variance = rng.random(4) + 0.5
    norm = {"weight": factor, "bias": shift, "running_mean": mean, "running_var": variance, "num_batches_tracked": np.array(7)}
    items = list(state.items())
    both = dict([*items[:2], *((f"1.{key}", value) for key, value in norm.items()), *items[2:]])
    again = cge.Network.from_torch(both, SHAPE, LAYERS)
    scale = factor / np.sqrt(variance + 1e-5)
    weight, bias = net.get_weights()[:2]
    np.testing.assert_allclose(again.get_weights()[0], weight * scale, rtol=1e-6)
    np.testing.assert_allclose(again.get_weights()[1], (bias - mean) * scale + shift, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"2.weight": np.zeros((5, 63))}, r"2: expected weight \(5, 64\), bias \(5,\), got weight \(5, 63\), bias \(5,\)"),
        ({"0.bias": None}, r"0: expected weight \(4, 1, 3, 2\), bias \(4,\), got weight"),
        ({"4.bias": np.zeros(3)}, r"no bias"),
        ({"4.weight": None}, "2 layers with weights, the network has 3"),
        ({"0.gamma": np.zeros(4)}, "expected weight and bias, got"),
    ],
)
def test_arrays_that_do_not_fit(change, message):
    _, state = net_and_state()
    state.update(change)
    state = {name: array for name, array in state.items() if array is not None}
    with pytest.raises(ValueError, match=message):
        cge.Network.from_torch(state, SHAPE, LAYERS)


def test_damaged_files_are_refused_or_read(tmp_path, rng):
    _, state = net_and_state()
    data = safetensors(tmp_path / "net.safetensors", state).read_bytes()

    def read(bad):
        (tmp_path / "bad").write_bytes(bad)
        cge.Network.from_safetensors(tmp_path / "bad", SHAPE, LAYERS)

    only_value_errors(read, data, rng, 400)
    for bad in (b"", b"12345678", (2**63).to_bytes(8, "little") + b"{}", len(b"[1]").to_bytes(8, "little") + b"[1]"):
        with pytest.raises(ValueError, match="no safetensors file|layers with weights"):
            read(bad)
