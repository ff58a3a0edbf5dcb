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


# ---- transposed convolution: each input adds its products into a canvas, of which the padding is cut off ------------------


def reached(array, size, kernel, stride, dilation):
    """View [n][h][w][kh][kw][c] of what each of the inputs reaches in a canvas [n][..][..][c]."""
    return windows(array, kernel, pair(stride), pair(dilation))[:, : size[0], : size[1]]


def in_groups(w, groups):
    """Weights [kh][kw][k][g][c]."""
    return np.asarray(w, np.float64).reshape(*w.shape[:3], groups, -1)


def conv_transpose2d_forward(x, w, b=None, *, stride=1, padding=0, output_padding=0, dilation=1, groups=1):
    n, *size, _ = x.shape
    filters, (top, bottom), (left, right) = w.shape[2] * groups, *four(padding)
    steps = zip(size, w.shape[:2], pair(stride), pair(dilation), pair(output_padding))
    whole = [(count - 1) * step + reach * (taps - 1) + 1 + more for count, taps, step, reach, more in steps]
    taps = np.einsum("nijgc,abkgc->nijabgk", np.reshape(x, (n, *size, groups, -1)), in_groups(w, groups), optimize=True)
    canvas = np.zeros((n, *whole, filters))
    places = reached(np.arange(canvas.size).reshape(canvas.shape), size, w.shape[:2], stride, dilation)
    np.add.at(canvas.reshape(-1), places, taps.reshape(places.shape))
    y = canvas[:, top : whole[0] - bottom, left : whole[1] - right]
    return y + (0 if b is None else np.asarray(b, np.float64))


def conv_transpose2d_weight_grad(x, dy, kernel_size, *, stride=1, padding=0, output_padding=0, dilation=1, groups=1):
    n, *size, in_c = x.shape
    taps = reached(pad(dy, padding), size, pair(kernel_size), stride, dilation)
    taps = taps.reshape(*taps.shape[:5], groups, -1)
    x = np.asarray(x, np.float64).reshape(n, *size, groups, -1)
    dw = np.einsum("nijgc,nijabgk->abkgc", x, taps, optimize=True)
    return dw.reshape(*dw.shape[:3], in_c)


def conv_transpose2d_input_grad(w, dy, input_size, *, stride=1, padding=0, output_padding=0, dilation=1, groups=1):
    taps = reached(pad(dy, padding), pair(input_size), w.shape[:2], stride, dilation)
    taps = taps.reshape(*taps.shape[:5], groups, -1)
    dx = np.einsum("nijabgk,abkgc->nijgc", taps, in_groups(w, groups), optimize=True)
    return dx.reshape(*dx.shape[:3], -1)


conv_transpose2d_bias_grad = conv2d_bias_grad


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


def relu6(x):
    return np.clip(x, 0.0, 6.0), ((x > 0) & (x < 6)) * 1.0


def hard_sigmoid(x):
    return np.clip(x / 6.0 + 0.5, 0.0, 1.0), (np.abs(x) < 3) / 6.0


def elu(x, alpha=1.0):
    below = np.minimum(x, 0.0)
    return np.where(x > 0, x, alpha * np.expm1(below)), np.where(x > 0, 1.0, alpha * np.exp(below))


def softplus(x):
    return np.logaddexp(x, 0.0), sigmoid(x)[0]


def hard_swish(x):
    return x * np.clip(x / 6.0 + 0.5, 0.0, 1.0), np.where(np.abs(x) < 3, x / 3.0 + 0.5, np.heaviside(x, 0.0))


def silu(x):
    s, slope = sigmoid(x)
    return x * s, s + x * slope


def erf(x):
    """The integral of the normal density by Gauss and Legendre, 64 points from 0 to x (to 6, beyond which it is 1)."""
    points, weights = np.polynomial.legendre.leggauss(64)
    half = np.clip(np.asarray(x, np.float64), -6.0, 6.0)[..., None] / 2.0
    return 2.0 / np.sqrt(np.pi) * (np.exp(-((half * (points + 1.0)) ** 2)) * weights * half).sum(-1)


def gelu(x):
    below = 0.5 * (1.0 + erf(x / np.sqrt(2.0)))
    return x * below, below + x * np.exp(-0.5 * np.minimum(np.abs(x), 40.0) ** 2) / np.sqrt(2.0 * np.pi)


# ---- PReLU: by the two halves of the axis ----------------------------------------------------------------------------


