# A library for the Pico SDK, which brings boot2 and start-up. The SDK replaces the float routines by those of its
# boot ROM, which flush subnormals: for exact bits, pico_set_float_implementation(<target> compiler).
# Main RAM: the striped SRAM. Besides: two scratch banks of 4 KB.
BOARD_DESCRIPTION = Raspberry Pi Pico (RP2040)
BOARD_CORE = Cortex-M0+
BOARD_TESTS_ON = microbit
BOARD_PREFIX = arm-none-eabi-
BOARD_CFLAGS = -mcpu=cortex-m0plus -mthumb
BOARD_FLOAT_ABI = soft
BOARD_CLOCK_MHZ = 125
BOARD_FLASH_ORIGIN = 0x10000000
BOARD_FLASH_KB = 2048
BOARD_RAM_ORIGIN = 0x20000000
BOARD_RAM_KB = 256
BOARD_RAM_TOTAL_KB = 264
