# Library, programs and C tests for one BOARD, in $(BUILD). Everything is rebuilt when a flag changes.

BUILD ?= build/$(BOARD)
OPT ?= $(if $(SMALL),-Os,-O2)
PYTHON ?= python3
run = $(if $(V),,@$(if $(QUIET),,echo '  $(1) $(2)';))# V=1 shows whole commands, QUIET=1 none
comma := ,

# -ffp-contract=off: multiply and add round apart, everywhere, or boards and computers would not get the same bits.
WARNINGS = -Wall -Wextra -Wpedantic -Wconversion -Wdouble-promotion -Wshadow -Wvla -Wundef -Wstrict-prototypes \
    -Wmissing-prototypes -Wno-missing-field-initializers $(if $(WERROR),-Werror)
FLAGS = -std=c99 $(OPT) -ffp-contract=off -ffunction-sections -fdata-sections $(MACHINE_FLAGS) $(WARNINGS) \
    $(if $(FUSED),-DCGE_FUSED=1) $(if $(SMALL),-DCGE_SMALL=1) $(CFLAGS) -Icsrc/include
CXX_ONLY = -std=gnu++17 $(if $(BARE_METAL),-fno-exceptions -fno-rtti -fno-threadsafe-statics)
CXX_FLAGS = $(CXX_ONLY) $(filter-out -std=c99 -Wstrict-prototypes -Wmissing-prototypes $(CFLAGS),$(FLAGS)) $(CXXFLAGS)
# What `make size` reads. Only where the compiler is surely GCC.
CALL_GRAPH = $(if $(BOARD_PREFIX),-fcallgraph-info=su)

# ---- library ----------------------------------------------------------------------------------------------------

# The double-precision copy is for gradient checks on the host.
LIBRARY = $(BUILD)/libcge.a
F64_SOURCE = csrc/src/host/f64.c
CORE_SOURCES := $(filter-out $(F64_SOURCE),$(sort $(wildcard csrc/src/*.c csrc/src/*/*.c csrc/src/*/*/*.c)))
# UNITY=1: the core as one translation unit, as other build systems like to compile.
LIBRARY_SOURCES := $(if $(UNITY),$(BUILD)/unity.c,$(CORE_SOURCES)) $(if $(filter host,$(BOARD)),$(F64_SOURCE))
library_object = $(BUILD)/lib/$(basename $(notdir $(1))).o# base names are unique

define compile # source, object, further flags
$(2): $(1) $(BUILD)/flags
	@mkdir -p $$(@D)
	$$(call run,$(if $(filter %.c,$(1)),CC,CXX),$$<) $(if $(filter %.c,$(1)),$(COMPILER) $$(FLAGS),$(CXX_COMPILER) $$(CXX_FLAGS)) $(3) -MMD -MP -c $$< -o $$@
-include $(2:.o=.d)
endef

include toolchains/common/optimise.mk

# Linking a program for a microcontroller optimises the library as a whole: 0.9 KB less, 1.2 KB with SMALL=1. The objects
# also have code for programs that are linked without it; WHOLE= builds none with it.
WHOLE := $(if $(PLAIN),,$(BARE_METAL))
WHOLE_FLAGS := $(if $(WHOLE),-flto -ffat-lto-objects)

$(foreach source,$(LIBRARY_SOURCES),$(eval $(call compile,$(source),$(call library_object,$(source)),$(CALL_GRAPH) $(call library_flags,$(source)) $(WHOLE_FLAGS))))

$(LIBRARY): $(foreach source,$(LIBRARY_SOURCES),$(call library_object,$(source)))
	@rm -f $@
	$(call run,AR,$@) $(ARCHIVER) rcs $@ $^

$(BUILD)/unity.c: $(CORE_SOURCES)
	@mkdir -p $(@D); printf '#include "%s"\n' $(abspath $^) > $@

