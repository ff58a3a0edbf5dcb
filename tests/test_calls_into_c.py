"""Every call of Network into the C core: the network's lock is held, and a status that is no CGE_OK becomes an exception.

A double of the compiled module stands between: it notes each call, asks whether the lock was held, and fails on demand.
"""

import inspect

import numpy as np
import pytest

import convgrad_embedded as cge
from convgrad_embedded import _again, _c_model, _core, _native, _runtime
from convgrad_embedded._runtime import Targets

INTO_C = (_core, _c_model, _runtime)  # modules that call it; _again.py only what one of them gives
OK_OR_ERROR = {"enum cge_status", "cge_status", "int32_t"}
SAMPLES = np.random.default_rng(1).standard_normal((8, 6, 6, 2)).astype(np.float32)
LABELS = np.arange(8, dtype=np.int32) % 3


class Lock:
    """A lock that knows whether it is held, around the real one."""

    def __init__(self, real):
        self.real, self.depth = real, 0

    def __enter__(self):
        self.real.__enter__()
        self.depth += 1

    def __exit__(self, *error):
        self.depth -= 1
        return self.real.__exit__(*error)

    def acquire(self, *arguments, **keywords):
        got = self.real.acquire(*arguments, **keywords)
        self.depth += got
        return got

    def release(self):
        self.depth -= 1
        self.real.release()

    @property
    def held(self):
        return self.depth > 0


class Library:
    """The compiled module's functions; `calls` are (name, whether the lock of the network at hand was held)."""

    def __init__(self):
        self.calls, self.lock, self.failing, self.status = [], None, (), _native.lib.CGE_ERR_MODE

    def __getattr__(self, name):
        function = getattr(_native.lib, name)
        if not inspect.isbuiltin(function):
            return function

        def call(*arguments):
            self.calls.append((name, self.lock is not None and self.lock.held))
            if name in self.failing:
                return self.status
            return function(*arguments)

        return call

    def statuses(self):
        """The functions called so far whose result is a status."""
        names = dict.fromkeys(name for name, _ in self.calls if name.startswith("cge_"))
        return [name for name in names if _native.ffi.typeof(getattr(_native.lib, name)).result.cname in OK_OR_ERROR]


class Watched(np.ndarray):
    """The network's parameters in the arena: notes each access to numbers."""

    library = None

    def note(self, what):
        if not np.shares_memory(self, self.library.params):
            return  # a copy
        self.library.calls.append((what, self.library.lock.held))

    def copy(self, *arguments, **keywords):
        self.note("parameters read")
        return np.array(self)

    def __setitem__(self, key, value):
        self.note("parameters written")
        super().__setitem__(key, value)


@pytest.fixture
def library(monkeypatch):
    double = Library()
    for module in INTO_C:
        monkeypatch.setattr(module, "lib", double)
    return double


def network(library=None, threads=1, memory="fast"):
    layers = [cge.Conv2d(3, 3), cge.ReLU(), cge.MaxPool2d(2), cge.Dense(3)]
    net = cge.Network((6, 6, 2), layers, "softmax_cross_entropy", cge.SGD(0.05, momentum=0.5), threads=threads, memory=memory)
    if library is not None:
        runtime = net._runtime
        runtime.lock = library.lock = Lock(runtime.lock)
        library.params = runtime.params
        runtime.params = runtime.params.view(Watched)
        Watched.library = library
        library.calls.clear()
    return net


WEIGHTS = network().get_weights()


def set_learning_rate(net):
    net.learning_rate = 0.25


def set_momentum(net):
    net.momentum = 0.25


def save_to(path):
    return lambda net: net.save(path / "network.cge")


