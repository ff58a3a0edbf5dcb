"""examples/crazyflie: all layers learn in what a stock Crazyflie leaves of its RAM, while an interrupt predicts."""

import importlib
import re
import sys
from types import SimpleNamespace

import pytest
from host import ROOT
from test_toolchain import make, need, output, run

import convgrad_embedded as cge
from convgrad_embedded import _boards

sys.path.insert(0, str(ROOT / "examples"))
import demo  # noqa: E402

BOARD = demo.BOARD
STEPS, STEPS_A_GENERATION, PASSES = 80, 20, 2
GENERATIONS = 1 + PASSES * STEPS // STEPS_A_GENERATION  # the first is what flash holds


@pytest.fixture(scope="module")
def aboard(tmp_path_factory, board_library):
    """What the firmware is built of, and what Python needs to do the same."""
    need("arm-none-eabi-gcc", "qemu-system-arm")
    generated, build = tmp_path_factory.mktemp("generated"), board_library(BOARD, tmp_path_factory.mktemp("build"))
    (x, y), test = cge.datasets.load_digits()
    learned = demo.new_network(cge.SGD(0.05, momentum=0.9))
    learned.fit(x, y, epochs=2, batch_size=32, verbose=False)
    network = demo.drone_network(learned)
    network.export(generated, name="digits")
    field = demo.on_its_side(x[:STEPS]), y[:STEPS]
    return SimpleNamespace(
        generated=generated, build=build, network=network, field=field, field_test=(demo.on_its_side(test[0]), test[1])
    )


