"""The command line: what it prints, as text and as JSON, and the status that it ends with."""

import functools
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from host import ROOT

import convgrad_embedded as cge
from convgrad_embedded import _summary, _validate, cli

LAYERS = [cge.Conv2d(8, 3, padding="same"), cge.ReLU(), cge.MaxPool2d(2), cge.Dense(10)]


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "net.cge"
    cge.Network((8, 8, 1), LAYERS, "softmax_cross_entropy", cge.SGD(0.05, momentum=0.9), seed=1).save(path)
    return path


@pytest.fixture
def run(capsys):
    def run(*arguments):
        status = cli.main(list(map(str, arguments)))
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


@pytest.fixture
def told(run):
    """The status and what --json gave."""

    def told(*arguments):
        status, out, _ = run(*arguments, "--json")
        return status, json.loads(out)

    return told


def test_boards(run, told):
    status, report = told("boards")
    crazyflie = next(board for board in report["boards"] if board["name"] == "crazyflie21")
    assert status == 0 and crazyflie["free_ram_bytes"] == 37888 and crazyflie["core"] == "Cortex-M4F"
    status, out, _ = run("boards")
    assert status == 0 and len(out.splitlines()) == len(report["boards"])


def test_summary_is_the_networks(run, told, saved):
    status, out, _ = run("summary", saved, "--board", "crazyflie21")
    assert (status, out) == (0, cge.Network.load(saved).summary(board="crazyflie21", print_fn=None) + "\n")
    report = told("summary", saved)[1]
    assert report["parameters"] == 1370 and report["layers"][0]["output"] == [8, 8, 8]
    assert report["weights"] == cge.Network.load(saved).weights_hash()
    names = ("parameter_bytes", "learning_bytes", "output_bytes", "freezing_saves_bytes")
    told_sizes = [tuple(layer[name] for name in names) for layer in report["layers"]]
    assert told_sizes == _summary.layer_bytes(cge.Network.load(saved)) and told_sizes[0][0] == 320


@pytest.mark.parametrize("memory, status", [("fast", 1), ("smallest", 0)])
def test_size_says_by_its_status_whether_it_fits(told, saved, memory, status):
    ended, report = told("size", saved, "--board", "microbit", "--memory", memory)
    net = cge.Network.load(saved, memory=memory)
    assert ended == status and report["board"]["fits"] == (status == 0)
    assert report["levels"][memory] == {"train": net.arena_bytes, "predict": net.inference_arena_bytes}


def test_plan(run, told, saved):
    status, report = told("plan", saved, 12_000)
    assert status == 0 and report["fits"] and report["arena_bytes"] <= 12_000
    status, report = told("plan", saved, 50)
    assert status == 1 and not report["fits"] and report["missing_bytes"] == report["arena_bytes"] - 50
    assert run("plan", saved, 12_000)[1] == cge.Network.load(saved).plan(12_000).explain() + "\n"


def test_plan_of_several_memories(run, told, saved):
    status, report = told("plan", saved, 6_000, 8_000)
    expected = cge.Network.load(saved).plan([6_000, 8_000])
    assert status == 0 and report["range_bytes"] == list(expected.range_bytes)
    assert run("plan", saved, 6_000, 8_000)[1] == expected.explain() + "\n"


def test_train_evaluate_and_what_they_save(run, told, saved, tmp_path):
    out = tmp_path / "trained.cge"
    status, report = told("train", saved, "--data", "digits", "--epochs", 2, "--out", out)
    assert status == 0 and len(report["history"]["val_accuracy"]) == 2
    (x, y), (x_test, y_test) = cge.datasets.load_digits()
    same = cge.Network.load(saved)
    same.fit(x, y, epochs=2, verbose=0)
    assert same.weights_hash() == report["weights"] == cge.Network.load(out).weights_hash()
    status, report = told("evaluate", out, "--data", "digits")
    assert (status, report["samples"]) == (0, len(x_test))
    assert report["accuracy"] == same.evaluate(x_test, y_test).accuracy
    assert "accuracy" in run("evaluate", out, "--data", "digits")[1]


