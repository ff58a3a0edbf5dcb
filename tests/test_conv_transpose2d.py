"""Transposed convolution as a layer: the float64 reference, differences, plans, graphs, files, frameworks, what is refused.
The operators are in test_operators.py."""

import os

import numpy as np
import oracles
import pytest
import reference
from capi import same_bits

import convgrad_embedded as cge

os.environ.setdefault("KERAS_BACKEND", "torch")

GEOMETRIES = [  # of a kernel of 3 x 2 on 4 x 5: options, and the output's size
    (dict(), (6, 6)),
    (dict(stride=2), (9, 10)),
    (dict(stride=2, padding=1, output_padding=1), (8, 9)),
    (dict(stride=(1, 3), padding=(0, 1), output_padding=(0, 2)), (6, 14)),
    (dict(dilation=(2, 1), output_padding=(1, 0), groups=2), (9, 6)),
    (dict(stride=3, padding=((1, 0), (0, 2)), groups=2), (11, 12)),
    (dict(stride=2, padding="same"), (8, 10)),
    (dict(stride=(4, 3), padding="same", use_bias=False), (16, 15)),
    (dict(padding="same", dilation=2), (4, 5)),
]
every_geometry = pytest.mark.parametrize("options, size", GEOMETRIES, ids=str)


def layers(options, frozen=False):
    return [
        cge.ConvTranspose2d(6, (3, 2), frozen=frozen, **options),
        cge.ReLU(),
        cge.ConvTranspose2d(4, 2, stride=2, groups=2),
        cge.Tanh(),
        cge.Dense(3),
    ]


def network(options, **arguments):
    return cge.Network((4, 5, 4), layers(options), "softmax_cross_entropy", cge.SGD(0.1, momentum=0.5), seed=3, **arguments)


def data(rng, count=6, shape=(4, 5, 4)):
    return rng.standard_normal((count, *shape)).astype(np.float32), rng.integers(0, 3, count)


