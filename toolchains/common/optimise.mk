# Which source is compiled with which options on a microcontroller, and why. `make flags BOARD=<name>` prints the list for
# other build systems; PLAIN=1 compiles all with one set of options, as README's recipe does.
#
# -O2 is for the loops in C. All else is compiled for size: conv2d_tiled.c, whose loops are assembly, and the dense kernels,
# which get smaller and no slower, too.
#   elementwise_ref.c   activations, element by element
#   relu6_ref.c         the same
#   conv2d_ref.c        bias gradient, and every pass on a core without an FPU
#   pool2d_ref.c        pooling on a core without an FPU
#   pool2d_tiled.c      pooling
#   norm_ref.c          normalisation
#   winners_ref.c       pooling and gradients of networks with a plan
#   augmentation.c      pictures, byte by byte
LOOPS := $(patsubst %,csrc/src/kernels/%.c,ref/elementwise_ref ref/relu6_ref ref/conv2d_ref ref/norm_ref ref/pool2d_ref tiled/pool2d_tiled ref/winners_ref) \
    csrc/src/data/augmentation.c

# What is switched off here keeps more variables alive in loops than 13 registers hold, or took more bytes than it saved.
TIGHT_FLAGS = -fno-ivopts -fno-tree-loop-im -fno-move-loop-invariants -fno-gcse -fno-tree-scev-cprop -fno-tree-dominator-opts \
    -fno-schedule-insns2 -fno-tree-tail-merge
# With SMALL=1 these, too: 60 bytes.
SMALL_FLAGS = -fno-if-conversion -fno-caller-saves -fno-shrink-wrap -fno-tree-loop-optimize

# Another OPT than -O2 is for all; SMALL=1 is small as a whole.
SIZE_FLAGS := $(if $(PLAIN),,$(if $(BARE_METAL),$(if $(filter -O2,$(OPT)),-Os $(TIGHT_FLAGS),$(if $(SMALL),$(TIGHT_FLAGS) $(SMALL_FLAGS)))))
library_flags = $(if $(filter $(if $(SMALL),,$(LOOPS)),$(1)),,$(SIZE_FLAGS)) $(if $(filter $(F64_SOURCE),$(1)),$(F64_FLAGS))

# The copy in double precision checks gradients: it is to compile soon, not to run fast.
F64_FLAGS := $(if $(filter -O2 -O3,$(OPT)),-O1)
