# "Flash" is the RAM at the boot address, as on the FPGA board.
BOARD_DESCRIPTION = Arm MPS2 AN505 (QEMU)
BOARD_CORE = Cortex-M33
BOARD_PREFIX = arm-none-eabi-
BOARD_CFLAGS = -mcpu=cortex-m33 -mthumb -mfpu=fpv5-sp-d16
BOARD_FLOAT_ABI = hard
BOARD_CLOCK_MHZ = 20
BOARD_FLASH_ORIGIN = 0x10000000
BOARD_FLASH_KB = 4096
BOARD_RAM_ORIGIN = 0x38000000
BOARD_RAM_KB = 2048
BOARD_RAM_TOTAL_KB = 2048
BOARD_QEMU = qemu-system-arm -M mps2-an505
