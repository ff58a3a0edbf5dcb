# A library for the Pico SDK, which brings boot block and start-up, and builds softfp.
# Main RAM: the striped SRAM. Besides: two scratch banks of 4 KB.
BOARD_DESCRIPTION = Raspberry Pi Pico 2 (RP2350, Arm cores)
BOARD_CORE = Cortex-M33
BOARD_TESTS_ON = mps2_an505
BOARD_PREFIX = arm-none-eabi-
BOARD_CFLAGS = -mcpu=cortex-m33 -mthumb -mfpu=fpv5-sp-d16
BOARD_FLOAT_ABI = softfp
BOARD_CLOCK_MHZ = 150
BOARD_FLASH_ORIGIN = 0x10000000
BOARD_FLASH_KB = 4096
BOARD_RAM_ORIGIN = 0x20000000
BOARD_RAM_KB = 512
BOARD_RAM_TOTAL_KB = 520
