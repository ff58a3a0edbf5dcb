"""The onnx package as an oracle: its checker, its reference evaluator, its cases of operators and the models it ships."""

import warnings
from pathlib import Path

import numpy as np
import oracles
import pytest
from graphs import random_graph

import convgrad_embedded as cge

onnx = oracles.need("onnx")
from onnx import numpy_helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

DATA = Path(onnx.__file__).parent / "backend" / "test" / "data"
LISTED = (Path(__file__).parent / "onnx_cases.txt").read_text().split()


def operator_cases():
    import onnx.backend.test.case.node as node_cases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            case.name: (case.model, case.data_sets) for case in node_cases.collect_testcases(None) if case.model is not None
        }


def shipped_cases():
    cases = {}
    for folder in DATA.glob("*/*/model.onnx"):
        first = folder.parent / "test_data_set_0"
        arrays = [
            [numpy_helper.to_array(onnx.load_tensor(path)) for path in sorted(first.glob(f"{kind}_*.pb"))]
            for kind in ("input", "output")
            if folder.parent.parent.name.startswith("pytorch")
        ]
        if arrays:
            cases[folder.parent.name] = (onnx.load(folder), [arrays])
    return cases


ROUNDED = {"test_averagepool_2d_ceil_last_window_starts_on_pad"}  # its numbers have four digits


def check(model, data_sets, path, tolerance=1e-5):
    """All inputs but the first become constants: in these cases weights are inputs too."""
    for inputs, outputs in data_sets:
        inputs = [np.asarray(array) for array in inputs]
        own = onnx.ModelProto()
        own.CopyFrom(model)
        for info, array in zip(list(own.graph.input)[1:], inputs[1:]):
            own.graph.initializer.append(numpy_helper.from_array(array, info.name))
        del own.graph.output[1:]
        path.write_bytes(own.SerializeToString())
        net = cge.Network.from_onnx(path)
        x = oracles.channels_last(inputs[0].astype(np.float32))
        got = net.predict(x.reshape(len(x), *net.input_shape))
        want = oracles.channels_last(np.asarray(outputs[0])).reshape(got.shape)
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


def check_types(data_sets):
    for inputs, _ in data_sets:
        kind = getattr(inputs[0], "dtype", None) if inputs else None
        if kind not in (np.float32, np.float64) or np.abs(inputs[0]).max(initial=0) > 1e30:
            raise ValueError("its input is no float32")


def run(cases, path):
    """Names of the cases that passed, and why others could not run."""
    passed, reasons = [], {}
    for name, (model, data_sets) in cases.items():
        try:
            check_types(data_sets)
            check(model, data_sets, path, 1e-4 if name in ROUNDED else 1e-5)
        except ValueError as error:
            reasons[name] = str(error)
        except NotImplementedError as error:  # onnx's own, of types that NumPy does not have
            reasons[name] = f"onnx: {error}"
        else:
            passed.append(name)
    return passed, reasons


@pytest.mark.parametrize("cases", [operator_cases, shipped_cases])
def test_every_case_that_our_layers_can_express(tmp_path, cases):
    """A case is wrong, or passes, or is refused with a reason; those that passed once go on passing."""
    found = cases()
    assert len(found) > 100
    passed, reasons = run(found, tmp_path / "case.onnx")
    assert [(name, reasons[name]) for name in LISTED if name in reasons] == []
    print(f"{len(passed)} of {len(found)} passed, the others:")
    print(*(f"{name}: {reason}" for name, reason in reasons.items()), sep="\n")
    new = sorted(set(passed) - set(LISTED))
    assert new == [], "append these to tests/onnx_cases.txt"


@pytest.mark.parametrize("seed", range(12))
def test_what_we_write_is_valid_and_computes_the_same(tmp_path, seed):
    arguments, _, _ = random_graph(seed, usual_alone=True)
    net = cge.Network(inputs=arguments["inputs"], outputs=arguments["outputs"], seed=seed)
    net.to_onnx(tmp_path / "net.onnx")
    model = onnx.load(tmp_path / "net.onnx")
    onnx.checker.check_model(model, full_check=True)
    x = np.random.default_rng(seed).normal(size=(2, *net.input_shape)).astype(np.float32)
    want = ReferenceEvaluator(model).run(None, {"x": x.transpose(0, 3, 1, 2) if x.ndim == 4 else x})[0]
    got = net.predict(x)
    np.testing.assert_allclose(
        got.transpose(0, 3, 1, 2) if got.ndim == 4 else got,
        want.reshape(got.transpose(0, 3, 1, 2).shape if got.ndim == 4 else got.shape),
        atol=1e-4,
    )


def test_bytes_as_input_are_computed_as_numbers(tmp_path):
    net = cge.Network((4, 4, 1), [cge.Conv2d(2, 3)], input_scale=1 / 64, input_offset=7, seed=1)
    net.to_onnx(tmp_path / "net.onnx")
    model = onnx.load(tmp_path / "net.onnx")
    onnx.checker.check_model(model, full_check=True)
    x = np.arange(32, dtype=np.uint8).reshape(2, 4, 4, 1)
    want = ReferenceEvaluator(model).run(None, {"x": x.transpose(0, 3, 1, 2)})[0]
    np.testing.assert_allclose(net.predict(x).transpose(0, 3, 1, 2), want, atol=1e-5)
