"""What fit, evaluate and predict take beside arrays: batches as they come, callbacks, a share that validates, some layers."""

import csv
import io
import itertools
import math
import signal
import types
import weakref

import numpy as np
import pytest
from nets import SPECS, trained
from oracles import need

import convgrad_embedded as cge
from convgrad_embedded import _core, _progress, _runtime
from convgrad_embedded.callbacks import Callback, CSVLogger, EarlyStopping, ModelCheckpoint


def batches_of(x, y, size, *weight):
    return [tuple(part[begin : begin + size] for part in (x, y, *weight)) for begin in range(0, len(x), size)]


def small_network(seed=1, loss="softmax_cross_entropy", optimizer=None, **options):
    layers = [cge.Dense(7), cge.Tanh(), cge.Dropout(0.25), cge.Dense(3)]
    return cge.Network((5,), layers, loss, optimizer or cge.SGD(0.1, 0.5), seed, **options)


@pytest.fixture
def data(rng):
    return rng.normal(size=(23, 5)).astype(np.float32), rng.integers(0, 3, 23).astype(np.int32)


def message(call, error):
    with pytest.raises(error) as caught:
        call()
    return str(caught.value)


# ---- batches: the bits of arrays ---------------------------------------------------------------------------------------


def check_same_bits(make, x, y, weight=(), **options):
    """Of weights, optimizer and losses: a list, a generator and arrays."""
    arrays, listed, generated = make(), make(), make()
    validation = (x[:9], y[:9])
    sample_weight = weight[0] if weight else None
    arrays.fit(
        x,
        y,
        epochs=2,
        batch_size=5,
        shuffle=False,
        sample_weight=sample_weight,
        validation_data=validation,
        verbose=0,
        **options,
    )
    listed.fit(batches_of(x, y, 5, *weight), epochs=2, validation_data=batches_of(*validation, 4), verbose=0, **options)
    for epoch in range(2):
        generated.fit(
            iter(batches_of(x, y, 5, *weight)),
            epochs=epoch + 1,
            initial_epoch=epoch,
            track_accuracy=False,
            verbose=0,
            **options,
        )
    assert arrays.to_bytes() == listed.to_bytes() == generated.to_bytes()
    assert arrays.history == listed.history
    assert generated.history["loss"] == arrays.history["loss"][1:]


@pytest.mark.parametrize("memory", ["fast", "small"])
@pytest.mark.parametrize("name", ["digits", "perceptron", "image_to_image", "norms"])
def test_batches_give_the_bits_of_arrays(name, memory, rng):
    spec = SPECS[name]
    check_same_bits(lambda: spec.network(seed=2, memory=memory), *spec.data(23, rng))


@pytest.mark.parametrize("pace", [1, 3, 1000])
def test_and_so_they_do_with_dropout_and_weights_in_any_parts(pace, data, rng, monkeypatch):
    monkeypatch.setattr(_runtime.Pace, "run", lambda self, call, count, context: _core.check(call(count), context))

    def make():
        net = small_network()
        net._runtime._train_pace.samples = net._runtime._forward_pace.samples = pace
        return net

    check_same_bits(make, *data, [rng.uniform(0, 2, 23).astype(np.float32)], class_weight={1: 3.0})


def test_and_with_schedules_and_bytes(data):
    schedule = cge.schedules.Exponential(0.1, 0.8)
    check_same_bits(lambda: small_network(optimizer=cge.Adam(schedule)), *data)
    pixels = np.arange(23 * 5, dtype=np.uint8).reshape(23, 5)
    check_same_bits(lambda: small_network(input_scale=1 / 64), pixels, data[1])


def test_clipped_steps_of_batches_have_the_bits_of_arrays(data):
    nets = small_network(), small_network()
    nets[0].fit(*data, epochs=2, batch_size=5, shuffle=False, clip_norm=0.125, clip_value=0.05, verbose=0)
    nets[1].fit(batches_of(*data, 5), epochs=2, clip_norm=0.125, clip_value=0.05, verbose=0)
    assert nets[0].to_bytes() == nets[1].to_bytes() != small_network().to_bytes()
    assert nets[0].history["loss"] == pytest.approx(nets[1].history["loss"], rel=1e-6)


def test_each_batch_is_a_step_whatever_its_size(data):
    x, y = data
    bounds = [(0, 3), (3, 10), (10, 11), (11, 23)]
    net, by_hand = small_network(), small_network()
    right, total = 0, 0.0
    net.fit(((x[a:b], y[a:b]) for a, b in bounds), verbose=0)
    for a, b in bounds:
        right += (by_hand.predict(x[a:b]).argmax(1) == y[a:b]).sum()
        total += by_hand.train_on_batch(x[a:b], y[a:b]) * (b - a)
    assert net.step_count == 4 and net.to_bytes() == by_hand.to_bytes()
    assert net.history["loss"] == [pytest.approx(total / 23, rel=1e-6)]
    assert net.history["accuracy"] == [right / 23], "of each batch before its step"


OPTIONS = {
    "nothing": {},
    "weights": {"sample_weight": np.linspace(0, 2, 23, dtype=np.float32), "class_weight": {1: 3.0}},
    "clipping": {"clip_norm": 0.125},
    "a schedule": {"learning_rate": cge.schedules.Exponential(0.1, 0.8)},
}


