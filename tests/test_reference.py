"""The oracles are checked against each other and against finite differences, so that a fault in one cannot hide."""

import numpy as np
import ordered
import pytest
import reference

GEOMETRIES = [
    dict(stride=1, padding=0, dilation=1, groups=1),
    dict(stride=(2, 3), padding=((0, 2), (3, 1)), dilation=(2, 1), groups=2),
    dict(stride=2, padding=((4, 4), (0, 0)), dilation=(1, 2), groups=4),
]


def numeric(f, x, step=1e-4):
    """Central differences of the scalar function f by every element of x."""
    slope = np.empty(x.size)
    for i in range(x.size):
        up, down = x.copy(), x.copy()
        up.flat[i] += step
        down.flat[i] -= step
        slope[i] = (f(up) - f(down)) / (2 * step)
    return slope.reshape(x.shape)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_convolution_agrees_with_the_scalar_loops_in_the_contracted_order(geometry, rng):
    x, w = rng.normal(size=(2, 7, 5, 4)), rng.normal(size=(2, 3, 4 // geometry["groups"], 8))
    b = rng.normal(size=8)
    y = reference.conv2d_forward(x, w, b, **geometry)
    dy = rng.normal(size=y.shape)
    dw, db = np.zeros_like(w), np.zeros_like(b)
    for sample, sample_dy in zip(x, dy):
        ordered.conv2d_weight_grad(sample, sample_dy, dw, **geometry)
        ordered.conv2d_bias_grad(sample_dy, db)
    close = dict(rtol=0, atol=1e-12)
    np.testing.assert_allclose(y, [ordered.conv2d_forward(s, w, b, **geometry) for s in x], **close)
    np.testing.assert_allclose(reference.conv2d_weight_grad(x, dy, (2, 3), **geometry), dw, **close)
    np.testing.assert_allclose(reference.conv2d_bias_grad(dy), db, **close)
    np.testing.assert_allclose(
        reference.conv2d_input_grad(w, dy, (7, 5), **geometry),
        [ordered.conv2d_input_grad(w, s, (7, 5), **geometry) for s in dy],
        **close,
    )


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "sigmoid", "tanh"])
def test_activation_derivatives_are_the_slopes(name, rng):
    x, alpha = rng.normal(size=40), [0.1] if name == "leaky_relu" else []
    activation = getattr(reference, name)
    slope = (activation(x + 1e-5, *alpha)[0] - activation(x - 1e-5, *alpha)[0]) / 2e-5
    np.testing.assert_allclose(activation(x, *alpha)[1], slope, atol=1e-8)


@pytest.mark.parametrize("loss", reference.LOSSES)
def test_gradients_of_a_whole_network_are_its_slopes(loss, rng):
    layers = [
        reference.Conv2d(4, 3, stride=(1, 2), padding=((1, 0), (2, 1)), groups=2),
        reference.Tanh(),
        reference.AvgPool2d(2, padding=1, stride=1),
        reference.Conv2d(3, 2, dilation=2),
        reference.Sigmoid(),
        reference.MaxPool2d(2, stride=1),
        reference.LeakyReLU(0.2),
        reference.Flatten(),
        reference.Dense(5),
    ]
    weights = [rng.normal(size=s) * 0.5 for s in [(3, 3, 1, 4), 4, (2, 2, 4, 3), 3, (18, 5), 5]]
    x = rng.normal(size=(3, 6, 7, 2))
    targets = rng.integers(0, 5, 3) if loss == "softmax_cross_entropy" else rng.normal(size=(3, 5))
    _, gradients = reference.Network(layers, weights, loss).gradients(x, targets)
    assert [g.shape for g in gradients] == [w.shape for w in weights]
    for i, gradient in enumerate(gradients):

        def mean_loss(w, i=i):
            return reference.Network(layers, [*weights[:i], w, *weights[i + 1 :]], loss).gradients(x, targets)[0]

        np.testing.assert_allclose(gradient, numeric(mean_loss, weights[i]), atol=1e-7)


def test_pooling_agrees_with_the_scalar_loops(rng):
    x = np.round(rng.normal(size=(1, 6, 7, 3)))  # rounded: ties
    x[0, 2, 3, 1] = np.nan
    for kernel, arguments in [((2, 3), {}), ((3, 3), dict(stride=2, padding=((1, 0), (2, 1))))]:
        y = reference.maxpool2d_forward(x, kernel, **arguments)
        dy = rng.normal(size=y.shape)
        np.testing.assert_allclose(
            reference.maxpool2d_input_grad(x, dy, kernel, **arguments)[0],
            ordered.maxpool2d_input_grad(x[0], dy[0], kernel, **arguments),
            atol=1e-14,
        )
        np.testing.assert_allclose(
            reference.avgpool2d_forward(x, kernel, **arguments)[0],
            ordered.avgpool2d_forward(x[0], kernel, **arguments),
            atol=1e-14,
        )
        np.testing.assert_allclose(
            reference.avgpool2d_input_grad(x.shape, dy, kernel, **arguments)[0],
            ordered.avgpool2d_input_grad((6, 7), dy[0], kernel, **arguments),
            atol=1e-14,
        )
