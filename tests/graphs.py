"""Random graphs of layers, and a step of one computed layer by layer: with this library's operators in float32, whose bits
are a contract, or with the reference's in float64, which share no code with it."""

import random

import numpy as np
import reference
from capi import ffi, operator
from chains import MORE_ACTIVATIONS

import convgrad_embedded as cge

MOST_OUTPUTS = 40
TOLD_BY_X = ("hard_swish", "silu", "gelu")  # whose gradients read the input


def random_norm(rng, channels):
    options = {"affine": rng.random() < 0.8, "use_bias": rng.random() < 0.8, "frozen": rng.random() < 0.2}
    groups = rng.choice([divisor for divisor in range(1, channels + 1) if channels % divisor == 0])
    norms = [
        cge.GroupNorm(groups, **options),
        cge.GroupNorm(groups, eps=0.5),
        cge.InstanceNorm(eps=0.1, **options),
        cge.LayerNorm(**options),
        cge.PReLU(rng.choice([1, channels]), frozen=options["frozen"]),
    ]
    return rng.choice(norms)


def grown(rng, usual_alone):
    """(input shape, input tensor, output tensor): valid, of up to a dozen layers, with skips and branches."""
    shape = (rng.randint(3, 9), rng.randint(3, 9), rng.randint(1, 3))
    x = cge.Input(shape)
    open_ends = [(x, shape)]  # what may still be read
    for _ in range(rng.randint(2, 9)):
        tensor, (h, w, c) = rng.choice(open_ends[-3:])
        more = [] if usual_alone else ["image", "norm"]
        kind = rng.choice(
            ["conv", "conv", "activation", "activation", "pool", "add", "add", "concat", "flatten", *more]
        )
        twins = [other for other in open_ends if other[1] == (h, w, c)]
        neighbours = [other for other in open_ends if other[1][:2] == (h, w)]
        if kind == "conv":
            filters = rng.choice([c, c, rng.randint(1, 4)])
            layer = cge.Conv2d(filters, 3, padding=1, use_bias=rng.random() < 0.8, frozen=rng.random() < 0.15)
            made = (layer(tensor), (h, w, filters))
        elif kind == "activation":
            usual = [cge.ReLU(), cge.ReLU(), cge.LeakyReLU(0.25), cge.Tanh(), cge.Sigmoid()]
            made = (rng.choice(usual if usual_alone else [*usual, *MORE_ACTIVATIONS])(tensor), (h, w, c))
        elif kind == "pool" and h >= 2 and w >= 2:
            made = (rng.choice([cge.MaxPool2d(2), cge.AvgPool2d(2)])(tensor), (h // 2, w // 2, c))
        elif kind == "norm":
            made = (random_norm(rng, c)(tensor), (h, w, c))
        elif kind == "add":
            made = (cge.Add()(tensor, rng.choice(twins)[0]), (h, w, c))
        elif kind == "concat":
            other, (_, _, other_c) = rng.choice(neighbours)
            made = (cge.Concat()(tensor, other), (h, w, c + other_c))
        elif kind == "image" and h * w < 60:
            image = rng.choice([cge.Upsample2d(2), cge.Upsample2d((1, 2), mode="bilinear"), cge.ZeroPad2d(1), cge.Crop2d(0)])
            scale_h, scale_w = image.scale_factor if isinstance(getattr(image, "scale_factor", 1), tuple) else (2, 2)
            larger = {"upsample2d": (h * scale_h, w * scale_w), "zero_pad2d": (h + 2, w + 2), "crop2d": (h, w)}[image.kind]
            made = (image(tensor), (*larger, c))
        elif kind == "flatten":
            made = (cge.Flatten()(tensor), (1, 1, h * w * c))
        else:
            continue
        open_ends.append(made)
    outputs, made = rng.randint(1, 4), [tensor for tensor, _ in open_ends[1:]]
    ends = [tensor for tensor in made if not any(tensor in other.inputs for other in made)] or [x]
    total = cge.Dense(outputs)(ends[0])
    for tensor in ends[1:]:
        total = cge.Add()(cge.Dense(outputs, frozen=rng.random() < 0.2)(tensor), total)
    return shape, x, total


def random_graph(seed, usual_alone=False):
    """(arguments of Network, samples, targets); usual_alone: of the layers that other formats know."""
    rng = random.Random(seed)
    loss = rng.choice(["softmax_cross_entropy", "mean_squared_error"])
    optimizer = cge.SGD(0.0001, momentum=rng.choice([0, 0.5]), weight_decay=rng.choice([0, 0.01]))
    while True:
        shape, x, y = grown(rng, usual_alone)
        arguments = {"inputs": x, "outputs": y, "loss": loss, "optimizer": optimizer, "seed": seed}
        net = cge.Network(**arguments)
        outputs = int(np.prod(net.output_shape))
        if outputs <= MOST_OUTPUTS and any(sources != (index - 1,) for index, sources in enumerate(net.sources)):
            break
    numbers = np.random.default_rng(seed)
    samples = numbers.normal(size=(5, *shape)).astype(np.float32)
    targets = numbers.integers(0, outputs, 5)
    if loss == "mean_squared_error":
        targets = numbers.normal(size=(5, *net.output_shape)).astype(np.float32)
    return arguments, samples, targets


def image_geometry(layer, shape):
    h, w, c = shape
    row = layer.c_row((h, w))
    return ffi.new(f"cge_{row.config} *", {"in_h": h, "in_w": w, "in_c": c, **row.fields})


def one_layer(layer, x, dy=None):
    """y, and dx if dy is given, by the operator in C."""
    if layer.kind == "global_maxpool2d":
        size = x.shape[:2]
        return cge.maxpool2d_forward(x, size), None if dy is None else cge.maxpool2d_input_grad(x, dy, size)
    geometry = image_geometry(layer, x.shape)
    y, dx = np.empty(cge.Network(x.shape, [layer]).output_shape, x.dtype), np.empty_like(x)
    operator(f"{layer.kind}_forward", geometry, np.ascontiguousarray(x), y)
    if dy is not None:
        read = [np.ascontiguousarray(x)] if layer.kind == "maxpool2d" else []
        operator(f"{layer.kind}_input_grad", geometry, *read, np.ascontiguousarray(dy), dx)
    return y, dx


def moved(layer):
    """The reference's layer."""
    if layer.kind == "upsample2d":
        return reference.Upsample2d(layer.scale_factor, layer.mode)
    return reference.ZeroPad2d(layer.padding) if layer.kind == "zero_pad2d" else reference.Crop2d(layer.cropping)


class Float32:
    """Layers by this library's operators, one sample at a time; x and y as the operators take them."""

    dtype = np.float32

    def conv2d(self, layer, x, params):
        return cge.conv2d_forward(x[None], *params, padding=layer.padding)[0]

    def conv2d_back(self, layer, x, y, dy, params):
        dw = cge.conv2d_weight_grad(x[None], dy[None], params[0].shape[:2], padding=layer.padding)
        dx = cge.conv2d_input_grad(params[0], dy[None], x.shape[:2], padding=layer.padding)
        return [dw, cge.conv2d_bias_grad(dy[None])], [dx[0]]

    def dense(self, layer, x, params):
        return cge.dense_forward(x.reshape(1, -1), *params)

    def dense_back(self, layer, x, y, dy, params):
        x, dy = x.reshape(1, -1), dy.reshape(1, -1)
        return [cge.dense_weight_grad(x, dy), cge.dense_bias_grad(dy)], [cge.dense_input_grad(params[0], dy)]

    def maxpool2d(self, layer, x, params):
        return cge.maxpool2d_forward(x, layer.pool_size)

    def maxpool2d_back(self, layer, x, y, dy, params):
        return [], [cge.maxpool2d_input_grad(x, dy, layer.pool_size)]

    def avgpool2d(self, layer, x, params):
        return cge.avgpool2d_forward(x, layer.pool_size)

    def avgpool2d_back(self, layer, x, y, dy, params):
        return [], [cge.avgpool2d_input_grad(dy, x.shape[:2], layer.pool_size)]

    def norm(self, layer, x, params):
        return cge.group_norm_forward(*_normed(layer, x, params), eps=layer.eps)

    def norm_back(self, layer, x, y, dy, params):
        x, groups, *weights = _normed(layer, x, params)
        dy = dy.reshape(x.shape)
        dw, db = cge.group_norm_weight_grad(x, dy, groups, eps=layer.eps), cge.group_norm_bias_grad(dy)
        return [dw, db], [cge.group_norm_input_grad(x, dy, groups, *weights[:1], eps=layer.eps)]

    group_norm = instance_norm = layer_norm = norm
    group_norm_back = instance_norm_back = layer_norm_back = norm_back

    def prelu(self, layer, x, params):
        return cge.prelu_forward(x, params[0])

    def prelu_back(self, layer, x, y, dy, params):
        return [cge.prelu_weight_grad(x, dy, layer.num_parameters)], [cge.prelu_input_grad(x, params[0], dy)]

    def activation(self, layer, x, params):
        return getattr(cge, f"{layer.kind}_forward")(x, *_alpha(layer))

    def activation_back(self, layer, x, y, dy, params):
        told = x if layer.kind in TOLD_BY_X else y
        return [], [getattr(cge, f"{layer.kind}_input_grad")(told, dy, *_alpha(layer))]

    def softmax(self, layer, x, params):
        return cge.softmax_forward(x.reshape(-1, x.shape[-1])).reshape(x.shape)

    def softmax_back(self, layer, x, y, dy, params):
        pixels = (-1, x.shape[-1])
        return [], [cge.softmax_input_grad(y.reshape(pixels), dy.reshape(pixels)).reshape(x.shape)]

    def image(self, layer, x, params):
        return one_layer(layer, x)[0]

    def image_back(self, layer, x, y, dy, params):
        return [], [one_layer(layer, x, dy)[1]]

    zero_pad2d = crop2d = upsample2d = image
    zero_pad2d_back = crop2d_back = upsample2d_back = image_back

    def loss_grad(self, loss, y, target):
        targets = np.asarray([target]) if loss == "softmax_cross_entropy" else np.reshape(target, (1, -1))
        return getattr(cge, f"{loss}_input_grad")(y.reshape(1, -1), targets)


class Float64:
    """The same by the reference."""

    dtype = np.float64

    def conv2d(self, layer, x, params):
        return reference.conv2d_forward(x[None], *params, padding=layer.padding)[0]

    def conv2d_back(self, layer, x, y, dy, params):
        dw = reference.conv2d_weight_grad(x[None], dy[None], params[0].shape[:2], padding=layer.padding)
        dx = reference.conv2d_input_grad(params[0], dy[None], x.shape[:2], padding=layer.padding)
        return [dw, dy.sum((0, 1))], [dx[0]]

    def dense(self, layer, x, params):
        return x.reshape(-1) @ params[0] + (params[1] if len(params) > 1 else 0)

    def dense_back(self, layer, x, y, dy, params):
        return [np.outer(x, dy), dy.reshape(-1)], [params[0] @ dy.reshape(-1)]

    def maxpool2d(self, layer, x, params):
        return reference.maxpool2d_forward(x[None], layer.pool_size)[0]

    def maxpool2d_back(self, layer, x, y, dy, params):
        return [], [reference.maxpool2d_input_grad(x[None], dy[None], layer.pool_size)[0]]

    def avgpool2d(self, layer, x, params):
        return reference.avgpool2d_forward(x[None], layer.pool_size)[0]

    def avgpool2d_back(self, layer, x, y, dy, params):
        return [], [reference.avgpool2d_input_grad((1, *x.shape), dy[None], layer.pool_size)[0]]

    def norm(self, layer, x, params):
        x, groups, *weights = _normed(layer, x, params)
        return reference.group_norm_forward(x[None], groups, *weights, eps=layer.eps)

    def norm_back(self, layer, x, y, dy, params):
        x, groups, *weights = _normed(layer, x, params)
        x, dy = x[None], dy.reshape(1, *x.shape)
        dw, db = reference.group_norm_weight_grad(x, dy, groups, eps=layer.eps), reference.group_norm_bias_grad(dy)
        return [dw, db], [reference.group_norm_input_grad(x, dy, groups, *weights[:1], eps=layer.eps)]

    group_norm = instance_norm = layer_norm = norm
    group_norm_back = instance_norm_back = layer_norm_back = norm_back

    def prelu(self, layer, x, params):
        return reference.prelu_forward(x, params[0])

    def prelu_back(self, layer, x, y, dy, params):
        return [reference.prelu_weight_grad(x, dy, layer.num_parameters)], [reference.prelu_input_grad(x, params[0], dy)]

    def activation(self, layer, x, params):
        return getattr(reference, layer.kind)(x, *_alpha(layer))[0]

    def activation_back(self, layer, x, y, dy, params):
        return [], [dy * getattr(reference, layer.kind)(x, *_alpha(layer))[1]]

    def softmax(self, layer, x, params):
        return reference.softmax(x)

    def softmax_back(self, layer, x, y, dy, params):
        of_pixels = reference.Softmax()
        of_pixels.forward(x, [])
        return [], [of_pixels.backward(dy)[0]]

    def image(self, layer, x, params):
        return moved(layer).forward(x[None], [])[0]

    def image_back(self, layer, x, y, dy, params):
        of_image = moved(layer)
        of_image.forward(x[None], [])
        return [], [of_image.backward(dy[None])[0][0]]

    zero_pad2d = crop2d = upsample2d = image
    zero_pad2d_back = crop2d_back = upsample2d_back = image_back

    def loss_grad(self, loss, y, target):
        targets = np.asarray([target]) if loss == "softmax_cross_entropy" else np.reshape(target, (1, -1))
        return getattr(reference, loss)(y.reshape(1, -1), targets)[1]


def _normed(layer, x, params):
    """x, groups, w and b as the operator takes them."""
    shaped = x.reshape(1, 1, -1) if layer.kind == "layer_norm" else x
    groups = {"group_norm": getattr(layer, "groups", 1), "instance_norm": x.shape[-1], "layer_norm": 1}[layer.kind]
    return (shaped, groups, *(w.reshape(-1) for w in params))


def _alpha(layer):
    return (layer.alpha,) if layer.kind in ("leaky_relu", "elu") else ()


class LayerByLayer:
    """The outputs and gradients of a network for one sample."""

    def __init__(self, net, ops):
        self.net, self.ops, self.infos = net, ops, net.layer_infos
        weights = iter(net.get_weights())
        self.params = [[next(weights).astype(ops.dtype) for _ in info.parameter_shapes] for info in self.infos]

        self.sources = [tuple(map(self.origin, sources)) for sources in net.sources]

    def origin(self, source):
        """Rows that only rename are looked through."""
        while source >= 0 and self.net.layers[source].kind == "flatten":
            source = self.net.sources[source][0]
        return source

    def inputs(self, index):
        found = [self.y[source] if source >= 0 else self.x for source in self.sources[index]]
        shape = self.infos[index].in_shape  # renamed
        return [found[0].reshape(shape), *(x.reshape(*shape[:2], -1) for x in found[1:])]

    def forward(self, x):
        self.x = np.asarray(x, self.ops.dtype)
        self.y = []
        for index, info in enumerate(self.infos):
            self.y.append(np.asarray(self.output(index), self.ops.dtype).reshape(info.out_shape))
        return self.y[-1]

    def output(self, index):
        layer, inputs = self.net.layers[index], self.inputs(index)
        if layer.kind == "add":
            return inputs[0] + inputs[1]
        if layer.kind == "concat":
            return np.concatenate(inputs, axis=2)
        if layer.kind == "flatten":
            return inputs[0]
        return getattr(self.ops, layer.kind, self.ops.activation)(layer, inputs[0], self.params[index])

    def gradients(self, x, target):
        """[dw, db] of each layer. An output's gradient is the sum of its readers', from the last layer to the first."""
        dy = [None] * len(self.infos)
        dy[-1] = self.ops.loss_grad(self.net.loss, self.forward(x), target)
        found = [None] * len(self.infos)
        for index in range(len(self.infos) - 1, -1, -1):
            if self.net.layers[index].kind == "flatten":
                found[index] = []
                continue
            grad = np.asarray(dy[index], self.ops.dtype).reshape(self.infos[index].out_shape)
            of_params, of_inputs = self.backward(index, grad)
            found[index] = of_params[: len(self.params[index])]
            for source, part in reversed(list(zip(self.sources[index], of_inputs))):
                if source >= 0:
                    part = np.asarray(part, self.ops.dtype).reshape(self.infos[source].out_shape)
                    dy[source] = part if dy[source] is None else dy[source] + part
        return found

    def backward(self, index, dy):
        layer, inputs = self.net.layers[index], self.inputs(index)
        if layer.kind == "add":
            return [], [dy, dy]
        if layer.kind == "concat":
            return [], np.split(dy, [inputs[0].shape[2]], axis=2)
        back = getattr(self.ops, f"{layer.kind}_back", self.ops.activation_back)
        return back(layer, inputs[0], self.y[index], dy, self.params[index])
