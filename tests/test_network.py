"""Whole networks: gradients and training against the reference, frozen layers, batches, memory, files."""

import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import ordered
import pytest
import reference
from capi import Settings, ffi, lib, ok, same_bits, status
from cnet import CModel, CNetwork, options
from nets import SPECS, Spec, layer, trained

import convgrad_embedded as cge
from convgrad_embedded import _core, _runtime

each_spec = pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)


# ---- against the float64 reference -------------------------------------------------------------------------


@each_spec
def test_outputs_and_loss(spec, rng):
    net, (x, y) = trained(spec, rng), spec.data(9, rng)
    expected = spec.reference(net.get_weights())
    result = net.predict(x)
    assert result.shape == (9, *net.output_shape) and result.dtype == np.float32
    np.testing.assert_allclose(result.reshape(9, -1), expected.forward(x), atol=2e-5)
    loss, accuracy = net.evaluate(x, y)
    assert abs(loss - expected.gradients(x, y)[0]) < 1e-5
    if spec.loss == "softmax_cross_entropy":
        assert accuracy == np.mean(result.reshape(9, -1).argmax(1) == y)
    else:
        assert accuracy is None


@each_spec
def test_gradients(spec, rng):
    net, (x, y) = trained(spec, rng), spec.data(5, rng)
    twin = CNetwork(net.to_bytes())
    result, loss = twin.accumulate(x, y)
    expected_loss, expected = spec.reference(net.get_weights()).gradients(x, y)
    assert result == "CGE_OK" and abs(loss - expected_loss) < 1e-5 and twin.c.pending == 5
    gradients = twin.numbers("grads") / 5
    expected = np.concatenate([g.ravel() for g in expected])
    assert gradients.shape == expected.shape
    np.testing.assert_allclose(gradients, expected, rtol=0, atol=1e-5 * max(1, np.abs(expected).max()))


@each_spec
def test_double_precision_copy_follows_the_reference_to_twelve_digits(spec, rng):
    """Gradients and twenty steps: here no rounding can hide a wrong term."""
    net, (x, y) = spec.network(seed=3), spec.data(6, rng)
    twin = _runtime.Runtime(net._build(_core.FLOAT64), training=True, capacity=2)
    twin.params[...] = np.concatenate([w.ravel() for w in net.get_weights()])
    expected = spec.reference(net.get_weights())
    x = x.astype(np.float64)
    labels = y.astype(np.int32) if spec.loss == "softmax_cross_entropy" else None
    targets = _runtime.Targets(labels, None if labels is not None else y.astype(np.float64))

    assert abs(twin.accumulate(x, targets) - expected.gradients(x, y)[0]) < 1e-13
    gradients = np.concatenate([g.ravel() for g in expected.gradients(x, y)[1]])
    np.testing.assert_allclose(twin.grads / 6, gradients, rtol=0, atol=1e-12 * np.abs(gradients).max())
    for _ in range(20):
        assert abs(twin.train_batch(x, targets) - expected.train_on_batch(x, y)) < 1e-11
    np.testing.assert_allclose(twin.params, np.concatenate([w.ravel() for w in expected.weights]), rtol=0, atol=1e-11)


@each_spec
def test_gradcheck(spec, rng):
    net = spec.network(seed=4)
    net.gradcheck(*spec.data(2, rng))


@each_spec
def test_trajectory_stays_with_the_reference(spec, rng):
    """Forty steps; rounding differs, so a step that is wrong in any term drifts away far beyond the tolerance."""
    net = spec.network(seed=1)
    expected = spec.reference(net.get_weights())
    start = net.get_weights()
    for _ in range(40):
        x, y = spec.data(6, rng)
        assert abs(net.train_on_batch(x, y) - expected.train_on_batch(x, y)) < 1e-3
    for before, after, wanted in zip(start, net.get_weights(), expected.weights):
        moved = np.abs(wanted - before).max()
        assert moved > 0 and np.abs(after - wanted).max() < 1e-3 * moved + 1e-5


# ---- frozen layers -----------------------------------------------------------------------------------------


def flat_frozen(spec, freeze):
    """For each of get_weights' arrays: does it belong to a frozen layer?"""
    return [i in freeze for i in spec.trainable for _ in range(1 + spec.layers[i][2].get("use_bias", True))]


@pytest.mark.parametrize(
    "name, freeze",
    [
        ("digits", [0]),
        ("digits", [3]),
        ("digits", [0, 3]),
        ("digits", [6]),
        ("camera", [0, 3]),
        ("separable", [0]),
        ("separable", [2, 3]),
        ("separable", [0, 2, 3]),
        ("perceptron", [0, 2]),
        ("image_to_image", [1]),
    ],
)
def test_frozen_layers_stay_and_the_others_learn_as_ever(name, freeze, rng):
    spec = SPECS[name]
    net = spec.network(seed=2, freeze=freeze)
    start, expected = net.get_weights(), spec.reference(net.get_weights(), freeze)
    for _ in range(10):
        x, y = spec.data(5, rng)
        assert abs(net.train_on_batch(x, y) - expected.train_on_batch(x, y)) < 1e-3
    for frozen, before, after, wanted in zip(flat_frozen(spec, freeze), start, net.get_weights(), expected.weights):
        if frozen:
            assert same_bits(after, before)
        else:
            assert not np.array_equal(after, before)
            np.testing.assert_allclose(after, wanted, atol=1e-3 * np.abs(wanted - before).max() + 1e-5)


