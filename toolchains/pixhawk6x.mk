# Main RAM: AXI SRAM. Besides: ITCM 64 KB, DTCM 128 KB at 0x20000000, SRAM1-4 at 0x30000000, backup SRAM 4 KB.
# PX4 starts applications at 0x08020000. Its guide, "Building PX4 Software", names the build px4_fmu-v6x_default for a Pixhawk 6X.
BOARD_DESCRIPTION = Holybro Pixhawk 6X, FMUv6X (STM32H753II)
BOARD_CORE = Cortex-M7
BOARD_TESTS_ON = mps2_an500
BOARD_PREFIX = arm-none-eabi-
BOARD_CFLAGS = -mcpu=cortex-m7 -mthumb -mfpu=fpv5-d16
BOARD_FLOAT_ABI = hard
BOARD_CLOCK_MHZ = 480
BOARD_FLASH_ORIGIN = 0x08000000
BOARD_FLASH_KB = 2048
BOARD_RAM_ORIGIN = 0x24000000
BOARD_RAM_KB = 512
BOARD_RAM_TOTAL_KB = 1060
BOARD_FREE_RELEASE = PX4 px4_fmu-v6x_default
BOARD_FREE_FLASH_BYTES = 5724
