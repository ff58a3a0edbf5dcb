"""The benchmarks run, agree with themselves, and notice when something became worse. No time is tested."""

import csv
import importlib.util
import math
import subprocess
import sys

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def find_benchmarks(root, monkeypatch):
    monkeypatch.syspath_prepend(str(root / "benchmarks"))


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(path, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_names_say_what_a_shape_is():
    import cases

    assert len(cases.SHAPES) == len({shape.name for shape in cases.SHAPES}) == 13
    assert cases.Shape(16, 32, 16, 3, stride=2, padding=1).name == "16->32 16 k3s2p1"
    assert cases.Shape(48, 48, 16, 3, padding=1, groups=48).name == "depthwise 48 16 k3p1"
    assert cases.Shape(16, 16, 16, 3, dilation=2, padding=2).macs == 16 * 16 * 16 * 16 * 9
    assert cases.NETS[0].steps()[0] == ("conv", 8, 3, 1)


def test_kept_features_train_the_same_weights():
    import feature_cache

    row = feature_cache.row("net N", samples=40, epochs=2)
    assert list(row) == feature_cache.FIELDS and row["equal"] is True


def test_steps_of_published_networks_beside_pytorch(root, tmp_path):
    pytest.importorskip("torch")
    target = tmp_path / "models.csv"
    options = ["--nets", "ResNet-8", "--batches", "1", "--rounds", "1", "--seconds", "0", "--csv", target]
    command = [sys.executable, root / "benchmarks" / "model_steps.py", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = read(target)
    assert [(row["net"], row["batch"], row["arithmetic"]) for row in rows] == [("ResNet-8", "1", a) for a in ("exact", "fused")]
    for row in rows:
        assert float(row["ratio"]) >= float(row["best_ratio"]) > 0 and float(row["ours_us"]) > 0


def test_pytorchs_networks_are_ours():
    """As many parameters (torch_model compares them) and as many numbers in every output."""
    torch = pytest.importorskip("torch")
    import model_steps

    for make in model_steps.NETS.values():
        net = make("batch", seed=1)
        model, sizes = model_steps.torch_model(net), []
        for module in model.children():
            module.register_forward_hook(lambda module, inputs, output: sizes.append(output.numel()))
        model(torch.zeros(1, *(net.input_shape[i] for i in (2, 0, 1))))
        wanted = [math.prod(i.out_shape) for i, layer in zip(net.layer_infos, net.layers) if type(layer).__name__ != "Add"]
        assert sizes == wanted


def test_host_benchmark_runs_and_all_kernel_sets_agree(root, tmp_path):
    """bench.py itself compares each result with the reference's, bit for bit, before it takes times."""
    import cases

    target = tmp_path / "host.csv"
    command = [sys.executable, root / "benchmarks" / "bench.py", "--quick", "--csv", target]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = read(target)
    wanted = {("kernel", shape.name, name) for shape in cases.SHAPES for name in cases.PASSES}
    assert wanted <= {(row["kind"], row["case"], row["pass"]) for row in rows}
    assert {"step", "overhead", "threads", "fused"} < {row["kind"] for row in rows}
    calls = {row["pass"]: row for row in rows if row["kind"] == "python"}
    assert {"conv2d_forward", "relu_input_grad", "train_on_batch"} < set(calls) and float(calls["predict"]["reference_us"]) > 0
    assert importlib.util.find_spec("torch") is None or float(calls["dense_forward"]["torch_ratio"]) > 0
    for row in rows:
        assert math.isfinite(float(row["ours_us"])) and float(row["ours_us"]) > 0


def test_a_kernel_that_differs_stops_the_benchmark(monkeypatch):
    import bench
    import ours
    from cases import SHAPES

    class Wrong:
        best = "other"

        def result(self, problem, kernels):
            result = problem.result + 1
            result.flat[0] += kernels == self.best
            return result

    with pytest.raises(SystemExit, match="8->16 14 k3p1, forward, batch 1: other is not equal to ref"):
        bench.check_agreement(Wrong(), ours.problem(SHAPES[1], "forward", 1), [])


BASELINE = [
    {"kind": "kernel", "case": "a", "pass": "forward", "batch": "1", "torch_ratio": "4.00", "instructions": ""},
    {"kind": "", "case": "b", "pass": "forward", "batch": "", "torch_ratio": "", "instructions": "1000"},
]


@pytest.mark.parametrize(
    "row, column, value, worse, shown",
    [
        (0, "torch_ratio", "3.00", 1, "torch_ratio 4.00 -> 3.00  WORSE"),
        (0, "torch_ratio", "3.80", 0, "2 rows, 0 worse"),
        (0, "torch_ratio", "9.00", 0, "torch_ratio 4.00 -> 9.00\n"),
        (1, "instructions", "1020", 1, "instructions 1000 -> 1020  WORSE"),
        (1, "instructions", "1001", 0, "2 rows, 0 worse"),
        (1, "instructions", "900", 0, "instructions 1000 -> 900\n"),
        (1, "case", "c", 1, "b forward: gone"),
    ],
)
def test_a_comparison_marks_what_became_worse(tmp_path, capsys, row, column, value, worse, shown):
    import compare

    changed = [dict(r) for r in BASELINE]
    changed[row][column] = value
    assert compare.compare(write(tmp_path / "new.csv", changed), write(tmp_path / "old.csv", BASELINE)) == worse
    assert shown in capsys.readouterr().out


def test_a_missing_baseline_is_one_line(tmp_path):
    import compare

    with pytest.raises(SystemExit, match="make bench-baseline"):
        compare.compare(tmp_path / "none.csv", tmp_path / "none.csv")


def test_committed_baselines_hold_what_the_picture_shows(root):
    import cases
    import picture

    host = read(root / "benchmarks" / "baselines" / "bench_host.csv")
    kernels = [(row["case"], row["pass"], row["batch"]) for row in host if row["kind"] == "kernel"]
    assert len(kernels) == len(set(kernels)) == len(cases.SHAPES) * len(cases.PASSES) * len(cases.BATCHES)
    bars = picture.host_bars(host)
    assert len(bars) == len(cases.PASSES) * len(cases.BATCHES) + len(cases.NETS) * len(cases.BATCHES)
    assert all("PyTorch" in heights for heights in bars.values())

    ratios = {"dense_forward": "2.50", "predict": ""}
    calls = [{"kind": "python", "pass": name, "torch_ratio": ratio} for name, ratio in ratios.items()]
    assert picture.python_bars([*calls, *host[:3]])["dense\nforward"] == {"PyTorch": 2.5}

    peers = read(root / "benchmarks" / "peers_mcu.csv")
    board = read(root / "benchmarks" / "baselines" / "bench_netduinoplus2.csv")
    bars = picture.board_bars(board, peers)
    assert all(picture.OURS in heights and len(heights) > 1 for heights in bars.values())
    assert {name for heights in bars.values() for name in heights} == {picture.OURS} | {row["package"] for row in peers}
    assert (root / "docs" / "benchmark.svg").stat().st_size < 100_000


def test_models_of_others_agree_with_what_is_predicted_elsewhere(tmp_path):
    import outside_models
    from tflite_files import Model

    m = Model(x=(1, 4))
    m.constant("d", np.eye(3, 4, dtype=np.float32))
    m.op("FULLY_CONNECTED", ["x", "d"], "y", (1, 3), {})
    path = m.write(tmp_path / "eye.tflite")
    row = outside_models.compare(path, lambda path, x: x[:, :3])
    assert row == {"file": "eye.tflite", "parameters": 12, "max_difference": "0.00e+00", "agrees": True}
    assert not outside_models.compare(path, lambda path, x: x[:, :3] + 2e-5)["agrees"]