@pytest.mark.parametrize("of_network", [{}, {"memory": "small"}, {"threads": 2}, {"arithmetic": "fused"}], ids=str)
@pytest.mark.parametrize("options", OPTIONS)
def test_accuracy_is_that_of_samples_before_their_steps(options, of_network, data, monkeypatch):
    """Of the outputs while it trains: counted by hand with a network that has no Dropout. And no second pass is made."""
    x, y = data
    layers = [cge.Dense(7), cge.Tanh(), cge.Dense(3)]
    net, by_hand = (cge.Network((5,), layers, "softmax_cross_entropy", cge.SGD(0.1, 0.5), 1, **of_network) for _ in "12")
    expected = []
    for epoch in range(2):
        right = 0
        for begin in range(0, 23, 5):
            rows = slice(begin, begin + 5)
            right += (by_hand.predict(x[rows]).argmax(1) == y[rows]).sum()
            some = {name: given[rows] if name == "sample_weight" else given for name, given in OPTIONS[options].items()}
            if by_hand.step_count > 0:
                some.pop("learning_rate", None)  # it is followed already
            by_hand.fit(x[rows], y[rows], batch_size=5, shuffle=False, verbose=0, **some)
        expected.append(right / 23)
    monkeypatch.setattr(net._runtime, "evaluate", None)
    history = net.fit(x, y, epochs=2, batch_size=5, shuffle=False, verbose=0, **OPTIONS[options])
    assert history["accuracy"] == expected and net.weights_hash() == by_hand.weights_hash()


def test_counting_what_is_right_changes_no_bit(data):
    nets = small_network(), small_network()
    histories = [net.fit(*data, batch_size=5, track_accuracy=tracks, verbose=0) for net, tracks in zip(nets, (True, False))]
    assert nets[0].to_bytes() == nets[1].to_bytes() and histories[0]["loss"] == histories[1]["loss"]
    assert list(histories[0]) == ["loss", "accuracy"] and list(histories[1]) == ["loss"]


def test_the_smallest_memory_takes_batches_of_one(data):
    x, y = data
    nets = small_network(memory="smallest"), small_network(memory="smallest")
    nets[0].fit(x, y, batch_size=1, shuffle=False, verbose=0)
    nets[1].fit(batches_of(x, y, 1), verbose=0)
    assert nets[0].to_bytes() == nets[1].to_bytes()
    text = message(lambda: nets[1].fit(batches_of(x, y, 2), verbose=0), ValueError)
    assert text.startswith("x[0][0]: expected one sample")


def test_targets_in_two_parts_come_in_batches_too(data, rng):
    x, labels = data
    logits = rng.normal(size=(23, 3)).astype(np.float32)
    nets = [small_network(loss=cge.Distillation(temperature=2.0, alpha=0.5)) for _ in range(2)]
    nets[0].fit(x, (labels, logits), batch_size=23, shuffle=False, verbose=0, validation_data=[x, (labels, logits)])
    nets[1].fit([(x, (labels, logits))], verbose=0, validation_data=[(x, (labels, logits))])
    assert nets[0].to_bytes() == nets[1].to_bytes() and nets[0].history["val_loss"] == nets[1].history["val_loss"]
    assert nets[0].evaluate(x, (labels, logits)) == nets[1].evaluate([(x, (labels, logits))])


@pytest.mark.parametrize("memory", ["fast", "small"])
def test_evaluation_of_batches_is_that_of_arrays(memory, data, rng):
    x, y = data
    weight = rng.uniform(0, 2, 23).astype(np.float32)
    net = small_network(memory=memory)
    assert net.evaluate(batches_of(x, y, 4)) == net.evaluate(x, y)
    assert net.evaluate(iter(batches_of(x, y, 4, weight))) == net.evaluate(x, y, sample_weight=weight)
    regression = SPECS["perceptron"].network()
    x, y = SPECS["perceptron"].data(9, rng)
    assert regression.evaluate(batches_of(x, y, 2)) == regression.evaluate(x, y)


def test_predictions_of_batches_are_one_array(data):
    x, y = data
    net, whole = small_network(), small_network().predict(x)
    generated = (x[begin : begin + 6] for begin in range(0, 23, 6))
    for batches in (batches_of(x, y, 4), iter(batches_of(x, y, 4)), generated, map(lambda i: x[i : i + 1], range(23))):
        assert net.predict(batches).tobytes() == whole.tobytes()
    assert net.predict([row.tolist() for row in x]).shape == (23, 3), "a list of samples is an array"
    assert net.predict(list(x)).tobytes() == whole.tobytes()


def test_a_dataloader_of_pytorch(data):
    torch = need("torch")
    x, y = data
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y).long()), batch_size=5
    )
    nets = small_network(), small_network()
    nets[0].fit(x, y, epochs=3, batch_size=5, shuffle=False, validation_data=(x, y), verbose=0)
    nets[1].fit(loader, epochs=3, validation_data=loader, verbose=0)
    assert nets[0].to_bytes() == nets[1].to_bytes() and nets[0].history["val_loss"] == nets[1].history["val_loss"]
    assert nets[1].evaluate(loader) == nets[0].evaluate(x, y)
    assert nets[1].predict(loader).tobytes() == nets[0].predict(x).tobytes()


def test_memory_is_that_of_a_batch(rng):
    alive, most = weakref.WeakSet(), [0]

    class Counted(np.ndarray):
        pass

    def generate():
        for _ in range(50):
            x = rng.normal(size=(4, 5)).astype(np.float32).view(Counted)
            alive.add(x)
            most[0] = max(most[0], len(alive))
            yield x, np.zeros(4, np.int32)

    Counted.__hash__ = lambda self: id(self)
    Counted.__eq__ = lambda self, other: self is other
    small_network().fit(generate(), verbose=0)
    assert 1 <= most[0] <= 3


