"""Keras as an oracle: its models come in, from memory and from both sorts of files, and predict the same."""

import os
import subprocess
import sys

import numpy as np
import oracles
import pytest

import convgrad_embedded as cge

os.environ.setdefault("KERAS_BACKEND", "torch")
oracles.need("torch")
oracles.need("h5py")
keras = oracles.need("keras")
from keras import layers as L  # noqa: E402


def chain():
    return keras.Sequential(
        [
            *(
                L.Input((28, 28, 1)),
                L.Conv2D(8, 3, padding="same", activation="relu"),
                L.BatchNormalization(),
                L.MaxPooling2D(),
            ),
            *(L.DepthwiseConv2D(3, strides=2, padding="same", depth_multiplier=2), L.SeparableConv2D(12, 3), L.LeakyReLU()),
            L.PReLU(shared_axes=[1, 2], alpha_initializer="random_normal"),
            *(L.Flatten(), L.Dropout(0.2), L.Dense(10, activation="softmax")),
        ]
    )


def graph():
    x = L.Input((33, 31, 3))
    a = L.ReLU()(L.BatchNormalization()(L.Conv2D(8, 3, strides=2)(L.ZeroPadding2D(((0, 1), (1, 0)))(x))))
    b = L.Concatenate()([L.Add()([a, L.Conv2D(8, 1, use_bias=False)(a)]), a])
    b = L.BatchNormalization()(L.AveragePooling2D(3, 2)(b))
    return keras.Model(x, L.Dense(4)(L.GlobalAveragePooling2D()(b)))


def series():
    layers = [L.Conv1D(8, 5, padding="causal", activation="tanh"), L.MaxPooling1D(2), L.Conv1D(4, 3, strides=2), L.Dense(6)]
    return keras.Sequential([L.Input((50, 3)), *layers, L.Flatten(), L.Dense(3, activation="sigmoid")])


def noisy():
    """With what Keras does in training only."""
    layers = [L.GaussianNoise(0.5), L.Conv2D(3, 3), L.SpatialDropout2D(0.5), L.ReLU(), L.Flatten(), L.Dropout(0.5), L.Dense(2)]
    return keras.Sequential([L.Input((6, 5, 2)), *layers])


@pytest.mark.parametrize("make", [chain, graph, series, noisy])
@pytest.mark.parametrize("source", ["memory", ".keras", ".h5"])
def test_models_predict_the_same(tmp_path, make, source, rng):
    keras.utils.set_random_seed(1)
    model = make()
    for layer in model.layers:
        if isinstance(layer, L.BatchNormalization):
            layer.set_weights([rng.random(weight.shape) + 0.5 for weight in layer.get_weights()])
    given = model
    if source != "memory":
        given = tmp_path / f"model{source}"
        model.save(given)
    net = cge.Network.from_keras(given)
    x = rng.normal(size=(3, *model.input_shape[1:])).astype(np.float32)
    want = np.asarray(model.predict(x, verbose=0))
    got = net.predict(x.reshape(3, *net.input_shape)).reshape(want.shape)
    if any("left out" in note for note in net.import_notes):
        e = np.exp(got - got.max(1, keepdims=True))
        got = e / e.sum(1, keepdims=True)
    np.testing.assert_allclose(got, want, atol=1e-5)


@pytest.mark.parametrize(
    "layer, message",
    [
        (L.LSTM(3), "a layer that ours cannot express"),
        (L.Conv1D(3, 2, activation="softsign"), "the activation 'softsign'"),
        (L.ReLU(threshold=0.5), "threshold 0.5"),
        (L.PReLU(), r"slopes of shape \(8, 3\)"),
        (L.BatchNormalization(axis=1), "normalises axis 1"),
    ],
)
def test_what_cannot_be_expressed_is_refused_by_name(layer, message):
    model = keras.Sequential([L.Input((8, 3)), layer])
    with pytest.raises(ValueError, match=message) as error:
        cge.Network.from_keras(model)
    assert repr(layer.name) in str(error.value)


def test_other_files_and_sources(tmp_path):
    (tmp_path / "model.keras").write_bytes(b"no archive")
    with pytest.raises(ValueError, match="no Keras model"):
        cge.Network.from_keras(tmp_path / "model.keras")
    with pytest.raises(TypeError, match="source: expected a Keras model or the path of a file, got int 3"):
        cge.Network.from_keras(3)


def test_without_h5py_the_hint_says_what_to_install(tmp_path):
    (tmp_path / "model.h5").write_bytes(b"")
    code = "import sys; sys.modules['h5py'] = None; import convgrad_embedded as cge; cge.Network.from_keras(sys.argv[1])"
    run = subprocess.run([sys.executable, "-c", code, str(tmp_path / "model.h5")], capture_output=True, text=True)
    assert run.stderr.splitlines()[-1] == (
        "ImportError: from_keras: Keras's files need h5py: pip install h5py; a model in memory does not"
    )


def test_damaged_files_are_refused_or_read(tmp_path, rng):
    series().save(tmp_path / "model.h5")

    def read(bad):
        (tmp_path / "bad.h5").write_bytes(bad)
        cge.Network.from_keras(tmp_path / "bad.h5")

    oracles.only_value_errors(read, (tmp_path / "model.h5").read_bytes(), rng, 40)
