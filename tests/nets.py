"""Networks that several tests share: one table describes the package's network and the reference's."""

from dataclasses import dataclass, field

import numpy as np
import reference

import convgrad_embedded as cge


def layer(name, *arguments, **keywords):
    return name, arguments, keywords


@dataclass(frozen=True)
class Spec:
    input_shape: tuple
    layers: list
    loss: str = "softmax_cross_entropy"
    optimizer: dict = field(default_factory=lambda: dict(learning_rate=0.05, momentum=0.9))

    def build(self, module, freeze=()):
        """This network's layers; `freeze` lists those to be frozen by their position."""
        keywords = [dict(kw, frozen=True) if i in freeze else kw for i, (_, _, kw) in enumerate(self.layers)]
        return [getattr(module, name)(*arguments, **kw) for (name, arguments, _), kw in zip(self.layers, keywords)]

    @property
    def trainable(self):
        return [i for i, (name, _, _) in enumerate(self.layers) if name in ("Conv2d", "Dense", "GroupNorm", "LayerNorm")]

    def network(self, seed=0, freeze=(), optimizer=None, **options):
        sgd = cge.SGD(**(self.optimizer if optimizer is None else optimizer))
        return cge.Network(self.input_shape, self.build(cge, freeze), self.loss, sgd, seed, **options)

    def reference(self, weights, freeze=()):
        optimizer = {name: float(np.float32(value)) for name, value in self.optimizer.items()}  # as the core holds them
        return reference.Network(self.build(reference, freeze), weights, self.loss, reference.SGD(**optimizer))

    def data(self, count, rng):
        """x and targets of `count` samples."""
        x = rng.normal(size=(count, *self.input_shape)).astype(np.float32)
        outputs = self.network().output_shape
        if self.loss == "softmax_cross_entropy":
            return x, rng.integers(0, int(np.prod(outputs)), count)
        return x, rng.normal(size=(count, *outputs)).astype(np.float32)


# fmt: off
SPECS = {
    "digits": Spec((8, 8, 1), [
        layer("Conv2d", 8, 3, padding=1), layer("ReLU"), layer("MaxPool2d", 2), layer("Conv2d", 16, 3, padding=1),
        layer("ReLU"), layer("MaxPool2d", 2), layer("Dense", 10)]),
    "camera": Spec((9, 11, 3), [
        layer("Conv2d", 6, 3, stride=(2, 1), padding=((0, 1), (2, 0))), layer("LeakyReLU", 0.125), layer("AvgPool2d", 2),
        layer("Conv2d", 4, (1, 2), dilation=(1, 2), groups=2), layer("Tanh"), layer("Flatten"), layer("Dense", 5)],
        optimizer=dict(learning_rate=0.05, momentum=0.8, nesterov=True, weight_decay=0.01)),
    "separable": Spec((8, 7, 2), [
        layer("Conv2d", 4, 3, padding="same", use_bias=False), layer("ReLU"),
        layer("Conv2d", 4, 3, padding="same", groups=4), layer("Conv2d", 7, 1), layer("Sigmoid"),
        layer("GlobalAvgPool2d"), layer("Dense", 4, use_bias=False)],
        optimizer=dict(learning_rate=0.2)),
    "perceptron": Spec((12,), [
        layer("Dense", 9), layer("Tanh"), layer("Dense", 17), layer("Sigmoid"), layer("Dense", 3)],
        loss="mean_squared_error", optimizer=dict(learning_rate=0.1, momentum=0.5, weight_decay=0.001)),
    "image_to_image": Spec((6, 5, 2), [
        layer("ReLU"), layer("Conv2d", 3, 3, padding="same"), layer("MaxPool2d", 3, stride=1, padding=1), layer("Tanh"),
        layer("Conv2d", 2, 2, padding=((1, 0), (0, 1)))],
        loss="mean_squared_error", optimizer=dict(learning_rate=0.1)),
    "activations_everywhere": Spec((5, 5, 1), [
        layer("Flatten"), layer("Tanh"), layer("Sigmoid"), layer("ReLU"), layer("Dense", 8), layer("Tanh"),
        layer("LeakyReLU", 0.25), layer("Sigmoid"), layer("Tanh"), layer("ReLU"), layer("Flatten"), layer("Dense", 3),
        layer("Sigmoid"), layer("ReLU")]),
    "curves": Spec((7, 6, 2), [
        layer("SiLU"), layer("Conv2d", 4, 3, padding=1), layer("HardSwish"), layer("MaxPool2d", 2), layer("Conv2d", 5, 2),
        layer("GELU"), layer("Conv2d", 4, 1), layer("Softmax"), layer("Dense", 6), layer("Softmax"), layer("Dense", 4)],
        optimizer=dict(learning_rate=0.1, momentum=0.5)),
    "capped": Spec((8, 7, 2), [
        layer("Conv2d", 4, 3, padding=1), layer("ReLU6"), layer("MaxPool2d", 2), layer("Conv2d", 4, 3, padding=1, groups=4),
        layer("ELU", 1.5), layer("Conv2d", 3, 1), layer("HardSigmoid"), layer("Dense", 5), layer("Softplus"), layer("ELU"),
        layer("Dense", 3)],
        loss="mean_squared_error", optimizer=dict(learning_rate=0.05)),
    "moved": Spec((5, 4, 2), [
        layer("ZeroPad2d", ((1, 0), (0, 2))), layer("Conv2d", 3, 2), layer("Upsample2d", (3, 2), mode="bilinear"),
        layer("Crop2d", (2, 1)), layer("ChannelSlice", 1, 2), layer("Conv2d", 3, 3, stride=2), layer("Upsample2d", 2),
        layer("GlobalMaxPool2d"), layer("Dense", 3)]),
    "norms": Spec((9, 8, 2), [
        layer("Conv2d", 8, 3, padding=1, use_bias=False), layer("GroupNorm", 4), layer("ReLU"), layer("MaxPool2d", 2),
        layer("Conv2d", 6, 3), layer("Tanh"), layer("InstanceNorm", eps=0.01), layer("GroupNorm", 3, use_bias=False),
        layer("LayerNorm", eps=0.1), layer("Sigmoid"), layer("Dense", 3)],
        optimizer=dict(learning_rate=0.05, momentum=0.9, weight_decay=0.001)),
    "one_layer": Spec((4, 4, 1), [layer("Dense", 3)]),
}
# fmt: on


def trained(spec, rng, steps=3, **options):
    """A network that has weights, biases and velocities other than zero."""
    net = spec.network(**options)
    for _ in range(steps):
        net.train_on_batch(*spec.data(4, rng))
    return net