# ---- batches: what an epoch is -----------------------------------------------------------------------------------------


def endless(x, y, size, taken=None):
    for batch in itertools.cycle(batches_of(x, y, size)):
        if taken is not None:
            taken.append(len(batch[0]))
        yield batch


def test_steps_per_epoch_cuts_an_endless_generator_into_epochs(data):
    taken = []
    nets = small_network(), small_network()
    nets[0].fit(endless(*data, 5, taken), epochs=4, steps_per_epoch=3, verbose=0)
    assert len(taken) == 12 and len(nets[0].history["loss"]) == 4 and nets[0].step_count == 12
    for batch in itertools.islice(endless(*data, 5), 12):
        nets[1].train_on_batch(*batch)
    assert nets[0].to_bytes() == nets[1].to_bytes()


def test_a_list_that_ends_within_an_epoch_begins_again(data):
    nets = small_network(), small_network()
    nets[0].fit(batches_of(*data, 5), epochs=2, steps_per_epoch=7, verbose=0)
    nets[1].fit(endless(*data, 5), epochs=2, steps_per_epoch=7, verbose=0)
    assert nets[0].to_bytes() == nets[1].to_bytes() and nets[0].history == nets[1].history


def test_a_generator_serves_one_epoch(data):
    taken = []
    net = small_network()
    given = endless(*data, 5, taken)
    text = message(lambda: net.fit(given, epochs=3, verbose=0), ValueError)
    assert text.startswith("x: expected batches that can be gone through 3 times, got a generator")
    assert "steps_per_epoch" in text
    assert taken == [] and net.to_bytes() == small_network().to_bytes()
    net.fit(iter(batches_of(*data, 5)), epochs=3, initial_epoch=2, verbose=0)
    again = iter(batches_of(*data, 5))
    text = message(lambda: net.fit(*data, epochs=2, validation_data=again, verbose=0), ValueError)
    assert text.startswith("validation_data: expected batches that can be gone through 2 times, got a list_iterator")


def test_a_generator_that_ends_too_early_is_an_error(data):
    net = small_network()
    text = message(lambda: net.fit(iter(batches_of(*data, 5)), epochs=3, steps_per_epoch=4, verbose=0), ValueError)
    assert text == "x: expected steps_per_epoch=4 batches in each epoch, got 1 in the last one"
    assert len(net.history["loss"]) == 1 and net.step_count == 5


def test_an_interrupted_generator_leaves_whole_batches(data):
    def interrupted():
        yield from batches_of(*data, 5)[:3]
        raise KeyboardInterrupt

    net, by_hand = small_network(), small_network()
    with pytest.raises(KeyboardInterrupt):
        net.fit(interrupted(), verbose=0)
    for batch in batches_of(*data, 5)[:3]:
        by_hand.train_on_batch(*batch)
    assert net.history == {} and net.to_bytes() == by_hand.to_bytes()
    for trainee in (net, by_hand):
        trainee.fit(*data, verbose=0)
    assert net.to_bytes() == by_hand.to_bytes()


