"""Training that was saved, copied or sent to another process goes on with the same bits, shuffles included."""

import copy
import pickle
import struct
import subprocess
import sys

import numpy as np
import pytest
from capi import ffi, ok
from cnet import CNetwork
from nets import SPECS
from old_files import older, sealed

import convgrad_embedded as cge

each_spec = pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)


def through_a_file(net, tmp_path):
    net.save(tmp_path / "net.cge")
    return cge.Network.load(tmp_path / "net.cge")


WAYS = {
    "file": through_a_file,
    "bytes": lambda net, _: cge.Network.from_bytes(net.to_bytes()),
    "copy": lambda net, _: copy.copy(net),
    "deepcopy": lambda net, _: copy.deepcopy(net),
    "pickle": lambda net, _: pickle.loads(pickle.dumps(net)),
}
each_way = pytest.mark.parametrize("way", WAYS)


@each_way
@each_spec
def test_three_epochs_and_three_more_are_six(spec, way, rng, tmp_path):
    """The order of samples goes on, too: it is drawn from the network's stream, which is in the file."""
    x, y = spec.data(11, rng)
    whole, net = spec.network(seed=3), spec.network(seed=3)
    whole.fit(x, y, epochs=6, batch_size=4, verbose=False)
    net.fit(x, y, epochs=3, batch_size=4, verbose=False)
    resumed = WAYS[way](net, tmp_path)
    resumed.fit(x, y, epochs=3, batch_size=4, verbose=False)
    assert resumed.weights_hash() == whole.weights_hash() and resumed.to_bytes() == whole.to_bytes()


def test_a_seed_of_fit_starts_the_networks_stream_anew(rng):
    """So a run that was begun with a seed can be resumed without one."""
    spec = SPECS["digits"]
    x, y = spec.data(11, rng)
    whole, net = spec.network(), spec.network()
    whole.fit(x, y, epochs=4, batch_size=4, seed=9, verbose=False)
    net.fit(x, y, epochs=1, batch_size=4, seed=9, verbose=False)
    resumed = cge.Network.from_bytes(net.to_bytes())
    resumed.fit(x, y, epochs=3, batch_size=4, verbose=False)
    assert resumed.to_bytes() == whole.to_bytes()


def test_the_stream_is_the_cores(rng):
    """Firmware that shuffles with cge_network.rng visits the samples in fit's order."""
    spec = SPECS["digits"]
    x, y = spec.data(9, rng)
    net = spec.network(seed=12)
    twin, loss = CNetwork(net.to_bytes()), np.zeros(1, np.float32)
    history = net.fit(x, y, epochs=3, batch_size=4, verbose=False)
    losses = []
    for _ in range(3):
        order = np.arange(9, dtype=np.int32)
        ok("rng_shuffle", ffi.addressof(twin.c, "rng"), order, 9)
        ok("network_train_epoch", twin.c, x, twin.targets(y), order, 9, 4, loss)
        losses.append(float(loss[0]))
    assert twin.numbers("params").tobytes() == b"".join(w.tobytes() for w in net.get_weights())
    assert losses == history["loss"], "to the last bit"


@each_way
def test_feistel_orders_go_on(way, rng, tmp_path):
    """With a seed and without one, as stored orders do."""
    spec = SPECS["digits"]
    x, y = spec.data(11, rng)
    for seed in (None, 7):
        whole, net = spec.network(seed=3), spec.network(seed=3)
        options = {"batch_size": 4, "shuffle": "feistel", "verbose": False}
        whole.fit(x, y, epochs=4, seed=seed, **options)
        net.fit(x, y, epochs=1, seed=seed, **options)
        resumed = WAYS[way](net, tmp_path)
        resumed.fit(x, y, epochs=3, **options)
        assert resumed.to_bytes() == whole.to_bytes()


def test_feistel_orders_are_those_of_a_board(rng):
    """A loop in C that stores none, with seed and epoch in the stream's state; and cge.data has the orders."""
    spec = SPECS["digits"]
    x, y = spec.data(9, rng)
    net = spec.network(seed=12)
    twin, loss, losses = CNetwork(net.to_bytes()), np.zeros(1, np.float32), []
    by_hand = cge.Network.from_bytes(net.to_bytes())
    history = net.fit(x, y, epochs=3, batch_size=1, shuffle="feistel", seed=2**32 - 1, verbose=False)
    twin.c.rng.state = (2**32 - 1) << 32
    for epoch in range(3):
        place, total = np.zeros(1, np.int32), 0.0
        for index in range(9):
            ok("permute", 9, twin.c.rng.state >> 32, twin.c.rng.state % 2**32, index, 1, place)
            i = place[0]
            ok("network_train_batch", twin.c, x[i : i + 1], twin.targets(y[i : i + 1]), 1, loss)
            total += float(loss[0])
        twin.c.rng.state += 1
        losses.append(total / 9)
        order = cge.data.permutation(9, 2**32 - 1, epoch)
        by_hand.fit(x[order], y[order], batch_size=1, shuffle=False, verbose=False)
    assert twin.numbers("params").tobytes() == b"".join(w.tobytes() for w in net.get_weights())
    assert np.allclose(losses, history["loss"], rtol=1e-6) and by_hand.weights_hash() == net.weights_hash()