@every_geometry
def test_output_size(options, size):
    net = cge.Network((4, 5, 4), [cge.ConvTranspose2d(6, (3, 2), **options)])
    assert net.output_shape == (*size, 6)
    assert net.get_weights()[0].shape == (3, 2, 6 // options.get("groups", 1), 4)


@every_geometry
def test_training_follows_the_reference(options, size, rng):
    net, (x, y) = network(options), data(rng)
    given = dict(options)
    if given.get("padding") == "same":  # as loaded layers have it
        loaded = cge.Network.from_bytes(net.to_bytes()).layers[0]
        given.update(padding=loaded.padding, output_padding=loaded.output_padding)
    same = reference.Network(
        [
            reference.ConvTranspose2d(6, (3, 2), **given),
            reference.ReLU(),
            reference.ConvTranspose2d(4, 2, stride=2, groups=2),
            reference.Tanh(),
            reference.Dense(3),
        ],
        net.get_weights(),
        optimizer=reference.SGD(0.1, momentum=0.5),
    )
    for _ in range(3):
        assert net.train_on_batch(x, y) == pytest.approx(same.train_on_batch(x, y), rel=1e-5)
    for got, want in zip(net.get_weights(), same.weights):
        np.testing.assert_allclose(got, want, atol=1e-5)


@every_geometry
def test_gradients_are_signed_central_differences(options, size, rng):
    small = [cge.ConvTranspose2d(2, (3, 2), **options), cge.Dense(2)]
    net = cge.Network((4, 5, 2), small, "softmax_cross_entropy", seed=1)
    assert net.gradcheck(rng.standard_normal((2, 4, 5, 2)), [0, 1]).max_error < 1e-6


@pytest.mark.parametrize("memory", ["small", "smallest"])
@every_geometry
def test_every_level_of_memory_gives_the_same_bits(options, size, memory, rng):
    x, y = data(rng, 3)
    fast, other = network(options), network(options, memory=memory)
    for net in (fast, other):
        for i in range(3):
            net.train_on_batch(x[i : i + 1], y[i : i + 1])
    assert fast.weights_hash() == other.weights_hash()
    other.train_begin(x[:1], y[:1])
    while other.resume(1000):
        pass
    fast.train_on_batch(x[:1], y[:1])
    assert fast.weights_hash() == other.weights_hash()
    assert same_bits(fast.predict(x), other.predict(x))


def test_threads_give_the_same_bits(rng):
    x, y = data(rng, 16, (24, 24, 4))
    nets = [
        cge.Network(
            (24, 24, 4), layers(dict(stride=2)), "softmax_cross_entropy", cge.SGD(0.1), seed=2, capacity=8, threads=threads
        )
        for threads in (1, 3)
    ]
    for net in nets:
        net.train_on_batch(x, y)
    assert nets[0].weights_hash() == nets[1].weights_hash()


@pytest.mark.parametrize("trainable", [False, "bias"])
def test_what_does_not_learn_stays(trainable, rng):
    x, y = data(rng)
    net = cge.Network(
        (4, 5, 4),
        [cge.Conv2d(4, 1), cge.ConvTranspose2d(3, 2, stride=2, trainable=trainable), cge.Dense(3)],
        "softmax_cross_entropy",
        cge.SGD(0.1),
        memory="small",
    )
    before = net.get_weights()
    net.train_on_batch(x, y)
    changed = [not same_bits(a, b) for a, b in zip(before, net.get_weights())]
    assert changed == [True, True, False, trainable == "bias", True, True]


@pytest.mark.parametrize("memory", ["small", "smallest"])
def test_in_a_graph(memory, rng):
    """Halved, doubled again, and joined with what came in, as autoencoders with skips do it."""
    x = cge.Input((6, 6, 2))
    low = cge.ReLU()(cge.Conv2d(4, 3, stride=2, padding=1)(x))
    high = cge.ConvTranspose2d(2, 3, stride=2, padding=1, output_padding=1)(low)
    out = cge.Dense(3)(cge.Add()(high, cge.ConvTranspose2d(2, 1)(x)))
    net = cge.Network(inputs=x, outputs=out, loss="softmax_cross_entropy", optimizer=cge.SGD(0.1), memory=memory, seed=4)
    batch, labels = data(rng, 1, (6, 6, 2))
    assert net.gradcheck(batch, labels).max_error < 1e-6
    before = net.evaluate(batch, labels).loss
    net.train_on_batch(batch, labels)
    assert net.evaluate(batch, labels).loss < before


@every_geometry
def test_files_keep_it(options, size, rng):
    net, (x, _) = network(options), data(rng)
    loaded = cge.Network.from_bytes(net.to_bytes())
    assert same_bits(net.predict(x), loaded.predict(x))
    assert loaded.to_bytes() == net.to_bytes()
    if options.get("padding") != "same":
        assert loaded.layers == net.layers
    assert repr(loaded.layers[0]).startswith("ConvTranspose2d(6, (3, 2)")


@pytest.mark.parametrize("grown, is_taken", [(2.0**40, True), (2.0**62, False)])
def test_a_step_is_taken_as_a_whole_or_not_at_all(grown, is_taken):
    """The gradient of the first weights is grown * grown times as large, and that of the last ones as it was."""
    hashes = set()
    for memory in ("small", "smallest"):
        layers = [cge.ConvTranspose2d(1, 1), cge.ConvTranspose2d(2, 2), cge.Dense(2)]
        net = cge.Network((2, 2, 1), layers, "softmax_cross_entropy", cge.SGD(0.1), memory=memory, seed=1)
        weights = net.get_weights()
        net.set_weights([weights[0] / grown, weights[1], weights[2] * 16, weights[3], weights[4] * grown, *weights[5:]])
        before = net.weights_hash()
        logits = net.predict(np.full((1, 2, 2, 1), grown, np.float32))[0]
        try:
            net.train_on_batch(np.full((1, 2, 2, 1), grown, np.float32), [int(np.argmin(logits))])
            assert is_taken
        except cge.NotFiniteError:
            assert not is_taken and net.weights_hash() == before
        hashes.add(net.weights_hash())
    assert len(hashes) == 1


def test_a_series(rng):
    net = cge.Network((6, 4), [cge.ConvTranspose1d(3, 4, stride=2, padding=1, output_padding=1), cge.ReLU()], seed=1)
    w, b = net.get_weights()
    assert net.layers[0] == cge.ConvTranspose2d(3, (4, 1), stride=(2, 1), padding=(1, 0), output_padding=(1, 0))
    assert net.output_shape == (13, 1, 3)
    x = rng.standard_normal((2, 6, 4)).astype(np.float32)
    want = reference.conv_transpose2d_forward(
        x[:, :, None].astype(float), w, b, stride=(2, 1), padding=(1, 0), output_padding=(1, 0)
    )
    np.testing.assert_allclose(net.predict(x), np.maximum(want, 0), atol=1e-5)


def test_it_is_the_transpose_of_a_convolution(rng):
    """<conv(u), v> is <u, conv_transpose(v)>, and both have one weight."""
    u, w = rng.standard_normal((1, 7, 8, 4)), rng.standard_normal((3, 2, 2, 6))
    options = dict(stride=(2, 3), padding=(1, 0), groups=2)
    y = cge.conv2d_forward(u, w, **options)
    v = rng.standard_normal(y.shape)
    back = cge.conv_transpose2d_forward(v, w, output_padding=(0, 0), **options)
    assert back.shape == u.shape and np.vdot(y, v) == pytest.approx(np.vdot(u, back))


REFUSED = {
    "output_padding": (dict(output_padding=1), "output_padding: expected less than stride 1 or dilation 1, got 1"),
    "output_padding of columns": (dict(output_padding=(0, 2), stride=2), r"output_padding\[1\]: expected less than stride 2"),
    "negative output_padding": (dict(output_padding=-1), "output_padding: expected at least 0, got -1"),
    "stride": (dict(stride=0), "stride: expected at least 1, got 0"),
    "padding": (dict(padding="full"), "padding: expected one of 'same', 'valid', got 'full'"),
    "trainable": (dict(trainable=2), 'trainable: expected True, False or "bias", got 2'),
    "bias": (dict(trainable="bias", use_bias=False), 'trainable: expected no "bias"'),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_arguments_are_refused(name):
    options, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        cge.ConvTranspose2d(4, 3, **options)


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(groups=3), "groups: expected a divisor of 4, the number of channels, got 3"),
        (dict(padding=((2, 2), (0, 0))), "padding: expected less than the 4 that taps reach, top and bottom together, got 4"),
    ],
)
def test_layers_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        cge.Network((2, 2, 4), [cge.ConvTranspose2d(3, 3, **options)])