BAD = {
    "no batches": (lambda net, x, y: net.fit([], verbose=0), ValueError, "x: expected at least one batch, got none"),
    "a generator without": (lambda net, x, y: net.fit(iter(()), verbose=0), ValueError, "x: expected at least one batch"),
    "endless of none": (
        lambda net, x, y: net.fit([], steps_per_epoch=2, verbose=0),
        ValueError,
        "x: expected at least one batch, got none",
    ),
    "arrays without targets": (lambda net, x, y: net.fit(x), TypeError, "y: expected targets, got None; without y, x is an "),
    "a number": (lambda net, x, y: net.fit(3), TypeError, "y: expected targets, got None"),
    "to evaluate": (lambda net, x, y: net.evaluate(x), TypeError, "y: expected targets, got None"),
    "samples alone": (
        lambda net, x, y: net.fit([x]),
        TypeError,
        "x[0]: expected (x, y) or (x, y, sample_weight), got an array",
    ),
    "four": (lambda net, x, y: net.fit([(x, y, y, y)]), TypeError, "x[0]: expected (x, y) or (x, y, sample_weight)"),
    "a wrong shape": (
        lambda net, x, y: net.fit([(x, y), (x[:, 1:], y)], verbose=0),
        ValueError,
        "x[1][0]: expected shape (N, 5)",
    ),
    "a wrong label": (
        lambda net, x, y: net.fit([(x, y), (x, y + 9)], verbose=0),
        ValueError,
        "x[1][1]: expected labels 0 .. 2",
    ),
    "a wrong weight": (
        lambda net, x, y: net.fit([(x, y, -x[:, 0])], verbose=0),
        ValueError,
        "x[0][2]: expected finite numbers",
    ),
    "NaN": (lambda net, x, y: net.fit([(x, y), (x * np.nan, y)], verbose=0), cge.NotFiniteError, "x[1][0][0]: expected finite"),
    "validation": (
        lambda net, x, y: net.fit(x, y, validation_data=[(x, y), (x, y[1:])], verbose=0),
        ValueError,
        "validation_data[1][1]: ",
    ),
    "validation of nothing": (
        lambda net, x, y: net.fit(x, y, validation_data=iter(()), verbose=0),
        ValueError,
        "validation_data: expected at least",
    ),
    "batch_size": (lambda net, x, y: net.fit([(x, y)], batch_size=3), ValueError, "batch_size: expected None with x an iter"),
    "sample_weight": (
        lambda net, x, y: net.fit([(x, y)], sample_weight=y),
        ValueError,
        "sample_weight: expected None with x an ",
    ),
    "evaluate's": (
        lambda net, x, y: net.evaluate([(x, y)], sample_weight=y),
        ValueError,
        "sample_weight: expected None with x an ",
    ),
    "split": (
        lambda net, x, y: net.fit([(x, y)], validation_split=0.5),
        ValueError,
        "validation_split: expected None with x an ",
    ),
    "steps of arrays": (
        lambda net, x, y: net.fit(x, y, steps_per_epoch=3),
        ValueError,
        "steps_per_epoch: expected None with arr",
    ),
    "no steps": (lambda net, x, y: net.fit([(x, y)], steps_per_epoch=0), ValueError, "steps_per_epoch: expected at least 1"),
    "part of a step": (
        lambda net, x, y: net.fit([(x, y)], steps_per_epoch=1.5),
        TypeError,
        "steps_per_epoch: expected an integer",
    ),
    "no predictions": (lambda net, x, y: net.predict(iter(())), ValueError, "x: expected at least one batch, got none"),
    "a wrong prediction": (lambda net, x, y: net.predict(iter([x, x.T])), ValueError, "x[1]: expected shape (N, 5)"),
    "epochs that were": (
        lambda net, x, y: net.fit(x, y, epochs=2, initial_epoch=3),
        ValueError,
        "initial_epoch: expected at most 2",
    ),
    "epochs before": (lambda net, x, y: net.fit(x, y, initial_epoch=-1), ValueError, "initial_epoch: expected at least 0"),
    "two validations": (
        lambda net, x, y: net.fit(x, y, validation_split=0.5, validation_data=(x, y)),
        ValueError,
        "validation_split: expected 0 ",
    ),
    "all for validation": (
        lambda net, x, y: net.fit(x, y, validation_split=1.0),
        ValueError,
        "validation_split: expected 0 <=",
    ),
    "none to train": (
        lambda net, x, y: net.fit(x, y, validation_split=0.99),
        ValueError,
        "validation_split: expected a share that",
    ),
    "none to validate": (
        lambda net, x, y: net.fit(x, y, validation_split=1e-20),
        ValueError,
        "validation_split: expected a share that leaves",
    ),
    "a rate": (lambda net, x, y: net.fit(x, y, learning_rate=-1.0), ValueError, "learning_rate: expected a finite number >= 0"),
    "a rate's name": (lambda net, x, y: net.fit(x, y, learning_rate="cosine"), TypeError, "learning_rate: expected"),
    "a rate of epochs": (
        lambda net, x, y: net.fit(x, y, learning_rate=lambda epoch: None),
        TypeError,
        "learning_rate: expected",
    ),
    "callbacks": (
        lambda net, x, y: net.fit(x, y, callbacks=3),
        TypeError,
        "callbacks: expected a list of callbacks, got int 3",
    ),
    "no callback": (
        lambda net, x, y: net.fit(x, y, callbacks=[print, 3]),
        TypeError,
        "callbacks[1]: expected a Callback or a function of (epo",
    ),
    "a class": (
        lambda net, x, y: net.fit(x, y, callbacks=[EarlyStopping]),
        TypeError,
        "callbacks[0]: expected a callback such as EarlyStop",
    ),
    "nothing to monitor": (
        lambda net, x, y: net.fit(x, y, callbacks=[EarlyStopping()]),
        ValueError,
        "EarlyStopping: monitor: expected what this fit measures, 'loss', 'accuracy', got 'val_loss'; pass validation_data",
    ),
    "best of nothing": (
        lambda net, x, y: net.fit(x, y, callbacks=[ModelCheckpoint("x", save_best_only=True)]),
        ValueError,
        "ModelCheckpoint: mon",
    ),
    "monitor": (
        lambda net, x, y: EarlyStopping("val_los"),
        ValueError,
        "monitor: expected one of 'loss', 'accuracy', 'val_loss'",
    ),
    "patience": (lambda net, x, y: EarlyStopping(patience=-1), ValueError, "patience: expected at least 0"),
    "min_delta": (lambda net, x, y: EarlyStopping(min_delta=-1), ValueError, "min_delta: expected a finite number >= 0"),
    "restore_best": (lambda net, x, y: EarlyStopping(restore_best="yes"), TypeError, "restore_best: expected True or False"),
    "slip": (
        lambda net, x, y: EarlyStopping(restore_bst=True),
        TypeError,
        "EarlyStopping: there is no argument restore_bst; did",
    ),
    "path": (lambda net, x, y: ModelCheckpoint(3), TypeError, "path: expected a path, got int 3"),
    "path of bytes": (lambda net, x, y: CSVLogger(b"x"), TypeError, "path: expected a path, got bytes"),
    "braces": (
        lambda net, x, y: net.fit(x, y, callbacks=[ModelCheckpoint("{val_loss}")]),
        ValueError,
        "path: expected a path with {epoch}, {loss}, {accuracy} or without braces, got '{val_loss}'",
    ),
    "upto": (lambda net, x, y: net.predict(x, upto=4), ValueError, "upto: expected at most 3, got 4"),
    "upto by class": (
        lambda net, x, y: net.predict(x, upto="Dense"),
        ValueError,
        "upto: expected one layer of this network, got 'D",
    ),
    "upto elsewhere": (
        lambda net, x, y: net.predict(x, upto=cge.ReLU()),
        ValueError,
        "upto: expected one layer of this network",
    ),
    "upto as a float": (lambda net, x, y: net.predict(x, upto=1.0), TypeError, "upto: expected an integer"),
    "freeze": (
        lambda net, x, y: net.freeze(upto="Conv2d"),
        ValueError,
        "upto: expected one layer of this network, got 'Conv2d'",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_messages_name_the_argument(name, data):
    call, error, begins = BAD[name]
    text = message(lambda: call(small_network(), *data), error)
    assert text.startswith(begins) and "0x" not in text and "\n" not in text, text


# ---- callbacks -----------------------------------------------------------------------------------------------------------


def test_the_module_names_its_callbacks():
    assert {name: getattr(cge.callbacks, name) for name in cge.callbacks.__all__} == {
        one.__name__: one for one in (Callback, EarlyStopping, ModelCheckpoint, CSVLogger)
    }


class Notes(Callback):
    def __init__(self):
        self.notes = []

    def on_train_begin(self):
        self.notes.append(("train", self.metrics))

    def on_epoch_begin(self, epoch):
        self.notes.append(("begin", epoch))

    def on_epoch_end(self, epoch, logs):
        self.notes.append(("end", epoch, logs))

    def on_train_end(self):
        self.notes.append("done")


def test_callbacks_hear_of_epochs(data):
    net, notes, called = small_network(), Notes(), []
    history = net.fit(
        *data,
        epochs=5,
        initial_epoch=3,
        validation_data=data,
        verbose=0,
        callbacks=[notes, lambda *given: called.append(given)],
    )
    logs = [{name: values[i] for name, values in history.items()} for i in range(2)]
    assert notes.notes == [
        ("train", ("loss", "accuracy", "val_loss", "val_accuracy")),
        *[("begin", 3), ("end", 3, logs[0]), ("begin", 4), ("end", 4, logs[1])],
        "done",
    ]
    assert called == [(3, logs[0]), (4, logs[1])] and notes.network is net
    SPECS["perceptron"].network().fit(*SPECS["perceptron"].data(5, np.random.default_rng(0)), verbose=0, callbacks=[notes])
    assert notes.notes[6] == ("train", ("loss",))
    assert net.fit(*data, epochs=2, initial_epoch=2, verbose=0, callbacks=[notes]) == {} and notes.notes[-1] == "done"


class Batches(Callback):
    def __init__(self, most=math.inf):
        self.seen, self.most = [], most

    def on_batch_end(self, batch, logs):
        self.seen.append((batch, logs["loss"], self.network.step_count))
        return len(self.seen) >= self.most


@pytest.mark.parametrize("in_batches", [False, True])
def test_callbacks_hear_of_batches(in_batches, data):
    nets, callback = (small_network(), small_network()), Batches()
    given = (batches_of(*data, 5),) if in_batches else data
    options = {} if in_batches else {"batch_size": 5, "shuffle": False}
    nets[0].fit(*given, epochs=2, verbose=0, callbacks=[callback], **options)
    nets[1].fit(*data, epochs=2, batch_size=5, shuffle=False, verbose=0)
    assert nets[0].to_bytes() == nets[1].to_bytes() and nets[0].history["loss"] == nets[1].history["loss"]
    assert [(batch, count) for batch, _, count in callback.seen] == [(i % 5, i + 1) for i in range(10)]
    assert [loss for batch, loss, _ in callback.seen if batch == 4] == nets[0].history["loss"]


@pytest.mark.parametrize("in_batches", [False, True])
def test_a_callback_ends_an_epoch_at_a_batch(in_batches, data):
    net, by_hand, notes = small_network(), small_network(), Notes()
    given = (endless(*data, 5),) if in_batches else data
    options = {"steps_per_epoch": 5} if in_batches else {"batch_size": 5, "shuffle": False}
    net.fit(*given, epochs=9, verbose=0, callbacks=[Batches(7), notes], **options)
    for batch in itertools.islice(endless(*data, 5), 7):
        by_hand.train_on_batch(*batch)
    assert net.to_bytes() == by_hand.to_bytes() and len(net.history["loss"]) == 2
    assert [note[:2] for note in notes.notes[-3:]] == [("begin", 1), ("end", 1), "do"]


def test_no_call_is_made_for_batches_of_which_nobody_hears(data, monkeypatch):
    calls = []

    def run(self, call, count, context):
        calls.append(count)
        _core.check(call(count), context)

    monkeypatch.setattr(_runtime.Pace, "run", run)
    net = small_network()
    net._runtime._train_pace.samples = 1000
    net.fit(*data, batch_size=5, track_accuracy=False, verbose=0, callbacks=[Notes(), lambda epoch, logs: None])
    assert calls == [23]
    net.fit(*data, batch_size=5, track_accuracy=False, verbose=0, callbacks=[Batches()])
    assert calls == [23, 5, 5, 5, 5, 3]


def test_true_ends_the_training_and_nothing_else_does(data):
    net = small_network()
    net.fit(*data, epochs=6, verbose=0, callbacks=[lambda epoch, logs: "yes", lambda epoch, logs: epoch == 3])
    assert len(net.history["loss"]) == 4


def test_an_error_in_a_callback_leaves_what_was_trained(data):
    """And fit goes on from there as if nothing had been."""
    whole, net, notes = small_network(), small_network(), Notes()

    def fail(epoch, logs):
        if epoch == 1:
            raise RuntimeError("the disk is full")

    whole.fit(*data, epochs=4, batch_size=5, verbose=0)
    with pytest.raises(RuntimeError, match="the disk is full"):
        net.fit(*data, epochs=4, batch_size=5, verbose=0, callbacks=[fail, notes])
    assert net.history == {name: values[:2] for name, values in whole.history.items()}
    assert "done" not in notes.notes
    net.fit(*data, epochs=4, initial_epoch=2, batch_size=5, verbose=0)
    assert net.to_bytes() == whole.to_bytes()
    assert net.history == {name: values[2:] for name, values in whole.history.items()}


@pytest.mark.parametrize("in_batches", [False, True])
def test_an_interrupt_within_a_callback_likewise(in_batches, data, tmp_path):
    def fit(net, **options):
        if in_batches:
            return net.fit(batches_of(*data, 5), epochs=4, verbose=0, **options)
        return net.fit(*data, batch_size=5, epochs=4, verbose=0, **options)

    def strike(epoch, logs):
        if epoch == 1:
            signal.raise_signal(signal.SIGINT)

    whole, net = small_network(), small_network()
    fit(whole, callbacks=[CSVLogger(tmp_path / "whole.csv")])
    with pytest.raises(KeyboardInterrupt):
        fit(net, callbacks=[CSVLogger(tmp_path / "parts.csv"), ModelCheckpoint(tmp_path / "net.cge"), strike])
    assert len(net.history["loss"]) == 2
    net = cge.Network.load(tmp_path / "net.cge")
    fit(net, initial_epoch=2, callbacks=[CSVLogger(tmp_path / "parts.csv", append=True)])
    assert net.to_bytes() == whole.to_bytes()
    assert (tmp_path / "parts.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


class Measured(Callback):
    """Puts made-up numbers in the place of what was measured, for the callbacks behind it."""

    def __init__(self, name, values, callback):
        self.name, self.values, self.callback = name, values, callback
        self.weights = []

    def on_train_begin(self):
        self.callback.network, self.callback.metrics = self.network, self.metrics
        self.callback.on_train_begin()

    def on_epoch_end(self, epoch, logs):
        self.weights.append(self.network.weights_hash())
        return self.callback.on_epoch_end(epoch, {**logs, self.name: self.values[epoch]})

    def on_train_end(self):
        self.callback.on_train_end()


STOPS = {  # metric, its values, settings of EarlyStopping -> best epoch, where it stops
    "at once": ("val_loss", [3, 2, 2, 1, 0], {}, 1, 2),
    "patience 1": ("val_loss", [3, 2, 2, 1, 0], {"patience": 1}, 1, 2),
    "patience 2": ("val_loss", [3, 2, 2, 1, 1.5], {"patience": 2}, 3, None),
    "in succession": ("val_loss", [3, 4, 2, 4, 4], {"patience": 2}, 2, 4),
    "min_delta": ("val_loss", [3, 2.75, 2.5, 2.25, 2], {"min_delta": 0.5, "patience": 3}, 3, None),
    "min_delta, less patience": ("val_loss", [3, 2.75, 2.5, 2.25, 2], {"min_delta": 0.5, "patience": 2}, 0, 2),
    "accuracy": ("val_accuracy", [0.5, 0.75, 0.25, 0.5, 1], {"patience": 2}, 1, 3),
    "accuracy grows": ("accuracy", [0.5, 0.6, 0.7, 0.8, 0.9], {}, 4, None),
    "not a number": ("val_loss", [math.nan, 2, math.nan, math.nan, 1], {"patience": 2}, 1, 3),
    "never a number": ("val_loss", [math.nan] * 5, {"patience": 3}, None, 2),
}


@pytest.mark.parametrize("restore_best", [True, False])
@pytest.mark.parametrize("name", STOPS)
def test_early_stopping(name, restore_best, data):
    metric, values, settings, best, stopped = STOPS[name]
    stopping = EarlyStopping(metric, restore_best=restore_best, **settings)
    callback = Measured(metric, values, stopping)
    net = small_network()
    net.fit(*data, epochs=5, validation_data=data, verbose=0, callbacks=[callback])
    assert (stopping.best_epoch, stopping.stopped_epoch) == (best, stopped)
    assert stopping.best == (None if best is None else values[best])
    assert len(callback.weights) == len(net.history["loss"]) == 5 if stopped is None else stopped + 1
    kept = best if restore_best and best is not None else -1
    assert net.weights_hash() == callback.weights[kept]


def test_early_stopping_starts_anew_with_each_fit(data):
    stopping = EarlyStopping("loss", patience=1)
    callback = Measured("loss", [1, 2, 3], stopping)
    for _ in range(2):
        small_network().fit(*data, epochs=3, verbose=0, callbacks=[callback])
        assert (stopping.best, stopping.best_epoch, stopping.stopped_epoch) == (1, 0, 1)


def test_early_stopping_is_used_with_what_fit_measures(rng):
    (x, y), test = cge.datasets.load_digits()
    net = SPECS["digits"].network()
    stopping = EarlyStopping(patience=1)
    net.fit(x[:200], y[:200], epochs=50, validation_data=test, verbose=0, callbacks=[stopping])
    losses = net.history["val_loss"]
    assert stopping.stopped_epoch == len(losses) - 1 < 49
    assert stopping.best == min(losses) == losses[stopping.best_epoch] == net.evaluate(*test).loss


def test_checkpoints(data, tmp_path):
    net, saved = small_network(), []
    net.fit(
        *data, epochs=3, validation_data=data, verbose=0,
        callbacks=[
            ModelCheckpoint(tmp_path / "{epoch:02}-{val_loss:.3f}.cge"), ModelCheckpoint(str(tmp_path / "last.cge")),
            lambda epoch, logs: saved.append(net.to_bytes()),
        ],
    )  # fmt: skip
    names = [f"{i + 1:02}-{loss:.3f}.cge" for i, loss in enumerate(net.history["val_loss"])]
    assert sorted(path.name for path in tmp_path.iterdir()) == [*names, "last.cge"]
    assert [(tmp_path / name).read_bytes() for name in (*names, "last.cge")] == [*saved, saved[-1]]
    assert cge.Network.load(tmp_path / "last.cge").weights_hash() == net.weights_hash()


@pytest.mark.parametrize(
    "metric, values, kept", [("val_loss", [3, 2, 4, 1, 1], [1, 2, 4]), ("val_accuracy", [0.5, 0.25, 0.75, 0.5, 0.75], [1, 3])]
)
def test_checkpoints_of_the_best(metric, values, kept, data, tmp_path):
    checkpoint = ModelCheckpoint(tmp_path / "{epoch}", save_best_only=True, monitor=metric)
    small_network().fit(*data, epochs=5, validation_data=data, verbose=0, callbacks=[Measured(metric, values, checkpoint)])
    assert sorted(int(path.name) for path in tmp_path.iterdir()) == kept


def test_a_log_of_epochs(data, tmp_path):
    path, net = tmp_path / "log.csv", small_network()
    path.write_text("what was there\n")
    first = net.fit(*data, epochs=2, validation_data=data, verbose=0, callbacks=[CSVLogger(path)])
    second = net.fit(
        *data, epochs=3, initial_epoch=2, validation_data=data, verbose=0, callbacks=[CSVLogger(path, append=True)]
    )
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["epoch", "loss", "accuracy", "val_loss", "val_accuracy"]
    assert [int(row["epoch"]) for row in rows] == [0, 1, 2]
    for name in first:
        assert [float(row[name]) for row in rows] == first[name] + second[name]
    text = message(lambda: net.fit(*data, verbose=0, callbacks=[CSVLogger(path, append=True)]), ValueError)
    assert text.startswith("append: expected a file with columns epoch,loss,accuracy, got ")
    new = tmp_path / "new.csv"
    net.fit(*data, verbose=0, callbacks=[CSVLogger(new, append=True)])
    assert new.read_bytes().count(b"\n") == 2 and b"\r" not in new.read_bytes()


# ---- progress ------------------------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(_progress, "sys", types.SimpleNamespace(stderr=terminal))
    return terminal


def test_progress_of_batches_counts_samples(data, terminal, monkeypatch):
    monkeypatch.setattr(_progress, "_tqdm", lambda samples: None)
    small_network().fit(batches_of(*data, 10), epochs=9, initial_epoch=7)
    first, second, _ = terminal.getvalue().split("\n")
    assert [text[:24] for text in first.split("\r")[1:4]] == [f"epoch 8/9  {n} samples  l" for n in (10, 20, 23)]
    assert second.startswith("\repoch 9/9  10 samples  loss ")


def test_a_bar_of_batches_counts_samples_of_all_epochs(data, terminal, monkeypatch):
    bars = []

    class Bar:
        def __init__(self, total):
            self.total, self.n = total, 0
            bars.append(self)

        def update(self, samples):
            self.n += samples

        def __getattr__(self, name):
            return lambda *arguments, **options: None

    monkeypatch.setattr(_progress, "_tqdm", Bar)
    small_network().fit(batches_of(*data, 10), epochs=3)
    small_network().fit(*data, epochs=3, initial_epoch=1)
    assert [(bar.total, bar.n) for bar in bars] == [(None, 69), (46, 46)]


# ---- a share for validation, rates of epochs ---------------------------------------------------------------------------


def test_the_last_samples_validate(data, rng):
    x, y = data
    weight = rng.uniform(0, 2, 23).astype(np.float32)
    nets = small_network(), small_network()
    nets[0].fit(x, y, epochs=2, validation_split=0.25, sample_weight=weight, class_weight=[1, 2, 3], batch_size=5, verbose=0)
    nets[1].fit(
        x[:17], y[:17], epochs=2, sample_weight=weight[:17], class_weight=[1, 2, 3], batch_size=5, verbose=0,
        validation_data=(x[17:], y[17:], weight[17:]),
    )  # fmt: skip
    assert nets[0].to_bytes() == nets[1].to_bytes() and nets[0].history == nets[1].history
    assert math.floor(23 * (1 - 0.25)) == 17


def test_a_rate_for_each_epoch(data):
    nets = small_network(optimizer=cge.SGD(0.5)), small_network(optimizer=cge.SGD(0.5))
    nets[0].fit(*data, epochs=5, initial_epoch=2, learning_rate=lambda epoch: 0.1 / (1 + epoch), verbose=0)
    for epoch in range(2, 5):
        nets[1].learning_rate = 0.1 / (1 + epoch)
        nets[1].fit(*data, verbose=0)
    assert nets[0].to_bytes() == nets[1].to_bytes() and nets[0].learning_rate == pytest.approx(0.02)


def test_a_rate_or_a_schedule_from_here_on(data):
    nets = small_network(), small_network()
    for rate in (0.25, cge.schedules.Cosine(0.1, 20), cge.schedules.ReduceOnPlateau(0.2)):
        nets[0].fit(*data, epochs=2, learning_rate=rate, verbose=0)
        nets[1].learning_rate = rate
        nets[1].fit(*data, epochs=2, verbose=0)
        assert nets[0].to_bytes() == nets[1].to_bytes() and nets[0].schedule == nets[1].schedule


def test_a_callback_may_set_the_rate(data):
    class Halve(Callback):
        def on_epoch_begin(self, epoch):
            self.network.learning_rate = 0.1 * 0.5**epoch

    nets = small_network(), small_network()
    nets[0].fit(*data, epochs=3, verbose=0, callbacks=[Halve()])
    nets[1].fit(*data, epochs=3, verbose=0, learning_rate=lambda epoch: 0.1 * 0.5**epoch)
    assert nets[0].to_bytes() == nets[1].to_bytes()


def test_a_refused_fit_changes_nothing(data):
    net = small_network()
    net.fit(*data, verbose=0)
    before, history = net.to_bytes(), net.history
    for options in (
        {"callbacks": [EarlyStopping()], "learning_rate": 0.5, "seed": 4},
        {"learning_rate": "fast", "seed": 4},
        {"validation_split": 0.999, "learning_rate": 0.5},
    ):
        with pytest.raises((TypeError, ValueError)):
            net.fit(*data, verbose=0, **options)
    assert net.to_bytes() == before and net.history is history


# ---- some of the layers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SPECS)
def test_outputs_of_a_layer(name, rng):
    """Of each, as a network that ends there gives them."""
    spec = SPECS[name]
    net, (x, _) = trained(spec, rng), spec.data(3, rng)
    weights = iter(net.get_weights())
    given = []
    for number, info in enumerate(net.layer_infos):
        given += [next(weights) for _ in info.parameter_shapes]
        shorter = cge.Network(spec.input_shape, net.layers[: number + 1])
        shorter.set_weights(given)
        expected = shorter.predict(x)
        layer = net.layers[number]
        for upto in (number, number - len(net.layers), layer if net.layers.count(layer) == 1 else number):
            found = net.predict(x, upto=upto)
            assert found.shape == expected.shape and found.tobytes() == expected.tobytes()
    assert net.predict(x, upto=-1).tobytes() == net.predict(x).tobytes()


def test_a_layer_of_the_network_is_meant_rather_than_its_equals(data):
    """The object is meant; equal layers elsewhere are others."""
    net = cge.Network((5,), [cge.Dense(5), cge.Tanh(), cge.Dense(5), cge.Tanh()], seed=1)
    assert net.predict(data[0], upto=net.layers[1]).tobytes() == net.predict(data[0], upto=1).tobytes()
    text = message(lambda: net.predict(data[0], upto=cge.Tanh()), ValueError)
    assert text == "upto: expected one layer of this network, got Tanh(), which layers 1, 3 are; pass a number"


def graph(**options):
    x = cge.Input((6, 6, 2))
    left = cge.Conv2d(4, 3, padding=1)(x)
    right = cge.Conv2d(4, 1)(x)
    both = cge.Add()(cge.ReLU()(left), right)
    out = cge.Dense(3)(cge.GlobalAvgPool2d()(both))
    return cge.Network(inputs=x, outputs=out, loss="softmax_cross_entropy", optimizer=cge.SGD(0.1, 0.5), seed=3, **options)


@pytest.mark.parametrize("memory", ["fast", "small"])
def test_outputs_of_a_layer_in_a_graph(memory, rng):
    net = graph(memory=memory)
    x = rng.normal(size=(5, 6, 6, 2)).astype(np.float32)
    w_left, b_left, w_right, b_right = net.get_weights()[:4]
    kinds = [type(layer).__name__ for layer in net.layers]
    right = cge.conv2d_forward(x, w_right, b_right)
    both = np.maximum(cge.conv2d_forward(x, w_left, b_left, padding=1), 0) + right
    assert net.predict(x, upto=1).tobytes() == right.tobytes() and kinds[1] == "Conv2d"
    assert net.predict(x, upto="Add").tobytes() == both.tobytes()
    assert net.predict(iter([x[:2], x[2:]]), upto="GlobalAvgPool2d").shape == (5, 4)


def test_outputs_of_a_layer_that_reads_bytes():
    net = cge.Network((6, 6, 1), [cge.Conv2d(3, 3), cge.ReLU(), cge.Dense(2)], input_scale=1 / 256)
    pixels = np.arange(72, dtype=np.uint8).reshape(2, 6, 6, 1)
    expected = cge.conv2d_forward(pixels / np.float32(256), *net.get_weights()[:2])
    assert net.predict(pixels, upto="Conv2d").tobytes() == expected.tobytes()


@pytest.mark.parametrize("memory", ["fast", "small"])
def test_freeze(memory, data):
    net = small_network(optimizer=cge.Adam(cge.schedules.Exponential(0.1, 0.9)), memory=memory)
    net.fit(*data, verbose=0)
    before = net.to_bytes()
    frozen = net.freeze(upto=1)
    assert [layer.trainable for layer in frozen.layers if hasattr(layer, "trainable")] == [False, True]
    assert frozen.schedule == net.schedule and frozen.loss == net.loss and frozen.memory == memory
    assert frozen.weights_hash() == net.weights_hash() and frozen.step_count == 0
    start = frozen.get_weights()
    frozen.fit(*data, epochs=2, verbose=0)
    same = [np.array_equal(a, b) for a, b in zip(start, frozen.get_weights())]
    assert same == [True, True, False, False] and net.to_bytes() == before


def test_freeze_of_a_graph_takes_what_the_layer_depends_on():
    frozen = graph().freeze(upto=1)
    assert [layer.trainable for layer in frozen.layers if hasattr(layer, "trainable")] == [True, False, True]
    assert frozen.sources == graph().sources
    text = message(lambda: cge.Network(4, [cge.Dense(2)]).freeze(upto=0), ValueError)
    assert text.startswith("this network has no optimizer")
