"""What a call from Python costs on tiny shapes: CSV, one line a function.

    .venv/bin/python benchmarks/python_calls.py [--csv FILE]

us: processor time of the call as a user writes it, the least of 150 rounds. over_c_us: of that, what is not the C function,
called through cffi with all its arguments ready. torch_us: PyTorch's function of the same shape, where there is PyTorch.
NumPy; one thread.
"""

import argparse
import csv
import sys
import time

import numpy as np

import convgrad_embedded as cge
from convgrad_embedded import _again, _core, _runtime

ROUNDS, CALLS = 150, 50
F32 = np.float32


def microseconds(call):
    call()
    best = float("inf")
    for _ in range(ROUNDS):
        begin = time.thread_time()
        for _ in range(CALLS):
            call()
        best = min(best, (time.thread_time() - begin) / CALLS)
    return best * 1e6


def arrays():
    rng = np.random.default_rng(0)
    x, w, b = rng.random((1, 8, 8, 1), dtype=F32), rng.random((3, 3, 1, 8), dtype=F32), np.zeros(8, F32)
    y = cge.conv2d_forward(x, w, b)
    v, d, o = rng.random((1, 64), dtype=F32), rng.random((64, 10), dtype=F32), rng.random((1, 10), dtype=F32)
    return x, w, b, y, v, d, o


X, W, B, Y, V, D, O = arrays()  # noqa: E741
LABEL = np.array([3])
FUNCTIONS = {
    "conv2d_forward": lambda: cge.conv2d_forward(X, W, B),
    "conv2d_weight_grad": lambda: cge.conv2d_weight_grad(X, Y, 3),
    "conv2d_bias_grad": lambda: cge.conv2d_bias_grad(Y),
    "conv2d_input_grad": lambda: cge.conv2d_input_grad(W, Y, 8),
    "dense_forward": lambda: cge.dense_forward(V, D, O[0]),
    "dense_weight_grad": lambda: cge.dense_weight_grad(V, O),
    "dense_bias_grad": lambda: cge.dense_bias_grad(O),
    "dense_input_grad": lambda: cge.dense_input_grad(D, O),
    "maxpool2d_forward": lambda: cge.maxpool2d_forward(Y, 2),
    "avgpool2d_forward": lambda: cge.avgpool2d_forward(Y, 2),
    "softmax_forward": lambda: cge.softmax_forward(O),
    "softmax_cross_entropy_forward": lambda: cge.softmax_cross_entropy_forward(O, LABEL),
    "mean_squared_error_forward": lambda: cge.mean_squared_error_forward(O, O),
    "relu_forward": lambda: cge.relu_forward(O),
    "relu_input_grad": lambda: cge.relu_input_grad(O, O),
    "tanh_forward": lambda: cge.tanh_forward(O),
}


def c_call(name):
    """The C function of the last call of that operator, with all its arguments ready."""
    FUNCTIONS[name]()
    kept = next(iter(_again.OPERATORS[name].values()))
    operands = []
    for size, step in zip((*kept.sizes, 4 * int(np.prod(kept.shape))), kept.steps):
        if "cross_entropy" in name and len(operands) == 2:
            operands.append(_core.new_labels([3]))
        else:
            operands += [_core.from_buffer(np.ones(size // 4, F32)) if size else _core.NULL, step]
    return lambda: kept.function(*operands)


def torch_calls():
    try:
        import torch
    except ImportError:
        return {}
    torch.set_num_threads(1)
    F = torch.nn.functional
    x, w, b, v, d, o = (
        torch.from_numpy(a) for a in (X.transpose(0, 3, 1, 2).copy(), W.transpose(3, 2, 0, 1).copy(), B, V, D.T.copy(), O)
    )
    y, label = torch.from_numpy(Y.transpose(0, 3, 1, 2).copy()), torch.from_numpy(LABEL)
    with torch.no_grad():
        return {
            "conv2d_forward": lambda: F.conv2d(x, w, b),
            "conv2d_weight_grad": lambda: torch.nn.grad.conv2d_weight(x, w.shape, y),
            "conv2d_input_grad": lambda: torch.nn.grad.conv2d_input(x.shape, w, y),
            "dense_forward": lambda: F.linear(v, d, o[0]),
            "maxpool2d_forward": lambda: F.max_pool2d(y, 2),
            "avgpool2d_forward": lambda: F.avg_pool2d(y, 2),
            "softmax_forward": lambda: F.softmax(o, 1),
            "softmax_cross_entropy_forward": lambda: F.cross_entropy(o, label),
            "mean_squared_error_forward": lambda: F.mse_loss(o, o),
            "relu_forward": lambda: F.relu(o),
            "tanh_forward": lambda: F.tanh(o) if hasattr(F, "tanh") else torch.tanh(o),
        }


NETWORK_CALLS = ("train_on_batch", "predict", "evaluate")


def network_calls():
    """{name: (the call, the C function with all its arguments ready)}"""
    layers = [cge.Conv2d(8, 3), cge.ReLU(), cge.Dense(10)]
    net = cge.Network((8, 8, 1), layers, "softmax_cross_entropy", cge.SGD(0.01), seed=0)
    core, losses = net._runtime, _runtime.Losses(_core.FLOAT32)
    c_x, c_labels, c_loss, y = _core.from_buffer(X), np.int32(LABEL).tobytes(), losses.cells.loss, np.empty((1, 10), F32)
    c_y, correct = _core.from_buffer(_core.FLOAT32.buffer_type, y), _core.new_labels([0])
    return {
        "train_on_batch": (
            lambda: net.train_on_batch(X, LABEL), lambda: core._train_labelled(core._net, c_x, c_labels, 4, 1, c_loss)
        ),
        "predict": (lambda: net.predict(X), lambda: core._forward(core._net, c_x, 1, c_y)),
        "evaluate": (
            lambda: net.evaluate(X, LABEL), lambda: core._evaluate_labelled(core._net, c_x, c_labels, 4, 1, c_loss, correct)
        ),
    }  # fmt: skip


def contestants(name):
    """{who: the call} of one function: as a user writes it, its C function, PyTorch where it has one."""
    networks = network_calls() if name in NETWORK_CALLS else {}
    ours, in_c = networks.get(name) or (FUNCTIONS[name], c_call(name))
    torch = torch_calls().get(name)
    return {"ours": ours, "reference": in_c, **({} if torch is None else {("PyTorch", "default"): torch})}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--csv", type=argparse.FileType("w"), default=sys.stdout)
    writer = csv.writer(parser.parse_args().csv, lineterminator="\n")
    writer.writerow(["call", "us", "over_c_us", "torch_us"])
    torch = torch_calls()
    for name, function in FUNCTIONS.items():
        us, c_us = microseconds(function), microseconds(c_call(name))
        writer.writerow([name, f"{us:.2f}", f"{us - c_us:.2f}", f"{microseconds(torch[name]):.2f}" if name in torch else ""])
    for name, (function, c_function) in network_calls().items():
        us = microseconds(function)
        writer.writerow([name, f"{us:.2f}", f"{us - microseconds(c_function):.2f}", ""])


if __name__ == "__main__":
    main()
