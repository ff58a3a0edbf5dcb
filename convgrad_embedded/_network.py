"""Network: training, prediction, weights, files. The arithmetic, shuffling and batching happen in the C core."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Literal, NoReturn, Union

import numpy as np
from numpy.typing import ArrayLike

from convgrad_embedded import (
    _arguments,
    _arrays,
    _attributes,
    _batches,
    _c_model,
    _construction,
    _copies,
    _core,
    _export,
    _features,
    _files,
    _fit,
    _fitting,
    _gradcheck,
    _graph,
    _learning,
    _losses,
    _names,
    _optimizers,
    _plan,
    _runtime,
    _saved,
    _summary,
    importers,
)
from convgrad_embedded._c_model import LayerInfo
from convgrad_embedded._core import ArithmeticName, MemoryLevel, NotFiniteError, Real
from convgrad_embedded._evaluation import Evaluation, OutputsEvaluation
from convgrad_embedded._gradcheck import GradientCheck
from convgrad_embedded._graph import Sources, Tensor
from convgrad_embedded._layers import (
    Layer,
    encoded_factor,
    layer_number,
    learns_by_batch,
    with_factor,
)
from convgrad_embedded._losses import ClassWeights, Loss, LossName, MultiOutput, SampleWeight
from convgrad_embedded._optimizers import SGD, Optimizer, RMSprop
from convgrad_embedded._outputs import Keys
from convgrad_embedded._plan import Place, Plan
from convgrad_embedded._runtime import Losses, Targets
from convgrad_embedded.schedules import ReduceOnPlateau, Schedule

PathLike = Union[str, "os.PathLike[str]"]
Buffer = Any  # bytes, bytearray, memoryview, array.array, numpy.ndarray, mmap.mmap: what has the buffer protocol

_CAPACITY, _ARENA_BYTES = 32, 64 * 2**20  # at most, unless the caller knows better
_MOST_OFFSET = 65535
_BYTE_HINT = "; a network made with input_scale=1/256 takes them as they are"

_FLOAT32, _INT32, _INT64, _UINT8 = np.dtype(np.float32), np.dtype(np.int32), np.dtype(np.int64), np.dtype(np.uint8)


@_arguments.checked_methods
class Network:
    """Layers, a loss and an optimizer, with parameters drawn from `seed`.

    Layers in a list read one the other: Network((28, 28, 1), [Conv2d(8, 3), ReLU(), Dense(10)]). Skips and branches are
    written as in Keras, by calling layers:

        x = Input((32, 32, 3))
        h = Conv2d(16, 3, padding="same")(x)
        h = Add()(h, Conv2d(16, 3, padding="same")(ReLU()(h)))
        net = Network(inputs=x, outputs=Dense(10)(h))

    Of several outputs=[a, b] each has a loss of its own, loss=["softmax_cross_entropy", "mse"] (one name: all have it), and may
    have a weight, loss_weights=[1.0, 0.5]; 1 is the default. A sample's loss is the sum of weight * loss. Targets and
    predictions then are lists, in the order of outputs. Outputs with names, outputs={"what": a, "where": b}, have dicts in
    place of all these lists. docs/graphs.md shows one.

    Firmware of such a network follows a plan at every memory level. `sources` says what each of `layers` reads: numbers of
    layers, -1 for the input.

    input_shape is (H, W, C), or (n,) for vectors, which (1, 1, n) means too; samples come as arrays of shape
    (N,) + input_shape. A series (T, C) is an image (T, 1, C), which Conv1d and its like work on; its samples may be
    (N, T, C). The network works in float32; float64 samples are converted. Without a loss it predicts only,
    without an optimizer it does not train. The optimizer belongs to the network because momentum takes memory.

    `loss` is a name: "softmax_cross_entropy", "binary_cross_entropy", "mean_squared_error" ("mse"), "mean_absolute_error"
    ("mae"), "huber" or "distillation"; or one with settings: SoftmaxCrossEntropy(label_smoothing=0.1), Huber(delta=0.5),
    Distillation(temperature=2.0, alpha=0.1).

    With `input_scale`, a power of two, samples are uint8 arrays, which are never expanded: a byte stands for
    (byte - input_offset) * input_scale, and all bits are those of a network that is given these numbers. So pictures train as
    they come, here and on a camera's board: input_scale=1/256 does what dividing them by 256 would.

    Two settings are for speed on this machine; no bit of a result depends on them but where BatchNorm learns, which takes the
    statistics of `capacity` samples. Firmware has 1 of both.
    `capacity` is the number of samples whose activations are held at once, by default up to 32 as far as 64 MB allow.
    `threads`, 1 to 64, share the samples of a batch (the parts of a gradient, in backward); worth it for batches of more
    than a few samples, up to the number of processor cores. A forked process does all the work on its own thread.

    `memory` is what firmware runs with, and no bit depends on it either. "fast" keeps every layer's output as a whole.
    "small" keeps what a plan says, one sample at a time: capacity and threads are 1. Only where BatchNorm learns it holds as
    many as `capacity` says, which must be given then. "smallest" besides has no buffer for
    gradients: each sample is a step, so batch_size is 1. docs/memory.md tells how. `frozen_in` says where firmware has the
    parameters that do not learn while it trains: in "ram" with the others, or in "flash", where it reads them. Sizes, summaries
    and exports follow it. `memory_ranges`, of "small" or "smallest": bytes of two to four memories that firmware has, the arena
    first. Parameters, gradients, velocities and each tensor lie in one of them. It needs a loss; predictions have one arena.
    `plan`, what plan() of a network of these layers found, sets all that and what learns.

    `arithmetic` is "exact" or "fused", by default what a with statement of arithmetic() or CGE_ARITHMETIC in the environment
    says, or else "exact". A "fused" network has the bits of boards whose library is built with FUSED=1. Its files say so, and
    other builds refuse its exports (docs/arithmetic.md).

    Methods may be called from several threads; calls on one network wait for each other. fit lets others have their turn
    between two batches, several times a second if no batch takes longer.

    Errors name the argument, what came and what was expected: a TypeError for another type, a ValueError for a number, shape or
    layer that is not possible, a NotFiniteError for a step that would leave NaN or infinity.

    >>> layers = [cge.Conv2d(8, 3, padding="same"), cge.ReLU(), cge.MaxPool2d(2), cge.Dense(10)]
    >>> net = cge.Network((8, 8, 1), layers, "softmax_cross_entropy", cge.SGD(0.05, momentum=0.9), seed=0)
    >>> net.param_count, net.output_shape, net.arena_bytes
    (1370, (10,), 21240)
    """

    input_scale: float | None  # None: samples are numbers
    input_offset: int
    input_shape: tuple[int, ...]
    layers: tuple[Layer, ...]
    sources: Sources
    loss: LossName | Loss | None
    memory: MemoryLevel
    frozen_in: Place
    memory_ranges: tuple[int, ...] | None
    arithmetic: str
    output_shape: tuple[int, ...]
    output_shapes: tuple[tuple[int, ...], ...]
    output_names: tuple[str, ...] | None

    def __init__(
        self,
        input_shape: int | Sequence[int] | None = None,
        layers: Iterable[Layer] | None = None,
        loss: LossName | Loss | Sequence[LossName | Loss] | Mapping[str, LossName | Loss] | None = None,
        optimizer: Optimizer | None = None,
        seed: int = 0,
        *,
        input_scale: float | None = None,
        input_offset: int = 0,
        inputs: Tensor | None = None,
        outputs: Tensor | Sequence[Tensor] | Mapping[str, Tensor] | None = None,
        loss_weights: Sequence[float] | Mapping[str, float] | None = None,
        capacity: int | None = None,
        threads: int = 1,
        memory: MemoryLevel = "fast",
        frozen_in: Place = "ram",
        memory_ranges: Sequence[int] | None = None,
        plan: Plan | None = None,
        arithmetic: ArithmeticName | None = None,
    ) -> None:
        shape, layers, sources, keys = _construction.table(input_shape, layers, inputs, outputs)
        if plan is not None:
            layers, optimizer, memory, frozen_in, memory_ranges = _plan.applied(
                plan, layers, optimizer, memory, frozen_in, memory_ranges
            )
        if loss is None and isinstance(optimizer, Optimizer):
            raise ValueError("optimizer: expected None for a network without a loss, got one; give the network a loss")
        self._set_input(input_scale, input_offset)
        self._set_arithmetic(arithmetic)
        if keys is None and isinstance(loss, (list, tuple, Mapping)):
            raise TypeError(f"loss: expected one loss for one output, got {_arrays.describe(loss)}")
        if keys is None and loss_weights is not None:
            raise ValueError("loss_weights: expected None for a network of one output, got some; they go with outputs=[a, b]")
        settings = (capacity, threads, memory, frozen_in, memory_ranges)
        self._set_up(shape, layers, sources, loss, optimizer, *settings, outputs=keys, loss_weights=loss_weights)
        if plan is not None:
            _plan.check_bytes(plan, self.arena_bytes)
        self.initialize(seed)

    def _set_input(self, scale: float | None, offset: int) -> None:
        self.input_scale = None if scale is None else _arrays.scale("input_scale", scale)
        self._input_dtype = _FLOAT32 if scale is None else _UINT8
        self.input_offset = _arrays.integer("input_offset", offset, -_MOST_OFFSET, _MOST_OFFSET)
        if scale is None and self.input_offset != 0:
            raise ValueError(f"input_offset: expected 0 for a network without input_scale, got {self.input_offset}")

    def _set_arithmetic(self, name: str | None) -> None:
        self.arithmetic = _core.ARITHMETIC.get() if name is None else _core.arithmetic_named("arithmetic", name)
        self._precision = _core.single_precision(self.arithmetic)

    def _set_up(
        self,
        input_shape: int | Sequence[int],
        layers: Sequence[Layer],
        sources: Sources,
        loss: Any,
        optimizer: Optimizer | None,
        capacity: int | None,
        threads: int,
        memory: MemoryLevel,
        frozen_in: Place,
        memory_ranges: Sequence[int] | None,
        *,
        outputs: Keys | None = None,
        loss_weights: Any = None,
    ) -> None:
        """All but the weights; `outputs`: those that are side by side, if there are several.

        A file may name an optimizer and no loss, as a model in C may: it predicts, and keeps both.
        """
        self.input_shape = _construction.input_shape(input_shape)
        self.layers = tuple(layers)
        self.sources = sources
        if self.input_scale is not None:
            _graph.check_one_reader(self.layers, sources)
        self._set_loss(loss, loss_weights, outputs)
        capacity, threads = self._set_memory(capacity, threads, memory, frozen_in, memory_ranges)
        if optimizer is not None and not isinstance(optimizer, Optimizer):
            raise TypeError(_optimizers.why_none(optimizer))
        self._optimizer = optimizer
        self._schedule: Schedule | ReduceOnPlateau | None = None
        self._plateau: tuple[Any, ...] = ()
        self._history: dict[str, list[float]] = {}
        self._import_notes: tuple[str, ...] = ()
        self._step_result: Any = None
        self._model = self._build(self._precision)
        training = self.loss is not None
        if capacity is None:
            capacity = self._model.capacity_within(_ARENA_BYTES, _CAPACITY, training=training)
        if memory == "small":
            self._model.samples = capacity
        self._runtime = _runtime.Runtime(self._model, training=training, capacity=capacity, threads=threads, memory=memory)
        self._runtime.learns_by_batch = any(map(learns_by_batch, self.layers))
        self.memory_ranges = None if memory_ranges is None else _construction.ranges("memory_ranges", memory_ranges)
        self._spread = None if self.memory_ranges is None else self._spread_over(self.memory_ranges)
        self._settings: dict[str, Any] = {"capacity": capacity, "threads": threads, "memory": memory, "frozen_in": frozen_in}
        self._settings["memory_ranges"] = self.memory_ranges
        if optimizer is not None:
            self._set_rate(optimizer.learning_rate)
        self._set_outputs()

    def _set_loss(self, loss: Any, loss_weights: Any, outputs: Keys | None) -> None:
        if outputs is not None:
            sizes = [math.prod(shape) for shape in self._shapes_of(outputs.count)]
            loss = _losses.of_outputs(loss, loss_weights, sizes, outputs)
        self._loss = _losses.of(loss)
        self._reads_labels = isinstance(self._loss, _losses.SoftmaxCrossEntropy)
        self._outputs = self._loss.keys if isinstance(self._loss, MultiOutput) else outputs
        self.output_names = None if self._outputs is None else self._outputs.names
        self.loss = _losses.shown(self._loss)

    def _set_memory(
        self,
        capacity: int | None,
        threads: int,
        memory: MemoryLevel,
        frozen_in: Place,
        memory_ranges: Sequence[int] | None,
    ) -> tuple[int | None, int]:
        """Capacity, None where the network chooses it, and threads: checked."""
        if capacity is not None:
            capacity = _arrays.integer("capacity", capacity, 1, _core.MAX_ELEMS)
        threads = _arrays.integer("threads", threads, 1, _core.MAX_THREADS)
        self.memory = _arrays.choice("memory", memory, [*_core.MEMORY_LEVELS, *_core.SLICED_LEVELS])
        self.frozen_in = _arrays.choice("frozen_in", frozen_in, _plan.PLACES)
        if memory != "fast":
            _construction.check_one_at_a_time(memory, "threads", threads)
        elif not _graph.is_graph(self.sources):
            return capacity, threads
        if self.loss is not None and any(map(learns_by_batch, self.layers)):
            _construction.check_batch_statistics(self.layers, memory, capacity, memory_ranges)
            return capacity, threads
        if memory == "fast":
            return capacity, threads
        _construction.check_one_at_a_time(memory, "capacity", capacity)
        return 1, threads

    def _set_outputs(self) -> None:
        """Of the model that has been built."""
        out_h, out_w, out_c = self.layer_infos[-1].out_shape
        self.output_shape = (out_c,) if (out_h, out_w) == (1, 1) else (out_h, out_w, out_c)
        several = self._outputs
        self.output_shapes = (self.output_shape,) if several is None else self._shapes_of(several.count)
        if isinstance(self._loss, MultiOutput) and sum(self._loss.sizes) != math.prod(self.output_shape):
            sizes, outputs = list(self._loss.sizes), math.prod(self.output_shape)
            raise ValueError(f"loss: expected sizes that add up to the network's {outputs} outputs, got {sizes}")

    def _shapes_of(self, count: int) -> tuple[tuple[int, ...], ...]:
        """Of outputs that are side by side."""
        rows = _graph.output_rows(self.layers, self.sources, count)
        if rows is not None:
            found = tuple(self._infos_alone()[row].out_shape for row in rows)
            shapes = tuple(shape[2:] if shape[:2] == (1, 1) else shape for shape in found)
            loss = vars(self).get("_loss")
            if not isinstance(loss, MultiOutput) or [math.prod(shape) for shape in shapes] == list(loss.sizes):
                return shapes
        return tuple((size,) for size in self._loss.sizes)  # type: ignore[union-attr]

    def _infos_alone(self) -> list[LayerInfo]:
        """Before there is a loss."""
        return self._build(self._precision, alone=True).infos if "_model" not in vars(self) else self.layer_infos

    def _spread_over(self, ranges: tuple[int, ...]) -> _c_model.MemoryPlan:
        """The plan to train by; networks on this machine run in one memory, with the same bits."""
        if self.loss is None:
            raise ValueError("memory_ranges: expected None for a network without a loss, which predicts in one arena")
        if self._model.plan(self.memory, training=True) is None:
            raise ValueError('memory_ranges: expected None with memory="fast", which has no plan; pass memory="small"')
        outside = self.frozen_in == "flash"

        def spread(first: int) -> _c_model.MemoryPlan | None:
            sizes = (first, *ranges[1:])
            return self._model.spread(self.memory, sizes, training=True, params_outside=outside)

        found = spread(ranges[0])
        if found is None:
            total = self._model.arena_bytes(training=True, params_outside=outside, memory=self.memory)
            missing = _plan.lacks(lambda first: spread(first) is not None, ranges[0], total)
            raise ValueError(
                f"memory_ranges: expected memories that hold {total:,} bytes, got {list(ranges)}; the first lacks {missing:,}"
            )
        return found

    def _memory_plan(self, *, training: bool) -> _c_model.MemoryPlan | None:
        """What firmware follows."""
        return self._spread if training and self._spread else self._model.plan(self.memory, training=training)

    def _build(
        self,
        kind: _core.Precision,
        layers: Sequence[Layer] | None = None,
        optimizer: Optimizer | None = None,
        *,
        alone: bool = False,  # without loss and optimizer
    ) -> _c_model.Model:
        """The C core's table of these layers (or of others in their place), in one of its precisions."""
        layers = self.layers if layers is None else layers
        own = None if alone else self._optimizer if optimizer is None else optimizer
        c_optimizer = None if own is None else own.c_members()
        in_shape = self.input_shape if len(self.input_shape) == 3 else (1, 1, self.input_shape[0])
        input_bytes = None if self.input_scale is None else _c_model.InputBytes(self.input_scale, self.input_offset)
        loss = None if alone or self._loss is None else self._loss.row()
        model = _c_model.Model(kind, in_shape, len(layers), loss, c_optimizer, input_bytes, 0 if own is None else own.slots)
        for index, (layer, sources) in enumerate(zip(layers, self.sources)):
            shapes = [model.infos[source].out_shape if source >= 0 else in_shape for source in sources]
            context = f"layers[{index}] {layer!r} on input {' and '.join(map(str, shapes))}"
            try:
                layer.check_input(shapes[0])
                if input_bytes is not None and not layer.reads_bytes and _construction.reads_input(layers, self.sources, index):
                    raise ValueError("it cannot read bytes; put another layer before it, or leave input_scale out")
            except ValueError as error:
                raise ValueError(f"{context}: {error}") from None
            model.add_layer(layer.c_row(shapes[0][:2]), _graph.to_c(sources, index), shapes, layer.weight_rank, context)
        return model

    @property
    def layer_infos(self) -> list[LayerInfo]:
        """Shapes, parameters and multiply-adds of each layer, as the core sees it."""
        return self._model.infos

    def initialize(self, seed: int) -> None:
        """Draws all weights anew, zeroes biases and the optimizer's memory, restarts the stream of shuffles.

        >>> net = cge.Network((4,), [cge.Dense(2)], seed=1)
        >>> before = net.weights_hash()
        >>> net.initialize(1)
        >>> net.weights_hash() == before
        True
        """
        self._runtime.init_params(_arrays.integer("seed", seed, 0, 2**64 - 1))

    def __setattr__(self, name: str, value: Any) -> None:
        """Refuses what would have no effect: slips of the pen, and what is fixed when the network is made."""
        is_first = name in _attributes.FIXED and not _attributes.is_set(self, name)
        is_subclass_own = hasattr(type(self), name) and not hasattr(Network, name)
        if not (name.startswith("_") or name in _attributes.SETTABLE or is_first or is_subclass_own):
            raise AttributeError(_attributes.why_not_set(name, hasattr(Network, name)))
        super().__setattr__(name, value)

    if not TYPE_CHECKING:  # which knows what a network has

        def __getattr__(self, name: str) -> Any:
            if hasattr(type(self), name):
                return object.__getattribute__(self, name)  # a property that says why it has no value
            raise AttributeError(_names.missing_from_network(name, dir(type(self))))

        def __call__(self, *arguments: Any, **named: Any) -> NoReturn:
            raise TypeError("a network is not called; use predict(x)")

    def __repr__(self) -> str:
        optimizer = None if self._optimizer is None else self.optimizer
        memory = None if self.memory == "fast" else self.memory
        frozen_in = None if self.frozen_in == "ram" else self.frozen_in
        scale = None if self.input_scale is None else _arrays.power_of_two(self.input_scale)
        before: dict[str, Any] = {"loss": self.loss, "optimizer": optimizer}
        ranges = None if self.memory_ranges is None else list(self.memory_ranges)
        behind: dict[str, Any] = {"input_offset": self.input_offset, "memory": memory, "frozen_in": frozen_in}
        behind["memory_ranges"] = ranges
        behind["arithmetic"] = None if self.arithmetic == "exact" else self.arithmetic
        scaled = "" if scale is None else f", input_scale={scale}"
        options = _attributes.options_text(before) + scaled + _attributes.options_text(behind)
        sources = f", sources={list(self.sources)}" if _graph.is_graph(self.sources) else ""
        return f"{type(self).__name__}({self.input_shape}, {list(self.layers)}{sources}{options})"

    # ---- training ----------------------------------------------------------------------------------------------------

    def fit(
        self,
        x: ArrayLike | Iterable[Any],
        y: Any = None,
        *,
        epochs: int = 1,
        batch_size: int | None = None,
        shuffle: _fit.Shuffle = True,
        seed: int | None = None,
        validation_data: Any = None,
        validation_split: float = 0.0,
        class_weight: ClassWeights | None = None,
        sample_weight: SampleWeight | None = None,
        track_accuracy: bool = True,
        verbose: bool | Literal[0, 1, 2] = True,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        callbacks: Iterable[Any] | None = None,
        initial_epoch: int = 0,
        learning_rate: _optimizers.Rate | Callable[[int], float] | None = None,
        steps_per_epoch: int | None = None,
        cache_features: bool | PathLike = False,
    ) -> dict[str, list[float]]:
        """Trains and returns the history: "loss", "accuracy", "val_loss", "val_accuracy", one number per epoch.

        verbose: 0 is silent; 1 shows progress within an epoch too, where stderr is a terminal; 2 prints a line per epoch.

        `y` is what the loss reads: labels (N,), values (N,) + output_shape, or for distillation (labels, the teacher's logits).
        Of several outputs it is a list of these, with names a dict. Then the history has besides "loss" each "output_0_loss",
        and "output_0_accuracy" where an output's loss has one; of an output named "where" "where_loss". Weights of losses do
        not count in these. class_weight is a list or a dict, too, with None where an output has none. So may sample_weight be;
        one array counts for all outputs.
        A sample's loss and gradient are multiplied by its sample_weight (N,), and by its label's class_weight: a dict from
        class to weight (1 where it names none), or one number for each class. Weights are finite and >= 0. Means are sums over
        N, as in Keras. The accuracy does not weigh. validation_data is (x, y) or (x, y, sample_weight). validation_split is
        the share of the samples, 0 to 1, that is taken from the end of x and y instead.

        "loss" and "accuracy" (with labels, or binary_cross_entropy) are those of the samples while the epoch trained, each
        before its step, as in Keras. So the accuracy costs no second pass. Dropout and batch normalisation are as they train
        then. evaluate(x, y) tells the accuracy behind an epoch. track_accuracy=False leaves it out. The last batch of an epoch
        (of batch_size samples, 32 by default) is what is left over.

        Without `y`, x is an iterable of batches (x, y) or (x, y, sample_weight): a list, a generator, PyTorch's DataLoader.
        Each is a step, in the order in which they come, and one is in memory at a time. The bits are those of arrays in that
        order. An epoch is once through the iterable, or steps_per_epoch batches, behind which the next epoch goes on; then
        an iterable that ends begins again. validation_data may be an iterable of batches, too.

        callbacks (see cge.callbacks) are told of epochs and may end the training. learning_rate is set before the first epoch:
        a number or a schedule; or it is a function that says the rate of each epoch, from its number. Epochs initial_epoch ..
        epochs - 1 are trained, so that after an interruption their numbers go on.

        With cache_features=True what the first layers put out is computed once for each sample and kept, so that an epoch costs
        the layers behind alone: from the first on that learns, or is a Dropout. The bits stay. A path keeps it in that file
        (.npy, written anew) in place of RAM. ValueError if the first layer learns already, or x gives batches.

        clip_norm and clip_value clip the mean gradient before each step, the value first, as clip_gradient_norm and
        clip_gradient_value do (not with memory="smallest").

        Each epoch visits 0 .. N - 1 as permuted by cge_rng_shuffle, from the network's stream. The network's seed started
        it, `seed` starts it anew; it goes on over epochs, calls, saved files and copies. So three epochs, save, load and
        three more give the weights of six. Firmware that does the same replays the training.

        shuffle="feistel" visits them as cge_permute says, an order that a board need not store: fit(seed=s) takes those of
        cge.data.permutation(N, s, epoch) with epoch 0, 1, 2 ..., for a seed below 2**32. Both numbers are the state of
        the stream, so these orders go on like the others.

        Ctrl-C ends fit within a fraction of a second. The weights then are those after the last whole batch, and
        `history` has the epochs that were finished; so it is when a loss is not finite, or a callback fails.

        >>> (x, y), test = cge.datasets.load_digits()
        >>> net = cge.Network((8, 8, 1), [cge.Dense(10)], "softmax_cross_entropy", cge.SGD(0.1, momentum=0.9))
        >>> history = net.fit(x, y, epochs=3, validation_data=test, verbose=False)
        >>> list(history), history["val_accuracy"][-1] > 0.9
        (['loss', 'accuracy', 'val_loss', 'val_accuracy'], True)
        """
        return _fitting.fit(self, **_named_options(locals(), "self"))

    @property
    def _level_of_batches(self) -> str:
        """The level that is like this network's and takes several samples a step."""
        return self.memory.replace("smallest", "small")

    @property
    def history(self) -> dict[str, list[float]]:
        """Of the last fit, also of one that was interrupted: the epochs that it finished."""
        return self._history

    def _explained(
        self, error: NotFiniteError, x: Real, targets: Targets, where: str = "", names: tuple[str, str] = ("x", "y")
    ) -> NotFiniteError:
        """What to do about a loss or gradient that is not finite: the data are to blame, or the weights, or the steps."""
        bad = _arrays.first_not_finite(names[0], x) if self.input_scale is None else None
        if isinstance(self._loss, MultiOutput):
            parts = list(zip(self._loss.keys.within(names[1]), self._loss.parts(targets)))
        else:
            parts = [(names[1], targets)]
        for name, part in parts:
            if bad is None and part.values is not None:
                bad = _arrays.first_not_finite(name, part.values)
        if bad is None and not np.isfinite(self._runtime.params).all():
            bad = "the weights hold NaN or infinity: initialize() draws new ones"
        return NotFiniteError(bad or f"{where}{error}; a smaller learning rate may help")

    def gradients(self, x: ArrayLike, y: Any) -> list[Real]:
        """Mean gradient of the loss of these samples, shaped like get_weights(); zeros where nothing learns.

        The weights stay. memory="smallest" keeps no gradients: ValueError.

        >>> net = cge.Network((2,), [cge.Dense(1)], "mse", cge.SGD(0.1))
        >>> net.set_weights([[[0.0], [0.0]], [0.0]])
        >>> [grad.tolist() for grad in net.gradients([[1.0, 2.0]], [[-1.0]])]
        [[[2.0], [4.0]], [2.0]]
        """
        self._check_trainable()
        if self.memory.startswith("smallest"):
            raise ValueError(
                'gradients: expected a network that keeps them, got memory="smallest"; "small" gives the same bits'
            )
        samples, targets = self._step_data(x, y)
        try:
            _, sums = self._runtime.gradients(samples, targets, "gradients")
        except NotFiniteError as error:
            raise self._explained(error, samples, targets) from None
        mean = np.zeros(self.param_count, _FLOAT32)
        learned, begin = [], 0
        for layer, info in zip(self.layers, self.layer_infos):
            learned += [begin + index for index in _learning.learned_indices(layer, info)]
            begin += info.param_elems
        mean[learned] = sums * np.float32(1 / len(samples))
        return self._by_layer(mean)

    @property
    def _has_accuracy(self) -> bool:
        losses = self._loss.losses if isinstance(self._loss, MultiOutput) else [self._loss]
        return any(loss is not None and loss.has_accuracy for loss in losses)  # type: ignore[union-attr]

    def _weighted(
        self,
        x: Real,
        targets: Targets,
        sample_weight: SampleWeight | None = None,
        class_weight: ClassWeights | None = None,
        name: str = "sample_weight",
    ) -> tuple[Real, Targets]:
        if isinstance(self._loss, MultiOutput):
            return x, self._loss.weighted(targets, sample_weight, class_weight, len(x), name)
        return x, _losses.with_weights(targets, sample_weight, class_weight, len(x), math.prod(self.output_shape), name)

    def train_on_batch(
        self, x: ArrayLike, y: Any, *, sample_weight: SampleWeight | None = None, class_weight: ClassWeights | None = None
    ) -> float:
        """One optimizer step with the mean gradient of these samples; returns their mean loss before the step.

        sample_weight and class_weight as in fit: a step's mean is the sum over its samples divided by their number.

        With memory="smallest" it is one sample.

        >>> net = cge.Network((2,), [cge.Dense(1)], "mse", cge.SGD(0.125))
        >>> net.set_weights([[[0.0], [0.0]], [0.0]])
        >>> net.train_on_batch([[1.0, 2.0]], [[-1.0]]), [array.tolist() for array in net.get_weights()]
        (1.0, [[[-0.25], [-0.5]], [-0.25]])
        """
        images: Any = x
        labels: Any = y
        count = self._usual_with_labels(x, y) if sample_weight is None and class_weight is None else 0
        if count > 0:
            try:
                return self._runtime.train_labelled(images, labels, count)
            except ValueError:
                pass  # not contiguous, or the core refused, so nothing happened; the checks below say why
            except NotFiniteError as error:
                raise self._explained(error, images, Targets(labels, None)) from None
        self._check_trainable()
        samples, targets = self._weighted(*self._step_data(x, y), sample_weight, class_weight)
        try:
            return self._runtime.train_batch(samples, targets)
        except NotFiniteError as error:
            raise self._explained(error, samples, targets) from None

    # ---- a step in parts: accumulate, clip, update ----

    def accumulate(self, x: ArrayLike, y: Any) -> float:
        """Adds the gradients of these samples to those that wait for update(); returns their mean loss.

        Several calls make one batch, whose samples need not be in memory at once: the step has the same bits.

        >>> net = cge.Network((2,), [cge.Dense(1)], "mse", cge.SGD(0.1))
        >>> net.set_weights([[[0.0], [0.0]], [0.0]])
        >>> net.accumulate([[1.0, 2.0]], [[-1.0]]), net.accumulate([[1.0, 2.0]], [[2.0]])
        (1.0, 4.0)
        >>> net.update()
        """
        self._check_collects("accumulate")
        samples, targets = self._data(x, y)
        try:
            return self._runtime.accumulate(samples, targets)
        except NotFiniteError as error:
            raise self._explained(error, samples, targets) from None

    def update(self) -> None:
        """One optimizer step with the mean gradient of all samples that were accumulated since the last one.

        NotFiniteError if a gradient or a new weight would not be finite: the weights stay, the gradients are dropped.

        >>> net = cge.Network((2,), [cge.Dense(1)], "mse", cge.SGD(0.1))
        >>> loss = net.accumulate([[1.0, 2.0]], [[-1.0]])
        >>> net.update()
        >>> net.step_count
        1
        """
        self._check_pending("update")
        self._runtime.update()

    def zero_gradients(self) -> None:
        """Drops what was accumulated.

        >>> net = cge.Network((2,), [cge.Dense(1)], "mse", cge.SGD(0.1))
        >>> loss = net.accumulate([[1.0, 2.0]], [[-1.0]])
        >>> net.zero_gradients()
        >>> net.update()
        Traceback (most recent call last):
            ...
        RuntimeError: update: nothing was accumulated; accumulate(x, y) comes before it
        """
        self._check_collects("zero_gradients")
        self._runtime.zero_grads()

    def clip_gradient_norm(self, most: float) -> float:
        """Scales the mean gradient of what was accumulated so that its Euclidean norm over all weights is at most `most`.

        Returns the norm before. As PyTorch's clip_grad_norm_, but for the 1e-6 that it adds to the norm.

        >>> net = cge.Network((1,), [cge.Dense(1, use_bias=False)], "mse", cge.SGD(0.1))
        >>> net.set_weights([[[0.0]]])
        >>> loss = net.accumulate([[1.0]], [[-2.0]])
        >>> net.clip_gradient_norm(1.0)
        4.0
        """
        self._check_pending("clip_gradient_norm")
        return self._runtime.clip_norm(_fitting.above_0("most", most))

    def clip_gradient_value(self, most: float) -> None:
        """Brings each element of the mean gradient of what was accumulated to the range from -most to most.

        >>> net = cge.Network((1,), [cge.Dense(1, use_bias=False)], "mse", cge.SGD(1.0))
        >>> net.set_weights([[[0.0]]])
        >>> loss = net.accumulate([[1.0]], [[-2.0]])
        >>> net.clip_gradient_value(0.5), net.update()
        (None, None)
        >>> net.get_weights()[0].item()
        -0.5
        """
        self._check_pending("clip_gradient_value")
        self._runtime.clip_value(_fitting.above_0("most", most))

    def _check_collects(self, name: str) -> None:
        self._check_trainable()
        if self.memory.startswith("smallest"):
            raise ValueError(
                f'{name}: expected a network that collects gradients, got one with memory="{self.memory}", where each layer '
                'learns as soon as its gradient is there; make it with memory="small"'
            )

    def _check_pending(self, name: str) -> None:
        self._check_collects(name)
        if self._runtime.pending == 0:
            raise RuntimeError(f"{name}: nothing was accumulated; accumulate(x, y) comes before it")

    def _usual(self, x: Any) -> int:
        """How many samples these are, if they may go to the core as they are; 0: they must be checked, or are none.

        Checks take longer than a small network's step. Whether the array is contiguous remains to be seen.
        """
        if type(x) is np.ndarray and x.dtype is self._input_dtype:
            shape = x.shape
            if shape[1:] == self.input_shape:
                return int(shape[0])
        return 0

    def _usual_with_labels(self, x: Any, y: Any) -> int:
        """The same with labels, whose range the core checks."""
        if self._reads_labels and type(y) is np.ndarray and (y.dtype is _INT64 or y.dtype is _INT32):
            count = self._usual(x)
            if y.shape == (count,):
                return count
        return 0

    def _check_trainable(self) -> None:
        if self._optimizer is None or self.loss is None:
            raise ValueError("this network has no optimizer: make it with a loss and optimizer=SGD(...) to train it")

    @property
    def optimizer(self) -> Optimizer | None:
        """With the learning rate as it is now."""
        return None if self._optimizer is None else _optimizers.decode(self._runtime.optimizer)

    @property
    def learning_rate(self) -> float:
        """May be set between epochs or batches, to a number or a schedule. What a schedule says shows after a step."""
        self._check_trainable()
        return _optimizers.decode(self._runtime.optimizer).first_rate

    @learning_rate.setter
    def learning_rate(self, value: _optimizers.Rate) -> None:
        self._check_trainable()
        _optimizers.check_rate(value)
        self._runtime.set_optimizer("learning_rate", _optimizers.first_rate(value))
        self._set_rate(value)

    @property
    def schedule(self) -> Schedule | ReduceOnPlateau | None:
        """What learning_rate was set to, if that was no number."""
        return self._schedule

    def _set_rate(self, rate: _optimizers.Rate) -> None:
        self._schedule = rate if isinstance(rate, (Schedule, ReduceOnPlateau)) else None
        self._plateau = ()
        self._runtime.schedule = rate if isinstance(rate, Schedule) else None

    def _follow_plateau(self, metrics: dict[str, float]) -> None:
        """After an epoch."""
        if isinstance(self._schedule, ReduceOnPlateau):
            rate, self._plateau = self._schedule.after(self._plateau, metrics.get("val_loss", metrics["loss"]))
            self._runtime.set_optimizer("learning_rate", rate)

    @property
    def momentum(self) -> float:
        """May be set between epochs or batches, if the network was made with one: only then there is memory for it."""
        self._check_trainable()
        optimizer = _optimizers.decode(self._runtime.optimizer)
        if not isinstance(optimizer, (SGD, RMSprop)):
            raise AttributeError(f"momentum: {type(optimizer).__name__} has none; SGD and RMSprop have")
        return optimizer.momentum

    @momentum.setter
    def momentum(self, value: float) -> None:
        value = _arrays.number("momentum", value, below=1.0)
        if self.momentum == 0:
            maker = type(self.optimizer).__name__
            raise ValueError(f"momentum: this network was made without; make it with {maker}(learning_rate, momentum=...)")
        if np.float32(value) == 0:
            raise ValueError("momentum: expected a number above 0 for a network that has momentum, got 0")
        self._runtime.set_optimizer("momentum", value)

    @property
    def step_count(self) -> int:
        """Optimizer steps so far."""
        return self._runtime.step_count

    def set_learning_rate_factor(
        self, factor: float, *, layer: int | str | Layer | None = None, upto: int | str | Layer | None = None
    ) -> None:
        """Sets by which the learning rate of that layer is multiplied; or of the layer `upto` and all that it depends on.

        Either is what predict(upto=) takes, and layers without parameters stay out. Weights and the optimizer's memory stay. A
        parameter group of PyTorch with a learning rate of its own is such a factor.

        >>> net = cge.Network((4,), [cge.Dense(3), cge.ReLU(), cge.Dense(2)], "mse", cge.SGD(0.1))
        >>> net.set_learning_rate_factor(0.1, upto="ReLU")
        >>> net.layers
        (Dense(3, learning_rate_factor=0.1), ReLU(), Dense(2))
        """
        if (layer is None) == (upto is None):
            raise TypeError("set_learning_rate_factor: expected layer=..., or upto=..., of a network's layers")
        encoded_factor("factor", factor)
        last = layer_number(self.layers, layer, "layer") if upto is None else layer_number(self.layers, upto)
        chosen = {last} if upto is None else set(_graph.behind(self.sources, last))
        layers = [with_factor(own, factor) if number in chosen else own for number, own in enumerate(self.layers)]
        if not any(hasattr(layers[number], "learning_rate_factor") for number in chosen):
            raise ValueError(f"{'layer' if upto is None else 'upto'}: expected parameters to learn, got {layers[last]!r}")
        factors = [getattr(own, "learning_rate_factor", 1.0) for own in layers]
        self._runtime.set_learning_rate_factors([encoded_factor("factor", own) for own in factors])
        object.__setattr__(self, "layers", tuple(layers))

    # ---- use ---------------------------------------------------------------------------------------------------------

    def predict(self, x: ArrayLike | Iterable[Any], *, upto: int | str | Layer | None = None) -> Any:
        """The last layer's outputs, (N,) + output_shape; for classifiers logits, see softmax_forward.

        Of several outputs a list of arrays, (N,) + each of output_shapes; with names a dict of them.

        x may be an iterable of batches of samples, or of (x, y), whose outputs come as one array.

        With `upto`, the outputs of that layer, as if it were the last: its number in net.layers (-1 is the last), the layer
        itself, or the name of its class if there is one of it ("GlobalAvgPool2d").

        >>> net = cge.Network((3,), [cge.Flatten()])
        >>> net.predict([[1.0, 2.0, 3.0]])
        array([[1., 2., 3.]], dtype=float32)
        """
        if upto is not None:
            return _copies.part(self, _graph.behind(self.sources, layer_number(self.layers, upto))).predict(x)
        images: Any = x
        count = self._usual(x)
        if count > 0:
            try:
                return self._apart(self._predicted(images, count))
            except ValueError:
                pass  # not contiguous
        if not isinstance(images, np.ndarray) and _batches.are_batches(images):
            return self._apart(self._predicted_batches(images))
        samples = self._samples("x", images)
        return self._apart(self._predicted(samples, len(samples)))

    def _apart(self, y: Real) -> Any:
        """Several outputs as a list of arrays, or by name; one as it is."""
        if self._outputs is None:
            return y
        ends = np.cumsum([math.prod(shape) for shape in self.output_shapes])[:-1]
        parts = np.split(y.reshape(len(y), -1), ends, axis=1)
        found = [np.ascontiguousarray(part).reshape(len(y), *shape) for part, shape in zip(parts, self.output_shapes)]
        return self._outputs.shown(found)

    def _predicted_batches(self, batches: Iterable[Any]) -> Real:
        found = []
        for number, batch in enumerate(batches):
            samples = self._samples(f"x[{number}]", _batches.samples_of(batch))
            found.append(self._predicted(samples, len(samples)))
        if not found:
            raise ValueError("x: expected at least one batch, got none")
        return np.concatenate(found)

    def _predicted(self, samples: Real, count: int) -> Real:
        y = np.empty((count, *self.output_shape), _FLOAT32)
        self._runtime.forward(samples, y)
        return y

    def evaluate(self, x: ArrayLike | Iterable[Any], y: Any = None, *, sample_weight: SampleWeight | None = None) -> Any:
        """(loss, accuracy): the mean loss, and with labels the share of samples that are right.

        Of several outputs an OutputsEvaluation: the mean loss, and of each output its own Evaluation.

        With sample_weight (N,) each loss is multiplied by its weight, and their sum still divided by N. The accuracy of
        binary_cross_entropy is the share of all outputs that are right; other losses without labels have None.

        Without `y`, x is an iterable of batches as in fit: the same bits as of all samples in arrays.

        >>> net = cge.Network((2,), [cge.Flatten()], "softmax_cross_entropy")
        >>> net.evaluate(np.array([[0.0, 0.0], [0.0, 100.0]]), [1, 1]).accuracy
        0.5
        """
        if y is None:
            _fitting.check_of_arrays({"sample_weight": sample_weight})
            return _fitting.batch_source(self, "x", x, 1).evaluate()
        images: Any = x
        labels: Any = y
        count = self._usual_with_labels(x, y) if sample_weight is None else 0
        if count > 0 and self._runtime.is_short(count):
            try:
                loss, correct = self._runtime.evaluate_labelled(images, labels, count)
                return Evaluation(loss, correct / count)
            except ValueError:
                pass
        return self._evaluate(*self._weighted(*self._data(images, y), sample_weight))

    def _evaluate(self, x: Real, targets: Targets, *, sharing: bool = False) -> Any:
        measure = _fit.Measure(self)
        measure.add(x, targets, sharing=sharing)
        return measure.result

    def _evaluation(self, losses: Losses) -> Evaluation | OutputsEvaluation:
        """Of the samples whose losses these are."""
        count, loss = losses.done, self._loss
        if not isinstance(loss, MultiOutput):
            return self._evaluation_of(losses.mean, losses.right[0], count)
        outputs = zip(loss.losses, losses.output_means, losses.right, loss.sizes)
        found = tuple(Evaluation(mean, of_output.share(right, count, size)) for of_output, mean, right, size in outputs)  # type: ignore[union-attr]
        return OutputsEvaluation(losses.mean, found if self.output_names is None else dict(zip(self.output_names, found)))

    def _evaluation_of(self, mean: float, right: int, count: int) -> Evaluation:
        """Of one output."""
        share = None if self._loss is None else self._loss.share(right, count, math.prod(self.output_shape))
        return Evaluation(mean, share)

    # ---- some of the layers ------------------------------------------------------------------------------------------

    def freeze(self, *, upto: int | str | Layer) -> Network:
        """A network with these weights in which that layer and all that it depends on do not learn. This one stays as it is.

        upto is what predict(upto=) takes. Loss, optimizer and settings are this network's; the optimizer's memory and the
        stream of shuffles are new.

        >>> net = cge.Network((4,), [cge.Dense(3), cge.ReLU(), cge.Dense(2)], "mse", cge.SGD(0.1))
        >>> [layer.trainable for layer in net.freeze(upto=0).layers if isinstance(layer, cge.Dense)]
        [False, True]
        """
        self._check_trainable()
        return _copies.frozen(self, layer_number(self.layers, upto))

    def split(self, *, upto: int | str | Layer) -> tuple[Network, Network]:
        """Two networks with these weights: up to that layer, which predicts, and of what is behind, which reads its outputs.

        So firmware can keep what the first puts out, and train the second with that. The second has this network's loss,
        optimizer and settings; the optimizer's memory and the stream of shuffles are new. Its Dropout draws as here.

        upto is what predict(upto=) takes. ValueError if it is the last layer, or one behind it reads another before it.

        >>> net = cge.Network((4,), [cge.Dense(3), cge.ReLU(), cge.Dense(2)], "mse", cge.SGD(0.1))
        >>> front, tail = net.split(upto="ReLU")
        >>> x = np.ones((1, 4))
        >>> np.array_equal(tail.predict(front.predict(x)), net.predict(x))
        True
        """
        last = layer_number(self.layers, upto)
        _features.check_cut(self.layers, self.sources, last)
        return _copies.part(self, range(last + 1), self.memory), _copies.tail(self, last)

    # ---- steps in slices ---------------------------------------------------------------------------------------------

    def train_begin(
        self, x: ArrayLike, y: Any, *, sample_weight: SampleWeight | None = None, class_weight: ClassWeights | None = None
    ) -> None:
        """Begins a step like train_on_batch's, which resume() takes, piece by piece: firmware does so between control ticks.

            net.train_begin(x, y)
            while net.resume(budget_macs):
                ...
            loss = net.step_result

        The same bits, whatever the budgets. It needs memory="small_sliced" or "smallest_sliced"; with "small" and
        "smallest" a piece may be the first units together. x and y are not copied if they are
        what the core reads (float32, int32 labels, contiguous), and must not change until the step is over. Meanwhile
        other calls raise RuntimeError.

        >>> net = cge.Network((8,), [cge.Dense(4)], "softmax_cross_entropy", cge.SGD(0.1), memory="small_sliced")
        >>> net.train_begin(np.zeros((1, 8), np.float32), np.zeros(1, np.int32))
        >>> while net.resume(16):
        ...     pass
        >>> round(net.step_result, 4)
        1.3863
        """
        self._check_trainable()
        self._check_sliced("train_begin")
        self._runtime.train_begin(*self._weighted(*self._step_data(x, y), sample_weight, class_weight))

    def evaluate_begin(self, x: ArrayLike, y: Any, *, sample_weight: SampleWeight | None = None) -> None:
        """Begins evaluate(x, y) in slices; step_result will be its Evaluation, of several outputs with the mean loss alone.

        >>> net = cge.Network((8,), [cge.Dense(4)], "softmax_cross_entropy", memory="small_sliced")
        >>> net.evaluate_begin(np.zeros((1, 8), np.float32), np.zeros(1, np.int32))
        >>> net.resume(), net.step_result.accuracy
        (False, 1.0)
        """
        self._check_sliced("evaluate_begin")
        self._runtime.evaluate_begin(*self._weighted(*self._data(x, y), sample_weight))

    def predict_begin(self, x: ArrayLike) -> None:
        """Begins predict(x) in slices; step_result will be its array.

        >>> net = cge.Network((2,), [cge.Dense(2), cge.Softmax()], memory="small_sliced")
        >>> net.predict_begin(np.zeros((1, 2), np.float32))
        >>> net.resume(), net.step_result.tolist()
        (False, [[0.5, 0.5]])
        """
        self._check_sliced("predict_begin")
        samples = self._samples("x", x)
        self._runtime.forward_begin(samples, np.empty((len(samples), *self.output_shape), np.float32))

    def resume(self, budget_macs: int | None = None) -> bool:
        """Goes on with the step that was begun; True while it is not done.

        Runs as many pieces as fit into the budget of multiply-adds, and at least one; None: to the end. An error is what
        the blocking call would have raised; then the step is over.

        >>> net = cge.Network((64,), [cge.Dense(32)], "mse", cge.SGD(0.1), memory="small_sliced")
        >>> net.train_begin(np.zeros((1, 64), np.float32), np.zeros((1, 32), np.float32))
        >>> net.resume(1), net.resume()  # one piece; all others
        (True, False)
        """
        budget = 2**63 - 1 if budget_macs is None else _arrays.integer("budget_macs", budget_macs, 1, 2**63 - 1)
        try:
            step = self._runtime.resume(budget)
        except _runtime.StepNotFiniteError as error:
            raise self._explained(error, error.step.x, error.step.targets or Targets(None, None)) from None
        if step is None:
            return True
        if step.kind == "forward":
            self._step_result = self._apart(step.y)  # type: ignore[arg-type]
        elif step.kind == "train":
            self._step_result = step.loss[0]
        else:
            self._step_result = self._evaluation_of(step.loss[0], step.correct[0], len(step.x))
        return False

    @property
    def step_result(self) -> Any:
        """Of the last step in slices that was done: the mean loss, an Evaluation or the outputs."""
        if self._step_result is None:
            raise RuntimeError("step_result: no step in slices is done")
        return self._step_result

    def abort(self) -> None:
        """Gives up the step that was begun: the network is as before it.

        Too late (RuntimeError) when weights have begun to change: in the update at the end, or in all of the backward pass
        if memory is "smallest" or "smallest_sliced". Then resume() it to its end.

        >>> net = cge.Network((64,), [cge.Dense(32)], "mse", cge.SGD(0.1), memory="small_sliced")
        >>> net.train_begin(np.zeros((1, 64), np.float32), np.zeros((1, 32), np.float32))
        >>> net.abort()
        >>> net.step_count
        0
        """
        self._runtime.abort()

    @property
    def largest_slice_macs(self) -> int:
        """What the largest piece of a step costs: a resume() takes no longer than this, or its budget if that is more."""
        self._check_sliced("largest_slice_macs")
        return self._runtime.largest_slice()

    def _check_sliced(self, name: str) -> None:
        if self.memory == "fast":
            needed = 'memory="small_sliced" or "smallest_sliced"'
            raise ValueError(f'{name}: steps in slices need {needed}, this network has "fast"')
        if name in ("train_begin", "largest_slice_macs") and self.loss is not None and any(map(learns_by_batch, self.layers)):
            index = [learns_by_batch(layer) for layer in self.layers].index(True)
            raise ValueError(
                f"{name}: steps in slices take one sample after the other, and layers[{index}] {self.layers[index]!r} learns "
                "by the samples of a batch together; take train_on_batch, or BatchNorm(frozen=True)"
            )

    def gradcheck(self, x: ArrayLike, y: Any, *, tolerance: float = 1e-6) -> GradientCheck:
        """Compares every gradient with a central difference, on a double-precision copy of this network.

        Raises GradientCheckError if the largest relative error exceeds the tolerance. A few samples suffice: it
        evaluates them twice for each parameter.

        >>> net = cge.Network((4,), [cge.Dense(3), cge.Tanh(), cge.Dense(2)], "mse", cge.SGD(0.1))
        >>> net.gradcheck(np.ones((2, 4)), np.zeros((2, 2))).checked
        23
        """
        return _gradcheck.run(self, *self._data(x, y), _arrays.number("tolerance", tolerance))

    # ---- data --------------------------------------------------------------------------------------------------------

    def _data(self, x: ArrayLike, y: Any, names: tuple[str, str] = ("x", "y")) -> tuple[Real, Targets]:
        samples = self._samples(names[0], x)
        if self._loss is None:
            raise ValueError('this network has no loss: make it with loss="softmax_cross_entropy" or "mean_squared_error"')
        shape: Any = self.output_shape if self._outputs is None else self.output_shapes
        return samples, self._loss.targets(names[1], y, len(samples), shape)

    def _step_data(self, x: ArrayLike, y: Any, names: tuple[str, str] = ("x", "y")) -> tuple[Real, Targets]:
        samples, targets = self._data(x, y, names)
        if self.memory.startswith("smallest") and len(samples) != 1:
            raise ValueError(
                f'{names[0]}: expected one sample (a batch_size of 1) with memory="{self.memory}", where each sample is a '
                f'step, got {len(samples)}; make the network with memory="{self._level_of_batches}" for batches'
            )
        return samples, targets

    def _samples(self, name: str, x: ArrayLike) -> Real:
        if self.input_scale is not None:
            array: Real = _arrays.byte_values(name, x, self.input_scale, self.input_offset)
        else:
            array = _arrays.real(name, x, byte_hint=_BYTE_HINT)
        if array.shape[1:] != self.input_shape or not 0 < len(array) <= _arrays.INT32_MAX:
            array = self._shaped(name, array)
        return array if self.input_scale is not None else _arrays.single(name, array)

    def _shaped(self, name: str, array: Real) -> Real:
        """(N,) + input_shape, of another shape that says the same."""
        shapes: list[tuple[int | str, ...]] = [("N", *self.input_shape)]
        if len(self.input_shape) == 1:
            shapes.append(("N", 1, 1, *self.input_shape))
        elif self.input_shape[1] == 1:
            shapes.append(("N", self.input_shape[0], self.input_shape[2]))
        samples: Real = _arrays.shaped(name, array, *shapes, sample=self.input_shape)
        return samples.reshape(-1, *self.input_shape) if len(self.input_shape) == 3 else samples

    # ---- weights -----------------------------------------------------------------------------------------------------

    def get_weights(self) -> list[Real]:
        """Copies of all parameters, layer by layer, weight then bias.

        >>> net = cge.Network((4,), [cge.Dense(3), cge.ReLU(), cge.Dense(2, use_bias=False)])
        >>> [array.shape for array in net.get_weights()]
        [(4, 3), (3,), (3, 2)]
        """
        with self._runtime.lock:
            self._runtime.check_no_step("get_weights")
            params = self._runtime.params.copy()
        return self._by_layer(params)

    def set_weights(self, weights: Sequence[ArrayLike]) -> None:
        """What get_weights gave. The optimizer's memory stays as it is.

        A list of another length, or an array of another shape, is a ValueError: then nothing has changed.

        >>> net = cge.Network((2,), [cge.Dense(1)])
        >>> net.set_weights([[[1.0], [2.0]], [0.5]])
        >>> net.predict([[1.0, 1.0]])
        array([[3.5]], dtype=float32)
        """
        params = np.empty_like(self._runtime.params)
        views = self._by_layer(params)
        if isinstance(weights, Mapping):
            raise TypeError("weights: expected a list of arrays, got a dict; Network.from_torch takes a state_dict()")
        weights = _arrays.sequence("weights", weights, "a list of arrays")
        if len(weights) != len(views):
            raise ValueError(f"weights: expected {len(views)} arrays, got {len(weights)}")
        for index, (array, view) in enumerate(zip(weights, views)):
            name = f"weights[{index}]"
            view[...] = _arrays.single(name, _arrays.shaped(name, _arrays.real(name, array), view.shape))
        with self._runtime.lock:
            self._runtime.check_no_step("set_weights")
            self._runtime.params[...] = params  # in one piece, between whose halves no signal handler comes

    def _by_layer(self, params: Real) -> list[Real]:
        """Views of all parameters: each weight and bias in its shape."""
        views, begin = [], 0
        for shape in (shape for info in self.layer_infos for shape in info.parameter_shapes):
            end = begin + math.prod(shape)
            views.append(params[begin:end].reshape(shape))
            begin = end
        return views

    @property
    def param_count(self) -> int:
        """Numbers of parameters of all layers, learning or not."""
        return self._runtime.params.size

    def weights_hash(self) -> str:
        """Sixteen hexadecimal digits; equal weights give the same on every target (cge_network_params_hash).

        >>> net = cge.Network((2,), [cge.Dense(1)])
        >>> net.set_weights([[[1.0], [2.0]], [0.5]])
        >>> net.weights_hash()
        '1d0a7c898066fb35'
        """
        return f"{self._runtime.params_hash():016x}"

    # ---- files -------------------------------------------------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """Layers, weights, optimizer and its memory in the core's file format (docs/file_format.md).

        >>> net = cge.Network((2,), [cge.Dense(1)])
        >>> net.to_bytes()[:4], len(net.to_bytes())
        (b'CGEN', 136)
        """
        return self._runtime.save()

    @classmethod
    def from_bytes(
        cls,
        data: Buffer,
        *,
        capacity: int | None = None,
        threads: int = 1,
        memory: MemoryLevel = "fast",
        frozen_in: Place = "ram",
        memory_ranges: Sequence[int] | None = None,
        output_names: Sequence[str] | None = None,
    ) -> Network:
        """The network whose to_bytes() gave `data`: bytes, or anything that lends its bytes (bytearray, memoryview, arrays).

        The file does not hold how a network uses its memory: any level may go on where another stopped. Nor does it hold the
        names of several outputs, which firmware has no use for: output_names says them again, in their order.

        Bytes that are none of ours, or damaged, are a ValueError.

        >>> net = cge.Network((2,), [cge.Dense(1)], seed=3)
        >>> cge.Network.from_bytes(net.to_bytes()).weights_hash() == net.weights_hash()
        True
        """
        settings = (capacity, threads, memory, frozen_in, memory_ranges)
        return _saved.restored(cls, _arrays.content("data", data), "data", output_names, *settings)

    def save(self, path: PathLike) -> None:
        """Writes to_bytes() to a file, which is never seen half written, whoever else saves there too.

        A file that was there keeps its permissions, a symbolic link leads where it led; a device or a pipe is written to.

        >>> net = cge.Network((2,), [cge.Dense(1)])
        >>> net.save("net.cge")
        """
        _files.write({_files.path(path, "to_bytes() gives what it would hold"): self.to_bytes()})

    @classmethod
    def load(
        cls,
        path: PathLike,
        *,
        capacity: int | None = None,
        threads: int = 1,
        memory: MemoryLevel = "fast",
        frozen_in: Place = "ram",
        memory_ranges: Sequence[int] | None = None,
        output_names: Sequence[str] | None = None,
    ) -> Network:
        """The network that save wrote; training goes on as if it had never stopped, in any level of memory.

        What the file does not hold is said as in from_bytes.

        >>> cge.Network((2,), [cge.Dense(1)], "mse", cge.Adam()).save("net.cge")
        >>> cge.Network.load("net.cge")
        Network((2,), [Dense(1)], loss='mean_squared_error', optimizer=Adam())
        """
        settings = (capacity, threads, memory, frozen_in, memory_ranges)
        data = _files.path(path, "from_bytes takes what a file holds").read_bytes()
        return _saved.restored(cls, data, str(path), output_names, *settings)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles are what the file holds, with the settings for speed and memory, and the history."""
        state = {
            "_history": self._history,
            "_import_notes": self._import_notes,
            "_schedule": self._schedule,
            "_plateau": self._plateau,
            "_outputs": self._outputs,
            "output_shapes": self.output_shapes,
        }
        options = dict(self._settings, output_names=self.output_names)
        return partial(type(self).from_bytes, **options), (self.to_bytes(),), state

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._runtime.schedule = self._schedule if isinstance(self._schedule, Schedule) else None

    # ---- other frameworks --------------------------------------------------------------------------------------------

    @classmethod
    def from_onnx(
        cls,
        path: PathLike,
        loss: LossName | Loss | None = None,
        optimizer: Optimizer | None = None,
        *,
        input_scale: float | None = None,
        input_offset: int = 0,
        capacity: int | None = None,
        threads: int = 1,
        memory: MemoryLevel = "fast",
        frozen_in: Place = "ram",
    ) -> Network:
        """The network of an ONNX file, with its weights; the onnx package is not needed.

        Samples are (H, W, C) here where ONNX has (C, H, W): x.transpose(0, 2, 3, 1) makes one of the other. Batch
        normalisation goes into the layer before it. A softmax at the end goes into loss="softmax_cross_entropy".
        `import_notes` says what became of such nodes. What our layers cannot express is a ValueError that names the node.

        >>> cge.Network((8, 8, 1), [cge.Conv2d(4, 3), cge.ReLU()], seed=1).to_onnx("net.onnx")
        >>> cge.Network.from_onnx("net.onnx", loss="mse", optimizer=cge.SGD(0.01))
        Network((8, 8, 1), [Conv2d(4, 3), ReLU()], loss='mean_squared_error', optimizer=SGD())
        """
        network: Network = importers.read(cls, "onnx", path, _named_options(locals(), "path"))
        return network

    @classmethod
    def from_tflite(
        cls,
        path: PathLike,
        loss: LossName | Loss | None = None,
        optimizer: Optimizer | None = None,
        *,
        input_scale: float | None = None,
        input_offset: int = 0,
        capacity: int | None = None,
        threads: int = 1,
        memory: MemoryLevel = "fast",
        frozen_in: Place = "ram",
    ) -> Network:
        """The network of a TensorFlow Lite file with float32 activations; TensorFlow is not needed. As from_onnx.

        Weights stored as integers with scales, or as float16, are expanded. Samples are (H, W, C), as there.

        >>> cge.Network.from_tflite("model.tflite", loss="mse", optimizer=cge.SGD(0.01))
        Network((4,), [Dense(2, use_bias=False)], loss='mean_squared_error', optimizer=SGD())
        """
        network: Network = importers.read(cls, "tflite", path, _named_options(locals(), "path"))
        return network

    @classmethod
    def from_torch(
        cls,
        source: Any,
        input_shape: int | Sequence[int],
        layers: Iterable[Layer] | None = None,
        loss: LossName | Loss | None = None,
        optimizer: Optimizer | None = None,
        *,
        names: Sequence[str] | None = None,
        fold_batch_norm: bool = True,
        input_scale: float | None = None,
        input_offset: int = 0,
        capacity: int | None = None,
        threads: int = 1,
        memory: MemoryLevel = "fast",
        frozen_in: Place = "ram",
    ) -> Network:
        """The network of a torch.nn.Module, with its weights; or `layers` with the weights of its state_dict(). As from_onnx.

        input_shape is (H, W, C) or (n,), as Network takes it. A module is traced by torch.fx, so its own forward may have
        skips and branches. Its batch normalisation goes into the layer before; with fold_batch_norm=False it is a BatchNorm,
        which learns. Of a dictionary the arrays are taken in their order, or in that of `names`, the parts before ".weight";
        batch normalisation in it goes into the layer before, or into the BatchNorm that stands at its place in `layers`.

        >>> state = {"0.weight": np.ones((10, 4)), "0.bias": np.zeros(10)}  # PyTorch's layout: (units, in)
        >>> cge.Network.from_torch(state, (4,), [cge.Dense(10)]).predict(np.ones((1, 4)))[0, 0].item()
        4.0
        """
        options = _named_options(locals(), "source", "input_shape", "layers", "names", "fold_batch_norm")
        fold_batch_norm = _arrays.boolean("fold_batch_norm", fold_batch_norm)
        if not isinstance(source, Mapping):
            if not hasattr(source, "state_dict"):
                raise TypeError(f"source: expected a torch.nn.Module or its state_dict(), got {_arrays.describe(source)}")
            if layers is not None or names is not None:
                raise ValueError("layers: expected None for a module, which has its own; they go with a state_dict()")
            network: Network = importers.read_module(cls, source, input_shape, options, fold_batch_norm)
            return network
        if not fold_batch_norm:
            raise ValueError(
                "fold_batch_norm: expected True for a state_dict(), whose layers say what is a BatchNorm, got False"
            )
        return cls._with_state(source, input_shape, layers, names, options, "source")

    @classmethod
    def from_keras(
        cls,
        source: Any,
        loss: LossName | Loss | None = None,
        optimizer: Optimizer | None = None,
        *,
        input_scale: float | None = None,
        input_offset: int = 0,
        capacity: int | None = None,
        threads: int = 1,
        memory: MemoryLevel = "fast",
        frozen_in: Place = "ram",
    ) -> Network:
        """The network of a Keras model, or of the path of a .keras or .h5 file (which needs h5py). As from_onnx.

        >>> import keras
        >>> model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2)])
        >>> cge.Network.from_keras(model, loss="mse")
        Network((4,), [Dense(2)], loss='mean_squared_error')
        """
        options = _named_options(locals(), "source")
        if not isinstance(source, (str, os.PathLike)):
            for needed in ("layers", "get_config"):
                if not hasattr(source, needed):
                    raise TypeError(f"source: expected a Keras model or the path of a file, got {_arrays.describe(source)}")
        network: Network = importers.read_keras(cls, source, options)
        return network

    @classmethod
    def from_safetensors(
        cls,
        path: PathLike,
        input_shape: int | Sequence[int],
        layers: Iterable[Layer],
        loss: LossName | Loss | None = None,
        optimizer: Optimizer | None = None,
        *,
        names: Sequence[str] | None = None,
        input_scale: float | None = None,
        input_offset: int = 0,
        capacity: int | None = None,
        threads: int = 1,
        memory: MemoryLevel = "fast",
        frozen_in: Place = "ram",
    ) -> Network:
        """`layers` with the weights of a safetensors file in PyTorch's layout, as from_torch takes a state_dict().

        Such a file does not keep an order: layers come by their names, numbers in them as numbers, or as `names` says.

        >>> with open("dense.safetensors", "wb") as file:
        ...     header = b'{"fc.weight": {"dtype": "F32", "shape": [1, 2], "data_offsets": [0, 8]}}'
        ...     length = file.write(len(header).to_bytes(8, "little") + header + np.ones(2, np.float32).tobytes())
        >>> net = cge.Network.from_safetensors("dense.safetensors", (2,), [cge.Dense(1, use_bias=False)])
        >>> net.predict([[1.0, 2.0]])
        array([[3.]], dtype=float32)
        """
        options = _named_options(locals(), "path", "input_shape", "layers", "names")
        state = importers.read_safetensors(path)
        return cls._with_state(state, input_shape, layers, names, options, str(path))

    @classmethod
    def _with_state(
        cls, state: Any, input_shape: Any, layers: Any, names: Sequence[str] | None, options: dict[str, Any], context: str
    ) -> Network:
        network = cls(input_shape, layers, **options)
        network.set_weights(importers.torch_weights(state, network, names, context))
        return network

    def state_dict(self) -> dict[str, Real]:
        """All parameters by "<index of the layer>.weight" and ".bias", as PyTorch has them; of BatchNorm its buffers, too.

        Convolutions are (filters, C / groups, KH, KW). Dense layers are (units, in) with the inputs in the order C, H, W, which
        LayerNorm's weights have, too. A torch.nn.Sequential of the same layers takes them by
        module.load_state_dict({name: torch.from_numpy(array) for name, array in net.state_dict().items()}). The numbers
        agree if Flatten stands here where it stands there.

        >>> net = cge.Network((8, 8, 1), [cge.Conv2d(4, 3), cge.ReLU(), cge.Dense(10)])
        >>> {name: array.shape for name, array in net.state_dict().items()}
        {'0.weight': (4, 1, 3, 3), '0.bias': (4,), '2.weight': (10, 144), '2.bias': (10,)}
        """
        return importers.state_dict(self)

    def to_onnx(self, path: PathLike) -> None:
        """Writes the network with its weights as an ONNX model: input "x" (N, C, H, W) or (N, n), its last layer's output.

        The onnx package is not needed. The loss is no part of it: with "softmax_cross_entropy" the output is logits.

        >>> cge.Network((8, 8, 1), [cge.Conv2d(4, 3), cge.ReLU()]).to_onnx("net.onnx")
        """
        _files.write({Path(path): importers.onnx_bytes(self)})

    @property
    def import_notes(self) -> tuple[str, ...]:
        """What from_onnx and its sisters have to say about single nodes: what was folded, expanded or left out."""
        return self._import_notes

    def fold(self) -> Network:
        """A network of the same outputs without BatchNorm and Scale: each in the Conv2d or Dense that it reads.

        Running statistics count, as in predict. Weights are rounded once, so outputs differ in the last digits. The optimizer's
        memory begins anew. ValueError names the layer that cannot be folded: one that reads another kind of layer, or whose
        input others read too. This network stays as it is.

        >>> net = cge.Network((4,), [cge.Dense(3), cge.BatchNorm(), cge.ReLU(), cge.Dense(2)], "mse", cge.SGD(0.1), seed=1)
        >>> folded = net.fold()
        >>> [type(layer).__name__ for layer in folded.layers]
        ['Dense', 'ReLU', 'Dense']
        >>> bool(np.allclose(folded.predict(np.ones((1, 4))), net.predict(np.ones((1, 4))), atol=1e-6))
        True
        """
        return _copies.folded(self)

    # ---- firmware ----------------------------------------------------------------------------------------------------

    @property
    def _has_plan(self) -> bool:
        """Whether firmware is given a plan: at all levels but "fast", and for graphs."""
        return self.memory != "fast" or _graph.is_graph(self.sources)

    @property
    def arena_bytes(self) -> int:
        """RAM that firmware needs to train this network, all of it (to predict, if it has no loss), in all memory_ranges.

        With memory="small" or "smallest" the plan is a constant in flash, as export writes it. With frozen_in="flash" so are
        the parameters that do not learn.
        """
        training = self.loss is not None
        outside = training and self.frozen_in == "flash"
        if self._spread:
            return sum(self._spread.used)
        return self._model.arena_bytes(training=training, params_outside=outside, memory=self.memory)

    @property
    def range_bytes(self) -> tuple[int, ...] | None:
        """Of arena_bytes, what lies in each of memory_ranges; None without these."""
        return self._spread.used if self._spread else None

    @property
    def inference_arena_bytes(self) -> int:
        """RAM that firmware needs to predict, with the weights in flash."""
        return self._model.arena_bytes(training=False, params_outside=True, memory=self.memory)

    @property
    def peak_bytes(self) -> int:
        """What activations, their gradients and scratch take of `arena_bytes`, where one lies in what another leaves."""
        return _plan.cost(self._model, self.layers, self.memory, self.frozen_in).activations

    @property
    def bound_bytes(self) -> int | None:
        """The most of them that is alive at once: no plan can take less. None with memory="fast", which has no plan."""
        return _plan.cost(self._model, self.layers, self.memory, self.frozen_in).bound

    def plan(self, budget_bytes: int | Sequence[int], frozen_in: Place | None = None) -> Plan:
        """How to train this network in so many bytes of RAM (the stack not counted), at any memory level.

        What learns counts first: all that learns now; else the later layers, and of those before them the biases; else the
        later layers alone; and so on to the last layer, and to the biases alone. Where a dense layer is what does not fit,
        as many of its inputs learn as do, a quarter of them at least. Then counts the optimizer's momentum, then the quickest
        memory level. frozen_in as in Network, by default this network's: "ram" or "flash". The plan says what it found; it
        changes nothing.

        budget_bytes may be a list of two to four memories, the arena first: [37888, 648] are RAM and CCM of a Crazyflie. What
        has no plan, memory="fast", lies in the first.

        >>> layers = [cge.Conv2d(8, 3), cge.ReLU(), cge.MaxPool2d(2), cge.Dense(10)]
        >>> net = cge.Network((28, 28, 1), layers, "softmax_cross_entropy", cge.SGD(0.05, momentum=0.9))
        >>> plan = net.plan(budget_bytes=100_000)
        >>> plan.memory, plan.trainable, plan.missing_bytes
        ('smallest', (0, 3), 0)
        """
        self._check_trainable()
        place = self.frozen_in if frozen_in is None else _arrays.choice("frozen_in", frozen_in, _plan.PLACES)
        if isinstance(budget_bytes, Iterable) and not isinstance(budget_bytes, (str, bytes)):
            return _plan.find(self, _construction.ranges("budget_bytes", budget_bytes), place)
        return _plan.find(self, (_arrays.integer("budget_bytes", budget_bytes, 1),), place)

    def export(
        self, directory: PathLike, name: str = "network", *, sealed: bool = False, with_core: bool = False
    ) -> list[Path]:
        """Writes <name>.h and <name>.c for firmware: layers, weights, arena sizes. Returns the two paths.

        with_core=True: the library as well, as cge_core.c, the third path, with its headers and what it includes. So
        `gcc -std=c99 -Ifirmware firmware/*.c app.c` builds a program without anything else.

        With memory="small" or "smallest" they hold the plans as well, <name>_training_plan and <name>_inference_plan. Firmware
        works them out again and compares. sealed=True: it compares a checksum, which takes some 4 KB less code, and it compiles
        with libraries of one CGE_PLAN_VERSION alone.

        >>> net = cge.Network((4,), [cge.Dense(2)], "softmax_cross_entropy", cge.SGD(0.1))
        >>> [path.name for path in net.export("firmware", name="two")]
        ['two.h', 'two.c']
        >>> [path.name for path in net.export("whole", with_core=True)]
        ['network.h', 'network.c', 'cge_core.c']
        """
        sealed = _arrays.boolean("sealed", sealed)
        if sealed and self._memory_plan(training=self.loss is not None) is None:
            raise ValueError('sealed: expected False with memory="fast", which has no plan, got True')
        with_core = _arrays.boolean("with_core", with_core)
        return _export.write(self, Path(directory), name, sealed, with_core)

    def summary(self, board: str | None = None, print_fn: Callable[[str], object] | None = print) -> str | None:
        """Prints a table of the layers and what the network costs at each memory level; with `board`, whether it fits there.

        A second table has bytes of RAM, of one sample: parameters, what learning takes besides, each layer's output as a whole
        if there is one, and what freeze(upto=layer) would save. Outputs share their memory, so they do not add up.
        print_fn=None returns the text instead.

        >>> net = cge.Network((4,), [cge.Dense(2)])
        >>> print(net.summary(print_fn=None).splitlines()[0])
        Network on 4
        """
        text = _summary.text(self, board)
        if print_fn is None:
            return text
        print_fn(text)
        return None


def _named_options(arguments: dict[str, Any], *others: str) -> dict[str, Any]:
    """A method's arguments, to be handed on by name: all but cls and `others`."""
    return {name: value for name, value in arguments.items() if name not in ("cls", *others)}