@pytest.mark.parametrize("name", ["digits", "camera", "separable", "perceptron"])
def test_frozen_layers_take_no_gradient_memory(name, rng):
    spec = SPECS[name]
    whole = CNetwork(spec.network().to_bytes())
    sizes = [w.size for w in spec.network().get_weights()]
    for position in spec.trainable:
        frozen = flat_frozen(spec, [position])
        twin = CNetwork(spec.network(freeze=[position]).to_bytes())
        saved = sum(size for size, is_frozen in zip(sizes, frozen) if is_frozen)
        assert twin.c.grad_elems == whole.c.grad_elems - saved
        arrays = 2 if spec.optimizer.get("momentum") else 1  # gradient and velocity
        assert twin.arena_bytes <= whole.arena_bytes - 4 * saved * arrays
        params = ffi.new("cge_layer_params *")
        ok("network_layer_params", twin.c, position, params)
        assert params.dw == ffi.NULL and params.db == ffi.NULL and params.w != ffi.NULL


def test_a_frozen_front_keeps_no_activations():
    """Only the input of the first trainable layer and what follows it are needed backwards."""
    front = [layer("Conv2d", 8, 3, padding=1), layer("ReLU")] * 6
    spec = Spec((16, 16, 8), [*front, layer("GlobalAvgPool2d"), layer("Dense", 2)], optimizer=dict(learning_rate=0.1))
    weights = 4 * sum(w.size for w in spec.network().get_weights())
    frozen = spec.network(freeze=range(0, 12, 2)).arena_bytes
    one_map = 4 * 16 * 16 * 8
    assert frozen - weights < 3 * one_map < 6 * one_map < spec.network().arena_bytes - 2 * weights


def test_all_layers_but_the_last_frozen(rng):
    spec = SPECS["digits"]
    net = spec.network(freeze=[0, 3])
    net.gradcheck(*spec.data(2, rng))
    x, y = spec.data(30, rng)
    first = net.evaluate(x, y)[0]
    net.fit(x, y, epochs=20, batch_size=10, verbose=False)
    assert net.evaluate(x, y)[0] < 0.7 * first


def test_everything_frozen_learns_nothing(rng):
    spec = SPECS["digits"]
    net = spec.network(freeze=spec.trainable)
    before = net.get_weights()
    net.train_on_batch(*spec.data(3, rng))
    assert all(map(same_bits, before, net.get_weights()))
    twin = CNetwork(net.to_bytes())
    assert twin.c.grad_elems == 0 and twin.c.first_trainable == len(spec.layers)
    assert twin.train_batch(*spec.data(3, rng))[0] == "CGE_OK" and twin.guards_are_intact()


# ---- batches: the bits depend neither on capacity nor on how samples come ----------------------------------


@each_spec
def test_capacity_does_not_change_a_bit(spec, rng):
    x, y = spec.data(23, rng)
    results = []
    for capacity in (1, 2, 3, 8, 64):
        net = spec.network(seed=5, capacity=capacity)
        history = net.fit(x, y, epochs=2, batch_size=5, seed=9, verbose=False)
        results.append((net.weights_hash(), net.predict(x).tobytes(), net.evaluate(x, y), history))
    assert all(result == results[0] for result in results)


@each_spec
def test_splitting_a_batch_does_not_change_a_bit(spec, rng):
    saved, (x, y) = trained(spec, rng).to_bytes(), spec.data(12, rng)
    whole = CNetwork(saved)
    assert whole.accumulate(x, y)[0] == "CGE_OK"
    gradients = whole.numbers("grads").copy()
    assert whole.update() == "CGE_OK"
    for sizes in ([1] * 12, [5, 7], [11, 1], [3, 3, 6]):
        for capacity in (1, 4):
            split, begin = CNetwork(saved, capacity=capacity), 0
            for size in sizes:
                assert split.accumulate(x[begin : begin + size], y[begin : begin + size])[0] == "CGE_OK"
                begin += size
            assert split.c.pending == 12 and same_bits(split.numbers("grads"), gradients)
            assert split.update() == "CGE_OK" and split.state() == whole.state()
            assert split.c.pending == 0


@each_spec
def test_an_update_is_the_optimizer_step_with_the_mean_gradient(spec, rng):
    """In the order of the header, to the last bit."""
    twin, (x, y) = CNetwork(trained(spec, rng).to_bytes()), spec.data(3, rng)
    twin.accumulate(x, y)
    w, v, dw = (twin.numbers(name).copy() for name in ("params", "velocity", "grads"))
    o = twin.c.optimizer
    settings = Settings(o.learning_rate, o.momentum, o.weight_decay, o.nesterov)
    steps = twin.c.step_count
    assert twin.update() == "CGE_OK" and twin.c.step_count == steps + 1
    ordered.momentum_step(settings, np.float32(1) / np.float32(3), dw, w, v)
    assert same_bits(twin.numbers("params"), w) and same_bits(twin.numbers("velocity"), v)


@each_spec
def test_fit_is_the_loop_of_its_batches(spec, rng):
    x, y = spec.data(17, rng)
    fitted, looped = spec.network(), spec.network()
    history = fitted.fit(x, y, epochs=2, batch_size=5, shuffle=False, verbose=False)
    for epoch in range(2):
        losses = [looped.train_on_batch(x[i : i + 5], y[i : i + 5]) for i in range(0, 17, 5)]
        assert abs(history["loss"][epoch] - np.average(losses, weights=[5, 5, 5, 2])) < 1e-6
    assert fitted.weights_hash() == looped.weights_hash()