def test_a_series_is_refused_in_its_own_words():
    with pytest.raises(TypeError, match="^ConvTranspose1d: kernel_size: expected an int"):
        cge.ConvTranspose1d(3, (2, 2))
    with pytest.raises(ValueError, match="^ConvTranspose1d: output_padding"):
        cge.ConvTranspose1d(3, 2, output_padding=1)


def test_operators_refuse_in_the_words_of_their_arguments():
    x, w = np.ones((2, 2, 4)), np.ones((2, 2, 3, 4))
    with pytest.raises(ValueError, match="output_padding: expected less than stride 1 or dilation 1, got 1"):
        cge.conv_transpose2d_forward(x, w, output_padding=1)
    with pytest.raises(ValueError, match="groups: expected a divisor of x's 4 channels, got 3"):
        cge.conv_transpose2d_forward(x, w, groups=3)
    with pytest.raises(ValueError, match="^conv_transpose2d with .*pad_top 2"):
        cge.conv_transpose2d_forward(x, w, padding=2)


def test_nothing_else_takes_bytes_first():
    with pytest.raises(ValueError, match="it cannot read bytes"):
        cge.Network((2, 2, 4), [cge.ConvTranspose2d(3, 3)], input_scale=1 / 256)


# ---- frameworks --------------------------------------------------------------------------------------------------------


