"""Outputs with names: dicts in place of lists, and the same bits."""

import copy
import pickle

import numpy as np
import pytest

import convgrad_embedded as cge

LOSSES = {"what": "softmax_cross_entropy", "where": cge.Huber(delta=0.5), "seen": "binary_cross_entropy"}
WEIGHTS = {"what": 1.0, "where": 0.3, "seen": 2.5}
NAMES = ("what", "where", "seen")


def tensors():
    x = cge.Input(4)
    shared = cge.Tanh()(cge.Dense(5)(x))
    return x, [cge.Dense(3)(shared), cge.Dense(2)(shared), cge.Dense(1)(shared)]


def heads(outputs=dict, optimizer=None, **options):
    """With names, or (outputs=list) without."""
    x, found = tensors()
    settings = {"loss": LOSSES, "loss_weights": WEIGHTS, "seed": 1}
    if outputs is list:
        settings.update({name: list(values.values()) for name, values in (("loss", LOSSES), ("loss_weights", WEIGHTS))})
    outputs = found if outputs is list else dict(zip(NAMES, found))
    return cge.Network(inputs=x, outputs=outputs, optimizer=optimizer, **{**settings, **options})


def data(count=12):
    rng = np.random.default_rng(0)
    y = [rng.integers(0, 3, count), rng.normal(size=(count, 2)), rng.integers(0, 2, (count, 1))]
    return rng.normal(size=(count, 4)).astype(np.float32), y


def by_name(y):
    return dict(zip(NAMES, y))


def test_names_change_no_bit():
    x, y = data(20)
    named, listed = heads(optimizer=cge.Adam(0.01)), heads(list, cge.Adam(0.01))
    histories = [net.fit(x, own, epochs=3, validation_split=0.25, verbose=0) for net, own in ((named, by_name(y)), (listed, y))]
    assert named.to_bytes() == listed.to_bytes()
    assert list(histories[0].values()) == list(histories[1].values())
    assert named.train_on_batch(x, by_name(y)) == listed.train_on_batch(x, y)
    assert named.output_names == NAMES and listed.output_names is None


def test_what_comes_back_is_told_by_name():
    net, (x, y) = heads(optimizer=cge.SGD(0.1)), data()
    history = net.fit(x, by_name(y), validation_data=(x, by_name(y)), verbose=0)
    names = ["loss", "what_loss", "what_accuracy", "where_loss", "seen_loss", "seen_accuracy"]
    assert list(history) == names + [f"val_{name}" for name in names]
    predicted, measured = net.predict(x), net.evaluate(x, by_name(y))
    assert list(predicted) == list(measured.outputs) == list(NAMES)
    assert [part.shape for part in predicted.values()] == [(12, 3), (12, 2), (12, 1)]
    assert measured.outputs["where"].loss == history["val_where_loss"][-1]
    assert measured.outputs["what"].accuracy == (predicted["what"].argmax(1) == y[0]).mean()


def test_no_dict_has_an_order():
    x, y = data()
    turned = heads(
        loss=dict(reversed(LOSSES.items())), loss_weights=dict(reversed(WEIGHTS.items())), optimizer=cge.SGD(0.1)
    )  # fmt: skip
    net = heads(optimizer=cge.SGD(0.1))
    assert turned.loss == net.loss
    assert turned.train_on_batch(x, dict(reversed(by_name(y).items()))) == net.train_on_batch(x, by_name(y))
    assert turned.to_bytes() == net.to_bytes()


def test_weights_that_are_not_named_are_one():
    assert heads(loss_weights={"where": 0.5}).loss.weights == (1.0, 0.5, 1.0)
    assert heads(loss="mse", loss_weights=None).loss == cge.MultiOutput(["mse"] * 3, [3, 2, 1], names=NAMES)


