# No memory sizes: a program here has what its computer gives it.
BOARD_DESCRIPTION = Any ARMv7 hard-float Linux (user-mode QEMU)
BOARD_CORE = ARMv7-A
BOARD_PREFIX = arm-linux-gnueabihf-
BOARD_CFLAGS =
BOARD_QEMU = qemu-arm