def build(aboard, folder, budget, ok=True, source=ROOT / "examples" / "crazyflie"):
    """The program; what make says if it must not be built."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "PASSES", PASSES)
        patch.setattr(demo, "DRONE_STEPS", STEPS_A_GENERATION)
        demo.write_drone_samples(aboard.generated, aboard.field, aboard.field_test, budget)
    program, app = folder / "crazyflie.elf", f"{source} {aboard.generated}"
    said = make("firmware", "-j2", ok=ok, BOARD=BOARD, BUILD=aboard.build, APP=app, OUT=program, WERROR=1)
    return program if ok else said


def fly(program):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QEMU_ARGS", demo.DRONE_CLOCK)
        return run(program, BOARD)


def budget_bytes():
    return _boards.load("crazyflie21").free.ram_bytes


def in_python(aboard, flight):
    frames = [used.predictions for used in flight.generations]
    network = cge.Network.from_bytes(aboard.network.to_bytes(), memory="smallest")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "DRONE_STEPS", STEPS_A_GENERATION)
        return demo.drone_adapt(network, aboard.field, aboard.field_test, frames)


@pytest.fixture(scope="module")
def flown(aboard, tmp_path_factory):
    program = build(aboard, tmp_path_factory.mktemp("program"), budget_bytes())
    status, printed = fly(program)
    assert status == 0, printed
    return SimpleNamespace(program=program, printed=printed, flight=demo.flight_of(printed))


# ---- the budget -----------------------------------------------------------------------------------------------------------


def test_all_ram_but_the_c_librarys_is_in_the_table_and_within_the_budget(aboard, flown):
    assert budget_bytes() == 37_888
    *parts, (total, what) = demo.sizes_of(flown.printed)
    assert what == "in all" and sum(size for size, _ in parts) == total <= budget_bytes()
    sizes = {what: size for size, what in parts}
    assert sizes["to train: weights, velocities, activations"] == aboard.network.arena_bytes
    assert sizes["to predict"] == aboard.network.inference_arena_bytes
    assert sizes["two copies of the weights"] == 2 * 4 * aboard.network.param_count
    assert sizes["the frame"] == 64
    static = {path.stem.split("_")[-1]: static_bytes(path) for path in (aboard.build / "crazyflie").glob("*.o")}
    assert static.pop("runtime") == 4  # what measures the stack
    assert static == {"main": total - sizes["of the stack were used"], "digits": 0, "samples": 0}


def static_bytes(path):
    """Of .data and .bss."""
    _, data, bss = map(int, re.findall(r"^\s*(\d+)\s+(\d+)\s+(\d+)", output("arm-none-eabi-size", path), re.MULTILINE)[0])
    return data + bss


def test_one_byte_less_does_not_compile(aboard, flown, tmp_path):
    *_, (stack, _), (total, _) = demo.sizes_of(flown.printed)
    assert "the_budget_is_kept" in build(aboard, tmp_path, total - stack - 1, ok=False)


@pytest.mark.parametrize("missing", [0, 1])
def test_the_stack_is_of_the_budget_too(aboard, flown, missing, tmp_path):
    *_, (total, _) = demo.sizes_of(flown.printed)
    status, printed = fly(build(aboard, tmp_path, total - missing))
    assert status == missing and demo.sizes_of(printed) == demo.sizes_of(flown.printed)


# ---- the bits -------------------------------------------------------------------------------------------------------------


def test_the_board_learns_and_predicts_what_python_does(aboard, flown):
    assert len(flown.flight.generations) == GENERATIONS
    assert flown.flight == in_python(aboard, flown.flight)
    assert flown.flight.result.weights != aboard.network.weights_hash()


def test_the_interrupt_predicts_with_every_generation_and_is_refused_while_the_main_loop_predicts(flown):
    predictions, busy = map(int, re.search(r"^predictions: (\d+), busy: (\d+)$", flown.printed, re.MULTILINE).groups())
    assert predictions == sum(used.predictions for used in flown.flight.generations)
    *others, last = (used.predictions for used in flown.flight.generations)
    assert min(others) >= 5
    assert busy >= 50 and last < 5  # the main loop predicts with the last, but between two of its calls a frame may come


def test_predictions_with_live_weights_would_be_seen(aboard, flown, tmp_path):
    """The interrupt reads where training writes: the weights come out the same, the predictions do not."""
    source = tmp_path / "source"
    source.mkdir()
    text = (ROOT / "examples" / "crazyflie" / "main.c").read_text()
    live = text.replace("next->params = copy;", "next->params = ram.trainer.params;")
    assert live != text
    (source / "main.c").write_text(live)
    status, printed = fly(build(aboard, tmp_path, budget_bytes(), source=source))
    flight = demo.flight_of(printed)
    expected = in_python(aboard, flight)
    assert status == 0 and flight.result.weights == expected.result.weights == flown.flight.result.weights
    differ = [one.crc != other.crc for one, other in zip(flight.generations, expected.generations)]
    assert differ == [False, *[True] * (GENERATIONS - 2), False]  # before training and after it weights stand still


# ---- what else fits -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def showcase():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        return importlib.import_module("showcase")


@pytest.fixture(scope="module")
def rows(showcase):
    return {(row["network"], row["room"]): row for row in map(showcase.row, showcase.cases())}


# Bytes of RAM with the weights that do not learn in flash.
FITS = {
    ("demo", 37_888): ("all", 17_408),
    ("the same on 28x28", 37_888): ("layers 0, 3 learn, of layer 6 the first 359 inputs", 30_384),
    ("the same on 28x28", 57_344): ("all", 49_152),
    ("Frontnet 160x16", 65_536): ("last", 44_000),
}


@pytest.mark.parametrize("network, room", FITS)
def test_known_networks_fit_with_frame_and_prediction(rows, network, room):
    row, (learns, limit) = rows[network, room], FITS[network, room]
    assert row["learns"] == learns and row["to_train"] <= limit and row["spare"] >= 0
    assert row["spare"] == room - row["to_train"] - row["to_predict"] - row["copies"] - row["frame"]


def test_the_networks_have_their_published_parameters(rows):
    assert {name: row["parameters"] for (name, _), row in rows.items()} == {
        "demo": 1_898, "the same on 28x28": 9_098, "DS-CNN": 22_604, "Frontnet 160x16": 78_212
    }  # fmt: skip


def test_the_page_shows_the_table(showcase, capsys):
    showcase.main(["--table"])
    assert capsys.readouterr().out in (ROOT / "docs" / "memory.md").read_text(encoding="utf-8")


def test_a_plan_is_explained(showcase, capsys):
    showcase.main(["--explain"])
    assert "first 359 of 784 inputs" in capsys.readouterr().out
