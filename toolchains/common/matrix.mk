# Every build in which the C tests run, besides that of gcc -O0 in tests/coverage.py and Python's module at -O3. All but one
# train for 200 steps and compare the hash of the weights with one constant, so this table is also the proof that compilers,
# options and boards do not change a bit.

# Slow programs repeat cases less, as emulators do (build.mk). Sanitizers run at -O0: at -O1 the kernels take longer to
# compile than the tests then save.
SANITIZE = -g -fsanitize=address,undefined -fno-sanitize-recover=all -DCHECK_FEWER=1
SANITIZE_THREADS = -g -fsanitize=thread -DCHECK_FEWER=1

# A CPU that lacks a set takes its best, which all suites run with. Each other is chosen for suites that compute with networks.
KERNEL_SETS = ref small tiled lanes lanes_avx2
KERNEL_SUITES = network wild threads plan relay slices graph trains golden norm_layers selftest

# Builds that are about one thing run the suites about it.
THREAD_SUITES = threads overlap fp_mode bytes network
BIG_ENDIAN_SUITES = golden serialise bytes outside rng math network seal selftest conv2d kernels_dense kernels_pool2d
KERNELS_SUITES = kernels_conv2d kernels_dense kernels_pool2d kernels_depthwise kernels_elementwise kernels_norm conv2d dense \
    network relay graph golden selftest

variant_gcc-O2          = CC=gcc OPT=-O2 KERNELS='$(KERNEL_SETS)'
variant_clang-native    = CC=clang OPT='-O2 -march=native'
variant_clang-sanitize  = CC=clang OPT='-O0 $(SANITIZE)'
variant_clang-thread-sanitize = CC=clang OPT='-O0 $(SANITIZE_THREADS)' SUITES='$(THREAD_SUITES)' FUZZ=

# The library is optimised as a whole (build.mk) on two boards, which have all suites; on the others its objects are linked as
# they are. Of the two M4F boards one passes floats in integer registers. The M3 computes in software, as microbit. Boards that
# differ from others in the compiler's options alone train the golden networks.
$(foreach board,$(EMULATED_BOARDS),$(eval variant_$(board) = BOARD=$(board) $(if $(filter netduinoplus2 microbit,$(board)),,WHOLE=)))
variant_mps2_an385 += TEST_PARTS='GOLDEN SLICES'
variant_mps2_an386 += TEST_PARTS=GOLDEN ABI=softfp
variant_mps2_an500 += TEST_PARTS=GOLDEN
variant_mps2_an505 += TEST_PARTS=GOLDEN
variant_mps3_an547 += TEST_PARTS=GOLDEN
variant_armhf += FUZZ= SUITES='$(KERNELS_SUITES) slices fp_mode'
variant_netduinoplus2-small  = BOARD=netduinoplus2 SMALL=1 WHOLE= TEST_PARTS='OPERATORS PLANS SLICES'

# Other computers, in user-mode emulation. No boards: nobody asks for their sizes. s390x and ppc64 are big-endian; on s390x
# -std=c99 would compute float in double.
BIG_ENDIAN = SUITES='$(BIG_ENDIAN_SUITES)' FUZZ=
variant_i386    = BOARD_PREFIX=i686-linux-gnu- BOARD_CFLAGS='-msse2 -mfpmath=sse' BOARD_QEMU=qemu-i386 FUZZ= SUITES='$(KERNELS_SUITES) fp_mode math'
variant_riscv64 = BOARD_PREFIX=riscv64-linux-gnu- BOARD_QEMU=qemu-riscv64 SUITES='$(KERNELS_SUITES) slices serialise'
variant_s390x   = BOARD_PREFIX=s390x-linux-gnu- BOARD_CFLAGS=-fexcess-precision=fast BOARD_QEMU=qemu-s390x $(BIG_ENDIAN)
variant_ppc64   = BOARD_PREFIX=powerpc64-linux-gnu- BOARD_QEMU=qemu-ppc64 $(BIG_ENDIAN)

