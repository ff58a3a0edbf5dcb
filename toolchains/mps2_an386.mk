# "Flash" is the RAM at the boot address, as on the FPGA board.
BOARD_DESCRIPTION = Arm MPS2 AN386 (QEMU)
BOARD_CORE = Cortex-M4F
BOARD_PREFIX = arm-none-eabi-
BOARD_CFLAGS = -mcpu=cortex-m4 -mthumb -mfpu=fpv4-sp-d16
BOARD_FLOAT_ABI = hard
BOARD_CLOCK_MHZ = 25
BOARD_FLASH_ORIGIN = 0x00000000
BOARD_FLASH_KB = 4096
BOARD_RAM_ORIGIN = 0x20000000
BOARD_RAM_KB = 4096
BOARD_RAM_TOTAL_KB = 4096
BOARD_QEMU = qemu-system-arm -M mps2-an386
