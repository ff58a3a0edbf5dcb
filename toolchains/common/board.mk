# From BOARD=<name> to compiler, flags and memory. A board is one file, toolchains/<name>.mk, of plain lines
# `NAME = value`; it is found here by wildcard and nowhere listed. The Python package reads the same lines (its build
# packs the files of all boards, for net.summary), so no make code in there.
#
#   BOARD_DESCRIPTION   one line for people            BOARD_CORE   the processor core
#   BOARD_PREFIX        of the compiler's name: arm-none-eabi- (no operating system), aarch64-linux-gnu-, ...
#   BOARD_CFLAGS        -mcpu, -mfpu                   BOARD_FLOAT_ABI   hard, softfp or soft (no FPU)
#   BOARD_CLOCK_MHZ
#   BOARD_FLASH_ORIGIN, BOARD_FLASH_KB                 what the machine boots from
#   BOARD_RAM_ORIGIN, BOARD_RAM_KB                     its largest block of RAM, where the arena goes
#   BOARD_CCM_ORIGIN, BOARD_CCM_KB                     core-coupled memory (CCM, DTCM), where section .ccm goes; if there is one
#   BOARD_RAM_TOTAL_KB                                 with all the other blocks
#   BOARD_FREE_RELEASE  the firmware that usually runs there, by name and release: a build without changes. What it
#                       leaves of the chip, as its own build prints it, and only what is known:
#   BOARD_FREE_RAM_BYTES, BOARD_FREE_FLASH_BYTES, BOARD_FREE_CCM_BYTES (core-coupled memory, a block of its own)
#   BOARD_TESTS_ON      the emulated board with the same sort of core, or this one; README names it. An emulated board
#                       without it is there for its core alone, and not in README's table
#   BOARD_QEMU          the emulator's command, if there is one: then `make test` runs the C tests on it

BOARDS := $(patsubst toolchains/%.mk,%,$(sort $(wildcard toolchains/*.mk)))
EMULATED_BOARDS := $(patsubst toolchains/%.mk,%,$(sort $(shell grep -l '^BOARD_QEMU =' toolchains/*.mk)))

ifeq ($(filter $(BOARD),$(BOARDS)),)
$(error there is no board '$(BOARD)'; known: $(BOARDS))
endif
include toolchains/$(BOARD).mk

BARE_METAL := $(findstring -none-,$(BOARD_PREFIX))

# ABI=softfp passes floats in integer registers, as the Pico SDK and Arduino's mbed core do; objects of both ABIs do not link.
ABI ?= $(BOARD_FLOAT_ABI)
ifneq ($(ABI),$(BOARD_FLOAT_ABI))
ifneq ($(words $(filter hard softfp,$(ABI) $(BOARD_FLOAT_ABI))),2)
$(error ABI=$(ABI) is not possible on $(BOARD); ABI=hard and ABI=softfp are, on microcontrollers with an FPU)
endif
endif

COMPILER := $(if $(BOARD_PREFIX),$(BOARD_PREFIX)gcc,$(CC))
CXX_COMPILER := $(if $(BOARD_PREFIX),$(BOARD_PREFIX)g++,$(CXX))
ARCHIVER := $(BOARD_PREFIX)ar
MACHINE_FLAGS := $(BOARD_CFLAGS) $(if $(ABI),-mfloat-abi=$(ABI))

# Which of the board's tools this computer lacks.
tools_missing = $(strip $(foreach tool,$(COMPILER) $(firstword $(BOARD_QEMU)),$(if $(shell command -v $(tool)),,$(tool))))
