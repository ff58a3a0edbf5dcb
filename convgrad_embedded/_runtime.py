"""Networks at work: the memory that the C core works in, and its calls on many samples.

A call that takes long is cut into some of 0.05 s, between which other threads and Ctrl-C come to their turn.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, Callable, NamedTuple

import numpy as np

from convgrad_embedded._c_model import Clipping, Model, Optimizer, arena_bytes_of, optimizer_of, options_of
from convgrad_embedded._core import (
    FLOAT64,
    INT32_BUFFER,
    MAX_ELEMS,
    Labels,
    NotFiniteError,
    Precision,
    Real,
    buffer,
    check,
    ffi,
    from_buffer,
    lib,
    permuted,
    shuffled,
)


class Targets(NamedTuple):
    labels: Labels | None
    values: Real | None
    weights: Real | None = None  # of samples; or (N, outputs), of each of several outputs apart


class ThreadPool:
    """The core's pool: `threads` - 1 threads of its own, which end with this object. The caller's thread works too."""

    def __init__(self, threads: int) -> None:
        size = lib.cge_thread_pool_bytes()
        memory = ffi.new("uint64_t[]", (size + 7) // 8)
        pool = ffi.new("cge_thread_pool **")
        check(lib.cge_thread_pool_start(memory, size, threads, pool), f"threads {threads}")
        self.executor = lib.cge_thread_pool_executor(pool[0])
        weakref.finalize(self, _stop_pool, pool[0], memory)


def _stop_pool(pool: Any, memory: Any) -> None:
    lib.cge_thread_pool_stop(pool)
    del memory  # until here the pool was in it


CALL_SECONDS = 0.05  # of work in one call; a call more costs some microseconds


class Pace:
    """How many samples a call takes that lasts CALL_SECONDS, as measured: Python sees Ctrl-C only between calls."""

    def __init__(self) -> None:
        self.samples = 1

    def run(self, call: Callable[[int], int], samples: int, context: str) -> None:
        began = time.perf_counter()
        check(call(samples), context)
        seconds = max(time.perf_counter() - began, 1e-6)
        self.samples = max(1, min(MAX_ELEMS, int(samples * CALL_SECONDS / seconds)))


def _give_way() -> None:
    """A thread that waits for a lock does not get it if the one that let it go takes it again at once."""
    if threading.active_count() > 1:
        time.sleep(1e-4)


class _Cells(NamedTuple):
    """What a call hands over to C and back."""

    targets: Any
    loss: Any
    weights: Any  # to which the targets point, if samples have some
    correct: Any


def _new_cells(kind: Precision) -> _Cells:
    return _Cells(kind.new("targets"), ffi.new(f"{kind.c_type} *"), kind.new("weights"), ffi.new("int32_t *"))


class Losses:
    """Of samples that come in one call or in several: their sum as the core keeps it, so that their mean has the same bits.

    With `outputs` each output's loss besides. `right` counts for each output what is right of it; evaluation of one output, all
    that it is, needs no `outputs` for that.
    """

    def __init__(self, kind: Precision, outputs: int = 0) -> None:
        self.progress = kind.new("progress")
        self.outputs = ffi.new(f"cge_progress{kind.suffix}[]", outputs) if outputs > 0 else None
        self.cells = _new_cells(kind)
        self._dtype = kind.dtype
        self.right = [0] * max(outputs, 1)
        self.clipped = 0.0  # the sum of those that came batch by batch, because gradients were clipped
        self._before = 0  # samples of the calls before this one

    def begin(self) -> None:
        """A call that brings more samples."""
        self._before += int(self.progress.done)
        self.progress.done = 0

    @property
    def done(self) -> int:
        return self._before + int(self.progress.done)

    def take_right(self) -> None:
        """What the core has counted since it was asked last: its numbers end at 2^31 - 1."""
        for number, counted in enumerate((self.progress,) if self.outputs is None else self.outputs):
            self.right[number] += counted.correct
            counted.correct = 0

    @property
    def mean(self) -> float:
        return self._mean(self.progress, self.clipped)

    @property
    def output_means(self) -> list[float]:
        return [self._mean(output, 0.0) for output in self.outputs or ()]

    def _mean(self, progress: Any, more: float) -> float:
        """As cge_loss_mean."""
        unit = 2.0**-32 if progress.shrunk else 1.0
        total = progress.loss_sum + more * unit
        return float(self._dtype.type(total / (float(self._dtype.type(self.done)) * unit)))


class _Step(NamedTuple):
    """A step in slices, and what keeps its arrays alive."""

    kind: str  # "train", "evaluate", "forward"
    x: Real
    targets: Targets | None
    y: Real | None
    cells: _Cells
    loss: Any
    correct: Any


_BEGINS = {"train": "train", "evaluate": "evaluate", "forward": "predict"}  # the Python method's name


class TrainingState(NamedTuple):
    """What steps change, apart from the stream of shuffles."""

    params: Real
    velocity: Real
    optimizer: Any
    step_count: int
    schedule: Callable[[int], float] | None


class StepNotFiniteError(NotFiniteError):
    """Of a step in slices, with the samples that it was begun with."""

    def __init__(self, text: str, step: _Step) -> None:
        super().__init__(text)
        self.step = step


class Runtime:
    """A cge_network and its arena. A lock keeps threads apart, since calls run without the GIL.

    A signal handler runs between two calls into the core, in the thread that may hold the lock: so the lock may be taken
    again, and a call does not share its cells with the one that it came into.

    With `threads` > 1 the work of a call is shared; in a forked process, which has no such threads, the core leaves it to
    the caller's.
    """

    def __init__(self, model: Model, *, training: bool, capacity: int, threads: int = 1, memory: str = "fast") -> None:
        kind = model.kind
        self._plan = model.plan_here(memory, training=training)  # the network points to it
        options = options_of(kind, training, capacity, plan=self._plan)
        self._pool = None
        if threads > 1:
            self._pool = ThreadPool(threads)
            options.executor = self._pool.executor
        size = arena_bytes_of(model, options)
        self._kind = kind
        self._model = model  # the network points to it
        self._arena = np.zeros((size + 7) // 8, np.uint64)  # 8-byte aligned
        self._net = kind.new("network")
        self.lock = threading.RLock()
        check(kind.function("network_init")(self._net, model.c, options, ffi.from_buffer(self._arena), size), "network")
        self._forward, self._evaluate_part, self._accumulate, self._train_batch, self._train_epoch_part = (
            kind.function(f"network_{name}")
            for name in ("forward", "evaluate_part", "accumulate", "train_batch", "train_epoch_part")
        )
        if kind is not FLOAT64:
            self._train_labelled = kind.function("network_train_labelled")
            self._evaluate_labelled = kind.function("network_evaluate_labelled")
        self._forward_pace, self._train_pace = Pace(), Pace()
        self._spare_cells: list[_Cells] = []
        self._step: _Step | None = None
        self.schedule: Callable[[int], float] | None = None  # the learning rate, by the number of steps so far
        self.learns_by_batch = False  # parts of an epoch then are whole batches: their ends would cut passes
        self.params = self._view(self._net.params, self._net.param_elems)
        self.grads = self._view(self._net.grads, self._net.grad_elems)
        self._velocity = self._view(self._net.velocity, self._net.velocity_elems)
        _runtimes[id(self)] = self

    def _view(self, pointer: Any, elems: int) -> Real:
        """Numbers inside the arena as an array that keeps the arena alive."""
        if pointer == ffi.NULL or elems == 0:
            return np.empty(0, self._kind.dtype)
        begin = int(ffi.cast("uintptr_t", pointer)) - self._arena.ctypes.data
        return np.frombuffer(self._arena, self._kind.dtype, elems, begin)

    @property
    def first_trainable(self) -> int:
        return int(self._net.first_trainable)

    @property
    def step_count(self) -> int:
        return int(self._net.step_count)

    @property
    def optimizer(self) -> Optimizer:
        """With the learning rate as it is now."""
        return optimizer_of(self._net.optimizer)

    def check_no_step(self, context: str) -> None:
        """For what reads or writes the network's memory from here; the caller holds the lock."""
        if self._net.step.task != ffi.NULL:
            check(lib.CGE_ERR_BUSY, context)

    def set_optimizer(self, member: str, value: float) -> None:
        with self.lock:
            self.check_no_step(member)
            setattr(self._net.optimizer, member, value)

    @property
    def learning_rate_factors(self) -> list[float]:
        """Of the rows of the model's table: 0 means 1."""
        return [row.learning_rate_factor for row in self._model.table]

    def set_learning_rate_factors(self, factors: Sequence[float]) -> None:
        with self.lock:
            self.check_no_step("learning_rate_factor")
            for row, factor in zip(self._model.table, factors):
                row.learning_rate_factor = factor

    def _follow_schedule(self) -> None:
        """Before a step; the caller holds the lock."""
        if self.schedule is not None and self._net.step.task == ffi.NULL:
            self._net.optimizer.learning_rate = self.schedule(int(self._net.step_count))

    def training_state(self, begin: int) -> TrainingState:
        """Copies, with the parameters from number `begin` on. Drops gradients that wait, as an epoch that begins does."""
        with self.lock:
            self.check_no_step("training")
            if self.pending > 0:
                self.zero_grads()
            optimizer = self._kind.new("optimizer")
            optimizer[0] = self._net.optimizer
            copies = self.params[begin:].copy(), self._velocity.copy()
            return TrainingState(*copies, optimizer, self.step_count, self.schedule)

    def set_training_state(self, begin: int, state: TrainingState) -> None:
        """Of a network that learns the same."""
        with self.lock:
            self.check_no_step("training")
            self.params[begin:] = state.params
            self._velocity[...] = state.velocity
            self._net.optimizer = state.optimizer[0]
            self._net.step_count = state.step_count
            self.schedule = state.schedule

    def seed_shuffles(self, seed: int) -> None:
        with self.lock:
            check(lib.cge_rng_seed(ffi.addressof(self._net, "rng"), seed), "seed")

    def seed_permutations(self, seed: int) -> None:
        """For orders by cge_permute: the stream's state is the seed, below 2^32, above the number of the epoch."""
        with self.lock:
            self._net.rng.state = seed << 32

    def permutation(self, count: int, stored: bool = True) -> Labels:
        """The next order of `count` samples from the network's stream: by cge_rng_shuffle, or, not stored, by cge_permute."""
        with self.lock:
            if stored:
                return shuffled(ffi.addressof(self._net, "rng"), count)
            state = int(self._net.rng.state)
            self._net.rng.state = (state + 1) % 2**64
            return permuted(count, *divmod(state, 2**32))

    def init_params(self, seed: int) -> None:
        with self.lock:
            check(self._kind.function("network_init_params")(self._net, seed), "seed")

    def params_hash(self) -> int:
        value = ffi.new("uint64_t *")
        with self.lock:
            check(self._kind.function("network_params_hash")(self._net, value), "hash")
        return int(value[0])

    def forward(self, x: Real, y: Real) -> None:
        count = len(y)
        if count <= self._forward_pace.samples:
            c_y = from_buffer(self._kind.buffer_type, y)
            with self.lock:
                status = self._forward(self._net, from_buffer(x), count, c_y)
            if status:
                check(status, "predict")
            return
        x, progress = x.view(), SimpleNamespace(done=0)  # a view, whose shape nobody else changes
        if len(x) != count:
            raise ValueError(f"x: expected {count} samples, got {len(x)}, as another thread changed its shape")

        def part(most: int) -> int:
            rows = slice(progress.done, progress.done + most)
            progress.done += most
            return int(self._forward(self._net, ffi.from_buffer(x[rows]), most, self._reals(y[rows])))

        self._in_parts(part, self._forward_pace, progress, count, count, "predict")

    def evaluate(self, x: Real, targets: Targets, *, sharing: bool = False, losses: Losses | None = None) -> Losses:
        """The losses, and how many samples have their largest output at the label; of losses without, how many outputs fit.

        With `sharing`, other threads get their turn meanwhile. With `losses`, these count on.
        """
        losses = Losses(self._kind) if losses is None else losses
        losses.begin()
        c_x, cells, count = ffi.from_buffer(x), self._point(losses.cells, targets, losses.outputs), len(x)
        progress = losses.progress

        def part(most: int) -> int:
            status = int(self._evaluate_part(self._net, c_x, cells.targets, count, most, progress, cells.loss))
            losses.take_right()
            return status

        unit, between = (1, _give_way) if sharing else (count, None)
        self._in_parts(part, self._forward_pace, progress, count, unit, "evaluate", between)
        return losses

    def _in_parts(
        self,
        part: Callable[[int], int],
        pace: Pace,
        progress: Any,
        count: int,
        unit: int,
        context: str,
        between: Callable[[], bool | None] | None = None,
        each: bool = False,
        whole: int = 1,
    ) -> None:
        """Calls part(most) until progress.done is `count` or between() returns True, which is called where the lock is free:
        after multiples of `unit`, with `each` after every one. Parts are multiples of `whole`, which divides `unit`."""
        while progress.done < count:
            with self.lock:
                end = min(count, progress.done + (1 if each else max(1, pace.samples // unit)) * unit)
                while progress.done < end:
                    most = max(pace.samples, whole) // whole * whole
                    pace.run(part, min(most, end - progress.done), context)
            if between is not None and between():
                return

    # ---- steps in slices ----

    def train_begin(self, x: Real, targets: Targets) -> None:
        self._begin("train", x, targets, None)

    def evaluate_begin(self, x: Real, targets: Targets) -> None:
        self._begin("evaluate", x, targets, None)

    def forward_begin(self, x: Real, y: Real) -> None:
        self._begin("forward", x, None, y)

    def _begin(self, kind: str, x: Real, targets: Targets | None, y: Real | None) -> None:
        cells = _new_cells(self._kind)
        step = _Step(kind, x, targets, y, cells, cells.loss, ffi.new("int32_t *"))
        if targets is not None:
            self._point(cells, targets)
        more = {"train": (), "evaluate": (step.correct,), "forward": ()}[kind]
        c_x = ffi.from_buffer(x)
        given = (c_x, cells.targets, len(x)) if y is None else (c_x, len(x), self._reals(y))
        with self.lock:
            if kind == "train":
                self._follow_schedule()
            check(self._kind.function(f"network_{kind}_begin")(self._net, *given, *more), f"{_BEGINS[kind]}_begin")
            self._step = step  # the core reads its arrays until the step is over

    def resume(self, budget_macs: int) -> _Step | None:
        """The step that was begun, when it is done; None: not yet."""
        with self.lock:
            step = self._step
            if step is None:
                raise RuntimeError("resume: no step was begun; train_begin, evaluate_begin or predict_begin begins one")
            status = self._kind.function("network_resume")(self._net, budget_macs, step.loss)
            if status == lib.CGE_AGAIN:
                return None
            if self._net.step.task == ffi.NULL:
                self._step = None
        if status:
            try:
                check(status, "resume")
            except NotFiniteError as error:
                raise StepNotFiniteError(str(error), step) from None
        return step

    def abort(self) -> None:
        with self.lock:
            if self._step is None:
                raise RuntimeError("abort: no step was begun")
            if self._kind.function("network_abort")(self._net) == lib.CGE_ERR_MODE:
                raise RuntimeError("abort: too late, weights have begun to change; resume() the step to its end")
            self._step = None

    def largest_slice(self) -> int:
        macs = ffi.new("int64_t *")
        with self.lock:
            check(self._kind.function("network_largest_slice")(self._net, macs), "largest_slice_macs")
        return int(macs[0])

    def accumulate(self, x: Real, targets: Targets) -> float:
        """Adds the samples' gradients to `grads`."""
        return self._mean_loss(self._accumulate, x, targets, len(x))

    def gradients(self, x: Real, targets: Targets, context: str) -> tuple[float, Real]:
        """Mean loss and the sums of the gradients of these samples alone. Running statistics are put back."""
        with self.lock:
            before = self.params.copy() if self.learns_by_batch else None
            try:
                loss, sums = self._fresh_gradients(x, targets, context)
                check(self._kind.function("network_zero_grads")(self._net), context)
            finally:
                if before is not None:
                    self.params[...] = before
        return loss, sums

    def step_with_gradients(self, x: Real, targets: Targets) -> tuple[float, Real | None]:
        """The same, and the step that follows; None where each sample is a step."""
        if self.grads.size == 0:
            return self.train_batch(x, targets), None
        with self.lock:
            found = self._fresh_gradients(x, targets, "training")
            check(self._kind.function("network_update")(self._net), "training")
        return found

    def _fresh_gradients(self, x: Real, targets: Targets, context: str) -> tuple[float, Real]:
        check(self._kind.function("network_zero_grads")(self._net), context)
        return self.accumulate(x, targets), self.grads.copy()

    def forget_steps(self) -> None:
        """The optimizer starts anew, with the parameters as they are."""
        params = self.params.copy()
        with self.lock:
            self.init_params(0)
            self.params[...] = params

    def update(self) -> None:
        with self.lock:
            self._follow_schedule()
            check(self._kind.function("network_update")(self._net), "update")

    def zero_grads(self) -> None:
        with self.lock:
            check(self._kind.function("network_zero_grads")(self._net), "zero_gradients")

    @property
    def pending(self) -> int:
        """Samples whose gradients wait for an update."""
        return int(self._net.pending)

    def clip_norm(self, most: float) -> float:
        norm = ffi.new(f"{self._kind.c_type} *")
        with self.lock:
            check(self._kind.function("network_clip_norm")(self._net, most, norm), "clip_gradient_norm")
        return float(norm[0])

    def clip_value(self, most: float) -> None:
        with self.lock:
            check(self._kind.function("network_clip_value")(self._net, most), "clip_gradient_value")

    def step_loss(self, x: Real, targets: Targets) -> float:
        """The mean loss as the next step finds it, whatever layers do in training alone."""
        check(self._kind.function("network_zero_grads")(self._net), "gradcheck")
        return self.accumulate(x, targets)

    def train_batch(self, x: Real, targets: Targets) -> float:
        return self._mean_loss(self._train_batch, x, targets, len(x))

    def train_labelled(self, x: Real, labels: Any, count: int) -> float:
        """train_batch with as little on the way as can be; ValueError also if x is not contiguous.

        Labels are int32 or a few int64. A copy: the core reads them without the GIL, and must not find others than it checked.
        """
        own, label_bytes = labels.tobytes(), labels.itemsize
        with self.lock:
            if self.schedule is not None:
                self._follow_schedule()
            cells = self._spare_cells.pop() if self._spare_cells else _new_cells(self._kind)
            c_loss = cells.loss
            status = self._train_labelled(self._net, from_buffer(x), own, label_bytes, count, c_loss)
            loss: float = c_loss[0]
            self._spare_cells.append(cells)
        if status:
            check(status, "training")
        return loss

    def is_short(self, samples: int) -> bool:
        """Whether their forward pass is known to be over soon enough for one call."""
        return bool(samples <= self._forward_pace.samples)

    def evaluate_labelled(self, x: Real, labels: Any, count: int) -> tuple[float, int]:
        """evaluate of a few samples likewise."""
        own, label_bytes = labels.tobytes(), labels.itemsize
        with self.lock:
            cells = self._spare_cells.pop() if self._spare_cells else _new_cells(self._kind)
            _, c_loss, _, c_correct = cells
            status = self._evaluate_labelled(self._net, from_buffer(x), own, label_bytes, count, c_loss, c_correct)
            loss, correct = c_loss[0], c_correct[0]
            self._spare_cells.append(cells)
        if status:
            check(status, "evaluate")
        return loss, correct

    def train_epoch(
        self,
        x: Real,
        targets: Targets,
        order: Labels | None,
        batch_size: int,
        report: Callable[[Losses], bool | None],
        clip: Clipping | None = None,
        losses: Losses | None = None,
        each: bool = False,
    ) -> Losses:
        """Calls report(the losses so far) from time to time, with `each` after every batch; then other threads get their turn.
        The epoch ends early if report returns True. With `losses`, these count on: an epoch in several calls.
        """
        losses = Losses(self._kind) if losses is None else losses
        losses.begin()
        c_x, cells, count = ffi.from_buffer(x), self._point(losses.cells, targets, losses.outputs), len(x)
        c_targets, c_order = cells.targets, buffer(order, INT32_BUFFER)
        progress, loss = losses.progress, cells.loss

        def some(most: int) -> int:
            return int(self._train_epoch_part(self._net, c_x, c_targets, c_order, count, batch_size, most, progress, loss))

        def part(most: int) -> int:
            if clip is not None:
                return self._clipped_part(x, targets, order, batch_size, losses, progress.done + most, clip)
            if self.schedule is None:
                return some(most)
            end, status = progress.done + most, 0
            while status == lib.CGE_OK and progress.done < end:
                if progress.done % batch_size == 0:
                    self._follow_schedule()
                status = some(min(batch_size - progress.done % batch_size, end - progress.done))
            return status

        def between() -> bool | None:
            losses.take_right()
            ends = report(losses)
            _give_way()
            return ends

        whole = batch_size if self.learns_by_batch else 1
        self._in_parts(part, self._train_pace, progress, count, batch_size, "training", between, each, whole)
        return losses

    def _clipped_part(
        self,
        x: Real,
        targets: Targets,
        order: Labels | None,
        batch_size: int,
        losses: Losses,
        end: int,
        clip: Clipping,
    ) -> int:
        """Samples progress.done .. end - 1 of an epoch, by accumulate, clip and update. The caller holds the lock."""
        cells = _new_cells(self._kind)
        status, begin, total = 0, losses.progress.done, 0.0
        while not status and begin < end:
            if begin % batch_size == 0:
                self._follow_schedule()
                status = self._kind.function("network_zero_grads")(self._net)
            stop = min(begin + batch_size - begin % batch_size, end)
            chosen = slice(begin, stop) if order is None else order[begin:stop]
            some, theirs = (
                np.ascontiguousarray(x[chosen]),
                Targets(*(None if part is None else part[chosen] for part in targets)),
            )
            c_targets = self._point(cells, theirs, losses.outputs).targets
            status = status or self._accumulate(self._net, ffi.from_buffer(some), c_targets, stop - begin, cells.loss)
            total += cells.loss[0] * (stop - begin)
            if not status and (stop % batch_size == 0 or stop == len(x)):
                status = self._clip(clip) or self._kind.function("network_update")(self._net)
            begin = stop
        if not status:
            losses.progress.done = begin
            losses.clipped += total
        return int(status)

    def _clip(self, clip: Clipping) -> int:
        norm, status = ffi.new(f"{self._kind.c_type} *"), 0
        if clip.value is not None:
            status = self._kind.function("network_clip_value")(self._net, clip.value)
        if clip.norm is not None and not status:
            status = self._kind.function("network_clip_norm")(self._net, clip.norm, norm)
        return int(status)

    def _mean_loss(self, function: Any, x: Real, targets: Targets, *arguments: Any) -> float:
        with self.lock:
            self._follow_schedule()
            cells = self._cells(targets)
            status = function(self._net, ffi.from_buffer(x), cells.targets, *arguments, cells.loss)
            loss: float = cells.loss[0]
            self._spare_cells.append(cells)
        check(status, "training")
        return loss

    def _cells(self, targets: Targets) -> _Cells:
        """Cells of the caller's own, pointing to these arrays. Their values may change, but for labels, by which C indexes."""
        cells = self._spare_cells.pop() if self._spare_cells else _new_cells(self._kind)
        return self._point(cells, targets)

    def save(self) -> bytes:
        """The network as cge_network_save writes it; single precision only."""
        size, used = ffi.new("size_t *"), ffi.new("size_t *")
        with self.lock:
            check(self._kind.function("network_saved_bytes")(self._net, size), "save")
            buffer = ffi.new("unsigned char[]", size[0])
            check(self._kind.function("network_save")(self._net, buffer, size[0], used), "save")
        return bytes(ffi.buffer(buffer, used[0]))

    def restore(self, data: bytes, context: str) -> None:
        with self.lock:
            check(self._kind.function("network_restore")(self._net, data, len(data)), context)

    def _reals(self, values: Real) -> Any:
        return ffi.from_buffer(self._kind.buffer_type, values)

    def _point(self, cells: _Cells, targets: Targets, output_losses: Any = None) -> _Cells:
        """The cells, whose cge_targets points to these arrays; the caller holds them."""
        c_targets, c_weights, weights = cells.targets, cells.weights, targets.weights
        c_targets.labels = buffer(targets.labels, INT32_BUFFER)
        c_targets.values = buffer(targets.values, self._kind.buffer_type)
        if weights is None and output_losses is None:
            c_targets.weights = ffi.NULL
            return cells
        apart = self._model.c.output_count > 0 if weights is None else weights.ndim == 2
        c_weights.kind = self._kind.constant("weighted_outputs" if apart else "weighted")
        c_weights.samples = buffer(weights, self._kind.buffer_type)
        c_weights.losses = ffi.NULL if output_losses is None else output_losses
        c_targets.weights = c_weights
        return cells


# ---- forked processes --------------------------------------------------------------------------------------------------
#
# A child process has the thread that forked and no other. A fork waits until no other thread is at work on a network, so
# that the child's networks are whole and nobody who is not there holds their locks.

_runtimes: weakref.WeakValueDictionary[int, Runtime] = weakref.WeakValueDictionary()
_taken: set[Runtime] = set()
_fork_lock = threading.RLock()  # one fork at a time, as they take the locks in any order


def _alive() -> set[Runtime]:
    return {runtime for reference in _runtimes.valuerefs() if (runtime := reference()) is not None}


def _before_fork() -> None:
    _fork_lock.acquire()
    while not_taken := _alive() - _taken:  # again, as networks may be made meanwhile
        for runtime in not_taken:
            runtime.lock.acquire()
            _taken.add(runtime)


def _after_fork_in_parent() -> None:
    for runtime in _taken:
        runtime.lock.release()
    _taken.clear()
    _fork_lock.release()


def _after_fork_in_child() -> None:
    global _fork_lock
    _fork_lock = threading.RLock()
    _taken.clear()
    for runtime in _alive():
        runtime.lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