def test_weights_by_name():
    x, y = data()
    weights = {"seen": np.linspace(0, 2, 12)}
    net, listed = heads(optimizer=cge.SGD(0.1)), heads(list, cge.SGD(0.1))
    loss = net.train_on_batch(x, by_name(y), sample_weight=weights, class_weight={"what": {1: 3.0}})
    assert loss == listed.train_on_batch(
        x, y, sample_weight=[None, None, weights["seen"]], class_weight=[[1.0, 3.0, 1.0], None, None]
    )  # fmt: skip
    assert net.to_bytes() == listed.to_bytes()
    for given, message in (
        ({"class_weight": {0: 1.0}}, "class_weight: there is no output 0; the outputs are 'what', 'where' and 'seen'"),
        ({"class_weight": {"where": {0: 1.0}}}, r"class_weight\['where'\]: expected None for a loss without labels"),
        ({"class_weight": [{0: 1.0}, None, None]}, "class_weight: expected a dict from each of .* got list"),
        ({"sample_weight": {"sen": np.ones(12)}}, "sample_weight: there is no output 'sen'; did you mean 'seen'"),
        ({"sample_weight": [np.ones(12)] * 3}, "sample_weight: expected a dict from each of .* got list"),
        ({"sample_weight": {"seen": np.ones(3)}}, r"sample_weight\['seen'\]: expected shape \(12,\)"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            net.train_on_batch(x, by_name(y), **given)


def test_batches_as_they_come_and_slices():
    x, y = data()
    one, other = heads(optimizer=cge.SGD(0.1)), heads(optimizer=cge.SGD(0.1), memory="small_sliced")
    batches = [(x[i : i + 4], by_name([part[i : i + 4] for part in y])) for i in range(0, 12, 4)]
    one.fit(batches, validation_data=batches, verbose=0)
    for batch in batches:
        other.train_begin(*batch)
        assert not other.resume()
    assert one.weights_hash() == other.weights_hash()
    other.predict_begin(x)
    assert not other.resume() and list(other.step_result) == list(one.predict(batches)) == list(NAMES)


def test_a_step_in_slices_takes_weights_by_name():
    x, y = data()
    weights = {"sample_weight": {"seen": np.linspace(0, 2, 12)}, "class_weight": {"what": {1: 3.0}}}
    net, other = heads(optimizer=cge.SGD(0.1), memory="small_sliced"), heads(optimizer=cge.SGD(0.1))
    net.train_begin(x, by_name(y), **weights)
    assert not net.resume()
    assert net.step_result == other.train_on_batch(x, by_name(y), **weights)
    assert net.weights_hash() == other.weights_hash()


@pytest.mark.parametrize("memory", ["smallest", "smallest_sliced"])
def test_a_level_of_one_sample_names_itself_and_the_one_of_batches(memory):
    net, (x, y) = heads(optimizer=cge.SGD(0.1), memory=memory), data()
    batches = memory.replace("smallest", "small")
    for call in (net.train_on_batch, net.train_begin, net.fit):
        with pytest.raises(ValueError, match=f'memory="{memory}", where .* memory="{batches}"'):
            call(x, by_name(y))


def test_none_is_no_array():
    net, (x, y) = heads(optimizer=cge.SGD(0.1)), data()
    for name in NAMES:
        with pytest.raises(TypeError, match=rf"y\['{name}'\]: expected an array, got None"):
            net.train_on_batch(x, {**by_name(y), name: None})
    with pytest.raises(TypeError, match="x: expected an array, got None"):
        net.predict(None)


def test_copies_keep_names_and_files_are_told_them(tmp_path):
    net, (x, _) = heads(optimizer=cge.SGD(0.1)), data()
    net.save(tmp_path / "net.cge")
    loaded = cge.Network.load(tmp_path / "net.cge", output_names=NAMES)
    for same in (copy.deepcopy(net), pickle.loads(pickle.dumps(net)), loaded, net.freeze(upto=1)):
        assert same.output_names == NAMES and same.loss == net.loss and list(same.predict(x)) == list(NAMES)
    assert repr(loaded) == repr(net)
    assert isinstance(cge.Network.load(tmp_path / "net.cge").predict(x), list)


def test_names_say_how_many_outputs_there_are_without_a_loss():
    net = heads(loss=None, loss_weights=None)
    loaded, x = cge.Network.from_bytes(net.to_bytes(), output_names=NAMES), data()[0]
    assert loaded.output_shapes == copy.deepcopy(net).output_shapes == ((3,), (2,), (1,))
    assert all(np.array_equal(loaded.predict(x)[name], net.predict(x)[name]) for name in NAMES)
    assert cge.Network.from_bytes(net.to_bytes()).predict(x).shape == (12, 6)


def test_outputs_of_a_chain_have_names_too():
    loss = cge.MultiOutput(["softmax_cross_entropy", "mse"], sizes=[3, 2], names=["what", "where"])
    net = cge.Network((4,), [cge.Dense(5)], loss, cge.SGD(0.1))
    assert {name: part.shape for name, part in net.predict(np.ones((2, 4))).items()} == {"what": (2, 3), "where": (2, 2)}
    assert net.gradcheck(np.ones((2, 4)), {"where": np.zeros((2, 2)), "what": [0, 2]}).checked == 25
    assert copy.copy(net).output_names == ("what", "where")


def test_callbacks_hear_names(tmp_path):
    net, (x, y) = heads(optimizer=cge.SGD(0.1)), data()
    stop = cge.callbacks.EarlyStopping(monitor="val_where_loss", patience=2)
    saving = cge.callbacks.ModelCheckpoint(tmp_path / "{epoch}-{val_what_loss:.9f}.cge")
    net.fit(x, by_name(y), epochs=3, validation_split=0.25, callbacks=[stop, saving], verbose=0)
    assert stop.best == min(net.history["val_where_loss"])
    assert (tmp_path / f"1-{net.history['val_what_loss'][0]:.9f}.cge").exists()


def test_exported_c_says_names_in_comments(tmp_path):
    heads(optimizer=cge.SGD(0.1)).export(tmp_path)
    text = (tmp_path / "network.c").read_text()
    assert [text.count(f"    /* {name} */\n    {{.loss") for name in NAMES] == [1, 1, 1]


# ---- mistakes ------------------------------------------------------------------------------------------------------------

MADE = {
    "outputs: expected a tensor, got a dict of one": lambda a, b: {"outputs": {"a": a}},
    r"outputs\['b'\]: expected another tensor than outputs\['a'\]": lambda a, b: {"outputs": {"a": a, "b": a}},
    r"outputs\['b'\]: expected a tensor that a layer gave, got int 3": lambda a, b: {"outputs": {"a": a, "b": 3}},
    'outputs: expected names such as "class_1", got int 1': lambda a, b: {"outputs": {1: a, "b": b}},
    'outputs: expected names such as "class_1", got str \'a b\'': lambda a, b: {"outputs": {"a b": a, "b": b}},
    'outputs: expected names that do not begin .*"val_", got \'val\'': lambda a, b: {"outputs": {"val": a, "b": b}},
    "outputs: expected names that do not begin .* got 'val_a'": lambda a, b: {"outputs": {"a": a, "val_a": b}},
    "loss: expected a dict from each of 'a' and 'b' to its loss, got list": lambda a, b: {"loss": ["mse", "mse"]},
    "loss: expected a dict .* got nothing for 'b'": lambda a, b: {"loss": {"a": "mse"}},
    "loss: there is no output 'c'; the outputs are 'a' and 'b'": lambda a, b: {"loss": {"a": "mse", "c": "mse"}},
    r"loss\['b'\]: expected one of .* got 'nothing'": lambda a, b: {"loss": {"a": "mse", "b": "nothing"}},
    "loss: expected one of outputs .* got a MultiOutput of 3": lambda a, b: {"loss": cge.MultiOutput(["mse"] * 3, [2, 2, 2])},
    r"loss: expected one of outputs \['a', 'b'\], got a MultiOutput of \['b', 'a'\]": lambda a, b: {
        "loss": cge.MultiOutput(["mse"] * 2, [4, 2], names=["b", "a"])
    },
    "loss_weights: expected a dict from each .* got list": lambda a, b: {"loss_weights": [1, 2]},
    "loss_weights: there is no output 'x'": lambda a, b: {"loss_weights": {"x": 1}},
    r"loss_weights\['a'\]: expected a finite number >= 0, got -1": lambda a, b: {"loss_weights": {"a": -1}},
    r'loss_weights: expected a list of 2, .* got a dict; .* outputs=\{"a"': lambda a, b: {
        "outputs": [a, b], "loss_weights": {"a": 1}
    },
    r'loss: expected a list of 2, .* got a dict; .* outputs=\{"a"': lambda a, b: {"outputs": [a, b], "loss": {"a": "mse"}},
    "loss: expected one loss for one output, got dict": lambda a, b: {"outputs": a, "loss": {"a": "mse"}},
}  # fmt: skip


@pytest.mark.parametrize("message", MADE)
def test_mistakes_in_the_making_are_named(message):
    x = cge.Input(3)
    a, b = cge.Dense(4)(x), cge.Dense(2)(x)
    with pytest.raises((TypeError, ValueError), match=message):
        cge.Network(**{"inputs": x, "outputs": {"a": a, "b": b}, "loss": "mse", **MADE[message](a, b)})


GIVEN = {
    "y: expected a dict from each of 'what', 'where' and 'seen' to its targets, got list": lambda y: list(y.values()),
    "y: expected a dict .* got an array": lambda y: y["where"],
    "y: expected a dict .* got nothing for 'where' and 'seen'": lambda y: {"what": y["what"]},
    "y: there is no output 'wher'; did you mean 'where'": lambda y: {"what": y["what"], "wher": y["where"], "seen": y["seen"]},
    "y: there is no output 0; the outputs are": lambda y: {**y, 0: y["what"]},
    r"y\['what'\]: expected shape \(12,\), got \(11,\)": lambda y: {**y, "what": y["what"][1:]},
    r"y\['where'\]: expected shape \(12, 2\)": lambda y: {**y, "where": y["where"][:, :1]},
    r"y\['what'\]: expected labels 0 .. 2": lambda y: {**y, "what": y["what"] + 1},
}


@pytest.mark.parametrize("message", GIVEN)
def test_mistakes_in_targets_are_named(message):
    net, (x, y) = heads(optimizer=cge.SGD(0.1)), data()
    y[0][:3] = 0, 1, 2
    before = net.to_bytes()
    for call in (net.train_on_batch, net.evaluate):
        with pytest.raises((TypeError, ValueError), match=message):
            call(x, GIVEN[message](by_name(y)))
    assert net.to_bytes() == before


def test_a_target_that_is_not_finite_is_named():
    net, (x, y) = heads(optimizer=cge.SGD(0.1)), data()
    y[1][4, 1] = np.inf
    with pytest.raises(cge.NotFiniteError, match=r"y\['where'\]\[4\]: expected finite numbers, got inf"):
        net.train_on_batch(x, by_name(y))


def test_a_dict_for_one_output_is_named():
    net, x = cge.Network((4,), [cge.Dense(3)], "softmax_cross_entropy", cge.SGD(0.1)), np.ones((2, 4))
    for call in (net.fit, net.evaluate, net.train_on_batch):
        with pytest.raises(TypeError, match=r"y: expected an array, got a dict with \['class'\]"):
            call(x, {"class": [0, 1]})
    for call in (net.predict, lambda x: net.fit(x, [0, 1])):
        with pytest.raises(TypeError, match=r"x: expected an array, got a dict with \['image'\]"):
            call({"image": x})


def test_names_that_a_file_is_told_are_checked():
    data = heads().to_bytes()
    for names, message in {
        ("what", "where"): "output_names: expected 3 names, one for each output, got 2",
        ("what", "what", "seen"): "output_names: expected names that differ",
        (1, 2, 3): "output_names: expected names such as",
    }.items():
        with pytest.raises(ValueError, match=message):
            cge.Network.from_bytes(data, output_names=names)
    with pytest.raises(ValueError, match="output_names: expected None for a network of one output"):
        cge.Network.from_bytes(cge.Network((4,), [cge.Dense(3)]).to_bytes(), output_names=["a", "b"])
    with pytest.raises(ValueError, match="MultiOutput: names: expected 2 names"):
        cge.MultiOutput(["mse", "mse"], [1, 1], names=["a"])


def test_what_is_monitored_is_named():
    net, (x, y) = heads(optimizer=cge.SGD(0.1)), data()
    stop = cge.callbacks.EarlyStopping(monitor="val_what_acuracy_loss")
    with pytest.raises(ValueError, match="expected what this fit measures, .*'val_what_loss', 'val_what_acc.* got '\\w+'$"):
        net.fit(x, by_name(y), validation_split=0.25, callbacks=[stop])
    with pytest.raises(ValueError, match="; pass validation_data or validation_split"):
        net.fit(x, by_name(y), callbacks=[cge.callbacks.EarlyStopping(monitor="val_what_loss")])
    with pytest.raises(ValueError, match="or of several outputs one such as 'val_class_loss', got 'val_acc'"):
        cge.callbacks.EarlyStopping(monitor="val_acc")