# ---- memory ------------------------------------------------------------------------------------------------

MODES = [dict(training=training, capacity=capacity) for training in (True, False) for capacity in (0, 3)]
each_mode = pytest.mark.parametrize("mode", MODES, ids=lambda m: ("train" if m["training"] else "infer") + str(m["capacity"]))


def exercise(twin, mode, x, y):
    """Everything that a network of this mode can do."""
    result = [twin.forward(x).tobytes(), twin.evaluate(x, y)]
    if mode["training"]:
        order = np.arange(len(x), dtype=np.int32)[::-1].copy()
        loss = np.zeros(1, np.float32)
        assert twin.train_batch(x, y)[0] == "CGE_OK"
        ok("network_train_epoch", twin.c, x, twin.targets(y), order, len(x), 4, loss)
        assert twin.accumulate(x, y)[0] == "CGE_OK" and twin.update() == "CGE_OK"
        result += twin.state()
    return result


@each_mode
@each_spec
def test_the_arena_is_exact(spec, mode, rng):
    """One byte less is refused; nothing outside is touched; the last byte is used; what lay there before has no effect."""
    saved, (x, y) = trained(spec, rng).to_bytes(), spec.data(7, rng)
    refused = CNetwork(saved, **mode, short=1)
    assert refused.status == "CGE_ERR_ARENA" and np.all(refused.memory == refused.fill)
    twins = [CNetwork(saved, **mode, fill=fill) for fill in (0xA5, 0x5A)]
    first, second = (exercise(twin, mode, x, y) for twin in twins)
    assert first == second
    assert all(twin.status == "CGE_OK" and twin.guards_are_intact() for twin in twins)
    assert twins[0].arena[-1] == twins[1].arena[-1], "the last byte was never written"


@each_spec
def test_parameters_may_stay_outside_the_arena_for_inference(spec, rng):
    saved, (x, _) = trained(spec, rng).to_bytes(), spec.data(7, rng)
    inside = CNetwork(saved, training=False)
    params = inside.numbers("params").copy()
    outside = CNetwork(saved, training=False, params=params)
    assert outside.arena_bytes == inside.arena_bytes - params.nbytes
    assert same_bits(outside.forward(x), inside.forward(x)) and outside.guards_are_intact()
    assert status("network_init_params", outside.c, 1) == "CGE_ERR_MODE", "flash cannot be written"
    assert same_bits(params, inside.numbers("params"))


def test_arena_bytes_agree_between_python_and_c():
    for spec in SPECS.values():
        net = spec.network(capacity=5)
        assert net.arena_bytes == CNetwork(net.to_bytes()).arena_bytes, "firmware holds one sample at a time"


def test_training_needs_the_documented_parts_and_little_more():
    """Weights, gradients, velocities, the activations that backward needs and two that it passes on."""
    spec = SPECS["digits"]
    net = spec.network()
    params = sum(w.size for w in net.get_weights())
    kept = 8 * 8 * 8 + 4 * 4 * 8 + 4 * 4 * 16 + 2 * 2 * 16 + 10
    passing = 2 * 8 * 8 * 8
    assert params == 1898
    assert net.arena_bytes <= 4 * (3 * params + kept + passing) + 64 * len(spec.layers)


def test_misaligned_and_missing_arenas_are_refused(rng):
    twin = CNetwork(SPECS["digits"].network().to_bytes())
    arena = twin.memory.ctypes.data + twin.begin
    for offset in (1, 2, 4):
        crooked = ffi.cast("void *", arena + offset)
        net = ffi.new("cge_network *")
        assert status("network_init", net, twin.model.c, twin.options, crooked, twin.arena_bytes) == "CGE_ERR_ALIGN"
    assert status("network_init", twin.c, twin.model.c, twin.options, None, twin.arena_bytes) == "CGE_ERR_NULL"
    assert status("network_init", None, twin.model.c, twin.options, twin.memory, twin.arena_bytes) == "CGE_ERR_NULL"
    assert status("network_init", twin.c, None, twin.options, twin.memory, twin.arena_bytes) == "CGE_ERR_NULL"
    assert status("network_arena_bytes", twin.model.c, None, None) == "CGE_ERR_NULL"


def test_options_null_is_inference_with_defaults():
    twin = CNetwork(SPECS["digits"].network().to_bytes(), training=False)
    size = ffi.new("size_t *")
    ok("network_arena_bytes", twin.model.c, None, size)
    assert size[0] == twin.arena_bytes


# ---- modes -------------------------------------------------------------------------------------------------


