"""The picture of a plan's memory, and the same as text. Axes that only take notes stand in for matplotlib's."""

import builtins
import re
import sys
from types import ModuleType, SimpleNamespace

import pytest
from host import ROOT

import convgrad_embedded as cge
from convgrad_embedded import _plan, _timeline

sys.path.insert(0, str(ROOT / "benchmarks"))
import memory as memory_benchmark  # noqa: E402

LAYERS = [
    cge.Conv2d(8, 3, padding=1), cge.ReLU(), cge.MaxPool2d(2),
    cge.Conv2d(16, 3, padding=1), cge.ReLU(), cge.MaxPool2d(2), cge.Dense(10),
]  # fmt: skip


class Axes:
    """Keeps what is asked of it, by the name of the method."""

    def __init__(self):
        self.calls = []

    def __getattr__(self, name):
        def note(*arguments, **options):
            self.calls.append((name, arguments, options))

        return note

    def of(self, name):
        return [(arguments, options) for called, arguments, options in self.calls if called == name]


def network(memory="smallest", **options):
    return cge.Network((28, 28, 1), LAYERS, "softmax_cross_entropy", cge.SGD(0.05), memory=memory, **options)


def rectangles(axes):
    """[(left, right, bottom, top, label)]"""
    return [
        (left, left + width, bottom, bottom + height, options["label"])
        for (lefts, heights, widths, bottoms), options in axes.of("bar")
        for left, height, width, bottom in zip(lefts, heights, widths, bottoms)
    ]


def overlap(a, b):
    return a[0] < b[1] and b[0] < a[1] and a[2] < b[3] and b[2] < a[3]


def check_rectangles(drawn, operations):
    assert all(0 <= left < right <= operations and bottom < top for left, right, bottom, top, _ in drawn)
    assert not any(overlap(a, b) for number, a in enumerate(drawn) for b in drawn[:number])


@pytest.mark.parametrize("memory", ["small", "smallest", "small_sliced"])
def test_tensors_are_drawn_within_the_peak_and_never_one_over_the_other(memory):
    net, axes = network(memory), Axes()
    assert cge.plot_memory(net, axes) is axes
    drawn = rectangles(axes)
    check_rectangles(drawn, 2 * 3 + 1)
    plan = net._memory_plan(training=True)
    assert max(top for _, _, _, top, _ in drawn) == plan.peak_bytes  # net.peak_bytes has room for slices besides
    area = sum((right - left) * (top - bottom) for left, right, bottom, top, _ in drawn)
    assert area == sum(4 * tensor.elems * (tensor.last - tensor.first + 1) for tensor in plan.tensors)
    (((bound,), options),) = axes.of("axhline")
    assert bound == net.bound_bytes and f"{net.bound_bytes:,} bytes" in options["label"]
    (ticks, labels), _ = axes.of("set_xticks")[0]
    assert labels == ["0", "1", "2", "L", "2", "1", "0"] and len(ticks) == 7


def test_an_output_and_its_gradient_share_a_place():
    axes = Axes()
    cge.plot_memory(network(), axes)
    drawn = rectangles(axes)
    outputs = {(right, bottom, top) for _, right, bottom, top, label in drawn if label == "outputs"}
    gradients = {(left, bottom, top) for left, _, bottom, top, label in drawn if label == "gradients of outputs"}
    assert outputs == gradients and len(outputs) == 2


def test_several_memories_lie_one_above_the_other():
    net, axes = network(memory_ranges=[12_300, 36_392, 300]), Axes()
    with pytest.raises(ValueError, match="memory_ranges"):
        network(memory_ranges=[12_300, 36_388, 300])
    cge.plot_memory(net, axes)
    drawn = rectangles(axes)
    check_rectangles(drawn, 7)
    walls = [arguments[0] for arguments, _ in axes.of("axhline")]
    assert walls == [net.range_bytes[0], sum(net.range_bytes[:2])]
    assert not any(bottom < wall < top for _, _, bottom, top, _ in drawn for wall in walls), "a border is a wall"
    kept = [top - bottom for _, _, bottom, top, label in drawn if label.startswith("parameters")]
    assert kept == [4 * net.param_count]
    assert max(top for _, _, _, top, _ in drawn) <= sum(net.range_bytes)


