# The microcontroller of the Crazyflie 2.1; QEMU makes one block of its RAM and leaves out the CCM.
BOARD_DESCRIPTION = Netduino Plus 2 as QEMU has it (STM32F405)
BOARD_CORE = Cortex-M4F
BOARD_PREFIX = arm-none-eabi-
BOARD_CFLAGS = -mcpu=cortex-m4 -mthumb -mfpu=fpv4-sp-d16
BOARD_FLOAT_ABI = hard
BOARD_CLOCK_MHZ = 168
BOARD_FLASH_ORIGIN = 0x08000000
BOARD_FLASH_KB = 1024
BOARD_RAM_ORIGIN = 0x20000000
BOARD_RAM_KB = 192
BOARD_RAM_TOTAL_KB = 192
BOARD_QEMU = qemu-system-arm -M netduinoplus2
