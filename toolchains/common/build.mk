# Library, programs and C tests for one BOARD, in $(BUILD). Everything is rebuilt when a flag changes.

BUILD ?= build/$(BOARD)
OPT ?= $(if $(SMALL),-Os,-O2)
PYTHON ?= python3
run = $(if $(V),,@$(if $(QUIET),,echo '  $(1) $(2)';))# V=1 shows whole commands, QUIET=1 none
comma := ,

# -ffp-contract=off: multiply and add round apart, everywhere, or boards and computers would not get the same bits.
WARNINGS = -Wall -Wextra -Wpedantic -Wconversion -Wdouble-promotion -Wshadow -Wvla -Wundef -Wstrict-prototypes \
    -Wmissing-prototypes $(if $(WERROR),-Werror)
FLAGS = -std=c99 $(OPT) -ffp-contract=off -ffunction-sections -fdata-sections $(MACHINE_FLAGS) $(WARNINGS) \
    $(if $(FUSED),-DCGE_FUSED=1) $(if $(SMALL),-DCGE_SMALL=1) $(CFLAGS) -Icsrc/include
# What `make size` reads. Only where the compiler is surely GCC.
CALL_GRAPH = $(if $(BOARD_PREFIX),-fcallgraph-info=su)

# ---- library ----------------------------------------------------------------------------------------------------

# The double-precision copy is for gradient checks on the host.
LIBRARY = $(BUILD)/libcge.a
LIBRARY_SOURCES := $(filter-out $(if $(filter-out host,$(BOARD)),csrc/src/f64.c),$(sort $(wildcard csrc/src/*.c csrc/src/*/*.c)))
library_object = $(BUILD)/lib/$(subst /,_,$(1:csrc/src/%.c=%)).o

define compile # source, object, further flags
$(2): $(1) $(BUILD)/flags
	@mkdir -p $$(@D)
	$$(call run,CC,$$<) $(COMPILER) $$(FLAGS) $(3) -MMD -MP -c $$< -o $$@
-include $(2:.o=.d)
endef

# On a microcontroller -O2 is for the loops in C. All else is compiled for size: conv2d_tiled.c, whose loops are assembly,
# and the dense kernels, which get smaller and no slower, too. What is switched off here keeps more variables alive in
# loops than 13 registers hold, or took more bytes than it saved.
LOOPS := $(if $(SMALL),,$(patsubst %,csrc/src/kernels/%.c,activations conv2d_ref pool2d_ref pool2d_tiled sgd))
TIGHT_FLAGS = -fno-ivopts -fno-tree-loop-im -fno-move-loop-invariants -fno-gcse -fno-tree-scev-cprop -fno-tree-dominator-opts \
    -fno-schedule-insns2 -fno-tree-tail-merge
SIZE_FLAGS := $(if $(BARE_METAL),$(if $(filter -O2,$(OPT)),-Os $(TIGHT_FLAGS),$(if $(SMALL),$(TIGHT_FLAGS))))

# Linking a program for a microcontroller optimises the library as a whole: 0.9 KB less, 1.2 KB with SMALL=1. The objects
# also have code for programs that are linked without it; WHOLE= builds none with it.
WHOLE := $(BARE_METAL)
WHOLE_FLAGS := $(if $(WHOLE),-flto -ffat-lto-objects)

library_flags = $(CALL_GRAPH) $(if $(filter $(LOOPS),$(1)),,$(SIZE_FLAGS))
$(foreach source,$(LIBRARY_SOURCES),$(eval $(call compile,$(source),$(call library_object,$(source)),$(call library_flags,$(source)) $(WHOLE_FLAGS))))

$(LIBRARY): $(foreach source,$(LIBRARY_SOURCES),$(call library_object,$(source)))
	@rm -f $@
	$(call run,AR,$@) $(ARCHIVER) rcs $@ $^

# The command line as a file that changes only when the line does: all objects depend on it.
FLAGS_LINE = $(COMPILER) $(FLAGS) $(SIZE_FLAGS) $(WHOLE_FLAGS) $(LINK_FLAGS) $(LIBRARY_SOURCES)
$(BUILD)/flags: FORCE
	@mkdir -p $(@D); echo '$(FLAGS_LINE)' | cmp -s - $@ || echo '$(FLAGS_LINE)' > $@
