"""Library and application compiled with other options: public structs and results have one size."""

import subprocess

import pytest
from host import ROOT
from test_toolchain import make, need, run

PROGRAM = """
#include <cge.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
static uint64_t arena[8192];
static void print_report(void)
{
    static const char *const names[] = {"exact", "contracted", "other"};
    struct { int32_t before[4]; cge_selftest_report report; int32_t after[4]; } at = {{7, 7, 7, 7}, {0, 0, 0, 0}, {7, 7, 7, 7}};
    int32_t i, kept = 0;
    cge_status status;
    memset(&at.report, 0xa5, sizeof at.report); /* what the library does not write is seen */
    status = cge_selftest(arena, sizeof arena, &at.report);
    for (i = 0; i < 4; i++) kept += (at.before[i] == 7) + (at.after[i] == 7);
    printf("%s, %s, ", cge_status_text(status), (uint32_t)at.report.arithmetic < 3 ? names[at.report.arithmetic] : "garbage");
    printf("passed %d, %d kept\\n", (int)at.report.passed, (int)kept);
}
int main(void)
{
    static const cge_dense dense = {3};
    cge_layer layer = {0};
    cge_layer_info info;
    cge_model model = {0};
    layer.kind = &cge_kind_dense;
    layer.config = &dense;
    layer.init = CGE_INIT_GLOROT_NORMAL + 1;
    model.input.h = model.input.w = model.input.c = 1;
    model.layers = &layer;
    model.layer_count = 1;
    print_report();
    printf("%s\\n", cge_status_text(cge_model_layer_info(&model, 0, &info)));
    layer.init = CGE_INIT_GLOROT_NORMAL;
    printf("%s\\n", cge_status_text(cge_model_layer_info(&model, 0, &info)));
    printf("%d weights\\n", (int)info.weight_elems);
    printf("%s\\n", cge_status_text(-1));
    return 0;
}
"""
EXPECTED = """ok, exact, passed 1, 8 kept
an argument is outside its range
ok
3 weights
unknown status
"""


@pytest.mark.parametrize(
    "board, library", [("host", "-fshort-enums"), ("netduinoplus2", "-fshort-enums"), ("netduinoplus2", "-fno-short-enums")]
)
def test_library_and_application_may_differ_in_the_size_of_enums(board, library, tmp_path):
    if board != "host":
        need("arm-none-eabi-gcc", "qemu-system-arm")
    app, program = tmp_path / "app", tmp_path / "program.elf"
    app.mkdir()
    (app / "main.c").write_text(PROGRAM)
    options = {"WHOLE": "", "OPT": "-O0", "CFLAGS": library, "V": 1}
    log = make("firmware", BOARD=board, BUILD=tmp_path / "build", APP=app, OUT=program, **options)
    application = {"-fshort-enums": "-fno-short-enums", "-fno-short-enums": "-fshort-enums"}[library]
    ends = (f" -c {app}/main.c", f" -o {program}")
    compile_app, link = (next(line for line in log.splitlines() if end in line) for end in ends)
    assert library in compile_app
    for command in (compile_app.replace(library, application), link):
        subprocess.run(command, shell=True, check=True, cwd=ROOT)
    output = subprocess.check_output([program], text=True) if board == "host" else run(program, board)[1]
    assert output.replace("\r", "") == EXPECTED
