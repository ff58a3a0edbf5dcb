# Main RAM: SRAM1+2. Besides: CCM 64 KB at 0x10000000, for the CPU's data only (no DMA, no code).
# Its boot loader starts applications at 0x08004000. Older releases left more: 59,508 bytes of RAM, 22,008 of CCM in 2020.04.
BOARD_DESCRIPTION = Bitcraze Crazyflie 2.1 (STM32F405RG)
BOARD_CORE = Cortex-M4F
BOARD_TESTS_ON = netduinoplus2
BOARD_PREFIX = arm-none-eabi-
BOARD_CFLAGS = -mcpu=cortex-m4 -mthumb -mfpu=fpv4-sp-d16
BOARD_FLOAT_ABI = hard
BOARD_CLOCK_MHZ = 168
BOARD_FLASH_ORIGIN = 0x08000000
BOARD_FLASH_KB = 1024
BOARD_RAM_ORIGIN = 0x20000000
BOARD_RAM_KB = 128
BOARD_RAM_TOTAL_KB = 192
BOARD_CCM_ORIGIN = 0x10000000
BOARD_CCM_KB = 64
BOARD_FREE_RELEASE = Crazyflie firmware 2026.08
BOARD_FREE_RAM_BYTES = 37888
BOARD_FREE_CCM_BYTES = 648