def test_calls_that_do_not_fit_the_mode_are_refused(rng):
    spec = SPECS["digits"]
    saved, (x, y) = spec.network().to_bytes(), spec.data(3, rng)
    inference = CNetwork(saved, training=False)
    assert inference.train_batch(x, y)[0] == inference.accumulate(x, y)[0] == inference.update() == "CGE_ERR_MODE"
    assert status("network_zero_grads", inference.c) == "CGE_ERR_MODE"
    assert CNetwork(saved).update() == "CGE_ERR_MODE", "nothing was accumulated"
    without_loss = CModel(saved)
    without_loss.c.loss = ffi.NULL
    assert CNetwork(without_loss, training=False, restore=False).evaluate(x, y)[0] == "CGE_ERR_MODE"
    assert status("network_arena_bytes", without_loss.c, options(), ffi.new("size_t *")) == "CGE_ERR_MODE"
    without_optimizer = CModel(saved)
    without_optimizer.c.optimizer.kind = ffi.NULL
    gradients_only = CNetwork(without_optimizer, restore=False)
    assert gradients_only.accumulate(x, y)[0] == "CGE_OK" and gradients_only.update() == "CGE_ERR_MODE"


@pytest.mark.parametrize("label", [-1, 10, 2**31 - 1])
def test_a_label_out_of_range_leaves_the_network_as_it_was(label, rng):
    twin, (x, y) = CNetwork(SPECS["digits"].network().to_bytes()), SPECS["digits"].data(4, rng)
    before = twin.state()
    y[3] = label
    assert twin.train_batch(x, y) == ("CGE_ERR_LABEL", 77)
    assert twin.accumulate(x, y) == ("CGE_ERR_LABEL", 77)
    assert twin.state() == before and twin.c.pending == 0


@pytest.mark.parametrize("order", [[0, 1, 4], [0, -1, 2]])
def test_an_order_out_of_range_is_refused(order, rng):
    twin, (x, y) = CNetwork(SPECS["digits"].network().to_bytes()), SPECS["digits"].data(3, rng)
    before, loss = twin.state(), np.full(1, 77, np.float32)
    result = status("network_train_epoch", twin.c, x, twin.targets(y), np.array(order, np.int32), 3, 2, loss)
    assert result == "CGE_ERR_ARGUMENT" and loss[0] == 77 and twin.state() == before


def test_an_order_may_repeat_and_leave_out_samples(rng):
    saved, (x, y) = SPECS["digits"].network().to_bytes(), SPECS["digits"].data(4, rng)
    order, loss = np.array([2, 2, 0, 3], np.int32), np.zeros(1, np.float32)
    for capacity in (1, 3):
        picked, listed = CNetwork(saved, capacity=capacity), CNetwork(saved, capacity=capacity)
        ok("network_train_epoch", picked.c, x, picked.targets(y), order, 4, 3, loss)
        assert listed.train_batch(x[order[:3]].copy(), y[order[:3]])[0] == "CGE_OK"
        assert listed.train_batch(x[order[3:]].copy(), y[order[3:]])[0] == "CGE_OK"
        assert picked.state() == listed.state()


# ---- steps that are not finite -----------------------------------------------------------------------------


def put(value):
    """Poisons one number of a batch."""

    def change(net, x, y):
        x[2].flat[3] = value

    return change


def overflow_the_gradient(net, x, y):
    """The loss stays below 3e38, the weights' gradient does not."""
    net.set_weights([0 * w for w in net.get_weights()])
    x[:], y[:] = 1e30, 1e12


def overflow_the_loss(net, x, y):
    """Logits 6e38 apart: the loss is infinite, its gradient is -1, 1 and 0."""
    w, b = net.get_weights()
    net.set_weights([0 * w, np.float32([3e38, -3e38, 0])])
    y[:] = 1


LINEAR = Spec((4,), [layer("Dense", 2)], loss="mean_squared_error")
POISONS = {
    "nan_input": (SPECS["digits"], put(np.nan)),
    "infinite_input": (SPECS["digits"], put(np.inf)),
    "infinite_input_to_regression": (LINEAR, put(np.inf)),
    "gradient_overflows_alone": (LINEAR, overflow_the_gradient),
    "loss_overflows_alone": (SPECS["one_layer"], overflow_the_loss),
}


@pytest.mark.parametrize("name", POISONS)
def test_a_step_that_is_not_finite_changes_nothing(name, rng):
    spec, poison = POISONS[name]
    net, good = trained(spec, rng), spec.data(4, rng)
    bad_x, bad_y = spec.data(4, rng)
    poison(net, bad_x, bad_y)
    for capacity in (1, 3):
        twin, undisturbed = CNetwork(net.to_bytes(), capacity=capacity), CNetwork(net.to_bytes(), capacity=capacity)
        before = twin.state()
        assert twin.train_batch(bad_x, bad_y) == ("CGE_ERR_NOT_FINITE", 77)
        assert twin.state() == before and twin.c.pending == 0 and not twin.numbers("grads").any()
        assert twin.train_batch(*good)[0] == undisturbed.train_batch(*good)[0]
        assert twin.state() == undisturbed.state(), "the bad batch left a trace"
    before = net.to_bytes()
    with pytest.raises(cge.NotFiniteError):
        net.train_on_batch(bad_x, bad_y)
    assert net.to_bytes() == before


@pytest.mark.parametrize("name", [name for name in POISONS if name != "gradient_overflows_alone"])
def test_a_loss_that_is_not_finite_drops_all_gradients(name, rng):
    spec, poison = POISONS[name]
    net, (x, y) = trained(spec, rng), spec.data(4, rng)
    poison(net, x, y)
    twin = CNetwork(net.to_bytes())
    if name != "loss_overflows_alone":
        assert twin.accumulate(*spec.data(2, rng))[0] == "CGE_OK" and twin.c.pending == 2
    assert twin.accumulate(x, y) == ("CGE_ERR_NOT_FINITE", 77)
    assert twin.c.pending == 0 and not twin.numbers("grads").any()


