"""Other packages on the same problems, as far as they are installed. Each pass and each step is a function that runs it
once; the caller takes the time.

A peer computes in its own order and may fuse, so its results are near, not equal.
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
from typing import Any, Callable

import numpy as np
from cases import LEARNING_RATE, MOMENTUM, Net
from ours import Problem

Run = Callable[[], Any]


class Torch:
    """PyTorch eager: as it comes, and in other settings of which the fastest counts as its best."""

    name, package, extra = "PyTorch", "torch", "torch"
    settings = {  # memory format, oneDNN
        "default": (False, True),
        "channels_last": (True, True),
        "no oneDNN": (False, False),
        "channels_last, no oneDNN": (True, False),
    }

    def __init__(self) -> None:
        import torch

        torch.set_num_threads(1)
        self.torch = torch

    def before(self, setting: str) -> None:
        self.torch.backends.mkldnn.enabled = self.settings[setting][1]

    def _arrange(self, tensor: Any, setting: str) -> Any:
        last = self.settings[setting][0]
        return tensor.contiguous(memory_format=self.torch.channels_last if last else self.torch.contiguous_format)

    def convolution(self, p: Problem, setting: str) -> Run:
        torch, s = self.torch, p.shape
        x, dy = (self._arrange(torch.from_numpy(a.copy()).permute(0, 3, 1, 2), setting) for a in (p.x, p.dy))
        w = self._arrange(torch.from_numpy(p.w.copy()).permute(3, 2, 0, 1), setting)
        b = torch.from_numpy(p.b.copy())
        stride, padding, dilation = (s.stride,) * 2, (s.padding,) * 2, (s.dilation,) * 2
        if p.pass_name == "forward":
            return lambda: torch.conv2d(x, w, b, stride, padding, dilation, s.groups)
        wanted = [p.pass_name == "input_grad", p.pass_name == "weight_grad", False]
        backward = torch.ops.aten.convolution_backward
        index = wanted.index(True)
        return lambda: backward(dy, x, w, None, stride, padding, dilation, False, (0, 0), s.groups, wanted)[index]

    def result(self, p: Problem, got: Any) -> np.ndarray:
        """In the library's layout."""
        order = (2, 3, 1, 0) if p.pass_name == "weight_grad" else (0, 2, 3, 1)
        return got.detach().permute(*order).numpy()

    def step(self, net: Net, x: np.ndarray, labels: np.ndarray, setting: str) -> Run:
        torch, nn = self.torch, self.torch.nn
        layers, channels, size = [], 1, 28
        for kind, outputs, kernel, padding in net.steps():
            if kind == "pool":
                layers.append(nn.MaxPool2d(2))
                size //= 2
            elif kind == "conv":
                layers += [nn.Conv2d(channels, outputs, kernel, padding=padding), nn.ReLU()]
                channels, size = outputs, size + 2 * padding - kernel + 1
            else:
                layers += [nn.Flatten()] if size > 0 else []
                layers += [nn.Linear(channels * max(size, 1) ** 2, outputs), nn.ReLU()]
                channels, size = outputs, 0
        model = nn.Sequential(*layers[:-1])
        if self.settings[setting][0]:
            model = model.to(memory_format=torch.channels_last)
        optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM, fused=True)
        loss, samples = nn.CrossEntropyLoss(), self._arrange(torch.from_numpy(x.copy()).permute(0, 3, 1, 2), setting)
        targets = torch.from_numpy(labels.astype(np.int64))

        def run() -> None:
            optimizer.zero_grad(set_to_none=True)
            loss(model(samples), targets).backward()
            optimizer.step()

        return run


