# A library for Teensyduino, which brings the boot header. Main RAM: OCRAM. Besides: 512 KB of ITCM + DTCM.
BOARD_DESCRIPTION = PJRC Teensy 4.1 (i.MX RT1062)
BOARD_CORE = Cortex-M7
BOARD_PREFIX = arm-none-eabi-
BOARD_CFLAGS = -mcpu=cortex-m7 -mthumb -mfpu=fpv5-d16
BOARD_FLOAT_ABI = hard
BOARD_CLOCK_MHZ = 600
BOARD_FLASH_ORIGIN = 0x60000000
BOARD_FLASH_KB = 7936
BOARD_RAM_ORIGIN = 0x20200000
BOARD_RAM_KB = 512
BOARD_RAM_TOTAL_KB = 1024
