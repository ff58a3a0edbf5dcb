"""Ten steps of published networks with batch normalisation, as PyTorch takes them from the same weights."""

import json
from pathlib import Path

import numpy as np
import pytest
from torch_trajectories import BATCH, MOMENTUM, NETWORKS, drawn

import convgrad_embedded as cge

FOUND = json.loads((Path(__file__).parent / "torch_trajectories.json").read_text())


def layer_of(row):
    if row.op == "conv":
        settings = dict(row.settings)
        return cge.Conv2d(
            settings.pop("filters"), settings.pop("kernel"), padding=settings.pop("pads"), use_bias=False, **settings
        )
    if row.op == "dense":
        return cge.Dense(row.settings["units"])
    kinds = {"norm": cge.BatchNorm, "relu": cge.ReLU, "relu6": cge.ReLU6, "add": cge.Add, "mean": cge.GlobalAvgPool2d}
    return kinds[row.op]()


def network(table, weights, **options):
    tensors = {-1: cge.Input(table.input_shape)}
    for number, row in enumerate(table.rows):
        tensors[number] = layer_of(row)(*(tensors[source] for source in row.sources))
    loss, optimizer = "softmax_cross_entropy" if table.classes else "mse", cge.SGD(table.learning_rate, momentum=MOMENTUM)
    net = cge.Network(inputs=tensors[-1], outputs=tensors[len(table.rows) - 1], loss=loss, optimizer=optimizer, **options)
    net.set_weights([array for row in weights for array in row])
    return net


@pytest.mark.parametrize("name", NETWORKS)
def test_losses_are_those_of_pytorch(name):
    """Within 1e-4 at every step, and of all samples with the running statistics at the end."""
    table = NETWORKS[name]()
    weights, x, labels = drawn(table)
    targets = labels if table.classes else x.reshape(*x.shape[:2], -1)
    net = network(table, weights, capacity=BATCH)
    losses = [net.train_on_batch(*batch) for batch in zip(x, targets)]
    losses.append(net.evaluate(x.reshape(-1, *table.input_shape), targets.reshape(-1, *targets.shape[2:])).loss)
    np.testing.assert_allclose(losses, FOUND[name], rtol=1e-4)