def decoder(nn):
    torch_layers = [
        nn.Conv2d(3, 8, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(8, 6, 3, stride=2, padding=1, output_padding=1, groups=2, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.ConvTranspose2d(6, 2, (2, 3), stride=(1, 2), padding=(0, 2), output_padding=(0, 1), dilation=(3, 2)),
    ]
    return nn.Sequential(*torch_layers)


OURS = [
    cge.Conv2d(8, 3, stride=2, padding=1),
    cge.ReLU(),
    cge.ConvTranspose2d(6, 3, stride=2, padding=1, output_padding=1, groups=2),
    cge.ReLU(),
    cge.ConvTranspose2d(2, (2, 3), stride=(1, 2), padding=(0, 2), output_padding=(0, 1), dilation=(3, 2)),
]


def test_pytorch_modules_and_dictionaries_come_and_go(rng):
    torch = oracles.need("torch")
    torch.manual_seed(0)
    module = decoder(torch.nn)
    module(torch.randn(8, 3, 8, 6) * 3)
    module.eval()
    net = cge.Network.from_torch(module, (8, 6, 3))
    assert cge.Network((8, 6, 3), OURS).layer_infos == net.layer_infos
    x = rng.standard_normal((3, 8, 6, 3)).astype(np.float32)
    want = module(torch.from_numpy(x.transpose(0, 3, 1, 2))).detach().numpy()
    np.testing.assert_allclose(net.predict(x), oracles.channels_last(want), atol=1e-5)
    folded = cge.Network.from_torch(module.state_dict(), (8, 6, 3), OURS)
    np.testing.assert_allclose(folded.predict(x), net.predict(x), atol=1e-5)
    kept = cge.Network.from_torch(module, (8, 6, 3), fold_batch_norm=False)
    assert [layer.kind for layer in kept.fold().layers] == [layer.kind for layer in net.layers]
    np.testing.assert_allclose(kept.fold().predict(x), net.predict(x), atol=1e-5)
    fresh = decoder(torch.nn).eval()
    fresh.load_state_dict({name: torch.from_numpy(array) for name, array in kept.state_dict().items()})
    np.testing.assert_allclose(fresh(torch.from_numpy(x.transpose(0, 3, 1, 2))).detach().numpy(), want, atol=1e-5)


@every_geometry
def test_training_follows_pytorch(options, size, rng):
    if not isinstance(options.get("padding", 0), (int, tuple)) or np.ndim(options.get("padding", 0)) > 1:
        return  # which PyTorch does not have
    torch = oracles.need("torch")
    named = {name: value for name, value in options.items() if name != "use_bias"}
    module = torch.nn.ConvTranspose2d(4, 6, (3, 2), bias=options.get("use_bias", True), **named)
    net = cge.Network((4, 5, 4), [cge.ConvTranspose2d(6, (3, 2), **options)], "mean_squared_error", cge.SGD(0.5), seed=1)
    module.load_state_dict({name[2:]: torch.from_numpy(array) for name, array in net.state_dict().items()})
    x, y = rng.standard_normal((2, 4, 5, 4)), rng.standard_normal((2, *size, 6))
    optimizer = torch.optim.SGD(module.parameters(), 0.5)
    for _ in range(2):
        got = module(torch.from_numpy(x.transpose(0, 3, 1, 2)).float())
        loss = ((got - torch.from_numpy(y.transpose(0, 3, 1, 2)).float()) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert net.train_on_batch(x.astype(np.float32), y.astype(np.float32)) == pytest.approx(loss.item(), rel=1e-5)
    for name, array in module.state_dict().items():
        np.testing.assert_allclose(net.state_dict()[f"0.{name}"], array.numpy(), atol=1e-6)


def test_a_series_of_pytorch(rng):
    torch = oracles.need("torch")
    module = torch.nn.Sequential(torch.nn.ConvTranspose1d(3, 4, 5, stride=3, padding=1, output_padding=2, groups=1))
    net = cge.Network.from_torch(module, (7, 3))
    x = rng.standard_normal((2, 7, 3)).astype(np.float32)
    want = module(torch.from_numpy(x.transpose(0, 2, 1))).detach().numpy()
    np.testing.assert_allclose(net.predict(x)[:, :, 0], want.transpose(0, 2, 1), atol=1e-5)
    assert net.layers[0] == cge.ConvTranspose2d(4, (5, 1), stride=(3, 1), padding=((1, 1), (0, 0)), output_padding=(2, 0))


def test_a_size_that_a_module_is_told_is_refused():
    torch = oracles.need("torch")

    class Told(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.up = torch.nn.ConvTranspose2d(2, 2, 3, stride=2)

        def forward(self, x):
            return self.up(x, output_size=(10, 10))

    with pytest.raises(ValueError, match="'up'.*more than its input"):
        cge.Network.from_torch(Told(), (4, 4, 2))


def test_a_dictionary_whose_filters_are_as_many_as_its_channels_folds_by_filter(rng):
    """Weights there are (C, filters, KH, KW): the axis does not tell."""
    state = {"0.weight": rng.standard_normal((2, 2, 1, 1)), "1.weight": np.array([1.0, 3.0]), "1.bias": np.zeros(2)}
    state.update({"1.running_mean": np.zeros(2), "1.running_var": np.full(2, 1 - 1e-5)})
    net = cge.Network.from_torch(state, (1, 1, 2), [cge.ConvTranspose2d(2, 1)])
    np.testing.assert_allclose(net.get_weights()[0][0, 0], state["0.weight"][:, :, 0, 0].T * [[1], [3]], rtol=1e-6)


@every_geometry
def test_onnx_computes_the_same(options, size, tmp_path, rng):
    onnx = oracles.need("onnx")
    from onnx.reference import ReferenceEvaluator

    net = cge.Network((4, 5, 4), [cge.ConvTranspose2d(6, (3, 2), **options), cge.ReLU()], seed=2)
    net.to_onnx(tmp_path / "net.onnx")
    model = onnx.load(tmp_path / "net.onnx")
    onnx.checker.check_model(model, full_check=True)
    x = rng.standard_normal((2, 4, 5, 4)).astype(np.float32)
    if "groups" not in options:  # of which its evaluator takes square ones alone
        want = ReferenceEvaluator(model).run(None, {"x": x.transpose(0, 3, 1, 2)})[0]
        np.testing.assert_allclose(net.predict(x).transpose(0, 3, 1, 2), want, atol=1e-5)
    assert same_bits(cge.Network.from_onnx(tmp_path / "net.onnx").predict(x), net.predict(x))


@pytest.mark.parametrize(
    "kernel, stride, padding", [(3, 2, "same"), (2, 3, "valid"), (4, 1, "same"), (2, 3, "same"), (5, 2, "valid")]
)
def test_keras_models_predict_the_same(kernel, stride, padding, rng):
    oracles.need("torch")
    keras = oracles.need("keras")
    layer = keras.layers.Conv2DTranspose(3, kernel, strides=stride, padding=padding, activation="relu")
    model = keras.Sequential([keras.layers.Input((5, 4, 2)), layer])
    layer.set_weights([rng.standard_normal(w.shape) for w in layer.get_weights()])
    x = rng.standard_normal((2, 5, 4, 2)).astype(np.float32)
    np.testing.assert_allclose(cge.Network.from_keras(model).predict(x), np.asarray(model.predict(x, verbose=0)), atol=1e-5)
