# What may be said on the command line. All else ends here in one line: a name that is mistyped, or a value that is not
# understood, would build something else without a word.

SWITCHES = FUSED SMALL PLAIN UNITY V QUIET WERROR MAY_SKIP ANY_FLAGS # 1: on; 0 or nothing: off
SETTINGS = BOARD BUILD OPT ABI CC CXX CFLAGS CXXFLAGS APP OUT ELF KERNELS JOBS CI PYTHON WHOLE LIBRARY_SOURCES NOT_RUN \
    SUITES TEST_PARTS FUZZ COUNT SEED MINUTES \
    COMPILER BOARD_PREFIX BOARD_CFLAGS BOARD_QEMU # of another compiler than the board's

said = $(strip $(foreach name,$(.VARIABLES),$(if $(filter command line,$(origin $(name))),$(name))))
unknown := $(filter-out $(SWITCHES) $(SETTINGS) MAKEFLAGS MAKEOVERRIDES,$(said))
$(if $(unknown),$(error there is no variable $(firstword $(unknown)); these are: $(SETTINGS) $(SWITCHES)))

define switch
$(if $(filter-out 0 1,$($(1)))$(word 2,$($(1))),$(error $(1)=$($(1)) is not possible: 1 is on; 0 or nothing is off))
override $(1) := $(filter 1,$($(1)))
endef
$(foreach name,$(SWITCHES),$(eval $(call switch,$(name))))

# They let the compiler compute something else than the sources say. ANY_FLAGS=1 is for tests of what then happens.
BIT_BREAKING = -Ofast -ffast-math -funsafe-math-optimizations -fassociative-math -freciprocal-math -ffinite-math-only \
    -fno-signed-zeros -fsingle-precision-constant -ffp-contract=fast -ffp-contract=on -ffp-model=fast -ffp-model=aggressive \
    -mrecip -mrecip=% -mdaz-ftz -mlow-precision-recip-sqrt -mlow-precision-sqrt -mlow-precision-div -mfpmath=387
refused := $(strip $(if $(ANY_FLAGS),,$(foreach name,OPT CFLAGS CXXFLAGS CC CXX,$(addprefix $(name)=,$(filter $(BIT_BREAKING),$($(name)))))))
$(if $(refused),$(error $(firstword $(refused)) is not possible: it changes the bits))