# Fused multiply-adds are another arithmetic: a constant of its own, equal among these.
variant_gcc-fused-native    = CC=gcc FUSED=1 OPT='-O2 -march=native'
variant_aarch64-fused       = BOARD=aarch64 FUSED=1 FUZZ= SUITES='$(KERNELS_SUITES)'
variant_netduinoplus2-fused = BOARD=netduinoplus2 FUSED=1 WHOLE= TEST_PARTS='OPERATORS GOLDEN'

# All sources as one translation unit: names are unique, and no source changes what the compiler does with the next one.
variant_gcc-native-unity    = CC=gcc OPT='-O0 -march=native' UNITY=1 FUZZ= SUITES='network threads graph golden selftest serialise'
variant_netduinoplus2-unity = BOARD=netduinoplus2 UNITY=1 WHOLE= TEST_PARTS=GOLDEN

VARIANTS := $(patsubst variant_%,%,$(sort $(filter variant_%,$(.VARIABLES))))

.PHONY: c-tests c-matrix everything $(VARIANTS:%=test-%)

c-tests: $(if $(tools_missing),tools-missing,$(TESTS) $(FUZZ))
	@$(if $(tools_missing),,: $(TESTS:%=&& $(RUN) % $(SUITES)) $(FUZZ:%=&& $(RUN) %) $(foreach set,$(KERNELS),&& echo 'CGE_KERNELS=$(set)' && CGE_KERNELS=$(set) $(RUN) $(TESTS) $(KERNEL_SUITES)))

# A variant may be left out for want of tools only in `make test`, and not with CI=true.
NOT_RUN = build/test/not-run
.PHONY: tools-missing
tools-missing:
	@echo 'NOT RUN: C tests on $(BOARD), for want of $(tools_missing)' $(if $(MAY_SKIP),| tee -a $(NOT_RUN),; exit 1)

$(VARIANTS:%=test-%): test-%:
	@echo '== C tests: $* ($(variant_$*))'
	@$(MAKE) c-tests $(variant_$*) BUILD=build/test/$* WERROR=1 QUIET=1

c-matrix: $(VARIANTS:%=test-%)

JOBS ?= $(shell nproc 2>/dev/null || echo 2)

# pytest last: its closing line is the verdict, if what came before did not fail. What it compares with is fetched meanwhile.
everything: setup
	@mkdir -p build/test; rm -f $(NOT_RUN) build/test/failed
	@$(MAKE) --keep-going --jobs=$(if $(filter true,$(CI)),$$(($(JOBS) + 1)) oracles,$(JOBS)) --output-sync=recurse c-matrix \
	    $(if $(filter true,$(CI)),,MAY_SKIP=1) \
	    && echo '== C tests: all passed' || { echo '== C tests: FAILED'; touch build/test/failed; }
	@test ! -s $(NOT_RUN) || { echo '== not run:'; cat $(NOT_RUN); }
	@MAKEFLAGS= MAKELEVEL= .venv/bin/python -m pytest --numprocesses=$(JOBS) --dist=loadfile --no-loadscope-reorder
	@test ! -e build/test/failed

# ---- all boards ------------------------------------------------------------------------------------------------------

SIZED_BOARDS := $(filter-out host,$(BOARDS))
.PHONY: $(SIZED_BOARDS:%=build-%)
$(SIZED_BOARDS:%=build-%): build-%:
	@echo '  BOARD $*'
	@$(MAKE) BOARD=$* QUIET=1 build/$*/size.csv

build/boards.csv: FORCE
	@$(MAKE) --jobs=$(JOBS) --output-sync=recurse $(SIZED_BOARDS:%=build-%)
	@$(PYTHON) benchmarks/boards.py measure build $@

build/stack.csv: FORCE
	@mkdir -p $(@D); $(PYTHON) benchmarks/stack.py measure $@
