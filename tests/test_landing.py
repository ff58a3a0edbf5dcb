"""examples/landing: a network that looks at a landing pad goes on learning on a board when the lens gets dirty."""

import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from host import ROOT, STRICT, compiler
from host import run as host_run
from test_packaging import load

HERE = ROOT / "examples" / "landing"


@pytest.fixture(scope="module")
def example():
    module = load(HERE / "main.py")
    sys.modules.pop("main")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"FRAMES": 200, "EPOCHS": 2, "FLIGHT_COUNT": 12, "BOARD_TEST_COUNT": 3, "DRONES": 2}.items():
            patch.setattr(module, name, value)
        yield module


@pytest.fixture(scope="module")
def learned(example):
    """On another ground: frames through a dirty lens, before and after learning from others."""
    world, lens = example.World(seed=1, grounds=4), example.dirty(0)
    network = example.train(world)
    places = example.some_places(np.random.default_rng(1), 100)
    test = example.World(seed=2, grounds=4).render(np.random.default_rng(2), places, lens)
    flight = example.fly(world, lens, example.FLIGHT_COUNT)
    return SimpleNamespace(world=world, network=network, flight=flight, test=test, after=example.learn(network, flight))


def test_the_firmware_learns_on_this_computer_what_python_learns(example, learned, tmp_path, core_archive):
    example.write_firmware(tmp_path, learned.network, learned.flight, learned.test)
    sources = [HERE / "main.c", tmp_path / "landing.c", tmp_path / "samples.c"]
    flags = [*STRICT, "-O2", "-I", ROOT / "csrc" / "include", "-I", tmp_path]
    host_run([compiler(), *flags, *sources, core_archive, "-o", tmp_path / "landing"])
    printed = host_run([tmp_path / "landing"])
    expected = example.run_of_python(learned.network, learned.after, learned.test)
    assert example.run_of(printed) == expected and expected.before != expected.after
    assert expected.weights != learned.network.weights_hash()
    sizes = {what: size for size, what in example.demo.sizes_of(printed)}
    assert sizes["to train"] == -(-learned.after.arena_bytes // 8) * 8 and sizes["the frame"] == 64 * 64
    assert sizes["in all"] <= example.BUDGET_BYTES
    page = (ROOT / "docs" / "landing.md").read_text()
    said = {what: int(size.replace(",", "")) for size, what in re.findall(r"^\| ([\d,]+) \| ([\w ]+) \|$", page, re.MULTILINE)}
    total = said.pop("in all")
    assert sum(said.values()) == total <= example.BUDGET_BYTES
    assert all(said[what] == sizes[what] for what in ("to train", "the frame"))


def test_one_byte_less_does_not_compile(example, learned, tmp_path):
    example.write_firmware(tmp_path, learned.network, learned.flight, learned.test)
    header = tmp_path / "samples.h"
    header.write_text(re.sub(r"(?<=BUDGET_BYTES )\d+", str(learned.after.arena_bytes + 64 * 64), header.read_text()))
    with pytest.raises(AssertionError, match="the_budget_is_kept"):
        host_run([compiler(), "-fsyntax-only", "-I", ROOT / "csrc" / "include", "-I", tmp_path, HERE / "main.c"])


def test_what_the_network_should_tell_says_where_the_drone_is(example):
    places = example.some_places(np.random.default_rng(0), 50)
    assert np.allclose(example.places_of(example.targets_of(places)), places, atol=1e-5)
    assert (np.abs(places[:, :2]) <= example.WIDEST * places[:, 2:] + 1e-6).all()


def test_the_pad_is_where_the_place_says(example):
    """Its outer edge, 0.5 m from the centre, is seen f * 0.5 / height pixels from the pad's place in the picture."""
    world, height = example.World(seed=1, grounds=1), 2.0
    world.grounds = [np.zeros((world.SIZE, world.SIZE), np.float32)]
    place = np.array([[0.25, -0.5, height]], np.float32)
    picture = world.render(np.random.default_rng(0), place)[0][0, :, :, 0]
    rows, columns = np.nonzero(picture > 128)
    middle = (example.SIDE - 1) / 2 - example.FOCAL * place[0, :2] / height
    assert np.allclose([columns.min() + columns.max(), rows.min() + rows.max()], 2 * middle, atol=1.5)
    assert abs(columns.max() - columns.min() - 2 * example.FOCAL * 0.5 / height) < 2


def test_photographs_are_further_grounds_without_an_edge(example, monkeypatch):
    photograph = np.arange(512, dtype=np.float32)[:, None] / 512 + np.arange(512, dtype=np.float32) / 1024
    plain, world = example.World(seed=1, grounds=2), example.World(seed=1, grounds=2, photographs=(photograph,))
    assert len(world.grounds) == 2 + example.CUTOUTS and all(map(np.array_equal, plain.grounds, world.grounds))
    for ground in world.grounds[2:]:
        assert ground.shape == (world.SIZE, world.SIZE) and np.unique(ground[: world.SIZE // 2, 0]).size == world.SIZE // 2
        for axis in (0, 1):
            assert np.abs(ground - np.roll(ground, 1, axis)).max() <= 1 / 512  # as far apart as neighbours anywhere
    names = [*example.KNOWN, *example.UNKNOWN]
    data = SimpleNamespace(**{name: lambda: np.full((512, 512), 64, np.uint8) for name in names})
    monkeypatch.setitem(sys.modules, "skimage", SimpleNamespace(data=data))
    assert {name: found.max() for name, found in example.of_textures().items()} == dict.fromkeys(names, 0.25)


def test_without_photographs_there_is_a_hint(example, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "skimage", None)
    assert example.of_textures() == {}
    assert capsys.readouterr().out.strip() == "no photographs among the grounds: pip install scikit-image"


def test_drones_come_down_by_what_the_network_tells(example, learned):
    track = example.descend(learned.network, learned.world, example.CLEAN)
    assert track.shape == (1 + round(example.SECONDS / example.STEP), 2, 3)
    assert (np.diff(track[:, :, 2], axis=0) <= 0).all() and (track[-1, :, 2] < 3).all()
    assert "of 2 flew into the ground" in example.landing_of(track)
