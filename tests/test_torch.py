"""PyTorch as an oracle: its modules and dictionaries come in, ours goes back, predictions agree."""

import numpy as np
import oracles
import pytest

import convgrad_embedded as cge

torch = oracles.need("torch")
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402


class Residual(nn.Module):
    """Skips, batch normalisation, functions and methods, as torchvision writes its networks."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.a = nn.Conv2d(8, 8, 3, padding="same")
        self.norm = nn.BatchNorm2d(8)
        self.skip = nn.Conv2d(8, 16, 1, stride=2)
        self.b = nn.Conv2d(8, 16, 3, stride=2, padding=1)
        self.classify = nn.Linear(16, 5)

    def forward(self, x):
        x = self.stem(x)
        x = torch.relu(x + self.norm(self.a(x)))
        x = F.relu(self.skip(x) + self.b(x))
        x = F.adaptive_avg_pool2d(x, 1)
        return self.classify(x.view(x.size(0), -1))


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(2, 4, 1)
        self.b = nn.Conv2d(2, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)

    def forward(self, x):
        x = self.norm(torch.cat([self.a(x), self.b(x)], 1))
        return torch.flatten(torch.mean(F.max_pool2d(x, 2), dim=(2, 3)), 1)


def lenet():
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5, padding=(1, 2)), nn.BatchNorm2d(16), nn.ReLU()),
        *(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16 * 5 * 6, 12), nn.LeakyReLU(0.1), nn.Dropout(), nn.Linear(12, 3)),
    )


def series():
    return nn.Sequential(
        *(nn.Conv1d(3, 8, 5, stride=2, padding=1), nn.BatchNorm1d(8), nn.ReLU()),
        *(nn.MaxPool1d(2), nn.Flatten(), nn.Linear(8 * 12, 4), nn.Sigmoid()),
    )


def with_statistics(module, dims):
    """Running statistics that are not those of a fresh module."""
    module.train()
    for _ in range(3):
        module(torch.randn(4, *dims) * 2 + 1)
    return module


@pytest.mark.parametrize(
    "make, shape", [(Residual, (16, 14, 3)), (Branches, (9, 7, 2)), (lenet, (28, 28, 1)), (series, (51, 3))]
)
def test_modules_predict_the_same(make, shape, rng):
    torch.manual_seed(0)
    module = with_statistics(make(), [shape[-1], *shape[:-1]])
    net = cge.Network.from_torch(module, shape)
    assert module.training  # as it was
    assert any("batch" in note or "folded" in note or "depthwise" in note for note in net.import_notes)
    x = rng.normal(size=(5, shape[-1], *shape[:-1])).astype(np.float32)
    want = module.eval()(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(net.predict(oracles.channels_last(x)).reshape(want.shape), want, atol=1e-5)


LAYERS = [
    *(cge.Conv2d(6, 5), cge.Tanh(), cge.AvgPool2d(2), cge.Conv2d(16, 5, padding=(1, 2)), cge.ReLU()),
    *(cge.MaxPool2d(2), cge.Flatten(), cge.Dense(12), cge.LeakyReLU(0.1), cge.Dense(3)),
]


def test_a_state_dict_and_layers_are_the_module():
    module = with_statistics(lenet(), [1, 28, 28])
    a = cge.Network.from_torch(module, (28, 28, 1))
    layers = [layer for layer in LAYERS if not isinstance(layer, cge.Flatten)]
    b = cge.Network.from_torch(module.state_dict(), (28, 28, 1), layers)
    assert a.weights_hash() == b.weights_hash()


def test_our_state_dict_goes_into_the_same_module(rng):
    net = cge.Network(
        (28, 28, 1), [cge.Conv2d(4, 3, groups=1), cge.ReLU(), cge.MaxPool2d(2), cge.Flatten(), cge.Dense(7)], seed=2
    )
    module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4 * 13 * 13, 7))
    module.load_state_dict({name: torch.from_numpy(array) for name, array in net.state_dict().items()})
    x = rng.normal(size=(3, 1, 28, 28)).astype(np.float32)
    want = module(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(net.predict(oracles.channels_last(x)), want, atol=1e-5)


@pytest.mark.parametrize(
    "pool",
    [
        nn.AvgPool2d(3, padding=1),
        nn.AvgPool2d(3, 2, padding=1, count_include_pad=False),
        nn.AvgPool2d(3, 2, padding=1, ceil_mode=True, count_include_pad=False),
        nn.AvgPool2d((2, 3), (3, 2), ceil_mode=True),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.MaxPool2d(2, 3, padding=1, ceil_mode=True),
    ],
)
def test_padding_and_hanging_windows_of_pools(pool, rng):
    x = rng.normal(size=(3, 2, 8, 7)).astype(np.float32)
    want = pool(torch.from_numpy(x)).numpy()
    got = cge.Network.from_torch(nn.Sequential(pool), (8, 7, 2)).predict(oracles.channels_last(x))
    np.testing.assert_allclose(got.transpose(0, 3, 1, 2), want, atol=1e-6)


def test_normalisations_and_what_was_flattened_come_and_go(rng):
    """Weights of LayerNorm are C, H, W there too, behind Flatten as well."""
    layers = [
        *(cge.Conv2d(6, 3), cge.GroupNorm(3), cge.ReLU(), cge.LayerNorm(), cge.InstanceNorm(affine=True)),
        *(cge.Flatten(), cge.LayerNorm(), cge.ReLU(), cge.Dense(4)),
    ]
    net = cge.Network((6, 5, 2), layers, seed=3)
    net.set_weights([rng.normal(size=w.shape) for w in net.get_weights()])
    module = nn.Sequential(
        *(nn.Conv2d(2, 6, 3), nn.GroupNorm(3, 6), nn.ReLU(), nn.LayerNorm((6, 4, 3)), nn.InstanceNorm2d(6, affine=True)),
        *(nn.Flatten(), nn.LayerNorm(6 * 4 * 3), nn.ReLU(), nn.Linear(6 * 4 * 3, 4)),
    )
    module.load_state_dict({name: torch.from_numpy(array) for name, array in net.state_dict().items()})
    x = rng.normal(size=(3, 2, 6, 5)).astype(np.float32)
    want = module(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(net.predict(oracles.channels_last(x)), want, rtol=1e-4, atol=1e-4)
    assert cge.Network.from_torch(module.state_dict(), (6, 5, 2), layers).weights_hash() == net.weights_hash()


@pytest.mark.parametrize(
    "module, shape, message",
    [
        (nn.Sequential(nn.Conv2d(1, 2, 3, padding=1, padding_mode="reflect")), (8, 8, 1), "padding_mode 'reflect'"),
        (nn.Sequential(nn.AvgPool2d(3, 2, padding=1, ceil_mode=True)), (8, 8, 1), "counts padding"),
        (nn.Sequential(nn.Linear(3, 2)), (8, 8, 3), "expected a flattened input"),
        (nn.Sequential(nn.LSTM(3, 2)), (8, 3), "cannot express"),
        (nn.Sequential(nn.Conv2d(3, 2, 3)), (8, 8, 1), "3 channels in 1 groups"),
        (nn.Sequential(nn.AdaptiveAvgPool2d(3)), (8, 8, 1), "windows of several sizes"),
    ],
)
def test_what_cannot_be_expressed_is_refused_by_name(module, shape, message):
    with pytest.raises(ValueError, match=message) as error:
        cge.Network.from_torch(module, shape)
    assert "'0'" in str(error.value)


class Applies(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@pytest.mark.parametrize(
    "function, message",
    [
        (lambda x: F.pad(x, (1, 1, 1, 1), mode="reflect"), "pads with something else than zeros"),
        (lambda x: F.pad(x, (1, 1, 1, 1), value=2.0), "pads with something else than zeros"),
        (lambda x: F.pad(x, (1, 1)), "or other axes than height and width"),
        (lambda x: x.mean((1, 2)), r"takes the mean over axes \[1, 2\]; expected height and width"),
        (lambda x: x.view(2, -1), "reshapes the samples' axis"),
        (lambda x: x.view(x.ndim, -1), "reads .ndim of a tensor"),
    ],
)
def test_functions_that_cannot_be_expressed_are_refused(function, message):
    with pytest.raises(ValueError, match=message):
        cge.Network.from_torch(Applies(function), (4, 4, 2))


def test_a_parameter_that_is_added_is_refused_for_what_it_is():
    class Shifts(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Sequential(nn.Linear(4, 4))

        def forward(self, x):
            return x + self.inner[0].bias

    with pytest.raises(ValueError, match="adds something else than two tensors that depend on the input"):
        cge.Network.from_torch(Shifts(), (4,))


def test_a_module_that_cannot_be_traced(rng):
    class Jumps(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(ValueError, match="torch.fx cannot trace it"):
        cge.Network.from_torch(Jumps(), (4,))


def test_other_sources_are_refused():
    with pytest.raises(TypeError, match="source: expected a torch.nn.Module or its state_dict"):
        cge.Network.from_torch("model.pt", (4,))
    with pytest.raises(ValueError, match="layers: expected None for a module"):
        cge.Network.from_torch(nn.Sequential(nn.Linear(4, 2)), (4,), [cge.Dense(2)])


# ---- batch normalisation that learns, and other normalisations --------------------------------------------------------


def normalised():
    return nn.Sequential(
        *(nn.Conv2d(2, 6, 3, bias=False), nn.BatchNorm2d(6, eps=1e-3, momentum=0.25), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(6 * 3 * 2, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3)),
    )


def as_torch(x):
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1)))


def test_training_with_batch_norm_follows_pytorch(rng):
    """Ten steps, batches of eight: losses, running statistics, predictions."""
    torch.manual_seed(1)
    module = normalised()
    ours = cge.SGD(0.05, momentum=0.9)
    net = cge.Network.from_torch(module, (8, 7, 2), loss="softmax_cross_entropy", optimizer=ours, fold_batch_norm=False)
    assert net.layers[1] == cge.BatchNorm(eps=1e-3, momentum=0.25) and not net.import_notes
    optimizer = torch.optim.SGD(module.parameters(), 0.05, momentum=0.9)
    for _ in range(10):
        x, y = rng.normal(size=(8, 8, 7, 2)).astype(np.float32), rng.integers(0, 3, 8)
        loss = F.cross_entropy(module.train()(as_torch(x)), torch.from_numpy(y))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        np.testing.assert_allclose(net.train_on_batch(x, y), loss.item(), rtol=1e-4)
    state, found = module.state_dict(), net.state_dict()
    for ours_name, name in (("1.running_mean",) * 2, ("1.running_var",) * 2, ("5.running_mean", "6.running_mean")):
        np.testing.assert_allclose(found[ours_name], state[name], rtol=1e-3, atol=1e-4)
    assert found["1.num_batches_tracked"] == state["1.num_batches_tracked"] == 10
    np.testing.assert_allclose(net.predict(x), module.eval()(as_torch(x)).detach(), rtol=1e-3, atol=1e-3)


def test_batch_norm_comes_and_goes(rng):
    """Dictionaries: into BatchNorm where the layers have one, else into the layer before."""
    module = with_statistics(normalised(), [2, 8, 7]).eval()
    x = rng.normal(size=(5, 8, 7, 2)).astype(np.float32)
    want = module(as_torch(x)).detach().numpy()
    kept = cge.Network.from_torch(module, (8, 7, 2), fold_batch_norm=False)
    folded = cge.Network.from_torch(module, (8, 7, 2))
    again = cge.Network.from_torch(module.state_dict(), (8, 7, 2), kept.layers)
    assert again.weights_hash() == kept.weights_hash()
    assert [layer.kind for layer in kept.fold().layers] == [layer.kind for layer in folded.layers]
    for net in (kept, folded, again, kept.fold()):
        np.testing.assert_allclose(net.predict(x), want, atol=1e-5)
    flat = [cge.Conv2d(6, 3, use_bias=False), cge.BatchNorm(eps=1e-3), cge.ReLU(), cge.MaxPool2d(2), cge.Flatten(),
            cge.Dense(8), cge.BatchNorm(), cge.Tanh(), cge.Dense(3)]  # fmt: skip
    fresh = normalised()
    ours = cge.Network.from_torch(module.state_dict(), (8, 7, 2), flat).state_dict()
    fresh.load_state_dict({name: torch.from_numpy(array) for name, array in ours.items()})
    np.testing.assert_allclose(fresh.eval()(as_torch(x)).detach(), want, atol=1e-5)


def test_normalisations_come_as_layers(rng):
    torch.manual_seed(2)
    module = nn.Sequential(
        *(nn.Conv2d(2, 6, 3), nn.GroupNorm(3, 6), nn.ReLU(), nn.LayerNorm((6, 4, 3)), nn.InstanceNorm2d(6, affine=True)),
        *(nn.GroupNorm(2, 6, affine=False), nn.Flatten(), nn.LayerNorm(6 * 4 * 3, bias=False), nn.Linear(6 * 4 * 3, 4)),
        *(nn.GroupNorm(2, 4, eps=1e-3), nn.LayerNorm(4)),
    )
    for parameter in module.parameters():
        parameter.data += 0.3 * torch.randn(parameter.shape)
    net = cge.Network.from_torch(module, (6, 5, 2))
    kinds = ["group_norm", "layer_norm", "instance_norm", "group_norm", "layer_norm", "group_norm", "layer_norm"]
    assert [layer.kind for layer in net.layers if layer.kind.endswith("norm")] == kinds
    x = rng.normal(size=(3, 6, 5, 2)).astype(np.float32)
    np.testing.assert_allclose(net.predict(x), module(as_torch(x)).detach(), rtol=1e-4, atol=1e-4)


def test_slopes_come_go_and_learn(rng):
    torch.manual_seed(3)
    module = nn.Sequential(
        *(nn.Conv2d(2, 6, 3), nn.PReLU(6), nn.MaxPool2d(2), nn.PReLU(), nn.Flatten(), nn.Linear(12, 4), nn.PReLU(4))
    )
    net = cge.Network.from_torch(module, (6, 5, 2), loss="mean_squared_error", optimizer=cge.SGD(0.1, momentum=0.5))
    assert [layer for layer in net.layers if layer.kind == "prelu"] == [cge.PReLU(6), cge.PReLU(), cge.PReLU(4)]
    optimizer = torch.optim.SGD(module.parameters(), 0.1, momentum=0.5)
    for _ in range(4):
        x, target = (rng.normal(size=shape).astype(np.float32) for shape in ((3, 6, 5, 2), (3, 4)))
        loss = F.mse_loss(module(as_torch(x)), torch.from_numpy(target))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert net.train_on_batch(x, target) == pytest.approx(loss.item(), rel=1e-5)
    state = net.state_dict()
    for (name, ours), theirs in zip(state.items(), module.state_dict().values()):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5, err_msg=name)
    assert cge.Network.from_torch(state, (6, 5, 2), net.layers).weights_hash() == net.weights_hash()


def test_a_normalisation_behind_slopes_is_not_folded_into_them():
    state = nn.Sequential(nn.Conv2d(2, 6, 3), nn.PReLU(6), nn.BatchNorm2d(6)).state_dict()
    with pytest.raises(ValueError, match="2: a batch normalisation without a layer before it"):
        cge.Network.from_torch(state, (6, 5, 2), [cge.Conv2d(6, 3), cge.PReLU(6)])


@pytest.mark.parametrize(
    "module, message",
    [
        (nn.LayerNorm(5), r"normalises \(5,\) of \[2, 6, 5\]"),
        (nn.InstanceNorm2d(2, track_running_stats=True), "running statistics"),
        (nn.BatchNorm2d(2, affine=False), "affine=False"),
        (nn.BatchNorm2d(2, momentum=None), "momentum=None"),
        (nn.BatchNorm2d(2, track_running_stats=False), "without running statistics"),
    ],
)
def test_normalisations_that_mean_something_else_are_refused(module, message):
    with pytest.raises(ValueError, match=f"'0'.*{message}"):
        cge.Network.from_torch(nn.Sequential(module), (6, 5, 2), fold_batch_norm=False)


def test_keeping_batch_norm_is_of_modules():
    with pytest.raises(ValueError, match="fold_batch_norm: expected True for a state_dict"):
        cge.Network.from_torch(normalised().state_dict(), (8, 7, 2), [cge.Dense(2)], fold_batch_norm=False)
    state = normalised().state_dict()
    del state["1.running_var"]
    layers = [cge.Conv2d(6, 3, use_bias=False), cge.BatchNorm(), cge.Dense(3)]
    with pytest.raises(ValueError, match="source: 1: expected weight, running_mean and running_var"):
        cge.Network.from_torch(state, (8, 7, 2), layers)


def test_a_shape_with_channels_first_is_recognised():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    with pytest.raises(ValueError, match=r"do not fit an input of 8 channels; channels come last: \(9, 8, 3\)$"):
        cge.Network.from_torch(module, (3, 9, 8))
    assert cge.Network.from_torch(module, (9, 8, 3)).output_shape == (7, 6, 4)
