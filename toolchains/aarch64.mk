# No memory sizes: a program here has what its computer gives it.
BOARD_DESCRIPTION = Any 64-bit Arm Linux (user-mode QEMU)
BOARD_CORE = ARMv8-A
BOARD_PREFIX = aarch64-linux-gnu-
BOARD_CFLAGS =
BOARD_QEMU = qemu-aarch64
