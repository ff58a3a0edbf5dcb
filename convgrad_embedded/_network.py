"""Network: training, prediction, weights, files. The arithmetic, shuffling and batching happen in the C core."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Callable, NamedTuple, Union

import numpy as np
from numpy.typing import ArrayLike

from convgrad_embedded import _arrays, _core, _export, _gradcheck, _summary
from convgrad_embedded._core import LayerInfo, NotFiniteError, Real, Targets
from convgrad_embedded._gradcheck import GradientCheck
from convgrad_embedded._layers import SGD, Layer, decode_layer, decode_optimizer
from convgrad_embedded._progress import Progress

PathLike = Union[str, "os.PathLike[str]"]

_CAPACITY, _ARENA_BYTES = 32, 64 * 2**20  # at most, unless the caller knows better

_FLOAT32, _INT32 = np.dtype(np.float32), np.dtype(np.int32)
_LOSSES = {name: name for name in _core.LOSSES}
_LOSSES["mse"] = "mean_squared_error"


class Evaluation(NamedTuple):
    loss: float
    accuracy: float | None  # share of samples whose largest output is at the label; None without labels


class Network:
    """A sequence of layers, a loss and an optimizer, with parameters drawn from `seed`.

    input_shape is (H, W, C), or (n,) for vectors, which (1, 1, n) means too; samples come as arrays of shape
    (N,) + input_shape. The network works in float32; float64 samples are converted. Without a loss it predicts only,
    without an optimizer it does not train. The optimizer belongs to the network because momentum takes memory.

    Two settings are for speed on this machine; no bit of a result depends on them, and firmware has 1 of both.
    `capacity` is the number of samples whose activations are held at once, by default up to 32 as far as 64 MB allow.
    `threads`, 1 to 64, share the samples of a batch (the parts of a gradient, in backward); worth it for batches of more
    than a few samples, up to the number of processor cores. A forked process does all the work on its own thread.

    Methods may be called from several threads; calls on one network wait for each other.
    """

    def __init__(
        self,
        input_shape: int | Sequence[int],
        layers: Iterable[Layer],
        loss: str | None = None,
        optimizer: SGD | None = None,
        seed: int = 0,
        *,
        capacity: int | None = None,
        threads: int = 1,
    ) -> None:
        self.input_shape = _input_shape(input_shape)
        self.layers = _arrays.sequence("layers", layers, "a list of layers")
        self.loss = None if loss is None else _LOSSES[_arrays.choice("loss", loss, list(_LOSSES))]
        if capacity is not None:
            capacity = _arrays.integer("capacity", capacity, 1, _core.MAX_ELEMS)
        threads = _arrays.integer("threads", threads, 1, _core.MAX_THREADS)
        self._optimizer = optimizer
        self._check_types()
        self._model = self._build(_core.FLOAT32)
        training = self.loss is not None
        if capacity is None:
            capacity = self._model.capacity_within(_ARENA_BYTES, _CAPACITY, training=training)
        self._runtime = _core.Runtime(self._model, training=training, capacity=capacity, threads=threads)
        out_h, out_w, out_c = self.layer_infos[-1].out_shape
        self.output_shape: tuple[int, ...] = (out_c,) if (out_h, out_w) == (1, 1) else (out_h, out_w, out_c)
        self.initialize(seed)

    def _check_types(self) -> None:
        if not self.layers:
            raise ValueError("layers: expected at least one layer, got none")
        for index, layer in enumerate(self.layers):
            if not isinstance(layer, Layer):
                raise TypeError(f"layers[{index}]: expected a layer such as Dense(10), got {_arrays.describe(layer)}")
        if self._optimizer is not None and not isinstance(self._optimizer, SGD):
            raise TypeError(f"optimizer: expected an SGD or None, got {_arrays.describe(self._optimizer)}")
        if self._optimizer is not None and self.loss is None:
            raise ValueError("optimizer: expected None for a network without a loss, got one; give the network a loss")

    def _build(self, kind: _core.Precision) -> _core.Model:
        """The C core's table of these layers, in one of its precisions."""
        optimizer = None if self._optimizer is None else self._optimizer.c_members()
        in_shape = self.input_shape if len(self.input_shape) == 3 else (1, 1, self.input_shape[0])
        model = _core.Model(kind, in_shape, len(self.layers), self.loss, optimizer)
        for index, layer in enumerate(self.layers):
            context = f"layers[{index}] {layer!r} on input {in_shape}"
            in_shape = model.add_layer(layer.kind, layer.c_members(in_shape[:2]), context).out_shape
        return model

    @property
    def layer_infos(self) -> list[LayerInfo]:
        """Shapes, parameters and multiply-adds of each layer, as the core sees it."""
        return self._model.infos

    def initialize(self, seed: int) -> None:
        """Draws all weights anew, zeroes biases and the optimizer's memory, restarts the stream of shuffles."""
        seed = _arrays.integer("seed", seed, 0, 2**64 - 1)
        self._runtime.init_params(seed)
        self._rng = _core.Rng(seed)

    # ---- training ----------------------------------------------------------------------------------------------------

    def fit(
        self,
        x: ArrayLike,
        y: ArrayLike,
        *,
        epochs: int = 1,
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        validation_data: tuple[ArrayLike, ArrayLike] | None = None,
        track_accuracy: bool = True,
        verbose: bool = True,
    ) -> dict[str, list[float]]:
        """Trains and returns the history: "loss", "accuracy", "val_loss", "val_accuracy", one number per epoch.

        "loss" is the mean while the epoch trained. "accuracy" (with labels) is measured on x after the epoch, by one more
        forward pass; track_accuracy=False leaves it out. The last batch of an epoch is what is left over.

        Each epoch visits 0 .. N - 1 as permuted by cge_rng_shuffle, from one stream that cge_rng_seed starts: with `seed`
        at this call, else with the network's seed when it was made, going on over epochs and calls. Firmware that does
        the same replays the training. A loaded network starts its stream with seed 0: pass `seed` to resume a run.
        """
        self._check_trainable()
        samples, targets = self._data(x, y)
        epochs = _arrays.integer("epochs", epochs, 1)
        batch_size = _arrays.integer("batch_size", batch_size, 1)
        validation = None if validation_data is None else self._validation_data(validation_data)
        rng = self._rng if seed is None else _core.Rng(_arrays.integer("seed", seed, 0, 2**64 - 1))
        history: dict[str, list[float]] = {}
        with Progress(epochs, verbose) as progress:
            for epoch in range(epochs):
                order = rng.permutation(len(samples)) if shuffle else None
                metrics = {"loss": self._train_epoch(samples, targets, order, batch_size, epoch)}
                if track_accuracy and targets.labels is not None:
                    metrics["accuracy"] = self._evaluate(samples, targets)._asdict()["accuracy"]
                if validation is not None:
                    metrics.update({f"val_{name}": value for name, value in self._evaluate(*validation)._asdict().items()})
                for name, value in metrics.items():
                    if value is not None:
                        history.setdefault(name, []).append(value)
                progress.epoch(metrics)
        return history

    def _train_epoch(self, x: Real, targets: Targets, order: _core.Labels | None, batch_size: int, epoch: int) -> float:
        try:
            return self._runtime.train_epoch(x, targets, order, batch_size)
        except NotFiniteError as error:
            raise NotFiniteError(f"epoch {epoch + 1}: {error}; a smaller learning rate may help") from None

    def _validation_data(self, data: Any) -> tuple[Real, Targets]:
        if not isinstance(data, (tuple, list)) or len(data) != 2:
            raise ValueError(f"validation_data: expected (x, y), got {_arrays.describe(data)}")
        x, y = data
        return self._data(x, y, ("validation_data[0]", "validation_data[1]"))

    def train_on_batch(self, x: ArrayLike, y: ArrayLike) -> float:
        """One optimizer step with the mean gradient of these samples; returns their mean loss before the step."""
        self._check_trainable()
        images: Any = x
        labels: Any = y
        if self._needs_no_check(images, labels):
            try:
                return self._runtime.train_labelled(images, labels)
            except ValueError:
                pass  # not contiguous, or the core refused, so nothing happened; the checks below say why
        return self._runtime.train_batch(*self._data(x, y))

    def _needs_no_check(self, x: Any, y: Any) -> bool:
        """Whether the arrays may go to the core if they are contiguous: checks take longer than a small network's step."""
        return (
            self.loss == "softmax_cross_entropy"
            and type(x) is np.ndarray
            and type(y) is np.ndarray
            and x.dtype is _FLOAT32
            and y.dtype is _INT32
            and x.shape == (y.size, *self.input_shape)
            and y.ndim == 1
            and y.size > 0
        )

    def _check_trainable(self) -> None:
        if self._optimizer is None:
            raise ValueError("this network has no optimizer: make it with a loss and optimizer=SGD(...) to train it")

    @property
    def optimizer(self) -> SGD | None:
        """With the learning rate as it is now."""
        return None if self._optimizer is None else decode_optimizer(self._runtime.optimizer)

    @property
    def learning_rate(self) -> float:
        """May be set between epochs or batches."""
        self._check_trainable()
        return decode_optimizer(self._runtime.optimizer).learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self._check_trainable()
        self._runtime.set_learning_rate(_arrays.number("learning_rate", value))

    @property
    def step_count(self) -> int:
        """Optimizer steps so far."""
        return self._runtime.step_count

    # ---- use ---------------------------------------------------------------------------------------------------------

    def predict(self, x: ArrayLike) -> Real:
        """The last layer's outputs, (N,) + output_shape; for classifiers logits, see softmax_forward."""
        samples = self._samples("x", x)
        y = np.empty((len(samples), *self.output_shape), np.float32)
        self._runtime.forward(samples, y)
        return y

    def evaluate(self, x: ArrayLike, y: ArrayLike) -> Evaluation:
        """(loss, accuracy): the mean loss, and with labels the share of samples that are right."""
        return self._evaluate(*self._data(x, y))

    def _evaluate(self, x: Real, targets: Targets) -> Evaluation:
        loss, correct = self._runtime.evaluate(x, targets)
        return Evaluation(loss, None if targets.labels is None else correct / len(x))

    def gradcheck(self, x: ArrayLike, y: ArrayLike, *, tolerance: float = 1e-6) -> GradientCheck:
        """Compares every gradient with a central difference, on a double-precision copy of this network.

        Raises GradientCheckError if the largest relative error exceeds the tolerance. A few samples suffice: it
        evaluates them twice for each parameter.
        """
        return _gradcheck.run(self, *self._data(x, y), _arrays.number("tolerance", tolerance))

    # ---- data --------------------------------------------------------------------------------------------------------

    def _data(self, x: ArrayLike, y: ArrayLike, names: tuple[str, str] = ("x", "y")) -> tuple[Real, Targets]:
        samples = self._samples(names[0], x)
        if self.loss is None:
            raise ValueError('this network has no loss: make it with loss="softmax_cross_entropy" or "mean_squared_error"')
        count = len(samples)
        if self.loss == "softmax_cross_entropy":
            return samples, Targets(_arrays.labels(names[1], y, count, math.prod(self.output_shape)), None)
        values = _arrays.shaped(names[1], _arrays.real(names[1], y), (count, *self.output_shape))
        return samples, Targets(None, values.astype(np.float32, copy=False))

    def _samples(self, name: str, x: ArrayLike) -> Real:
        shapes: list[tuple[int | str, ...]] = [("N", *self.input_shape)]
        if len(self.input_shape) == 1:
            shapes.append(("N", 1, 1, *self.input_shape))
        samples: Real = _arrays.shaped(name, _arrays.real(name, x), *shapes)
        return samples.astype(np.float32, copy=False)

    # ---- weights -----------------------------------------------------------------------------------------------------

    def get_weights(self) -> list[Real]:
        """Copies of all parameters, layer by layer, weight then bias."""
        with self._runtime.lock:
            return [view.copy() for view in self._parameter_views()]

    def set_weights(self, weights: Sequence[ArrayLike]) -> None:
        """What get_weights gave. The optimizer's memory stays as it is."""
        views = self._parameter_views()
        weights = _arrays.sequence("weights", weights, "a list of arrays")
        if len(weights) != len(views):
            raise ValueError(f"weights: expected {len(views)} arrays, got {len(weights)}")
        arrays = [
            _arrays.shaped(f"weights[{index}]", _arrays.real(f"weights[{index}]", array), view.shape)
            for index, (array, view) in enumerate(zip(weights, views))
        ]
        with self._runtime.lock:
            for view, array in zip(views, arrays):
                view[...] = array

    def _parameter_views(self) -> list[Real]:
        """Each parameter array inside the arena."""
        views, begin = [], 0
        for shape in (shape for info in self.layer_infos for shape in info.parameter_shapes):
            end = begin + math.prod(shape)
            views.append(self._runtime.params[begin:end].reshape(shape))
            begin = end
        return views

    @property
    def param_count(self) -> int:
        return self._runtime.params.size

    def weights_hash(self) -> str:
        """Sixteen hexadecimal digits; equal weights give the same on every target (cge_network_params_hash)."""
        return f"{self._runtime.params_hash():016x}"

    # ---- files -------------------------------------------------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """Layers, weights, optimizer and its memory in the core's file format (docs/file_format.md)."""
        return self._runtime.save()

    @classmethod
    def from_bytes(cls, data: bytes, *, capacity: int | None = None, threads: int = 1) -> Network:
        return cls._restored(data, "data", capacity, threads)

    def save(self, path: PathLike) -> None:
        """Writes to_bytes() to a file, which is never seen half written."""
        target = Path(path)
        partial = target.with_name(f"{target.name}.{os.getpid()}.part")
        try:
            with partial.open("wb") as file:
                file.write(self.to_bytes())
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, target)
        finally:
            partial.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: PathLike, *, capacity: int | None = None, threads: int = 1) -> Network:
        """The network that save wrote; training goes on as if it had never stopped (see fit about shuffling)."""
        return cls._restored(Path(path).read_bytes(), str(path), capacity, threads)

    @classmethod
    def _restored(cls, data: bytes, context: str, capacity: int | None, threads: int) -> Network:
        parsed = _core.parse_model(data, context)
        network = cls(
            parsed.input_shape,
            [decode_layer(kind, members) for kind, members in parsed.layers],
            parsed.loss,
            None if parsed.optimizer is None else decode_optimizer(parsed.optimizer),
            capacity=capacity,
            threads=threads,
        )
        network._runtime.restore(data, context)
        return network

    def __reduce__(self) -> tuple[Callable[..., Network], tuple[bytes]]:
        return Network.from_bytes, (self.to_bytes(),)

    # ---- firmware ----------------------------------------------------------------------------------------------------

    @property
    def arena_bytes(self) -> int:
        """RAM that firmware needs to train this network, all of it (to predict, if it has no loss)."""
        return self._model.arena_bytes(training=self.loss is not None)

    @property
    def inference_arena_bytes(self) -> int:
        """RAM that firmware needs to predict, with the weights in flash."""
        return self._model.arena_bytes(training=False, params_outside=True)

    def export(self, directory: PathLike, name: str = "network") -> list[Path]:
        """Writes <name>.h and <name>.c for firmware: layers, weights, arena sizes. Returns the two paths."""
        return _export.write(self, Path(directory), name)

    def summary(self, board: str | None = None, print_fn: Callable[[str], object] = print) -> str:
        """Prints and returns a table of the layers and what the network costs; with `board`, whether it fits there."""
        text = _summary.text(self, board)
        print_fn(text)
        return text


def _input_shape(value: int | Sequence[int]) -> tuple[int, ...]:
    axes = value if isinstance(value, (tuple, list)) else [value]
    shape = tuple(_arrays.integer("input_shape", size, 1) for size in axes)
    if len(shape) not in (1, 3):
        raise ValueError(f"input_shape: expected (H, W, C) or (n,), got {value!r}")
    return shape[2:] if shape[:2] == (1, 1) else shape
