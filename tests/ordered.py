"""The contracted order of additions (csrc/include/cge.h) as literal scalar loops of NumPy numbers.

Every function works on one sample in the number type of its arguments and must give the core's result bit for bit:
NumPy rounds each product and each sum on its own, exactly as an uncontracted build does.
"""

import numpy as np
from reference import four, pair


class Taps:
    """Walks a convolution: which input element (ih, iw) a tap reads, or None in the padding."""

    def __init__(self, input_size, kernel, stride=1, padding=0, dilation=1):
        (self.in_h, self.in_w), (self.kernel_h, self.kernel_w) = input_size, kernel
        self.stride, self.dilation = pair(stride), pair(dilation)
        (self.top, bottom), (self.left, right) = four(padding)
        reach = [d * (k - 1) + 1 for d, k in zip(self.dilation, kernel)]
        self.out_h = (self.in_h + self.top + bottom - reach[0]) // self.stride[0] + 1
        self.out_w = (self.in_w + self.left + right - reach[1]) // self.stride[1] + 1

    def outputs(self):
        return [(oh, ow) for oh in range(self.out_h) for ow in range(self.out_w)]

    def kernel(self):
        return [(kh, kw) for kh in range(self.kernel_h) for kw in range(self.kernel_w)]

    def read(self, oh, ow, kh, kw):
        ih = oh * self.stride[0] - self.top + kh * self.dilation[0]
        iw = ow * self.stride[1] - self.left + kw * self.dilation[1]
        return (ih, iw) if 0 <= ih < self.in_h and 0 <= iw < self.in_w else None

    def write(self, ih, iw, kh, kw):
        """The output that tap (kh, kw) of input (ih, iw) feeds, or None."""
        oh, rest_h = divmod(ih + self.top - kh * self.dilation[0], self.stride[0])
        ow, rest_w = divmod(iw + self.left - kw * self.dilation[1], self.stride[1])
        inside = 0 <= oh < self.out_h and 0 <= ow < self.out_w
        return (oh, ow) if inside and rest_h == rest_w == 0 else None


def group_of(k, out_c, in_c, groups):
    """First input channel of filter k's group."""
    return k // (out_c // groups) * (in_c // groups)


def conv2d_forward(x, w, b, *, groups=1, **geometry):
    taps, out_c = Taps(x.shape[:2], w.shape[:2], **geometry), w.shape[3]
    y = np.empty((taps.out_h, taps.out_w, out_c), x.dtype)
    for oh, ow in taps.outputs():
        for k in range(out_c):
            first, total = group_of(k, out_c, x.shape[2], groups), b[k]
            for kh, kw in taps.kernel():
                place = taps.read(oh, ow, kh, kw)
                for c in range(w.shape[2]) if place else ():
                    total = total + x[place][first + c] * w[kh, kw, c, k]
            y[oh, ow, k] = total
    return y


def conv2d_weight_grad(x, dy, dw, *, groups=1, **geometry):
    """Adds into dw."""
    taps, out_c = Taps(x.shape[:2], dw.shape[:2], **geometry), dw.shape[3]
    for kh, kw in taps.kernel():
        for k in range(out_c):
            first = group_of(k, out_c, x.shape[2], groups)
            for c in range(dw.shape[2]):
                total = dw[kh, kw, c, k]
                for oh, ow in taps.outputs():
                    place = taps.read(oh, ow, kh, kw)
                    if place:
                        total = total + dy[oh, ow, k] * x[place][first + c]
                dw[kh, kw, c, k] = total


def conv2d_bias_grad(dy, db):
    """Adds into db."""
    for oh in range(dy.shape[0]):
        for ow in range(dy.shape[1]):
            for k in range(dy.shape[2]):
                db[k] = db[k] + dy[oh, ow, k]


def conv2d_input_grad(w, dy, input_size, *, groups=1, **geometry):
    taps, out_c = Taps(input_size, w.shape[:2], **geometry), w.shape[3]
    group_out, group_in = out_c // groups, w.shape[2]
    dx = np.empty((*input_size, group_in * groups), w.dtype)
    for ih in range(input_size[0]):
        for iw in range(input_size[1]):
            for channel in range(dx.shape[2]):
                group, c = divmod(channel, group_in)
                total = w.dtype.type(0)
                for kh, kw in taps.kernel():
                    place = taps.write(ih, iw, kh, kw)
                    for k in range(group * group_out, (group + 1) * group_out) if place else ():
                        total = total + dy[place][k] * w[kh, kw, c, k]
                dx[ih, iw, channel] = total
    return dx


def dense_forward(x, w, b):
    y = b.copy()
    for o in range(w.shape[1]):
        for i in range(w.shape[0]):
            y[o] = y[o] + x[i] * w[i, o]
    return y


def dense_input_grad(w, dy):
    dx = np.empty(w.shape[0], w.dtype)
    for i in range(w.shape[0]):
        s = np.zeros(8, w.dtype)
        for o in range(w.shape[1]):
            s[o % 8] = s[o % 8] + dy[o] * w[i, o]
        dx[i] = ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]))
    return dx


def avgpool2d_forward(x, kernel, *, stride=None, padding=0):
    taps = Taps(x.shape[:2], pair(kernel), stride or kernel, padding)
    y = np.empty((taps.out_h, taps.out_w, x.shape[2]), x.dtype)
    for oh, ow in taps.outputs():
        places = [place for tap in taps.kernel() if (place := taps.read(oh, ow, *tap))]
        for c in range(x.shape[2]):
            total = x.dtype.type(0)
            for place in places:
                total = total + x[place][c]
            y[oh, ow, c] = total / x.dtype.type(len(places))
    return y


def avgpool2d_input_grad(input_size, dy, kernel, *, stride=None, padding=0):
    taps = Taps(input_size, pair(kernel), stride or kernel, padding)
    dx = np.zeros((*input_size, dy.shape[2]), dy.dtype)
    for oh, ow in taps.outputs():
        places = [place for tap in taps.kernel() if (place := taps.read(oh, ow, *tap))]
        for place in places:
            dx[place] = dx[place] + dy[oh, ow] / dy.dtype.type(len(places))
    return dx


def maxpool2d_input_grad(x, dy, kernel, *, stride=None, padding=0):
    taps = Taps(x.shape[:2], pair(kernel), stride or kernel, padding)
    dx = np.zeros(x.shape, x.dtype)
    for oh, ow in taps.outputs():
        places = [place for tap in taps.kernel() if (place := taps.read(oh, ow, *tap))]
        for c in range(x.shape[2]):
            best = places[0]
            for place in places[1:]:
                if x[place][c] > x[best][c] or (np.isnan(x[place][c]) and not np.isnan(x[best][c])):
                    best = place
            dx[best][c] = dx[best][c] + dy[oh, ow, c]
    return dx


SMALLEST_WEIGHT = 2.0**-100  # that decays


def not_below(limit, x):
    return x if abs(x) >= limit or np.isnan(x) else x.dtype.type(0)


def momentum_step(o, scale, dw, w, v):
    """SGD on flat arrays in place; `o` has learning_rate, momentum, weight_decay (of w's type) and nesterov."""
    for i in range(len(w)):
        g = dw[i] * scale
        if o.weight_decay:
            g = g + o.weight_decay * w[i]
        if o.momentum:
            v[i] = not_below(np.finfo(v.dtype).tiny, o.momentum * v[i] + g)
            g = g + o.momentum * v[i] if o.nesterov else v[i]
        w[i] = w[i] - o.learning_rate * g
        if o.weight_decay:
            w[i] = not_below(SMALLEST_WEIGHT, w[i])