def test_data_from_a_file(told, saved, tmp_path):
    (x, y), _ = cge.datasets.load_digits()
    np.savez(tmp_path / "some.npz", x=x[:40], y=y[:40])
    assert told("evaluate", saved, "--data", tmp_path / "some.npz")[1]["samples"] == 40
    np.savez(tmp_path / "parts.npz", x_train=x[:40], y_train=y[:40], x_test=x[40:50], y_test=y[40:50])
    assert told("evaluate", saved, "--data", tmp_path / "parts.npz")[1]["samples"] == 10


def test_data_that_cannot_be_read_are_one_line(run, saved, tmp_path):
    np.savez_compressed(tmp_path / "whole.npz", x=np.arange(9999.0), y=np.zeros(1))
    whole = (tmp_path / "whole.npz").read_bytes()
    np.save(tmp_path / "one.npy", np.zeros(3))
    files = {"empty.npz": b"", "text.npz": b"x,y", "cut.npz": whole[:2000]}
    files["changed.npz"] = whole[:300] + bytes(64) + whole[364:]
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    for name in (*files, "one.npy", "none.npz"):
        status, out, err = run("train", saved, "--data", tmp_path / name)
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert "data: expected digits, fashion_mnist or an .npz file, got" in err


def test_a_reader_that_goes_away_is_no_error(saved):
    """As `| head` does; the status is the one that a shell gives to who died of SIGPIPE."""
    command = [sys.executable, "-m", "convgrad_embedded", "boards"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert (process.wait(), process.stderr.read()) == (141, b"")
    process.stderr.close()


def test_export_and_import(run, told, saved, tmp_path):
    assert run("export", saved, tmp_path / "fw", "--name", "digits") == (
        0,
        f"{tmp_path / 'fw' / 'digits.h'}\n{tmp_path / 'fw' / 'digits.c'}\n",
        "",
    )
    assert run("export", saved, tmp_path / "net.onnx")[0] == 0
    back = tmp_path / "back.cge"
    status, report = told("import", tmp_path / "net.onnx", back, "--loss", "softmax_cross_entropy", "--momentum", 0.9)
    assert status == 0 and report["parameters"] == 1370
    net = cge.Network.load(back)
    assert net.weights_hash() == cge.Network.load(saved).weights_hash() and net.momentum == pytest.approx(0.9)
    assert net.learning_rate == pytest.approx(0.01)  # the optimizer's own
    told("import", tmp_path / "net.onnx", back, "--loss", "softmax_cross_entropy", "--optimizer", "adamw")
    assert cge.Network.load(back).optimizer == cge.AdamW()
    words = ["import", tmp_path / "net.onnx", back, "--loss", "softmax_cross_entropy", "--optimizer", "adam", "--momentum", 0.9]
    status, _, complaint = run(*words)
    assert status == 2 and "--momentum: adam has none; sgd and rmsprop have" in complaint


def test_gradcheck_and_selftest_and_bench(told, saved):
    status, report = told("gradcheck", saved)
    assert status == 0 and report["passed"] and report["checked"] == 1370
    status, report = told("selftest")
    assert status == 0 and report["passed"] and report["arithmetic"] == "exact"
    status, report = told("bench", saved, "--seconds", 0.01)
    assert status == 0 and set(report["microseconds"]) == {"predict", "train_on_batch"}


def test_a_wrong_gradient_ends_with_status_1(run, told, saved, monkeypatch):
    """Without a tolerance every difference is one too much."""
    monkeypatch.setattr(cge.Network, "gradcheck", functools.partialmethod(cge.Network.gradcheck, tolerance=0.0))
    status, report = told("gradcheck", saved)
    assert status == 1 and report["passed"] is False and report["max_error"] > 0 and report["checked"] == 1370
    status, out, _ = run("gradcheck", saved)
    assert status == 1 and out.startswith(f"layer {report['layer']}, parameter {report['parameter']}: gradient ")


def test_what_people_read(run, saved, tmp_path):
    """The numbers of the network's own calls, in words."""
    net, out = cge.Network.load(saved), tmp_path / "trained.cge"
    (x, y), (x_test, y_test) = cge.datasets.load_digits()
    settings = ("--learning-rate", 0.5, "--batch-size", 50)
    lines = run("train", saved, "--data", "digits", *settings, "--out", out)[1].splitlines()
    assert lines[-1] == f"saved to {out}: weights {cge.Network.load(out).weights_hash()}"
    net.learning_rate = 0.5
    net.fit(x, y, batch_size=50, verbose=0)
    assert cge.Network.load(out).to_bytes() == net.to_bytes()
    measured = net.evaluate(x_test, y_test)
    accuracy = f"accuracy {100 * measured.accuracy:.2f} %"
    assert run("evaluate", out, "--data", "digits")[1] == f"{len(x_test)} samples: loss {measured.loss:.6g}, {accuracy}\n"
    checked = cge.Network.load(saved)
    rng = np.random.default_rng(0)
    samples = rng.random((3, 8, 8, 1), dtype=np.float32), rng.integers(0, 10, 3)
    error = checked.gradcheck(*samples).max_error
    assert run("gradcheck", saved, "--samples", 3)[1] == f"largest error {error:.3g} of 1,370 gradients\n"
    assert re.fullmatch(r"passed: exact arithmetic, \w+ kernels\n", run("selftest")[1])
    lines = run("bench", saved, "--seconds", 0, "--batch-size", 3)[1].splitlines()
    shown = [re.fullmatch(r"(\w+) +\d+\.\d us for 3 samples", line) for line in lines]
    assert [line[1] for line in shown] == ["predict", "train_on_batch"]


def test_evaluation_without_labels_has_no_accuracy(run, tmp_path):
    net = cge.Network((4,), [cge.Dense(3)], "mse", cge.SGD(0.1), seed=1)
    x, y = np.ones((5, 4)), np.zeros((5, 3))
    net.save(tmp_path / "net.cge")
    np.savez(tmp_path / "data.npz", x_train=x, y_train=y)
    assert run("evaluate", tmp_path / "net.cge", "--data", tmp_path / "data.npz")[1] == (
        f"5 samples: loss {net.evaluate(x, y).loss:.6g}\n"
    )
    np.savez(tmp_path / "other.npz", x_train=x, y_test=y)
    complaint = run("evaluate", tmp_path / "net.cge", "--data", tmp_path / "other.npz")[2]
    assert "data: expected x and y, or x_train and y_train, in" in complaint and complaint.endswith("got x_train, y_test\n")


def test_size_in_words(run, told, saved):
    levels = told("size", saved)[1]["levels"]
    status, out, _ = run("size", saved, "--board", "crazyflie21", "--memory", "small")
    lines = out.splitlines()
    assert status == 0 and len(lines) == len(levels) + 2
    for line, (level, uses) in zip(lines, levels.items()):
        train = "-" if uses["train"] is None else f"{uses['train']:,}"
        assert line.split() == [level, train, "to", "train", f"{uses['predict']:,}", "to", "predict"]
    need = levels["small"]["train"] + _summary.stack_bytes("Cortex-M4F", "small")
    assert lines[-1].startswith("crazyflie21 beside ")
    assert lines[-1].endswith(f": fits: {need:,} bytes with the stack of 37,888")
    lines = run("size", saved, "--board", "microbit", "--memory", "fast")[1].splitlines()
    assert lines[-1].startswith("microbit: does not fit: ") and lines[-1].endswith(" of 16,384")


def test_samples_are_made_up_for_every_loss(told, tmp_path):
    """Bytes where the network takes bytes; labels, values or both."""
    layers = [cge.Dense(6), cge.Tanh(), cge.Dense(3)]
    image = [cge.Conv2d(2, 3), cge.Dense(3)]
    distilled = cge.Distillation(temperature=2.0, alpha=0.5)
    nets = [
        cge.Network((5,), layers, distilled, cge.SGD(0.1), seed=1),
        cge.Network((5,), layers, "mse", cge.SGD(0.1), seed=1),
        cge.Network((4, 4, 1), image, "softmax_cross_entropy", cge.SGD(0.1), seed=1, input_scale=1 / 256),
    ]
    for net in nets:
        net.save(tmp_path / "net.cge")
        status, report = told("gradcheck", tmp_path / "net.cge")
        assert status == 0 and report["checked"] == net.param_count


@pytest.mark.parametrize("memory", ["fast", "smallest"])
def test_validate_finds_the_same_bits_on_a_board(told, saved, memory):
    status, report = told("validate", saved, "--board", "netduinoplus2", "--memory", memory)
    assert status == 0 and report["equal"] and len(report["there"]) == 3
    assert len({step["weights"] for step in report["there"]}) == 3
    assert all((step["gradients"] == "00000000") == (memory == "smallest") for step in report["there"])


def test_validate_sees_other_bits(told, saved, tmp_path):
    """A runner of our own stands in for a board that computes something else."""
    runner = tmp_path / "runner.py"
    runner.write_text("print('step 0: loss 3f800000, gradients 00000001, weights 00000002')\n")
    command = f"{sys.executable} {runner}"
    status, report = told("validate", saved, "--board", "crazyflie21", "--runner", command, "--steps", 1)
    assert status == 1 and not report["equal"] and report["there"][0]["loss"] == "3f800000"


def test_what_differs_on_a_board_is_told_part_by_part():
    here, there = _validate.Step("3f800000", "00000001", "00000002"), _validate.Step("3f800000", "00000003", "00000002")
    text = "step 4: loss 3f800000, gradients 00000001 here, 00000003 there, weights 00000002"
    assert cli._compared(4, here, there) == text


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["summary", "nothing.cge"], "No such file"),
        (["evaluate", "{saved}", "--data", "mnist"], "data: expected digits, fashion_mnist or an .npz file, got 'mnist'"),
        (["import", "net.pt", "out.cge"], "expected a file that ends in .onnx, .tflite, .keras, .h5"),
        (
            ["validate", "{saved}", "--board", "crazyflie21"],
            "crazyflie21 is not emulated; give a runner for the real one, or take netduinoplus2",
        ),
        (["validate", "{saved}", "--board", "nothing"], "board: expected one of"),
        (["summary", "{saved}", "--board", "nothing"], "board: expected one of"),
    ],
)
def test_what_is_not_understood_is_one_line(run, saved, arguments, message):
    status, out, err = run(*(argument.format(saved=saved) for argument in arguments))
    assert status == 2 and out == "" and message in err and len(err.splitlines()) == 1
    assert err.startswith(f"convgrad-embedded {arguments[0]}: ")


