"""What steps in slices take on an emulated board, as CSV: instructions of the largest slice and of the whole step.

    python benchmarks/slices.py                          # the board netduinoplus2, a Cortex-M4F
    python benchmarks/slices.py mps2_an500 FUSED=1       # another board, other options of the build
    python benchmarks/slices.py --networks               # the longest slice of published networks, as docs/slices.md shows them

One row for each network, level of memory and budget. The budget is in multiply-adds; `piece` is one piece a slice, `none` a
step of begin and one resume. The column `cost` is the step's instructions over those of train_batch. `predicted` is
CGE_SLICE_INSTRUCTIONS of the largest slice that cge_network_largest_slice tells, or of the budget if that is more.

--networks asks cge_network_largest_slice alone, so that it needs no board.
"""

import argparse
import csv
import sys
import tempfile
from pathlib import Path

import board_bench
from board_bench import ROOT

import convgrad_embedded as cge

FIELDS = ["board", "options", "net", "memory", "budget", "slices", "largest_slice", "predicted", "between", "step", "cost"]
BUDGETS = {"piece": 1, "20000 instructions": 9090, "80000 instructions": 36363, "none": 2**63 - 1}
LEVELS = ("small_sliced", "smallest_sliced", "smallest")


def nets():
    """{name: (input shape, layers)}; what the boards with 192 KB of RAM can train."""
    three = {"padding": 1}
    pooled = [cge.Conv2d(8, 3, **three), cge.ReLU(), cge.MaxPool2d(2), cge.Conv2d(16, 3, **three), cge.ReLU(), cge.MaxPool2d(2)]
    lenet = [cge.Conv2d(6, 5), cge.ReLU(), cge.MaxPool2d(2), cge.Conv2d(12, 5), cge.ReLU(), cge.MaxPool2d(2)]
    lenet += [cge.Dense(60), cge.ReLU()]
    plain = [cge.Conv2d(16, 3, **three), cge.ReLU(), cge.Conv2d(24, 3, stride=2, **three), cge.ReLU(), cge.AvgPool2d(8)]
    return {"N": ((28, 28, 1), [*pooled, cge.Dense(10)]), "demo": ((8, 8, 1), [*pooled, cge.Dense(10)]),
            "LeNet-like": ((28, 28, 1), [*lenet, cge.Dense(10)]), "strided": ((16, 16, 3), [*plain, cge.Dense(10)])}