def test_a_plan_is_drawn_like_the_network_that_follows_it():
    net = network("fast")
    plan = net.plan([13_000, 36_400])
    drawn = []
    for what in (plan, network("fast", plan=plan)):
        axes = Axes()
        cge.plot_memory(what, axes)
        drawn.append(rectangles(axes))
    assert drawn[0] == drawn[1] and len(drawn[0]) > 5


def test_a_network_that_predicts_has_a_picture_too():
    axes = Axes()
    net = cge.Network((28, 28, 1), LAYERS, memory="small")
    cge.plot_memory(net, axes)
    assert max(top for _, _, _, top, _ in rectangles(axes)) == net.peak_bytes


def test_what_has_no_plan_has_no_picture():
    for what in (network("fast"), network("fast").plan(10**6)):
        with pytest.raises(ValueError, match='network_or_plan: expected one with a plan, got memory="fast"'):
            cge.plot_memory(what, Axes())
    with pytest.raises(TypeError, match="network_or_plan: expected a Network or what Network.plan gave, got"):
        cge.plot_memory(LAYERS)


def test_without_matplotlib_one_line_says_what_to_install(monkeypatch):
    own = builtins.__import__

    def without(name, *arguments, **options):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return own(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match="^plot_memory: the picture needs matplotlib: pip install matplotlib$"):
        cge.plot_memory(network())


def test_axes_are_made_where_none_are_given(monkeypatch):
    axes = Axes()
    pyplot = SimpleNamespace(subplots=lambda **options: (None, axes))
    matplotlib = ModuleType("matplotlib")
    matplotlib.pyplot = pyplot
    monkeypatch.setitem(sys.modules, "matplotlib", matplotlib)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", pyplot)
    assert cge.plot_memory(network()) is axes and rectangles(axes)


# ---- as text -----------------------------------------------------------------------------------------------------------------


def test_the_timeline_of_a_plan_is_what_the_memory_page_shows():
    text = memory_benchmark.picture("the same on 28x28", "smallest")
    assert text in (ROOT / "docs" / "memory.md").read_text(encoding="utf-8")
    plan = network("fast").plan(49_152)
    assert plan.memory == "smallest" and plan.timeline().split("\n") == [line[4:] for line in text.split("\n")[:-1]]


def test_the_timeline_says_when_each_tensor_is_alive():
    net = network("small")
    plan = net._memory_plan(training=True)
    head, *rows = _plan.timeline(plan)
    start = head.index("0   1   2   L   2   1   0")
    for row, tensor in zip(rows, plan.tensors):
        marks = row[start:]
        assert len(marks) - len(marks.lstrip()) == 4 * tensor.first and len(marks) == 4 * (tensor.last + 1)
        assert re.fullmatch(r" *=*-*", marks)


def test_the_summary_shows_it_where_it_is_not_too_wide():
    assert "0   1   2   L   2   1   0" in network().summary(print_fn=None)
    assert "   L   " not in network("fast").summary(print_fn=None)
    wide = cge.Network((4,), [cge.Dense(4) for _ in range(20)], "mse", cge.SGD(0.1), memory="small")
    assert "   L   " not in wide.summary(print_fn=None)


def test_fast_plans_have_no_timeline():
    assert network("fast").plan(10**6).timeline() == ""


def test_bars_of_blocks_say_what_lives_for_ever():
    net = network("small", memory_ranges=[42_000, 42_000])
    costs = _plan.cost(net._model, net.layers, net.memory, net.frozen_in)
    kept = [bar for bar in _timeline.bars(net._memory_plan(training=True), costs) if bar.sort == "kept"]
    assert sorted(bar.size for bar in kept) == [costs.params, costs.grads] and all(bar.last == 6 for bar in kept)
