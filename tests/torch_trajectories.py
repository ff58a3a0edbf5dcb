"""PyTorch's ten training steps of published networks with batch normalisation, for test_trajectories.py.

pip install torch numpy
python tests/torch_trajectories.py > tests/torch_trajectories.json

A network is a table of rows, which the test and this program read each in their own way. Weights, samples and labels are drawn
by NumPy from a seed. Biases of norms are drawn around 1: then few of a million numbers lie so near to a kink of ReLU that
rounding decides on which side. Around 0 some do, and each changes gradients by up to a part in a hundred, those of PyTorch
against its own in float64 too.
"""

import json
from typing import Any, NamedTuple

import numpy as np

STEPS, BATCH, MOMENTUM = 10, 8, 0.9


class Row(NamedTuple):
    op: str  # conv, norm, relu, relu6, add, mean, dense
    sources: tuple[int, ...]  # rows; -1 is the input
    shape: tuple[int, int, int]  # of its output
    settings: dict[str, Any]  # of conv: filters, kernel, stride, groups, pads ((top, bottom), (left, right)); of dense: units


class Network(NamedTuple):
    input_shape: tuple[int, int, int]
    rows: list[Row]
    learning_rate: float
    classes: int  # 0: outputs are the inputs once more, and the loss is the mean squared error

    def add(self, op, *sources, shape=None, **settings):
        """The row before if no other is named. Returns the number of the new one."""
        sources = sources or (len(self.rows) - 1,)
        self.rows.append(Row(op, sources, shape or self.shape(sources[0]), settings))
        return len(self.rows) - 1

    def shape(self, row):
        return self.input_shape if row < 0 else self.rows[row].shape

    def conv(self, filters, kernel, *sources, stride=1, groups=1, relu=None):
        """TensorFlow's "same", where what is odd goes below and to the right; with a norm, and an activation."""
        sizes = self.shape((sources or (len(self.rows) - 1,))[0])[:2]
        out = tuple(-(-size // stride) for size in sizes)
        missing = [max((o - 1) * stride + k - size, 0) for o, k, size in zip(out, kernel, sizes)]
        pads = tuple((n // 2, n - n // 2) for n in missing)
        settings = {"filters": filters, "kernel": kernel, "stride": stride, "groups": groups, "pads": pads}
        self.add("conv", *sources, shape=(*out, filters), **settings)
        last = self.add("norm")
        return self.add(relu) if relu else last

    def dense(self, units):
        return self.add("dense", shape=(1, 1, units), units=units)

    def classify(self):
        self.add("mean", shape=(1, 1, self.rows[-1].shape[2]))
        self.dense(self.classes)
        return self


def resnet8():
    net = Network((32, 32, 3), [], 0.01, 10)
    skip = net.conv(16, (3, 3), relu="relu")
    for filters, stride in ((16, 1), (32, 2), (64, 2)):
        begin = skip
        net.conv(filters, (3, 3), begin, stride=stride, relu="relu")
        main = net.conv(filters, (3, 3))
        if stride > 1:
            begin = net.conv(filters, (1, 1), begin, stride=stride)
        net.add("add", main, begin)
        skip = net.add("relu")
    return net.classify()


def separable(net, filters, stride=1):
    channels = net.rows[-1].shape[2]
    net.conv(channels, (3, 3), stride=stride, groups=channels, relu="relu")
    net.conv(filters, (1, 1), relu="relu")


def ds_cnn():
    net = Network((49, 10, 1), [], 0.01, 12)
    net.conv(64, (10, 4), stride=2, relu="relu")
    for _ in range(4):
        separable(net, 64)
    return net.classify()


def mobilenet_v1():
    net, filters = Network((96, 96, 3), [], 0.001, 2), 8
    net.conv(filters, (3, 3), stride=2, relu="relu")
    for more, stride in ((2, 1), (2, 2), (1, 1), (2, 2), (1, 1), (2, 2), *[(1, 1)] * 5, (2, 2), (1, 1)):
        filters *= more
        separable(net, filters, stride)
    return net.classify()


def mobilenet_v2():
    net = Network((128, 128, 3), [], 0.001, 10)
    net.conv(16, (3, 3), stride=2, relu="relu6")
    blocks = ((1, 8, 1, 1), (6, 8, 2, 2), (6, 16, 3, 2), (6, 24, 4, 2), (6, 32, 3, 1), (6, 56, 3, 2), (6, 112, 1, 1))
    for expansion, filters, count, first_stride in blocks:
        for number in range(count):
            stride, begin, channels = (first_stride if number == 0 else 1), len(net.rows) - 1, net.rows[-1].shape[2]
            if expansion > 1:
                net.conv(channels * expansion, (1, 1), relu="relu6")
            net.conv(channels * expansion, (3, 3), stride=stride, groups=channels * expansion, relu="relu6")
            main = net.conv(filters, (1, 1))
            if stride == 1 and channels == filters:
                net.add("add", main, begin)
    return net.classify()


def autoencoder():
    net = Network((1, 1, 640), [], 0.01, 0)
    for units in (128, 128, 128, 128, 8, 128, 128, 128, 128):
        net.dense(units)
        net.add("norm")
        net.add("relu")
    net.dense(640)
    return net


NETWORKS = {make.__name__: make for make in (resnet8, ds_cnn, mobilenet_v1, mobilenet_v2, autoencoder)}


def drawn(net):
    """Arrays of each row in this package's order and layout, then x [STEPS, BATCH, H, W, C] and labels [STEPS, BATCH].

    Of a conv (KH, KW, C / groups, filters); of a norm (3, C), weight, running mean and running variance, and its bias; of a
    dense layer (inputs, units) and its bias.
    """
    rng = np.random.default_rng(12)
    arrays = []
    for row in net.rows:
        inputs = net.shape(row.sources[0])
        if row.op == "conv":
            shape = (*row.settings["kernel"], inputs[2] // row.settings["groups"], row.settings["filters"])
            arrays.append([rng.normal(0.0, np.sqrt(2 / np.prod(shape[:3])), shape)])
        elif row.op == "dense":
            size = int(np.prod(inputs))
            arrays.append([rng.normal(0.0, np.sqrt(1 / size), (size, row.settings["units"])), np.zeros(row.settings["units"])])
        elif row.op == "norm":
            weight, bias = rng.normal(1.0, 0.1, inputs[2]), rng.normal(1.0, 0.1, inputs[2])
            arrays.append([np.stack([weight, np.zeros(inputs[2]), np.ones(inputs[2])]), bias])
        else:
            arrays.append([])
    x = rng.normal(size=(STEPS, BATCH, *net.input_shape))
    labels = rng.integers(0, max(1, net.classes), (STEPS, BATCH))
    return [[array.astype(np.float32) for array in row] for row in arrays], x.astype(np.float32), labels


def main():
    import torch  # type: ignore[import-not-found]
    from torch.nn import functional

    torch.set_num_threads(1)

    def parameters(net, arrays):
        """By row: what learns, and a norm's running statistics."""
        learn, running = [], []
        for row, own in zip(net.rows, arrays):
            tensors = [torch.tensor(array) for array in own]
            running.append([])
            if row.op == "conv":
                tensors[0] = tensors[0].permute(3, 2, 0, 1).contiguous()
            if row.op == "norm":
                running[-1] = [tensors[0][1].clone(), tensors[0][2].clone()]
                tensors[0] = tensors[0][0].clone()
            learn.append([tensor.requires_grad_() for tensor in tensors])
        return learn, running

    def forward(net, learn, running, x, training):
        outputs = {-1: x}
        for number, (row, own, statistics) in enumerate(zip(net.rows, learn, running)):
            read = [outputs[source] for source in row.sources]
            if row.op == "conv":
                (top, bottom), (left, right) = row.settings["pads"]
                padded = functional.pad(read[0], (left, right, top, bottom))
                y = functional.conv2d(padded, own[0], stride=row.settings["stride"], groups=row.settings["groups"])
            elif row.op == "norm":
                y = functional.batch_norm(read[0], *statistics, *own, training=training)
            elif row.op == "dense":
                y = read[0].flatten(1) @ own[0] + own[1]
            elif row.op == "add":
                y = read[0] + read[1]
            elif row.op == "mean":
                y = read[0].mean((2, 3))
            else:
                y = {"relu": functional.relu, "relu6": functional.relu6}[row.op](read[0])
            outputs[number] = y
        return outputs[len(net.rows) - 1]

    def loss_of(net, y, x, labels):
        return functional.mse_loss(y, x.flatten(1)) if net.classes == 0 else functional.cross_entropy(y, labels)

    def trajectory(net):
        """The loss of each step, then that of all samples with the running statistics."""
        arrays, x, labels = drawn(net)
        learn, running = parameters(net, arrays)
        optimizer = torch.optim.SGD([tensor for own in learn for tensor in own], net.learning_rate, momentum=MOMENTUM)
        x, labels = torch.tensor(x).permute(0, 1, 4, 2, 3).contiguous(), torch.tensor(labels)
        if net.classes == 0:
            x = x.flatten(2)
        losses = []
        for samples, wanted in zip(x, labels):
            optimizer.zero_grad()
            loss = loss_of(net, forward(net, learn, running, samples, True), samples, wanted)
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        with torch.no_grad():
            samples = x.flatten(0, 1)
            losses.append(float(loss_of(net, forward(net, learn, running, samples, False), samples, labels.flatten())))
        return [float(f"{loss:.9g}") for loss in losses]

    found: dict[str, Any] = {"torch": torch.__version__}
    for name, make in NETWORKS.items():
        found[name] = trajectory(make())
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