def test_the_gradient_overflow_is_not_a_loss_overflow(rng):
    """Guards the case above: its loss is finite."""
    net, (x, y) = LINEAR.network(), LINEAR.data(4, rng)
    overflow_the_gradient(net, x, y)
    twin = CNetwork(net.to_bytes())
    result, loss = twin.accumulate(x, y)
    assert result == "CGE_OK" and np.isfinite(loss) and not np.isfinite(twin.numbers("grads")).all()
    before = twin.state()
    assert twin.update() == "CGE_ERR_NOT_FINITE"
    assert twin.state() == before and twin.c.pending == 0 and not twin.numbers("grads").any()


def test_batches_before_a_bad_one_stay_learned(rng):
    spec = SPECS["digits"]
    x, y = spec.data(12, rng)
    x[9, 0, 0, 0] = np.nan
    net, expected = spec.network(), spec.network()
    with pytest.raises(cge.NotFiniteError):
        net.fit(x, y, batch_size=4, shuffle=False, verbose=False)
    expected.train_on_batch(x[:4], y[:4])
    expected.train_on_batch(x[4:8], y[4:8])
    assert net.to_bytes() == expected.to_bytes()


# ---- saved networks ----------------------------------------------------------------------------------------


@each_spec
def test_saved_and_loaded(spec, rng, tmp_path):
    net, (x, y) = trained(spec, rng), spec.data(6, rng)
    net.save(tmp_path / "net.cge")
    loaded = cge.Network.load(tmp_path / "net.cge")
    assert loaded.weights_hash() == net.weights_hash() and all(map(same_bits, loaded.get_weights(), net.get_weights()))
    assert loaded.input_shape == net.input_shape and loaded.loss == net.loss and loaded.optimizer == net.optimizer
    for given, read in zip(net.layers, loaded.layers):  # a file holds "same" as numbers
        assert read == given or given.padding == "same" and type(read) is type(given)
    assert same_bits(loaded.predict(x), net.predict(x)) and loaded.evaluate(x, y) == net.evaluate(x, y)
    loaded.save(tmp_path / "again.cge")
    assert (tmp_path / "again.cge").read_bytes() == (tmp_path / "net.cge").read_bytes()


@each_spec
def test_resumed_training_is_bit_identical(spec, rng, tmp_path):
    """Velocity, step count and the learning rate of the moment come along."""
    net = trained(spec, rng)
    net.learning_rate = 0.03
    net.save(tmp_path / "net.cge")
    resumed = cge.Network.load(tmp_path / "net.cge")
    x, y = spec.data(20, rng)
    for trainee in (net, resumed):
        trainee.fit(x, y, epochs=3, batch_size=6, seed=77, verbose=False)
    assert resumed.weights_hash() == net.weights_hash() and resumed.to_bytes() == net.to_bytes()
    assert resumed.step_count == net.step_count == 3 + 3 * 4


@pytest.fixture(scope="module")
def saved():
    return trained(SPECS["digits"], np.random.default_rng(3)).to_bytes()


def test_truncated_files_are_refused(saved, tmp_path):
    path = tmp_path / "net.cge"
    for size in [*range(0, 400), *range(400, len(saved), 37), len(saved) - 1]:
        path.write_bytes(saved[:size])
        with pytest.raises(ValueError, match="net.cge"):
            cge.Network.load(path)
    path.write_bytes(saved + b"\0")
    with pytest.raises(ValueError, match="net.cge"):
        cge.Network.load(path)


def test_every_flipped_bit_is_noticed(saved, rng):
    bits = np.unique(np.concatenate([np.arange(8 * 300), rng.integers(0, 8 * len(saved), 700)]))
    for bit in bits:
        damaged = bytearray(saved)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ValueError):
            cge.Network.from_bytes(bytes(damaged))


def test_other_peoples_files_are_refused(rng):
    for data in (b"", b"\0", b"hello, world\n" * 20, bytes(range(256)) * 8, rng.bytes(5000)):
        with pytest.raises(ValueError):
            cge.Network.from_bytes(data)


def with_crc(data):
    return data[:-4] + struct.pack("<I", zlib.crc32(data[:-4]))


def test_the_checksum_is_crc32_of_all_before_it(saved):
    """Guards the next test, whose lies must get past the checksum."""
    assert with_crc(saved) == saved


def test_lies_with_a_good_checksum_do_no_harm(saved, rng):
    """Each byte of the header set to hostile values: the result is a status, or a network that works."""
    seen = {}
    twin = CNetwork(saved)
    header = len(saved) - 4 * (twin.c.param_elems + twin.c.grad_elems)  # and a little of the numbers
    layers, configs, model = ffi.new("cge_layer[]", 64), ffi.new("cge_layer_config[]", 64), ffi.new("cge_model *")
    x, y = SPECS["digits"].data(2, rng)
    for position in range(min(header, 1000)):
        for value in (0x00, 0x01, 0x7F, 0x80, 0xFF, saved[position] ^ 1, saved[position] + 1 & 0xFF):
            lie = bytearray(saved)
            lie[position] = value
            lie = with_crc(bytes(lie))
            before = twin.state()
            result = status("network_restore", twin.c, lie, len(lie))
            assert result == "CGE_OK" or twin.state() == before, "a refused restore has changed the network"
            assert twin.guards_are_intact()
            result = status("model_parse", lie, len(lie), lib.cge_catalog_all_address, layers, configs, 64, model)
            seen[result] = seen.get(result, 0) + 1
    assert seen.get("CGE_ERR_FORMAT", 0) > 50 and "CGE_ERR_VERSION" in seen, seen


