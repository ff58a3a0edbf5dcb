#!/bin/sh
# run.sh EMULATOR PROGRAM [ARGUMENT...]: runs a board's program here and ends with its exit status.
#   EMULATOR is what the board's file calls BOARD_QEMU; empty: the program runs on this computer itself.
#   RUN_SECONDS (default 600) ends a program that hangs, with status 124. QEMU_ARGS is added, e.g. "-icount shift=0".
set -u
emulator=$1 program=$2 seconds=${RUN_SECONDS:-600}
shift 2

case $emulator in
qemu-system-*)
    set -- $emulator -nographic -monitor none -serial none -semihosting-config enable=on,target=native \
        ${QEMU_ARGS:-} -kernel "$program" ;;
*)  set -- $emulator ${QEMU_ARGS:-} "$program" "$@" ;; # a board has no arguments
esac

ulimit -c 0
timeout "$seconds" "$@" </dev/null
status=$?
[ $status -ne 124 ] || echo "run.sh: $program did not end within $seconds seconds" >&2
exit $status