def longest_slices():
    """Markdown: of the networks of memory_goals.py, the longest slice of a training step in instructions of a Cortex-M4F."""
    import memory_goals

    levels = ("small_sliced", "smallest_sliced")
    lines = [f"| network | {' | '.join(levels)} |", f"|---|{'---|' * len(levels)}"]
    for name in memory_goals.NETWORKS:
        cases = (memory_goals.Case("all", "SGD", level) for level in levels)
        instructions = (memory_goals.build(name, case).largest_slice_macs * 11 // 5 for case in cases)
        lines.append(f"| {name} | {' | '.join(f'{count:,}' for count in instructions)} |")
    return "\n".join(lines) + "\n"


PROGRAM = """\
#include <stdio.h>
#include "{root}/benchmarks/counted.h"
{includes}

static uint64_t arena[150000 / 8];
static float x[1024];
static cge_network net;
static const int32_t label[1] = {{3}};
static const cge_targets targets = {{.labels = label}};

static int start(const cge_model *model, const cge_plan *plan)
{{
    const cge_options options = {{.training = 1, .plan = plan}};
    cge_rng rng;
    if (cge_network_init(&net, model, &options, arena, sizeof arena) != CGE_OK) return 0;
    if (cge_network_init_params(&net, 1) != CGE_OK || cge_rng_seed(&rng, 2) != CGE_OK) return 0;
    for (int i = 0; i < 1024; i++) x[i] = cge_rng_uniform_f32(&rng) - 0.5f;
    return 1;
}}

static int run(const char *name, const cge_model *model, const cge_plan *plan)
{{
    static const int64_t budgets[] = {{{budgets}}};
    cge_status status;
    int64_t largest;
    uint64_t hash, expected;
    float loss;
    if (!start(model, plan) || cge_network_largest_slice(&net, &largest) != CGE_OK) return 0;
    bench_begin();
    status = cge_network_train_batch(&net, x, &targets, 1, &loss);
    bench_end();
    printf("%s -1 %ld\\n", name, (long)largest);
    if (status != CGE_OK || cge_network_params_hash(&net, &expected) != CGE_OK) return 0;
    for (int i = 0; i < (int)(sizeof budgets / sizeof budgets[0]); i++) {{
        if (!start(model, plan) || cge_network_train_begin(&net, x, &targets, 1) != CGE_OK) return 0;
        do {{
            bench_begin();
            status = cge_network_resume(&net, budgets[i], &loss);
            bench_end();
            printf("%s %d %ld\\n", name, i, (long)largest);
        }} while (status == CGE_AGAIN);
        if (status != CGE_OK || cge_network_params_hash(&net, &hash) != CGE_OK || hash != expected) return 0;
    }}
    return 1;
}}

int main(void)
{{
{runs}
    return 0;
}}
"""


def write_program(folder, chosen):
    """Exports the networks to `folder`, with a main.c that runs all of them."""
    names = {}
    for number, (name, (shape, layers)) in enumerate(chosen.items()):
        for level in LEVELS:
            c_name = f"net_{number}_{level}"
            net = cge.Network(shape, layers, "softmax_cross_entropy", cge.SGD(0.05), seed=0, memory=level)
            net.export(folder, name=c_name)
            names[c_name] = (name, level)
    runs = "\n".join(f'    if (!run("{name}", &{name}_model, &{name}_training_plan)) return 1;' for name in names)
    includes = "\n".join(f'#include "{name}.h"' for name in names)
    budgets = ", ".join(f"{budget}" for budget in BUDGETS.values())
    (folder / "main.c").write_text(PROGRAM.format(root=ROOT, includes=includes, budgets=budgets, runs=runs))
    return names


def measure(board, variables, chosen, folder):
    """Rows of FIELDS."""
    app, plugin, program = folder / "app", folder / "insn_plugin.so", folder / "slices.elf"
    app.mkdir()
    names = write_program(app, chosen)
    board_bench.run_tool(["gcc", "-O2", "-shared", "-fPIC", ROOT / "benchmarks" / "insn_plugin.c", "-o", plugin])
    made = [f"BOARD={board}", f"BUILD={folder / 'build'}", f"APP={app}", f"OUT={program}", *variables]
    board_bench.run_tool(["make", "-s", "-j2", "firmware", *made])
    printed, counted = board_bench.run(board_bench.emulated_boards()[board], program, plugin, folder)
    slices, largest = {}, {}
    for line, count in zip(printed, counted):
        name, budget, macs = line.split()
        slices.setdefault((name, int(budget)), []).append(int(count.split()[0]))
        largest[name] = int(macs)
    for (name, number), counts in slices.items():
        if number < 0:
            continue
        budget_name, budget = list(BUDGETS.items())[number]
        whole, without_limit = slices[name, -1][0], slices[name, len(BUDGETS) - 1][0]
        row = {"board": board, "options": " ".join(variables), "net": names[name][0], "memory": names[name][1]}
        row.update(budget=budget_name, slices=len(counts), largest_slice=max(counts))
        row.update(step=sum(counts), cost=f"{sum(counts) / whole:.3f}")
        row["predicted"] = "" if budget_name == "none" else max(largest[name], budget) * 11 // 5
        row["between"] = "" if len(counts) == 1 else (sum(counts) - without_limit) // (len(counts) - 1)
        yield row


def main():
    boards = board_bench.emulated_boards()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("board", nargs="?", default="netduinoplus2", choices=boards, metavar="BOARD", help=", ".join(boards))
    parser.add_argument("variables", nargs="*", type=board_bench.make_variable, metavar="NAME=VALUE")
    parser.add_argument("--networks", action="store_true", help="the longest slice of published networks, as Markdown")
    arguments = parser.parse_args()
    if arguments.networks:
        print(longest_slices(), end="")
        return
    board_bench.check_tools(boards[arguments.board])
    writer = csv.DictWriter(sys.stdout, FIELDS, lineterminator="\n")
    writer.writeheader()
    with tempfile.TemporaryDirectory() as folder:
        writer.writerows(measure(arguments.board, arguments.variables, nets(), Path(folder)))


if __name__ == "__main__":
    main()