# The command line as a file that changes only when the line does: all objects depend on it, and programs on that of linking.
$(BUILD)/flags: LINE = $(COMPILER) $(FLAGS) $(CXX_COMPILER) $(CXX_FLAGS) $(SIZE_FLAGS) $(WHOLE_FLAGS) $(LIBRARY_SOURCES)
$(BUILD)/link-flags: LINE = $(LINK_FLAGS)
$(BUILD)/flags $(BUILD)/link-flags: FORCE
	@mkdir -p $(@D); echo '$(LINE)' | cmp -s - $@ || echo '$(LINE)' > $@
FORCE:

# ---- programs ----------------------------------------------------------------------------------------------------

ifneq ($(BARE_METAL),)
RUNTIME_SOURCES = toolchains/common/runtime.c
PROGRAM_FLAGS = -Itoolchains/common -DCGE_BARE_METAL=1 -DCGE_TEST_RAM_BYTES='($(BOARD_RAM_KB)*1024)'
LINK_FLAGS = $(MACHINE_FLAGS) -nostartfiles --specs=nano.specs --specs=rdimon.specs -T toolchains/common/linker.ld \
    -Wl,--gc-sections -Wl,--defsym=FLASH_ORIGIN=$(BOARD_FLASH_ORIGIN) -Wl,--defsym=FLASH_KB=$(BOARD_FLASH_KB) \
    -Wl,--defsym=RAM_ORIGIN=$(BOARD_RAM_ORIGIN) -Wl,--defsym=RAM_KB=$(BOARD_RAM_KB) \
    -Wl,--defsym=CCM_ORIGIN=$(or $(BOARD_CCM_ORIGIN),0) -Wl,--defsym=CCM_KB=$(or $(BOARD_CCM_KB),0) $(if $(WHOLE),-flto -flto-partition=one)
else
LINK_FLAGS = $(MACHINE_FLAGS) -pthread $(if $(BOARD_PREFIX),-static -Wl$(comma)--gc-sections)
endif

# A fused build on a core without fused multiply-adds calls the C library's fmaf.
LINK_LIBRARIES = $(LIBRARY) $(if $(FUSED),-lm)

define program # program, sources, further compile flags, further link flags
$(foreach source,$(2) $(RUNTIME_SOURCES),$(eval $(call compile,$(source),$(call program_object,$(1),$(source)),$(PROGRAM_FLAGS) $(3))))
$(1): $(foreach source,$(2) $(RUNTIME_SOURCES),$(call program_object,$(1),$(source))) $(LIBRARY) toolchains/common/linker.ld $(BUILD)/link-flags
	@mkdir -p $$(@D)
	$$(call run,LD,$$@) $(COMPILER) $$(FLAGS) $$(filter %.o,$$^) $(LINK_FLAGS) $(4) $$(LINK_LIBRARIES) -o $$@
endef
program_object = $(BUILD)/$(notdir $(basename $(1)))/$(subst /,_,$(2:.c=)).o