SLICED = {  # in pieces: of networks that have them
    "train_begin": lambda net: net.train_begin(SAMPLES, LABELS),
    "evaluate_begin": lambda net: net.evaluate_begin(SAMPLES, LABELS),
    "predict_begin": lambda net: net.predict_begin(SAMPLES),
    "resume": lambda net: (net.train_begin(SAMPLES, LABELS), net.resume()),
    "abort": lambda net: (net.train_begin(SAMPLES, LABELS), net.abort()),
    "step_result": lambda net: (net.train_begin(SAMPLES, LABELS), net.resume(), net.step_result),
    "largest_slice_macs": lambda net: net.largest_slice_macs,
}
METHODS = {  # every public method and property that is more than an attribute, and how it is called
    "fit": lambda net: net.fit(SAMPLES, LABELS, batch_size=3, validation_data=(SAMPLES, LABELS), verbose=False),
    "train_on_batch": lambda net: net.train_on_batch(SAMPLES, LABELS),
    "accumulate": lambda net: net.accumulate(SAMPLES, LABELS),
    "update": lambda net: (net.accumulate(SAMPLES, LABELS), net.update()),
    "zero_gradients": lambda net: net.zero_gradients(),
    "clip_gradient_norm": lambda net: (net.accumulate(SAMPLES, LABELS), net.clip_gradient_norm(1.0)),
    "clip_gradient_value": lambda net: (net.accumulate(SAMPLES, LABELS), net.clip_gradient_value(1.0)),
    "gradients": lambda net: net.gradients(SAMPLES, LABELS),
    "predict": lambda net: net.predict(SAMPLES),
    "evaluate": lambda net: net.evaluate(SAMPLES, LABELS),
    "initialize": lambda net: net.initialize(3),
    "get_weights": lambda net: net.get_weights(),
    "set_weights": lambda net: net.set_weights(WEIGHTS),
    "weights_hash": lambda net: net.weights_hash(),
    "to_bytes": lambda net: net.to_bytes(),
    "learning_rate": set_learning_rate,
    "momentum": set_momentum,
    "set_learning_rate_factor": lambda net: net.set_learning_rate_factor(0.5, upto=-1),
    **SLICED,
}
# Methods that are made of these (save of to_bytes ..), work on networks of their own or read what never changes.
OTHERS = {
    "save", "load", "from_bytes", "gradcheck", "export", "summary", "layer_infos", "optimizer", "step_count", "param_count",
    "history", "arena_bytes", "inference_arena_bytes", "peak_bytes", "bound_bytes", "range_bytes", "plan",
    "schedule", "fold", "freeze", "split",
    "from_onnx", "from_tflite", "from_torch", "from_keras", "from_safetensors", "to_onnx", "state_dict", "import_notes",
}  # fmt: skip
CALLS = {
    **METHODS,
    "fit with a seed": lambda net: net.fit(SAMPLES, LABELS, seed=7, verbose=False),
    "fit with clipping": lambda net: net.fit(SAMPLES, LABELS, clip_norm=1.0, clip_value=1.0, verbose=False),
    "predict one": lambda net: net.predict(SAMPLES[:1]),
    "a step with its gradients": lambda net: net._runtime.step_with_gradients(SAMPLES, Targets(LABELS, None)),
    "conversion": lambda net: net.train_on_batch(SAMPLES.astype(np.float64), LABELS.astype(np.int64)),
}


def memory_for(name):
    return "small_sliced" if name in SLICED else "fast"


def test_every_public_method_is_listed():
    public = {name for name, _ in inspect.getmembers(cge.Network) if not name.startswith("_")}
    assert public == METHODS.keys() | OTHERS
    assert not METHODS.keys() & OTHERS


GUARDED = {  # what touches a network that other threads may use
    "parameters read", "parameters written", "optimizer written", "cge_network_forward", "cge_network_evaluate_part",
    "cge_network_accumulate", "cge_network_train_batch", "cge_network_train_epoch_part", "cge_network_init_params",
    "cge_network_params_hash", "cge_network_train_labelled", "cge_network_saved_bytes", "cge_network_save",
    "cge_network_evaluate_labelled",
    "cge_network_restore", "cge_rng_seed", "cge_rng_shuffle", "cge_network_train_begin", "cge_network_evaluate_begin",
    "cge_network_forward_begin", "cge_network_resume", "cge_network_abort", "cge_network_largest_slice",
    "cge_network_zero_grads", "cge_network_update", "cge_network_clip_norm",
    "cge_network_clip_value",
}  # fmt: skip
UNGUARDED = {"cge_network_init", "cge_network_arena_bytes"}  # nobody else has the network yet; no network


class SpyOptimizer:
    """A network's cge_optimizer that notes when it is written."""

    def __init__(self, c, library):
        self.__dict__.update(c=c, library=library)

    def __getattr__(self, name):
        return getattr(self.c, name)

    def __setattr__(self, name, value):
        self.library.calls.append(("optimizer written", self.library.lock.held))
        setattr(self.c, name, value)


class SpyNetwork:
    """A cge_network with such an optimizer."""

    def __init__(self, c, library):
        self.optimizer = SpyOptimizer(c.optimizer, library)
        self.step = c.step


class SpyModel:
    """A model whose rows note that, too."""

    def __init__(self, c, library):
        self.table = [SpyOptimizer(row, library) for row in c.table]


@pytest.mark.parametrize("name", CALLS)
def test_the_lock_is_held_in_every_call(name, library):
    net = network(library, memory=memory_for(name))
    if name in ("learning_rate", "momentum"):  # written into the network's struct, without a call
        net._runtime._net = SpyNetwork(net._runtime._net, library)
    if name == "set_learning_rate_factor":
        net._runtime._model = SpyModel(net._runtime._model, library)
    CALLS[name](net)
    guarded = [call for call in library.calls if call[0] in GUARDED]
    assert guarded
    assert [call for call, held in guarded if not held] == []
    assert not library.lock.held


