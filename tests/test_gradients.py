"""Network.gradients: what a step would take, without taking it."""

import numpy as np
import pytest

import convgrad_embedded as cge


def test_gradients_are_shaped_like_weights(rng):
    layers = [cge.Conv2d(4, 3, trainable=1), cge.ReLU(), cge.Dense(5, trainable="bias"), cge.Dense(3)]
    net = cge.Network((6, 6, 2), layers, "softmax_cross_entropy", cge.SGD(0.5), seed=1)
    x, y = rng.normal(size=(4, 6, 6, 2)).astype(np.float32), np.array([0, 2, 1, 1])
    before, gradients = net.get_weights(), net.gradients(x, y)
    assert [g.shape for g in gradients] == [w.shape for w in before]
    assert not gradients[0][:, :, 1].any() and not gradients[2].any() and gradients[3].any()
    assert all(np.array_equal(a, b) for a, b in zip(before, net.get_weights()))
    net.train_on_batch(x, y)
    for w, now, g in zip(before, net.get_weights(), gradients):
        np.testing.assert_allclose(now, w - np.float32(0.5) * g, rtol=1e-5, atol=1e-6)
    smallest = cge.Network((6, 6, 2), layers, "softmax_cross_entropy", cge.SGD(0.5), memory="smallest")
    with pytest.raises(ValueError, match="gradients: expected a network that keeps them"):
        smallest.gradients(x[:1], y[:1])
