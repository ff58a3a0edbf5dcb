# NEON flushes subnormals; GCC leaves it alone for floats unless asked for fast maths, which no build here does.
BOARD_DESCRIPTION = BeagleBone Blue (32-bit Linux)
BOARD_CORE = Cortex-A8
BOARD_TESTS_ON = armhf
BOARD_PREFIX = arm-linux-gnueabihf-
BOARD_CFLAGS = -mcpu=cortex-a8 -mfpu=neon -mfloat-abi=hard
BOARD_CLOCK_MHZ = 1000
BOARD_RAM_KB = 524288
BOARD_RAM_TOTAL_KB = 524288