def test_a_file_with_more_than_it_should_hold_is_refused(saved):
    """Four bytes too many, though length and checksum are right."""
    length = saved.index(struct.pack("<I", len(saved)))
    longer = bytearray(saved[:-4] + bytes(8))
    longer[length : length + 4] = struct.pack("<I", len(longer))
    longer, twin = with_crc(bytes(longer)), CNetwork(saved)
    layers, configs, model = ffi.new("cge_layer[]", 64), ffi.new("cge_layer_config[]", 64), ffi.new("cge_model *")
    assert status("network_restore", twin.c, longer, len(longer)) == "CGE_ERR_FORMAT"
    parsed = status("model_parse", longer, len(longer), lib.cge_catalog_all_address, layers, configs, 64, model)
    assert parsed == "CGE_ERR_FORMAT"


def test_a_velocity_of_other_layers_is_not_restored(rng):
    """Two layers of equal size, now the other one is frozen: the file's velocity belongs to neither."""
    spec = Spec((4,), [layer("Dense", 4), layer("Tanh"), layer("Dense", 4)])
    net = trained(spec, rng, freeze=[0])
    file = net.to_bytes()
    twin = CNetwork(spec.network(freeze=[2]).to_bytes())
    assert CNetwork(file).numbers("velocity").any() and twin.c.grad_elems == 20
    twin.numbers("velocity")[:] = 1
    ok("network_restore", twin.c, file, len(file))
    assert not twin.numbers("velocity").any() and twin.c.step_count == 3
    assert same_bits(twin.numbers("params"), np.concatenate([w.ravel() for w in net.get_weights()]))


def test_too_few_layer_slots_are_refused(saved):
    layers, configs, model = ffi.new("cge_layer[]", 64), ffi.new("cge_layer_config[]", 64), ffi.new("cge_model *")
    assert status("model_parse", saved, len(saved), lib.cge_catalog_all_address, layers, configs, 6, model) != "CGE_OK"
    assert model.layer_count == 0 and layers[0].kind == ffi.NULL
    ok("model_parse", saved, len(saved), lib.cge_catalog_all_address, layers, configs, 7, model)
    assert model.layer_count == 7


def test_a_file_of_another_network_is_not_restored(saved):
    twin = CNetwork(trained(SPECS["camera"], np.random.default_rng(1)).to_bytes())
    before = twin.state()
    assert status("network_restore", twin.c, saved, len(saved)) == "CGE_ERR_MISMATCH" and twin.state() == before


def test_a_short_buffer_is_refused(saved):
    twin, used = CNetwork(saved), ffi.new("size_t *")
    ok("network_saved_bytes", twin.c, used)
    assert used[0] == len(saved)
    buffer = np.full(len(saved), 7, np.uint8)
    assert status("network_save", twin.c, buffer, len(saved) - 1, used) == "CGE_ERR_ARENA" and np.all(buffer == 7)
    ok("network_save", twin.c, buffer, len(saved), used)
    assert used[0] == len(saved) and buffer.tobytes() == saved


def test_an_inference_network_takes_only_the_weights(saved, rng):
    twin = CNetwork(saved, training=False)
    x, _ = SPECS["digits"].data(3, rng)
    assert same_bits(twin.forward(x), cge.Network.from_bytes(saved).predict(x).reshape(3, -1))


def test_saving_replaces_a_file_as_a_whole(saved, tmp_path):
    path = tmp_path / "net.cge"
    path.write_bytes(b"old")
    cge.Network.from_bytes(saved).save(str(path))
    assert path.read_bytes() == saved and list(tmp_path.iterdir()) == [path]


def test_saving_to_a_missing_directory_says_so(saved, tmp_path):
    with pytest.raises(OSError):
        cge.Network.from_bytes(saved).save(tmp_path / "missing" / "net.cge")
    with pytest.raises(FileNotFoundError):
        cge.Network.load(tmp_path / "missing.cge")


# ---- weights -----------------------------------------------------------------------------------------------