FORCE:

# ---- programs ----------------------------------------------------------------------------------------------------

ifneq ($(BARE_METAL),)
RUNTIME_SOURCES = toolchains/common/runtime.c
PROGRAM_FLAGS = -Itoolchains/common -DCGE_BARE_METAL=1 -DCGE_TEST_RAM_BYTES='($(BOARD_RAM_KB)*1024)'
LINK_FLAGS = $(MACHINE_FLAGS) -nostartfiles --specs=nano.specs --specs=rdimon.specs -T toolchains/common/linker.ld \
    -Wl,--gc-sections -Wl,--defsym=FLASH_ORIGIN=$(BOARD_FLASH_ORIGIN) -Wl,--defsym=FLASH_KB=$(BOARD_FLASH_KB) \
    -Wl,--defsym=RAM_ORIGIN=$(BOARD_RAM_ORIGIN) -Wl,--defsym=RAM_KB=$(BOARD_RAM_KB) $(if $(WHOLE),-flto -flto-partition=one)
else
LINK_FLAGS = $(MACHINE_FLAGS) -pthread $(if $(BOARD_PREFIX),-static -Wl$(comma)--gc-sections)
endif

# A fused build on a core without fused multiply-adds calls the C library's fmaf.
LINK_LIBRARIES = $(LIBRARY) $(if $(FUSED),-lm)

define program # program, sources, further compile flags, further link flags
$(foreach source,$(2) $(RUNTIME_SOURCES),$(eval $(call compile,$(source),$(call program_object,$(1),$(source)),$(PROGRAM_FLAGS) $(3))))
$(1): $(foreach source,$(2) $(RUNTIME_SOURCES),$(call program_object,$(1),$(source))) $(LIBRARY) toolchains/common/linker.ld
	@mkdir -p $$(@D)
	$$(call run,LD,$$@) $(COMPILER) $$(FLAGS) $$(filter %.o,$$^) $(LINK_FLAGS) $(4) $$(LINK_LIBRARIES) -o $$@
endef
program_object = $(BUILD)/$(notdir $(basename $(1)))/$(subst /,_,$(2:.c=)).o

TESTS = $(BUILD)/tests.elf
$(eval $(call program,$(TESTS),$(sort $(wildcard tests/c/*.c))))

# APP: one or more directories; all .c files in and below them make the program, and each is an include directory.
OUT ?= $(BUILD)/firmware.elf
ifneq ($(APP),)
$(eval $(call program,$(OUT),$(sort $(shell find $(APP) -name '*.c')),$(addprefix -I,$(APP))))
endif

RUN = $(if $(BOARD_QEMU)$(filter host,$(BOARD)),,$(error $(BOARD) is not emulated; these are: $(EMULATED_BOARDS)))toolchains/common/run.sh '$(BOARD_QEMU)'

# ---- size and stack ------------------------------------------------------------------------------------------------

# A program that links the training of the demo's network, and the map of what that takes from the library: of its objects,
# or of the one that linking makes of them. Then the rest of the library is measured in objects of its own.
$(eval $(call program,$(BUILD)/size.elf,benchmarks/size_app/main.c,,-Wl$(comma)-Map=$(BUILD)/size.map $(if $(WHOLE),-save-temps $(CALL_GRAPH))))
apart_object = $(if $(WHOLE),$(patsubst $(BUILD)/lib/%,$(BUILD)/apart/%,$(call library_object,$(1))))
$(if $(WHOLE),$(foreach source,$(LIBRARY_SOURCES),$(eval $(call compile,$(source),$(call apart_object,$(source)),$(call library_flags,$(source))))))
SIZE_OBJECTS = $(if $(WHOLE),'apart/*.o' size.elf.ltrans0.ltrans.o,'lib/*.o' 'lib/*.o')

$(BUILD)/size.csv: $(BUILD)/size.elf $(foreach source,$(LIBRARY_SOURCES),$(call apart_object,$(source))) benchmarks/size.py
	@$(if $(CALL_GRAPH),,$(error sizes need a board with a GCC of its own: make size BOARD=<name>))
	@$(PYTHON) benchmarks/size.py measure $(BUILD) $(SIZE_OBJECTS) $@
