"""Random chains of layers, and what training makes of them at each memory level.

python tests/chains.py COUNT        hashes of COUNT chains, with the kernels that CGE_KERNELS names
"""

import random
import sys

import numpy as np

import convgrad_embedded as cge

LEVELS = ("fast", "small", "smallest")
MOST_OUTPUTS = 64


MORE_ACTIVATIONS = [
    cge.ReLU6(),
    cge.HardSigmoid(),
    cge.ELU(1.5),
    cge.Softplus(),
    cge.Softmax(),
    cge.HardSwish(),
    cge.SiLU(),
    cge.GELU(),
]


def random_layer(rng):
    """What units are made of more often than others."""
    usual = ["conv2d", "conv2d", "conv2d", "maxpool2d", "maxpool2d", "activation", "activation"]
    kind = rng.choice([*usual, "other", "dense", "image", "norm", "dropout"])
    frozen = rng.random() < 0.15
    if kind == "conv2d":
        size = (rng.randint(1, 3), rng.randint(1, 4))
        padding = rng.choice([0, 1, "same", ((0, 1), (1, 0))])
        steps = {"stride": rng.choice([1, 1, 2])} if padding == "same" else {"dilation": rng.choice([1, 1, 2])}
        groups = rng.choice([1, 1, 1, 2])
        use_bias = rng.random() < 0.8
        filters = 2 * rng.randint(1, 4)
        return cge.Conv2d(filters, size, padding=padding, groups=groups, use_bias=use_bias, frozen=frozen, **steps)
    if kind == "maxpool2d":
        return cge.MaxPool2d(rng.choice([2, 2, (2, 3), 3]), stride=rng.choice([None, None, None, 1]))
    if kind == "activation":
        return rng.choice([cge.ReLU(), cge.ReLU(), cge.LeakyReLU(0.25), cge.Sigmoid(), cge.Tanh(), *MORE_ACTIVATIONS])
    if kind == "dense":
        return cge.Dense(rng.randint(1, 9), use_bias=rng.random() < 0.8, frozen=frozen)
    if kind == "image":
        return rng.choice(
            [
                cge.ZeroPad2d((rng.randint(0, 2), 1)),
                cge.Crop2d(((rng.randint(0, 1), 0), (0, 1))),
                cge.ChannelSlice(rng.randint(0, 1), 1),
                cge.Upsample2d((2, rng.randint(1, 3))),
                cge.Upsample2d((rng.randint(1, 3), 2), mode="bilinear"),
                cge.GlobalMaxPool2d(),
            ]
        )
    if kind == "norm":
        options = {"affine": rng.random() < 0.7, "frozen": frozen}
        groups = rng.choice([1, 1, 2])
        norms = [cge.GroupNorm(groups, **options), cge.LayerNorm(**options), cge.InstanceNorm(eps=0.1, **options)]
        return rng.choice([*norms, cge.PReLU(frozen=frozen)])
    if kind == "dropout":
        return cge.Dropout(rng.choice([0, 0.1, 0.5]), seed=rng.randint(0, 9))
    transposed = cge.ConvTranspose2d(
        4, (3, 2), stride=2, padding=1, output_padding=(1, 0), groups=rng.choice([1, 2]), frozen=frozen
    )
    return rng.choice([cge.AvgPool2d(2), cge.Flatten(), cge.GlobalAvgPool2d(), transposed])


def random_chain(seed):
    """(arguments of Network, samples, targets): valid, of one to eight layers."""
    rng = random.Random(seed)
    loss = rng.choice(["softmax_cross_entropy", "mean_squared_error"])
    optimizer = cge.SGD(0.001, momentum=rng.choice([0, 0.9]), weight_decay=rng.choice([0, 0.01]))
    while True:
        shape = (rng.randint(4, 13), rng.randint(4, 13), 2 * rng.randint(1, 2))
        layers = [random_layer(rng) for _ in range(rng.randint(1, 8))]
        try:
            net = cge.Network(shape, layers, loss, optimizer)
        except ValueError:
            continue
        outputs = int(np.prod(net.output_shape))
        if outputs <= MOST_OUTPUTS:
            break
    numbers = np.random.default_rng(seed)
    x = numbers.normal(size=(6, *shape)).astype(np.float32)
    y = numbers.integers(0, outputs, 6) if loss == "softmax_cross_entropy" else numbers.normal(size=(6, *net.output_shape))
    return (shape, layers, loss, optimizer, seed), x, y


def life(chain, memory, batch_size):
    """Everything that a network gives while it trains, as text."""
    arguments, x, y = chain
    net = cge.Network(*arguments, memory=memory)
    history = net.fit(x, y, epochs=2, batch_size=batch_size, validation_data=(x[:3], y[:3]), verbose=False)
    loss = net.train_on_batch(x[:batch_size], y[:batch_size])
    numbers = [*history["loss"], *history["val_loss"], loss, *net.evaluate(x, y), net.step_count]
    return f"{net.weights_hash()} {net.predict(x).tobytes().hex()} {numbers}"


if __name__ == "__main__":
    for number in range(int(sys.argv[1])):
        print(life(random_chain(number), "smallest", 1), life(random_chain(number), "small", 4))