def test_every_function_on_networks_is_known_to_these_tests():
    """A new one belongs to GUARDED or to UNGUARDED."""
    source = "".join(map(inspect.getsource, INTO_C))
    used = {name for name in dir(_native.lib) if name.startswith("cge_network_") and not name.endswith("_f64")}
    used = {name for name in used if f'"{name.removeprefix("cge_")}"' in source or f"lib.{name}(" in source}
    used |= {f"cge_network_{name}" for name in ("forward", "evaluate_part", "accumulate", "train_batch", "train_epoch_part")}
    used |= {f"cge_network_{name}_begin" for name in ("train", "evaluate", "forward")}
    assert used == {name for name in GUARDED | UNGUARDED if name.startswith("cge_network_")}


@pytest.mark.parametrize("name", ["restore", "accumulate"])
def test_the_lock_is_held_in_calls_on_networks_just_made(name, library):
    runtime = network(library)._runtime
    arguments = {"restore": (FILE, "data"), "accumulate": (SAMPLES, Targets(LABELS, None))}
    getattr(runtime, name)(*arguments[name])
    assert [call for call in library.calls if call[0] in GUARDED] == [(f"cge_network_{name}", True)]


# ---- statuses -----------------------------------------------------------------------------------------------------------


def construct(net):
    return network(threads=2)


def load(net):
    return cge.Network.from_bytes(FILE)


FILE = network().to_bytes()
USES = {
    **{name: call for name, call in CALLS.items() if name != "abort"},  # whose CGE_ERR_MODE means that it is too late
    "Network": construct,
    "from_bytes": load,
    "gradcheck": lambda net: net.gradcheck(SAMPLES[:1], LABELS[:1]),
    "save": None,  # with a path, below
    "arena_bytes": lambda net: (net.arena_bytes, net.inference_arena_bytes),
    "conv2d_forward": lambda net: cge.conv2d_forward(SAMPLES, np.ones((3, 3, 2, 1), np.float32)),
    "maxpool2d_forward": lambda net: cge.maxpool2d_forward(SAMPLES, 2),
    "dense_forward": lambda net: cge.dense_forward(np.ones((2, 3)), np.ones((3, 4))),
    "softmax_cross_entropy_forward": lambda net: cge.softmax_cross_entropy_forward(np.ones((2, 3)), [1, 2]),
    "relu_forward": lambda net: cge.relu_forward(np.ones(3)),
}


INSTEAD = {  # what is called when this fails
    "cge_network_train_labelled": "cge_network_train_batch",
    "cge_network_evaluate_labelled": "cge_network_evaluate_part",
}


def use(name, net, path):
    for operator in _again.OPERATORS.values():  # calls that were checked keep their function
        operator.clear()
    (save_to(path) if name == "save" else USES[name])(net)


@pytest.mark.parametrize("name", USES)
def test_every_status_is_looked_at(name, library, tmp_path):
    """Each function that a call uses fails once; Python raises what its status says."""
    use(name, network(library, memory=memory_for(name)), tmp_path)
    functions = library.statuses()
    assert functions or name in ("get_weights", "learning_rate", "momentum", "set_learning_rate_factor", "set_weights")
    for function in functions:
        for status, error in ((_native.lib.CGE_ERR_MODE, ValueError), (_native.lib.CGE_ERR_NOT_FINITE, cge.NotFiniteError)):
            library.failing = ()
            net = network(library, memory=memory_for(name))
            library.failing, library.status = (function, INSTEAD.get(function)), status
            text = _native.ffi.string(_native.lib.cge_status_text(status)).decode()
            with pytest.raises(error) as raised:
                use(name, net, tmp_path)
            assert text in str(raised.value), f"{function}: {raised.value}"
            assert type(raised.value) is error, function


def test_nothing_is_left_locked_by_an_error(library):
    net = network(library)
    for name, function in (
        ("predict", "cge_network_forward"),
        ("evaluate", "cge_network_evaluate_labelled"),
        ("fit", "cge_network_train_epoch_part"),
    ):
        library.failing = (function, INSTEAD.get(function))
        with pytest.raises(ValueError):
            METHODS[name](net)
        assert not library.lock.held
    library.failing = ()
    assert net.predict(SAMPLES).shape == (8, 3)


def test_the_double_sees_a_lock_that_is_missing(library):
    """The test of the test: without the lock the calls are noted as unguarded."""
    net = network(library)
    net._runtime._forward(net._runtime._net, _native.ffi.NULL, 0, _native.ffi.NULL)
    assert library.calls[-1] == ("cge_network_forward", False)
