/*
 * A plugin for QEMU: counts the instructions that a program executes between its functions bench_begin and bench_end,
 * exactly, on any emulated machine and in user mode.
 *
 *   qemu-... -plugin insn_plugin.so,begin=ADDRESS,end=ADDRESS,out=FILE
 *
 * FILE gets one line for each pair of calls, in program order: the number of instructions, then `ADDRESS:COUNT` for each
 * instruction that was executed, addresses in hexadecimal. The declarations are those of QEMU's plugin interface
 * (version 1) that are used here.
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t plugin_id;
struct tb;
struct insn;
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, void (*translated)(plugin_id id, struct tb *tb));
void qemu_plugin_register_vcpu_insn_exec_cb(struct insn *insn, void (*executed)(unsigned cpu, void *data), int flags, void *data);
void qemu_plugin_register_vcpu_insn_exec_inline(struct insn *insn, int add_u64, void *counter, uint64_t value);
size_t qemu_plugin_tb_n_insns(const struct tb *tb);
struct insn *qemu_plugin_tb_get_insn(const struct tb *tb, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct insn *insn);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

/* One for each instruction, however often QEMU translates it. Translated code points to `executed`: it must not move. */
typedef struct counter {
    uint64_t address, executed, began;
} counter;

enum { TABLE = 1 << 20 }; /* open addressing; more than the instructions of a benchmark and its C library */

static counter *counters[TABLE];
static uint64_t begin_address, end_address;
static FILE *out;

static counter *counter_of(uint64_t address)
{
    for (uint64_t hash = address * 0x9e3779b97f4a7c15u, probe = 0; probe < TABLE; probe++) {
        counter **slot = &counters[((hash >> 32) + probe) % TABLE];
        if (*slot == NULL) {
            *slot = calloc(1, sizeof **slot);
            if (*slot == NULL) abort();
            (*slot)->address = address;
        }
        if ((*slot)->address == address) return *slot;
    }
    fprintf(stderr, "insn_plugin: more than %d instructions\n", (int)TABLE);
    exit(1);
}

static void at_begin(unsigned cpu, void *data)
{
    (void)cpu, (void)data;
    for (int i = 0; i < TABLE; i++)
        if (counters[i] != NULL) counters[i]->began = counters[i]->executed;
}

static void at_end(unsigned cpu, void *data)
{
    uint64_t total = 0;
    (void)cpu, (void)data;
    for (int i = 0; i < TABLE; i++)
        if (counters[i] != NULL) total += counters[i]->executed - counters[i]->began;
    fprintf(out, "%" PRIu64, total);
    for (int i = 0; i < TABLE; i++)
        if (counters[i] != NULL && counters[i]->executed != counters[i]->began)
            fprintf(out, " %" PRIx64 ":%" PRIu64, counters[i]->address, counters[i]->executed - counters[i]->began);
    fputc('\n', out);
    fflush(out);
}

static void translated(plugin_id id, struct tb *tb)
{
    (void)id;
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
        struct insn *insn = qemu_plugin_tb_get_insn(tb, i);
        uint64_t address = qemu_plugin_insn_vaddr(insn);
        qemu_plugin_register_vcpu_insn_exec_inline(insn, 0, &counter_of(address)->executed, 1);
        if (address == begin_address) qemu_plugin_register_vcpu_insn_exec_cb(insn, at_begin, 0, NULL);
        if (address == end_address) qemu_plugin_register_vcpu_insn_exec_cb(insn, at_end, 0, NULL);
    }
}

__attribute__((visibility("default"))) int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv);
__attribute__((visibility("default"))) int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
    (void)info;
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "begin=", 6) == 0) begin_address = strtoull(argv[i] + 6, NULL, 0);
        if (strncmp(argv[i], "end=", 4) == 0) end_address = strtoull(argv[i] + 4, NULL, 0);
        if (strncmp(argv[i], "out=", 4) == 0) out = fopen(argv[i] + 4, "w");
    }
    if (begin_address == 0 || end_address == 0 || out == NULL) return 1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    return 0;
}
