# Main RAM: SRAM1+2. Besides: CCM 64 KB at 0x10000000, for the CPU's data only (no DMA, no code).
# The stock firmware leaves about 59 KB of it free. Its boot loader starts applications at 0x08004000.
BOARD_DESCRIPTION = Bitcraze Crazyflie 2.1 (STM32F405RG)
BOARD_CORE = Cortex-M4F
BOARD_PREFIX = arm-none-eabi-
BOARD_CFLAGS = -mcpu=cortex-m4 -mthumb -mfpu=fpv4-sp-d16
BOARD_FLOAT_ABI = hard
BOARD_CLOCK_MHZ = 168
BOARD_FLASH_ORIGIN = 0x08000000
BOARD_FLASH_KB = 1024
BOARD_RAM_ORIGIN = 0x20000000
BOARD_RAM_KB = 128
BOARD_RAM_TOTAL_KB = 192