class Jax:
    """JAX with everything compiled (jit), one thread."""

    name, package, extra = "JAX", "jax", "jax"
    settings = {"default": None}

    def __init__(self) -> None:
        import jax

        self.jax = jax

    def before(self, setting: str) -> None:
        pass

    def _convolution(self, s: Any) -> Callable[..., Any]:
        def run(x: Any, w: Any) -> Any:
            return self.jax.lax.conv_general_dilated(
                x, w, (s.stride,) * 2, [(s.padding,) * 2] * 2, rhs_dilation=(s.dilation,) * 2,
                dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=s.groups,
            )  # fmt: skip

        return run

    def convolution(self, p: Problem, setting: str) -> Run:
        jax, convolution = self.jax, self._convolution(p.shape)
        x, w, b, dy = (jax.numpy.asarray(a) for a in (p.x, p.w, p.b, p.dy))
        if p.pass_name == "forward":
            function, operands = jax.jit(lambda x, w, b: convolution(x, w) + b), (x, w, b)
        elif p.pass_name == "weight_grad":
            function, operands = jax.jit(lambda x, dy: jax.vjp(lambda w: convolution(x, w), w)[1](dy)[0]), (x, dy)
        else:
            function, operands = jax.jit(lambda w, dy: jax.vjp(lambda x: convolution(x, w), x)[1](dy)[0]), (w, dy)
        return lambda: function(*operands).block_until_ready()

    def result(self, p: Problem, got: Any) -> np.ndarray:
        return np.asarray(got)

    def _predict(self, net: Net, parameters: list[Any], x: Any) -> Any:
        jax, weights = self.jax, iter(parameters)
        for kind, _, _, padding in net.steps():
            if kind == "pool":
                x = jax.lax.reduce_window(x, -np.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
                continue
            w, b = next(weights)
            if kind == "conv":
                x = jax.lax.conv_general_dilated(x, w, (1, 1), [(padding,) * 2] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC"))
            else:
                x = x.reshape(len(x), -1) @ w
            x = x + b if kind == "dense" and len(b) == 10 else jax.nn.relu(x + b)
        return x

    def step(self, net: Net, x: np.ndarray, labels: np.ndarray, setting: str) -> Run:
        jax, np_ = self.jax, self.jax.numpy
        parameters = [(np_.asarray(w), np_.asarray(b)) for w, b in initial_weights(net)]
        samples, targets = np_.asarray(x), np_.asarray(labels)

        def loss(parameters: Any, x: Any, labels: Any) -> Any:
            logits = jax.nn.log_softmax(self._predict(net, parameters, x))
            return -logits[np_.arange(len(labels)), labels].mean()

        def update(parameters: Any, velocity: Any, x: Any, labels: Any) -> Any:
            gradients = jax.grad(loss)(parameters, x, labels)
            velocity = jax.tree.map(lambda v, g: MOMENTUM * v + g, velocity, gradients)
            return jax.tree.map(lambda p, v: p - LEARNING_RATE * v, parameters, velocity), velocity

        compiled = jax.jit(update, donate_argnums=(0, 1))
        state = [(parameters, jax.tree.map(np_.zeros_like, parameters))]

        def run() -> None:
            state[0] = jax.block_until_ready(compiled(*state[0], samples, targets))

        return run


class OnnxRuntime:
    """ONNX Runtime training: whole steps alone, with its SGD, which has no momentum."""

    name, package, extra = "ONNX Runtime", "onnxruntime.training", "onnxruntime-training-cpu onnx"
    settings = {"default": None}

    def __init__(self) -> None:
        import onnx
        import onnxruntime
        import onnxruntime.training.api as api
        from onnxruntime.training import artifacts

        onnxruntime.set_default_logger_severity(3)
        self.onnx, self.runtime, self.api, self.artifacts = onnx, onnxruntime, api, artifacts

    def before(self, setting: str) -> None:
        pass

    def _graph(self, net: Net) -> tuple[Any, list[str]]:
        """The forward graph, and the names of its parameters."""
        make, nodes, tensors, current = self.onnx.helper, [], [], "x"
        weights = iter(initial_weights(net))
        flat = False
        for index, (kind, _, kernel, padding) in enumerate(net.steps()):
            out = f"y{index}"
            if kind == "pool":
                nodes.append(make.make_node("MaxPool", [current], [out], kernel_shape=[2, 2], strides=[2, 2]))
                current = out
                continue
            w, b = next(weights)
            w = w.transpose(3, 2, 0, 1) if kind == "conv" else w
            tensors += [
                self.onnx.numpy_helper.from_array(np.ascontiguousarray(a), f"{n}{index}") for n, a in (("w", w), ("b", b))
            ]
            if kind == "conv":
                pads = {"kernel_shape": [kernel] * 2, "pads": [padding] * 4}
                nodes.append(make.make_node("Conv", [current, f"w{index}", f"b{index}"], [f"z{index}"], **pads))
            else:
                if not flat:
                    nodes.append(make.make_node("Flatten", [current], ["flat"]))
                    current, flat = "flat", True
                nodes.append(make.make_node("Gemm", [current, f"w{index}", f"b{index}"], [f"z{index}"]))
            last = index == len(net.steps()) - 1
            nodes.append(make.make_node("Identity" if last else "Relu", [f"z{index}"], [out]))
            current = out
        inputs = [make.make_tensor_value_info("x", 1, ["n", 1, 28, 28])]
        outputs = [make.make_tensor_value_info(current, 1, ["n", 10])]
        graph = make.make_graph(nodes, "net", inputs, outputs, tensors)
        model = make.make_model(graph, opset_imports=[make.make_opsetid("", 14)], ir_version=8)
        return model, [tensor.name for tensor in tensors]

    def step(self, net: Net, x: np.ndarray, labels: np.ndarray, setting: str) -> Run:
        model, names = self._graph(net)
        with tempfile.TemporaryDirectory() as folder:
            self.artifacts.generate_artifacts(
                model, requires_grad=names, frozen_params=[], artifact_directory=folder,
                loss=self.artifacts.LossType.CrossEntropyLoss, optimizer=self.artifacts.OptimType.SGD,
            )  # fmt: skip
            options = self.runtime.SessionOptions()
            options.intra_op_num_threads = options.inter_op_num_threads = 1
            state = self.api.CheckpointState.load_checkpoint(os.path.join(folder, "checkpoint"))
            paths = [os.path.join(folder, f"{kind}_model.onnx") for kind in ("training", "eval", "optimizer")]
            for path in paths:  # newer versions of onnx write a number that this runtime refuses
                graph = self.onnx.load(path)
                graph.ir_version = 8
                self.onnx.save(graph, path)
            module = self.api.Module(paths[0], state, paths[1], device="cpu", session_options=options)
            optimizer = self.api.Optimizer(paths[2], module)
        module.train()
        samples, targets = np.ascontiguousarray(x.transpose(0, 3, 1, 2)), labels.astype(np.int64)

        def run() -> None:
            module(samples, targets)
            optimizer.step()
            module.lazy_reset_grad()

        return run


PEERS = (Torch, Jax, OnnxRuntime)


def initial_weights(net: Net) -> list[tuple[np.ndarray, np.ndarray]]:
    """(weight, bias) of each layer that has them, in the library's layout."""
    from ours import network

    arrays = network(net).get_weights()
    return list(zip(arrays[::2], arrays[1::2]))


def is_installed(peer: type) -> bool:
    try:
        return importlib.util.find_spec(peer.package) is not None
    except ModuleNotFoundError:
        return False


def load(names: list[str]) -> list[Any]:
    return [peer() for peer in PEERS if peer.name in names]


def announce() -> list[str]:
    """Names of those that are installed; says in one line how to get another."""
    for peer in PEERS:
        if not is_installed(peer):
            print(f"{peer.name} is not installed and left out: pip install {peer.extra}", flush=True)
    return [peer.name for peer in PEERS if is_installed(peer)]