def fnv1a(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & (1 << 64) - 1
    return value


@each_spec
def test_weights_hash_is_fnv1a_of_their_bits(spec, rng):
    net = trained(spec, rng)
    expected = fnv1a(b"".join(w.astype("<f4").tobytes() for w in net.get_weights()))
    assert net.weights_hash() == f"{expected:016x}"
    weights = net.get_weights()
    weights[0].flat[0] = np.nextafter(weights[0].flat[0], np.float32(9))
    net.set_weights(weights)
    assert net.weights_hash() != f"{expected:016x}"


def test_weights_come_in_layer_order_and_are_copies():
    net = SPECS["camera"].network()
    weights = net.get_weights()
    assert [w.shape for w in weights] == [(3, 3, 3, 6), (6,), (1, 2, 3, 4), (4,), (24, 5), (5,)]
    assert all(w.dtype == np.float32 for w in weights)
    weights[0][:] = 9
    assert net.get_weights()[0].max() < 9
    net.set_weights(weights)
    assert np.all(net.get_weights()[0] == 9)
    weights[0][:] = 0
    assert np.all(net.get_weights()[0] == 9)


def test_equal_seeds_give_equal_networks_and_training(rng):
    spec = SPECS["digits"]
    x, y = spec.data(20, rng)
    hashes = []
    for seed in (3, 3, 4):
        net = spec.network(seed=seed)
        net.fit(x, y, epochs=2, batch_size=4, verbose=False)
        hashes.append(net.weights_hash())
    assert hashes[0] == hashes[1] != hashes[2]


# ---- as a Keras user expects it ----------------------------------------------------------------------------


def test_history(rng):
    spec = SPECS["digits"]
    net, data, validation = spec.network(), spec.data(25, rng), spec.data(8, rng)
    history = net.fit(*data, epochs=4, batch_size=10, validation_data=validation, verbose=False)
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"} and {len(v) for v in history.values()} == {4}
    loss, accuracy = net.evaluate(*validation)
    assert history["val_loss"][-1] == loss and history["val_accuracy"][-1] == accuracy
    assert history["accuracy"][-1] > history["accuracy"][0]
    assert history["loss"][-1] < history["loss"][0]
    assert net.step_count == 4 * 3


def test_history_of_a_regression_has_no_accuracy(rng):
    spec = SPECS["perceptron"]
    history = spec.network().fit(*spec.data(6, rng), epochs=2, validation_data=spec.data(3, rng), verbose=False)
    assert set(history) == {"loss", "val_loss"}


def test_fit_shuffles_by_seed_and_visits_every_sample(rng):
    spec = SPECS["one_layer"]
    x, y = spec.data(30, rng)

    def trained_with(**arguments):
        net = spec.network()
        net.fit(x, y, epochs=2, batch_size=1, verbose=False, **arguments)
        return net.weights_hash()

    assert trained_with(seed=1) == trained_with(seed=1) != trained_with(seed=2)
    assert trained_with(seed=1) != trained_with(shuffle=False) == trained_with(shuffle=False, seed=5)
    # One epoch of full batches is one step with every sample's gradient: only rounding depends on the order.
    nets = [spec.network(), spec.network()]
    for net, shuffle in zip(nets, (True, False)):
        net.fit(x, y, epochs=1, batch_size=30, shuffle=shuffle, verbose=False)
    np.testing.assert_allclose(nets[0].get_weights()[0], nets[1].get_weights()[0], atol=1e-6)


def test_fit_replays_with_the_cores_own_shuffle(rng):
    """What firmware needs to repeat a run: cge_rng_seed, then cge_rng_shuffle of 0 .. N - 1 for each epoch."""
    spec = SPECS["digits"]
    x, y = spec.data(11, rng)
    net, loss = spec.network(), np.zeros(1, np.float32)
    twin, generator = CNetwork(net.to_bytes()), ffi.new("cge_rng *")
    net.fit(x, y, epochs=3, batch_size=4, seed=123, verbose=False)
    ok("rng_seed", generator, 123)
    for _ in range(3):
        order = np.arange(11, dtype=np.int32)
        ok("rng_shuffle", generator, order, 11)
        ok("network_train_epoch", twin.c, x, twin.targets(y), order, 11, 4, loss)
    assert fnv1a(twin.numbers("params").tobytes()) == int(net.weights_hash(), 16)


def test_batches_larger_than_the_data_and_single_samples(rng):
    spec = SPECS["digits"]
    x, y = spec.data(3, rng)
    net, expected = spec.network(), spec.network()
    net.fit(x, y, batch_size=100, shuffle=False, verbose=False)
    expected.train_on_batch(x, y)
    assert net.weights_hash() == expected.weights_hash()
    assert np.isfinite(net.train_on_batch(x[:1], y[:1])) and net.predict(x[:1]).shape == (1, 10)


def test_train_on_batch_gives_the_loss_before_the_step(rng):
    spec = SPECS["digits"]
    net, (x, y) = spec.network(), spec.data(5, rng)
    loss, _ = net.evaluate(x, y)
    assert net.train_on_batch(x, y) == pytest.approx(loss, abs=1e-6)
    assert net.evaluate(x, y)[0] < loss


def test_mean_losses_are_summed_with_compensation(rng):
    """A plain sum of float32 would be off by many times this."""
    spec = SPECS["digits"]
    net, (x, y) = spec.network(), spec.data(3000, rng)
    losses = [net.evaluate(x[i : i + 1], y[i : i + 1])[0] for i in range(len(x))]
    assert abs(net.evaluate(x, y)[0] / np.mean(losses) - 1) < 1.2e-7


def test_learning_rate_zero_and_schedules(rng):
    spec = SPECS["one_layer"]
    net, (x, y) = spec.network(optimizer=dict(learning_rate=0.5)), spec.data(5, rng)
    before = net.get_weights()
    net.learning_rate = 0.0
    net.train_on_batch(x, y)
    assert all(map(same_bits, before, net.get_weights()))
    net.learning_rate = 0.25
    assert net.learning_rate == 0.25
    net.train_on_batch(x, y)
    expected = spec.reference(before)
    expected.optimizer = reference.SGD(0.25)
    expected.train_on_batch(x, y)
    np.testing.assert_allclose(net.get_weights()[0], expected.weights[0], atol=1e-6)


def test_data_of_other_layout_and_precision(rng):
    spec = SPECS["digits"]
    net, (x, y) = spec.network(), spec.data(6, rng)
    expected = net.predict(x)
    assert same_bits(net.predict(x.astype(np.float64)), expected)
    assert same_bits(net.predict(np.asfortranarray(x)), expected)
    assert same_bits(net.predict(x[::-1])[::-1], expected)
    assert same_bits(net.predict(x.astype(">f4")), expected)
    x.flags.writeable = False
    assert same_bits(net.predict(x), expected)
    for kind in (np.int8, np.uint8, np.int64, ">i4"):
        assert net.evaluate(x, y.astype(kind)) == net.evaluate(x, y)
    assert net.evaluate(x, list(map(int, y))) == net.evaluate(x, y)


def test_progress_is_a_line_per_epoch_and_silent_on_request(rng, capfd):
    spec = SPECS["digits"]
    net, (x, y) = spec.network(), spec.data(6, rng)
    net.fit(x, y, epochs=3, verbose=False)
    assert capfd.readouterr() == ("", "")
    net.fit(x, y, epochs=3)
    lines = "".join(capfd.readouterr()).strip().splitlines()
    assert len(lines) == 3 and all("loss" in line for line in lines)


def test_summary_tells_shapes_costs_and_whether_it_fits(capsys):
    net = SPECS["digits"].network()
    text = net.summary(board="crazyflie21", print_fn=None)
    assert capsys.readouterr() == ("", "")
    assert net.summary(board="crazyflie21") is None, "an interpreter would print it a second time"
    assert capsys.readouterr().out == text + "\n"
    assert "1898" in text.replace(",", "").replace(" ", "") or "1,898" in text
    for expected in ("Conv2d", "MaxPool2d", "Dense", "8", "fits", "crazyflie21"):
        assert expected in text, expected
    digits = text.replace(",", "").replace(" ", "").replace("_", "")
    macs = 64 * 9 * 8 + 16 * 9 * 8 * 16 + 64 * 10
    assert str(macs) in digits and str(net.arena_bytes) in digits
    huge = cge.Network((64, 64, 3), [cge.Conv2d(64, 3), cge.Dense(10)], "softmax_cross_entropy", cge.SGD(0.1))
    assert "does not fit" in huge.summary(board="crazyflie21", print_fn=None)
    with pytest.raises(ValueError, match="board.*crazyflie21"):
        net.summary(board="crazyfly")


def test_networks_without_loss_predict_only(rng):
    net = cge.Network((4, 4, 1), [cge.Conv2d(2, 3), cge.ReLU()])
    x = rng.normal(size=(3, 4, 4, 1)).astype(np.float32)
    np.testing.assert_allclose(net.predict(x), np.maximum(reference.conv2d_forward(x, *net.get_weights()), 0), atol=1e-5)
    for call in (net.train_on_batch, net.fit, net.evaluate):
        with pytest.raises(ValueError, match="loss|optimizer"):
            call(x, np.zeros(3, np.int64))


def test_threads_share_a_network(rng):
    """Calls run without the GIL; each must see the network whole."""
    spec = SPECS["camera"]
    net, (x, _) = spec.network(), spec.data(200, rng)
    expected = [net.predict(x[i : i + 5]) for i in range(0, 200, 5)]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda i: net.predict(x[i : i + 5]), list(range(0, 200, 5)) * 5))
    assert all(same_bits(result, expected[i % 40]) for i, result in enumerate(results))


