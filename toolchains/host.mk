# No memory sizes: a program here has what its computer gives it.
BOARD_DESCRIPTION = This computer
BOARD_CORE = native
BOARD_PREFIX =
BOARD_CFLAGS =