def test_the_last_feistel_order_is_followed_by_the_first():
    """The state is any number, drawn by a stream of stored orders."""
    net = SPECS["digits"].network()
    net._runtime._net.rng.state = 2**64 - 1
    orders = [net._runtime.permutation(50, stored=False).tolist() for _ in range(2)]
    assert orders == [cge.data.permutation(50, *last).tolist() for last in ((2**32 - 1, 2**32 - 1), (0, 0))]


@each_way
def test_copies_keep_what_does_not_change_the_bits(way, rng, tmp_path):
    spec = SPECS["digits"]
    net = spec.network(capacity=7, threads=3)
    net.fit(*spec.data(6, rng), epochs=2, verbose=False)
    net.learning_rate, net.momentum = 0.015625, 0.5
    twin = WAYS[way](net, tmp_path)
    assert (twin.learning_rate, twin.momentum, twin.optimizer) == (0.015625, 0.5, net.optimizer)
    if way in ("file", "bytes"):
        return  # another machine's: Network.load(path, capacity=..., threads=...)
    assert twin._runtime._net.options.capacity == 7
    assert twin._runtime._net.options.executor.threads == 3
    assert twin.history == net.history and len(twin.history["loss"]) == 2
    twin.train_on_batch(*spec.data(2, rng))
    assert twin.weights_hash() != net.weights_hash(), "a copy has weights of its own"


def test_loading_keeps_its_arguments(rng, tmp_path):
    net = SPECS["digits"].network()
    net.save(tmp_path / "net.cge")
    loaded = cge.Network.load(tmp_path / "net.cge", capacity=5, threads=2)
    assert loaded._runtime._net.options.capacity == 5 and loaded._runtime._net.options.executor.threads == 2


CHILD = """
import pickle, sys
import numpy as np
net, x, y = pickle.load(sys.stdin.buffer)
net.fit(x, y, epochs=2, batch_size=4, verbose=False)
print(net.weights_hash(), net._runtime._net.options.executor.threads)
"""


def test_another_process_goes_on(rng):
    """What multiprocessing does with the spawn method."""
    spec = SPECS["digits"]
    x, y = spec.data(11, rng)
    net = spec.network(threads=2)
    net.fit(x, y, epochs=1, batch_size=4, verbose=False)
    sent = pickle.dumps((net, x, y))
    net.fit(x, y, epochs=2, batch_size=4, verbose=False)
    done = subprocess.run([sys.executable, "-c", CHILD], input=sent, stdout=subprocess.PIPE, check=True, timeout=120)
    assert done.stdout.decode().split() == [net.weights_hash(), "2"]


class Derived(cge.Network):
    """Somebody's own."""

    note = ""


def test_copies_of_a_subclass_are_of_the_subclass():
    net = Derived((4,), [cge.Dense(2)])
    net.note = "mine"  # the class declares it
    assert type(copy.copy(net)) is type(pickle.loads(pickle.dumps(net))) is Derived


def test_files_of_version_1_load(rng):
    """Their stream begins with seed 0."""
    spec = SPECS["camera"]
    x, y = spec.data(9, rng)
    net = spec.network(seed=6)
    net.fit(x, y, epochs=2, batch_size=4, verbose=False)
    loaded = cge.Network.from_bytes(older(net.to_bytes(), 1))
    assert loaded.weights_hash() == net.weights_hash() and loaded.step_count == net.step_count
    net.fit(x, y, epochs=2, batch_size=4, seed=0, verbose=False)
    loaded.fit(x, y, epochs=2, batch_size=4, verbose=False)
    assert loaded.to_bytes() == net.to_bytes()


@pytest.mark.parametrize("version", [0, 5, 2**31, 2**32 - 1])
def test_other_versions_do_not(version):
    body = bytearray(SPECS["digits"].network().to_bytes()[:-4])
    struct.pack_into("<I", body, 4, version)
    with pytest.raises(ValueError, match="version"):
        cge.Network.from_bytes(sealed(body))


def test_a_file_that_claims_the_other_version_is_refused():
    data = SPECS["digits"].network().to_bytes()
    for whole, version in ((data, 1), (data, 2), (data, 3), (older(data, 1), 2), (older(data, 3), 4)):
        body = bytearray(whole[:-4])
        struct.pack_into("<I", body, 4, version)
        with pytest.raises(ValueError, match="data:"):
            cge.Network.from_bytes(sealed(body))


def test_every_state_of_the_stream_is_saved_and_restored():
    net = SPECS["one_layer"].network()
    for state in (0, 1, 2**63, 2**64 - 1, 0x0123456789ABCDEF):
        net._runtime._net.rng.state = state
        loaded = cge.Network.from_bytes(net.to_bytes())
        assert loaded._runtime._net.rng.state == state
        assert loaded._runtime._net.rng.increment == net._runtime._net.rng.increment == 109
        assert loaded._runtime.permutation(20).tolist() == net._runtime.permutation(20).tolist()