def prelu_forward(x, w):
    return np.maximum(x, 0.0) + w * np.minimum(x, 0.0)


def prelu_weight_grad(x, dy, num_parameters=1):
    return (np.minimum(x, 0.0) * dy).reshape(-1, num_parameters).sum(0)


def prelu_input_grad(x, w, dy):
    return dy * (w + (1.0 - w) * np.heaviside(x, 0.0))


# ---- normalisation: by groups of channels, as matrices [n][group][numbers of a group] ------------------------------------


def by_groups(x, groups):
    n, h, w, c = x.shape
    return np.asarray(x, np.float64).reshape(n, h * w, groups, c // groups).swapaxes(1, 2).reshape(n, groups, -1)


def from_groups(rows, shape):
    n, h, w, c = shape
    groups = rows.shape[1]
    return rows.reshape(n, groups, h * w, c // groups).swapaxes(1, 2).reshape(shape)


def normalised(x, groups, eps):
    """x of mean 0 and variance 1 in each group, and the groups' deviations [n][group][1]."""
    rows, eps = by_groups(x, groups), float(np.float32(eps))
    deviation = np.sqrt(rows.var(-1, keepdims=True) + eps)
    return from_groups((rows - rows.mean(-1, keepdims=True)) / deviation, x.shape), deviation


def group_norm_forward(x, groups, w=None, b=None, *, eps=1e-5):
    return normalised(x, groups, eps)[0] * (1.0 if w is None else w) + (0.0 if b is None else b)


def group_norm_weight_grad(x, dy, groups, *, eps=1e-5):
    return (normalised(x, groups, eps)[0] * dy).sum((0, 1, 2))


def group_norm_bias_grad(dy):
    return np.asarray(dy, np.float64).sum((0, 1, 2))


def group_norm_input_grad(x, dy, groups, w=None, *, eps=1e-5):
    """What is left of dy * w without its parts along the constant and along the normalised x."""
    unit, deviation = normalised(x, groups, eps)
    rows, unit = by_groups(dy * (1.0 if w is None else w), groups), by_groups(unit, groups)
    rows = rows - rows.mean(-1, keepdims=True) - unit * (rows * unit).mean(-1, keepdims=True)
    return from_groups(rows / deviation, x.shape)


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


def mean_absolute_error(x, target):
    difference = x - np.asarray(target, np.float64).reshape(x.shape)
    return np.abs(difference).mean(-1), np.sign(difference) / x.shape[-1]


def huber(x, target, delta=1.0):
    """The square where the error is small, and what continues it with its slope."""
    difference = x - np.asarray(target, np.float64).reshape(x.shape)
    inside = np.clip(difference, -delta, delta)
    return (inside * (difference - inside / 2)).mean(-1), inside / x.shape[-1]


def binary_cross_entropy(x, target):
    """Of the two classes of each output, whose logits are x and 0."""
    target = np.asarray(target, np.float64).reshape(x.shape)
    losses = target * np.logaddexp(0, -x) + (1 - target) * np.logaddexp(0, x)
    return losses.mean(-1), (np.exp(-np.logaddexp(0, -x)) - target) / x.shape[-1]


def cross_entropy_of(p, x):
    """-sum p log softmax(x), for distributions p over the classes."""
    log_q = x - np.logaddexp.reduce(x, -1, keepdims=True)
    return -(p * log_q).sum(-1), np.exp(log_q) - p


def smoothed_cross_entropy(x, labels, label_smoothing=0.0):
    classes = x.shape[-1]
    return cross_entropy_of((1 - label_smoothing) * np.eye(classes)[labels] + label_smoothing / classes, x)


def distillation(x, labels, teacher, temperature=1.0, alpha=0.0):
    """Cross-entropies with the label and with the teacher, less the teacher's entropy."""
    p = softmax(np.asarray(teacher, np.float64) / temperature)
    entropy = -(p * np.log(np.where(p > 0, p, 1))).sum(-1)
    hard, hard_gradient = cross_entropy_of(np.eye(x.shape[-1])[labels], x)
    soft, soft_gradient = cross_entropy_of(p, x / temperature)
    share = 1 - alpha
    losses = alpha * hard + share * temperature**2 * (soft - entropy)
    return losses, alpha * hard_gradient + share * temperature * soft_gradient


LOSSES = {
    "softmax_cross_entropy": softmax_cross_entropy,
    "mean_squared_error": mean_squared_error,
    "mean_absolute_error": mean_absolute_error,
    "huber": huber,
    "binary_cross_entropy": binary_cross_entropy,
}


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


class Adaptive:
    """Adam, AdamW, RMSprop and Adagrad as sums over all gradients so far: no state but that history."""

    def __init__(self, kind, learning_rate, beta1=0.0, beta2=0.0, eps=1e-8, weight_decay=0.0):
        self.kind, self.learning_rate, self.beta1, self.beta2 = kind, learning_rate, beta1, beta2
        self.eps, self.weight_decay, self.gradients, self.quotients = eps, weight_decay, {}, {}

    def step(self, key, w, gradient):
        decoupled = self.kind == "adamw"
        g = gradient if decoupled else gradient + self.weight_decay * w
        past = self.gradients.setdefault(key, [])
        past.append(g)
        age = np.arange(len(past))[::-1].reshape(-1, *[1] * np.ndim(w))
        squares, seen = np.square(past), np.array(past)
        if self.kind in ("adam", "adamw"):
            weights1, weights2 = self.beta1**age, self.beta2**age
            mean = (weights1 * seen).sum(0) / weights1.sum(0)
            change = mean / (np.sqrt((weights2 * squares).sum(0) / weights2.sum(0)) + self.eps)
            return w * (1 - self.learning_rate * self.weight_decay * decoupled) - self.learning_rate * change
        weights = (1 - self.beta2) * self.beta2**age if self.kind == "rmsprop" else np.ones(age.shape)
        quotients = self.quotients.setdefault(key, [])
        quotients.append(g / (np.sqrt((weights * squares).sum(0)) + self.eps))
        return w - self.learning_rate * (self.beta1**age * quotients).sum(0)


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


class GlobalMaxPool2d(Layer):
    def forward(self, x, params):
        flat = x.reshape(len(x), -1, x.shape[-1])
        self.shape, self.place = x.shape, flat.argmax(1)
        return flat.max(1).reshape(len(x), 1, 1, -1)

    def backward(self, dy):
        dx = np.zeros((self.shape[0], self.shape[1] * self.shape[2], self.shape[3]))
        np.put_along_axis(dx, self.place[:, None, :], dy.reshape(len(dy), 1, -1), 1)
        return dx.reshape(self.shape), []


class Linear(Layer):
    """A linear map of one sample's image, whose matrix comes from what it makes of each pixel alone."""

    def forward(self, x, params):
        one_hot = np.eye(int(np.prod(x.shape[1:]))).reshape(-1, *x.shape[1:])
        self.shape, moved = x.shape, self.moved(one_hot)
        self.matrix = moved.reshape(len(one_hot), -1)
        return (x.reshape(len(x), -1) @ self.matrix).reshape(len(x), *moved.shape[1:])

    def backward(self, dy):
        return (dy.reshape(len(dy), -1) @ self.matrix.T).reshape(self.shape), []


class ZeroPad2d(Linear):
    def __init__(self, padding):
        self.pads = four(padding)

    def moved(self, x):
        return np.pad(x, ((0, 0), *self.pads, (0, 0)))


class Crop2d(Linear):
    def __init__(self, cropping):
        self.pads = four(cropping)

    def moved(self, x):
        (top, bottom), (left, right) = self.pads
        return x[:, top : x.shape[1] - bottom, left : x.shape[2] - right]


class ChannelSlice(Linear):
    def __init__(self, start, count):
        self.channels = slice(start, start + count)

    def moved(self, x):
        return x[..., self.channels]


def upsampled(x, scale, axis, mode):
    """Along one axis; bilinear as interpolation between the centres of pixels, flat beyond the outer ones."""
    if mode == "nearest":
        return np.repeat(x, scale, axis)
    size = x.shape[axis]
    places = (np.arange(size * scale) + 0.5) / scale - 0.5
    return np.apply_along_axis(lambda values: np.interp(places, np.arange(size), values), axis, x)


class Upsample2d(Linear):
    def __init__(self, scale_factor=2, mode="nearest"):
        self.scale, self.mode = pair(scale_factor), mode

    def moved(self, x):
        return upsampled(upsampled(x, self.scale[0], 1, self.mode), self.scale[1], 2, self.mode)


class ReLU6(Layer):
    def forward(self, x, params):
        y, self.derivative = relu6(x)
        return y


class HardSigmoid(Layer):
    def forward(self, x, params):
        y, self.derivative = hard_sigmoid(x)
        return y


class ELU(Layer):
    def __init__(self, alpha=1.0):
        self.alpha = alpha

    def forward(self, x, params):
        y, self.derivative = elu(x, self.alpha)
        return y


class Softplus(Layer):
    def forward(self, x, params):
        y, self.derivative = softplus(x)
        return y


class HardSwish(Layer):
    def forward(self, x, params):
        y, self.derivative = hard_swish(x)
        return y


class SiLU(Layer):
    def forward(self, x, params):
        y, self.derivative = silu(x)
        return y


class GELU(Layer):
    def forward(self, x, params):
        y, self.derivative = gelu(x)
        return y


class Softmax(Layer):
    def forward(self, x, params):
        self.y = softmax(x)
        return self.y

    def backward(self, dy):
        jacobian = self.y[..., :, None] * (np.eye(self.y.shape[-1]) - self.y[..., None, :])
        return np.einsum("...ij,...j->...i", jacobian, dy), []


class ConvTranspose2d(Layer):
    def __init__(self, filters, kernel_size, *, use_bias=True, frozen=False, **options):
        self.options, self.frozen, self.parameters = options, frozen, 1 + use_bias

    def forward(self, x, params):
        self.x, self.params = x, params
        return conv_transpose2d_forward(x, *params, **self.options)

    def backward(self, dy):
        w = self.params[0]
        dw = conv_transpose2d_weight_grad(self.x, dy, w.shape[:2], **self.options)
        grads = [dw, conv_transpose2d_bias_grad(dy)]
        return conv_transpose2d_input_grad(w, dy, self.x.shape[1:3], **self.options), grads[: self.parameters]


class PReLU(Layer):
    parameters = 1

    def __init__(self, num_parameters=1, *, frozen=False):
        self.num_parameters, self.frozen = num_parameters, frozen

    def forward(self, x, params):
        self.x, self.w = x, params[0]
        return prelu_forward(x, self.w)

    def backward(self, dy):
        return prelu_input_grad(self.x, self.w, dy), [prelu_weight_grad(self.x, dy, self.num_parameters)]


class GroupNorm(Layer):
    """As the operator, whose weights may be left out."""

    def __init__(self, groups, *, eps=1e-5, affine=True, use_bias=True, frozen=False):
        self.groups, self.eps, self.frozen = groups, eps, frozen
        self.parameters = affine * (1 + use_bias)

    def shape(self, x):
        return x.shape

    def group_count(self, x):
        return self.groups

    def forward(self, x, params):
        self.x, self.params, self.out_shape = x.reshape(self.shape(x)), [w.reshape(-1) for w in params], x.shape
        return group_norm_forward(self.x, self.group_count(x), *self.params, eps=self.eps).reshape(x.shape)

    def backward(self, dy):
        dy, groups = dy.reshape(self.x.shape), self.group_count(self.x)
        grads = [group_norm_weight_grad(self.x, dy, groups, eps=self.eps), group_norm_bias_grad(dy)]
        dx = group_norm_input_grad(self.x, dy, groups, *self.params[:1], eps=self.eps)
        if self.params:
            grads[0] = grads[0].reshape(self.weight_shape())
        return dx.reshape(self.out_shape), grads[: len(self.params)]

    def weight_shape(self):
        return (-1,)


class InstanceNorm(GroupNorm):
    def __init__(self, *, affine=False, **arguments):
        super().__init__(None, affine=affine, **arguments)

    def group_count(self, x):
        return x.shape[-1]


class LayerNorm(GroupNorm):
    def __init__(self, **arguments):
        super().__init__(1, **arguments)

    def shape(self, x):
        return len(x), 1, 1, -1

    def weight_shape(self):
        return self.out_shape[1:]


class Network:
    """`weights`: one array after another in layer order, weight then bias, as the package's get_weights gives them."""

    def __init__(self, layers, weights, loss="softmax_cross_entropy", optimizer=None):
        self.layers, self.loss, self.optimizer = layers, loss if callable(loss) else LOSSES[loss], optimizer
        rest = [np.array(w, np.float64) for w in weights]
        self.params = []
        for layer in layers:
            count = 1 + layer.use_bias if isinstance(layer, (Conv2d, Dense)) else getattr(layer, "parameters", 0)
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

    def gradients(self, x, targets, sample_weight=None):
        """Mean loss of the batch and its gradients by all weights, frozen ones too."""
        losses, dy = self.loss(self.forward(x), targets)
        if sample_weight is not None:
            losses, dy = losses * sample_weight, dy * np.asarray(sample_weight, np.float64)[:, None]
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
