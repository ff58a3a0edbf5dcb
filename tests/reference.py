"""The first oracle: every operator and whole networks in float64 NumPy, sharing no code and no loop with the core.

Where the core gathers taps inside index ranges, this pads, takes strided windows and contracts with einsum; where the
core gathers an input gradient, this scatters. Activations are differentiated by their input where the core uses the
output. Batches are always there: x [n][h][w][c]. Layers and losses carry the names and arguments of the package, so
that one table describes both networks.
"""

import numpy as np
from numpy.lib.stride_tricks import as_strided


def pair(value):
    return (value, value) if np.isscalar(value) else tuple(value)


def four(padding):
    """int, (h, w) or ((top, bottom), (left, right)) as ((top, bottom), (left, right))."""
    return tuple(pair(side) for side in pair(padding))


def same(size, kernel, stride=1, dilation=1):
    """The padding "same": ceil(size / stride) outputs, the odd element of padding at the end."""
    total = max((-(-size // stride) - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)
    return total // 2, total - total // 2


def windows(padded, kernel, stride, dilation):
    """View [n][oh][ow][kh][kw][c] of the padded input [n][h][w][c]."""
    (kh, kw), (sh, sw), (dh, dw) = kernel, stride, dilation
    n, h, w, c = padded.shape
    out_h, out_w = (h - dh * (kh - 1) - 1) // sh + 1, (w - dw * (kw - 1) - 1) // sw + 1
    bn, bh, bw, bc = padded.strides
    return as_strided(padded, (n, out_h, out_w, kh, kw, c), (bn, bh * sh, bw * sw, bh * dh, bw * dw, bc), writeable=False)


def pad(x, padding, value=0.0):
    return np.pad(np.asarray(x, np.float64), ((0, 0), *four(padding), (0, 0)), constant_values=value)


def scatter(values, input_size, kernel, stride, dilation, padding):
    """The adjoint of pad, then windows: adds [n][oh][ow][kh][kw][c] into [n][h][w][c]."""
    n, c = values.shape[0], values.shape[-1]
    (top, bottom), (left, right) = four(padding)
    canvas = np.zeros((n, input_size[0] + top + bottom, input_size[1] + left + right, c))
    place = np.arange(canvas.size).reshape(canvas.shape)
    np.add.at(canvas.reshape(-1), windows(place, kernel, stride, dilation), values)
    return canvas[:, top : top + input_size[0], left : left + input_size[1]]


# ---- convolution -------------------------------------------------------------------------------------------------


def conv2d_forward(x, w, b=None, *, stride=1, padding=0, dilation=1, groups=1):
    taps = windows(pad(x, padding), w.shape[:2], pair(stride), pair(dilation))
    taps = taps.reshape(*taps.shape[:5], groups, -1)
    filters = np.asarray(w, np.float64).reshape(*w.shape[:3], groups, -1)
    y = np.einsum("nijabgc,abcgk->nijgk", taps, filters, optimize=True)
    return y.reshape(*y.shape[:3], -1) + (0 if b is None else np.asarray(b, np.float64))


def conv2d_weight_grad(x, dy, kernel_size, *, stride=1, padding=0, dilation=1, groups=1):
    taps = windows(pad(x, padding), pair(kernel_size), pair(stride), pair(dilation))
    taps = taps.reshape(*taps.shape[:5], groups, -1)
    dy = np.asarray(dy, np.float64).reshape(*dy.shape[:3], groups, -1)
    dw = np.einsum("nijabgc,nijgk->abcgk", taps, dy, optimize=True)
    return dw.reshape(*dw.shape[:3], -1)


def conv2d_bias_grad(dy):
    return np.asarray(dy, np.float64).sum((0, 1, 2))


def conv2d_input_grad(w, dy, input_size, *, stride=1, padding=0, dilation=1, groups=1):
    filters = np.asarray(w, np.float64).reshape(*w.shape[:3], groups, -1)
    dy = np.asarray(dy, np.float64).reshape(*dy.shape[:3], groups, -1)
    taps = np.einsum("nijgk,abcgk->nijabgc", dy, filters, optimize=True)
    taps = taps.reshape(*taps.shape[:5], -1)
    return scatter(taps, pair(input_size), w.shape[:2], pair(stride), pair(dilation), padding)


# ---- pooling -----------------------------------------------------------------------------------------------------


def pool_taps(x, kernel, stride, padding):
    """Values and validity of the taps, both [n][oh][ow][kh * kw][c]."""
    inside = windows(pad(np.ones(x.shape), padding), kernel, stride, (1, 1)) > 0
    values = windows(pad(x, padding), kernel, stride, (1, 1))
    flat = (*values.shape[:3], -1, values.shape[-1])
    return values.reshape(flat), inside.reshape(flat)


def maxpool2d_choice(x, kernel, stride, padding):
    """One-hot [n][oh][ow][kh * kw][c]: the first NaN, else the first of the largest."""
    values, inside = pool_taps(x, kernel, stride, padding)
    nan = inside & np.isnan(values)
    largest = np.where(inside & ~np.isnan(values), values, -np.inf).max(3, keepdims=True)
    wanted = np.where(nan.any(3, keepdims=True), nan, inside & (values == largest))
    return wanted & (np.cumsum(wanted, 3) == 1)


def maxpool2d_forward(x, kernel, *, stride=None, padding=0):
    kernel, stride = pair(kernel), pair(stride or kernel)
    values, _ = pool_taps(x, kernel, stride, padding)
    choice = maxpool2d_choice(x, kernel, stride, padding)
    return np.where(choice, values, 0.0).sum(3)


def maxpool2d_input_grad(x, dy, kernel, *, stride=None, padding=0):
    kernel, stride = pair(kernel), pair(stride or kernel)
    choice = maxpool2d_choice(x, kernel, stride, padding)
    taps = np.where(choice, np.asarray(dy, np.float64)[:, :, :, None], 0.0)
    taps = taps.reshape(*taps.shape[:3], *kernel, -1)
    return scatter(taps, x.shape[1:3], kernel, stride, (1, 1), padding)


def avgpool2d_forward(x, kernel, *, stride=None, padding=0):
    values, inside = pool_taps(x, pair(kernel), pair(stride or kernel), padding)
    return values.sum(3) / inside.sum(3)


def avgpool2d_input_grad(input_shape, dy, kernel, *, stride=None, padding=0):
    kernel, stride = pair(kernel), pair(stride or kernel)
    _, inside = pool_taps(np.zeros(input_shape), kernel, stride, padding)
    taps = inside * (np.asarray(dy, np.float64) / inside.sum(3))[:, :, :, None]
    taps = taps.reshape(*taps.shape[:3], *kernel, -1)
    return scatter(taps, input_shape[1:3], kernel, stride, (1, 1), padding)


# ---- activations: value and derivative by the input -----------------------------------------------------------------


def relu(x):
    return np.maximum(x, 0.0), np.heaviside(x, 0.0)


def leaky_relu(x, alpha):
    slope = np.where(x > 0, 1.0, alpha)
    return slope * x, slope


def sigmoid(x):
    # 1 / (1 + exp(-x)) as a tanh: no overflow, and not the core's formula. cosh overflows to a derivative of 0.
    with np.errstate(over="ignore"):
        return 0.5 + 0.5 * np.tanh(0.5 * x), 0.25 / np.cosh(0.5 * x) ** 2


def tanh(x):
    with np.errstate(over="ignore"):
        return np.tanh(x), 1.0 / np.cosh(x) ** 2


# ---- losses: per sample [n], and the gradient by the outputs of each sample's own loss [n][outputs] --------------------


def softmax(x):
    return np.exp(x - np.logaddexp.reduce(x, -1, keepdims=True))


def softmax_cross_entropy(x, labels):
    rows = np.arange(len(x))
    log_p = x - np.logaddexp.reduce(x, -1, keepdims=True)
    return -log_p[rows, labels], np.exp(log_p) - np.eye(x.shape[1])[labels]


def mean_squared_error(x, target):
    difference = x - np.asarray(target, np.float64).reshape(x.shape)
    return np.mean(difference**2, -1), 2.0 * difference / x.shape[-1]


LOSSES = {"softmax_cross_entropy": softmax_cross_entropy, "mean_squared_error": mean_squared_error}


# ---- optimiser ---------------------------------------------------------------------------------------------------


class SGD:
    """Momentum as PyTorch writes it (v = momentum * v + g), coupled weight decay."""

    def __init__(self, learning_rate, momentum=0.0, nesterov=False, weight_decay=0.0):
        self.learning_rate, self.momentum = learning_rate, momentum
        self.nesterov, self.weight_decay = nesterov, weight_decay
        self.velocity = {}

    def step(self, key, w, gradient):
        g = gradient + self.weight_decay * w
        v = self.velocity[key] = self.momentum * self.velocity.get(key, 0.0) + g
        return w - self.learning_rate * (g + self.momentum * v if self.nesterov else v)


# ---- layers: params is [] or [w] or [w, b]; backward gives dx and the params' gradients ------------------------------


class Layer:
    frozen = False

    def backward(self, dy):
        return dy * self.derivative, []


class Conv2d(Layer):
    def __init__(self, filters, kernel, *, stride=1, padding=0, dilation=1, groups=1, use_bias=True, frozen=False):
        self.kernel, self.stride, self.dilation = pair(kernel), pair(stride), pair(dilation)
        self.padding, self.groups, self.use_bias, self.frozen = padding, groups, use_bias, frozen

    def arguments(self, x):
        padding = self.padding
        if padding == "same":
            padding = [same(*axis) for axis in zip(x.shape[1:3], self.kernel, self.stride, self.dilation)]
        return dict(stride=self.stride, padding=padding, dilation=self.dilation, groups=self.groups)

    def forward(self, x, params):
        self.x, self.params = x, params
        return conv2d_forward(x, *params, **self.arguments(x))

    def backward(self, dy):
        x, w, arguments = self.x, self.params[0], self.arguments(self.x)
        grads = [conv2d_weight_grad(x, dy, self.kernel, **arguments), conv2d_bias_grad(dy)]
        return conv2d_input_grad(w, dy, x.shape[1:3], **arguments), grads[: len(self.params)]


class Dense(Layer):
    def __init__(self, units, *, use_bias=True, frozen=False):
        self.use_bias, self.frozen = use_bias, frozen

    def forward(self, x, params):
        self.x, self.params = x, params
        return (x.reshape(len(x), -1) @ params[0] + (params[1] if len(params) > 1 else 0))[:, None, None]

    def backward(self, dy):
        dy, flat = dy[:, 0, 0], self.x.reshape(len(self.x), -1)
        dx = (dy @ self.params[0].T).reshape(self.x.shape)
        return dx, [flat.T @ dy, dy.sum(0)][: len(self.params)]


class MaxPool2d(Layer):
    def __init__(self, kernel, *, stride=None, padding=0):
        self.kernel, self.arguments = kernel, dict(stride=stride, padding=padding)

    def forward(self, x, params):
        self.x = x
        return maxpool2d_forward(x, self.kernel, **self.arguments)

    def backward(self, dy):
        return maxpool2d_input_grad(self.x, dy, self.kernel, **self.arguments), []


class AvgPool2d(MaxPool2d):
    def forward(self, x, params):
        self.x = x
        return avgpool2d_forward(x, self.kernel, **self.arguments)

    def backward(self, dy):
        return avgpool2d_input_grad(self.x.shape, dy, self.kernel, **self.arguments), []


class GlobalAvgPool2d(Layer):
    def forward(self, x, params):
        self.shape = x.shape
        return x.mean((1, 2), keepdims=True)

    def backward(self, dy):
        return np.broadcast_to(dy, self.shape) / (self.shape[1] * self.shape[2]), []


class Flatten(Layer):
    def forward(self, x, params):
        self.shape = x.shape
        return x.reshape(len(x), 1, 1, -1)

    def backward(self, dy):
        return dy.reshape(self.shape), []


class ReLU(Layer):
    def forward(self, x, params):
        y, self.derivative = relu(x)
        return y


class LeakyReLU(Layer):
    def __init__(self, alpha=0.01):
        self.alpha = alpha

    def forward(self, x, params):
        y, self.derivative = leaky_relu(x, self.alpha)
        return y


class Sigmoid(Layer):
    def forward(self, x, params):
        y, self.derivative = sigmoid(x)
        return y


class Tanh(Layer):
    def forward(self, x, params):
        y, self.derivative = tanh(x)
        return y


class Network:
    """`weights`: one array after another in layer order, weight then bias, as the package's get_weights gives them."""

    def __init__(self, layers, weights, loss="softmax_cross_entropy", optimizer=None):
        self.layers, self.loss, self.optimizer = layers, LOSSES[loss], optimizer
        rest = [np.array(w, np.float64) for w in weights]
        self.params = []
        for layer in layers:
            count = 1 + layer.use_bias if isinstance(layer, (Conv2d, Dense)) else 0
            self.params.append(rest[:count])
            rest = rest[count:]
        assert not rest, "more weights than the layers take"

    @property
    def weights(self):
        return [w for params in self.params for w in params]

    def forward(self, x):
        x = np.asarray(x, np.float64)
        x = x.reshape(len(x), *((1,) * (4 - x.ndim)), *x.shape[1:])  # a vector of n is (1, 1, n)
        for layer, params in zip(self.layers, self.params):
            x = layer.forward(x, params)
        self.out_shape = x.shape
        return x.reshape(len(x), -1)

    def gradients(self, x, targets):
        """Mean loss of the batch and its gradients by all weights, frozen ones too."""
        losses, dy = self.loss(self.forward(x), targets)
        dy, gradients = dy.reshape(self.out_shape) / len(x), []
        for layer in reversed(self.layers):
            dy, layer_gradients = layer.backward(dy)
            gradients[:0] = layer_gradients
        return losses.mean(), gradients

    def train_on_batch(self, x, targets):
        loss, gradients = self.gradients(x, targets)
        gradients = iter(gradients)
        for index, (layer, params) in enumerate(zip(self.layers, self.params)):
            for position, w in enumerate(params):
                gradient = next(gradients)
                if not layer.frozen:
                    params[position] = self.optimizer.step((index, position), w, gradient)
        return loss