# For size on boards, and fast to compile on computers; where flash is small five programs have some of the suites each
# (tests/c/suites.h). They share all objects but those of what knows the program's part.
TEST_SOURCES := $(sort $(wildcard tests/c/*.c))
TEST_PARTS := $(if $(filter 32 64 128 256 512,$(BOARD_FLASH_KB)),OPERATORS NETWORKS PLANS SLICES LAYERS)
TEST_OF_PART := tests/c/main.c tests/c/check.c
TEST_FLAGS := $(if $(BARE_METAL),-Os,$(if $(filter -O0,$(OPT)),,-O1))
TEST_FLAGS += $(if $(BOARD_PREFIX),-DCHECK_FEWER=1)# an emulator is 10 to 20 times as slow
TESTS := $(if $(TEST_PARTS),$(TEST_PARTS:%=$(BUILD)/tests-%.elf),$(BUILD)/tests.elf)
$(eval $(call program,$(BUILD)/tests.elf,$(TEST_SOURCES),$(TEST_FLAGS)))
$(foreach part,$(TEST_PARTS),$(eval $(call program,$(BUILD)/tests-$(part).elf,$(TEST_OF_PART),-DCHECK_$(part) $(TEST_FLAGS))))
GOLDEN_SOURCES := $(addprefix tests/c/,test_golden.c test_selftest.c models.c)
sources_of_part = $(if $(filter GOLDEN,$(1)),$(GOLDEN_SOURCES),$(filter-out $(TEST_OF_PART),$(TEST_SOURCES)))
$(foreach part,$(TEST_PARTS),$(eval $(BUILD)/tests-$(part).elf: $(foreach source,$(call sources_of_part,$(part)),$(call program_object,$(BUILD)/tests.elf,$(source)))))

# Every kernel set against the reference on random geometries and wild numbers: not for boards, which have no memory for it.
FUZZ := $(if $(BARE_METAL),,$(BUILD)/fuzz.elf)
$(if $(FUZZ),$(eval $(call program,$(FUZZ),tests/c/fuzz/fuzz_kernels.c)))

# APP: one or more directories; all C and C++ files in and below them make the program, and each is an include directory.
# C++ is compiled without exceptions and run-time types on a board, and is linked without the C++ library there.
OUT ?= $(BUILD)/firmware.elf
ifneq ($(APP),)
$(foreach folder,$(APP),$(if $(wildcard $(folder)/.),,$(error APP=$(APP): there is no directory $(folder))))
APP_SOURCES := $(sort $(shell find $(APP) -name '*.c' -o -name '*.cpp' -o -name '*.cc' -o -name '*.cxx'))
$(if $(APP_SOURCES),,$(error APP=$(APP): there is no .c, .cpp, .cc or .cxx file))
APP_CXX := $(filter-out %.c,$(APP_SOURCES))
$(if $(APP_CXX),$(if $(shell command -v $(firstword $(CXX_COMPILER))),,$(error $(firstword $(APP_CXX)) needs $(CXX_COMPILER): it is not installed)))
$(eval $(call program,$(OUT),$(APP_SOURCES),$(addprefix -I,$(APP)),$(if $(APP_CXX),$(if $(BARE_METAL),,-lstdc++))))
endif

RUN = $(if $(BOARD_QEMU)$(filter host,$(BOARD)),,$(error $(BOARD) is not emulated; these are: $(EMULATED_BOARDS)))toolchains/common/run.sh '$(BOARD_QEMU)'

# ---- size and stack ------------------------------------------------------------------------------------------------

# A program that links the training of the demo's network, and the map of what that takes from the library: of its objects,
# or of the one that linking makes of them. Then the rest of the library is measured in objects of its own.
$(eval $(call program,$(BUILD)/size.elf,benchmarks/size_app/main.c,,-Wl$(comma)-Map=$(BUILD)/size.map $(if $(WHOLE),-save-temps $(CALL_GRAPH))))
apart_object = $(if $(WHOLE),$(patsubst $(BUILD)/lib/%,$(BUILD)/apart/%,$(call library_object,$(1))))
$(if $(WHOLE),$(foreach source,$(LIBRARY_SOURCES),$(eval $(call compile,$(source),$(call apart_object,$(source)),$(CALL_GRAPH) $(call library_flags,$(source))))))
SIZE_OBJECTS = $(if $(WHOLE),'apart/*.o' size.elf.ltrans0.ltrans.o,'lib/*.o' 'lib/*.o')

$(BUILD)/size.csv: $(BUILD)/size.elf $(foreach source,$(LIBRARY_SOURCES),$(call apart_object,$(source))) benchmarks/size.py
	@$(if $(CALL_GRAPH),,$(error sizes need a board with a GCC of its own: make size BOARD=<name>))
	@$(PYTHON) benchmarks/size.py measure $(BUILD) $(SIZE_OBJECTS) $@