def test_an_interrupt_ends_with_its_status_and_what_was_learned(run, saved, monkeypatch, tmp_path):
    """128 + SIGINT, as shells have it."""
    fit, before, out = cge.Network.fit, saved.read_bytes(), tmp_path / "out.cge"

    def interrupted(self, *arguments, **options):
        fit(self, *arguments, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(cge.Network, "fit", interrupted)
    training = ("train", saved, "--data", "digits", "--json")
    assert run(*training) == (130, "", f"convgrad-embedded train: interrupted; {saved} is as it was\n")
    assert run(*training, "--out", out) == (130, "", f"convgrad-embedded train: interrupted; saved to {out}\n")
    assert saved.read_bytes() == before
    monkeypatch.undo()
    run(*training)
    assert cge.Network.load(out).weights_hash() == cge.Network.load(saved).weights_hash()


def test_a_directory_that_does_not_exist_is_told_before_the_training(run, saved, monkeypatch, tmp_path):
    monkeypatch.setattr(cge.Network, "fit", None)
    out = tmp_path / "none" / "out.cge"
    text = f"convgrad-embedded train: --out: there is no directory for {out}\n"
    assert run("train", saved, "--data", "digits", "--out", out) == (2, "", text)


def test_as_a_module(saved):
    done = subprocess.run(
        [sys.executable, "-m", "convgrad_embedded", "summary", saved], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0 and done.stdout.startswith("Network on 8x8x1")
    help_ = subprocess.run([sys.executable, "-m", "convgrad_embedded"], capture_output=True, text=True, cwd=ROOT)
    assert help_.returncode == 2 and all(name in help_.stdout for name in ("boards", "size", "validate", "selftest"))