# ---- learning ----------------------------------------------------------------------------------------------


def test_learns_the_digits_quickly():
    (x, y), (xt, yt) = cge.datasets.load_digits()
    assert x.shape[1:] == xt.shape[1:] == (8, 8, 1) and len(x) + len(xt) == 1797
    net = SPECS["digits"].network(seed=1)
    history = net.fit(x, y, epochs=8, batch_size=32, validation_data=(xt, yt), seed=1, verbose=False)
    assert history["val_accuracy"][-1] > 0.95 and history["val_loss"][-1] < 0.2


def test_learns_xor():
    x, y = np.float32([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])
    net = cge.Network((2,), [cge.Dense(8), cge.Tanh(), cge.Dense(2)], "softmax_cross_entropy", cge.SGD(0.5, momentum=0.9))
    net.fit(x, y, epochs=300, batch_size=4, verbose=False)
    assert net.evaluate(x, y).accuracy == 1


def test_a_batch_of_other_layout_teaches_the_same(rng):
    spec = SPECS["digits"]
    x, y = spec.data(6, rng)
    misaligned = np.ndarray(x.shape, x.dtype, bytearray(x.nbytes + 1), 1)
    misaligned[...] = x
    frozen = x.copy()
    frozen.flags.writeable = False
    layouts = [(x.repeat(2, axis=0)[::2], y), (x, y.repeat(2)[::2]), (np.asfortranarray(x), y), (misaligned, y), (frozen, y)]
    expected = spec.network()
    loss = expected.train_on_batch(x, y)
    for other_x, other_y in layouts:
        net = spec.network()
        assert net.train_on_batch(other_x, other_y) == loss
        assert net.to_bytes() == expected.to_bytes()


def test_a_capacity_is_one_where_not_even_that_fits():
    """Then the arena says what is missing."""
    model = SPECS["digits"].network()._model
    assert [model.capacity_within(1, most, training=True) for most in (1, 2, 7, 8)] == [1, 1, 1, 1]
