# Benchmarks: figures go to build/bench/<host or board>.csv, baselines are in benchmarks/baselines/.

BENCH_CSV = build/bench/$(BOARD).csv
BENCH_BASELINE = benchmarks/baselines/bench_$(BOARD).csv

# The core and what times it in C, for Python's ctypes; compiled as `make lib` compiles the library.
BENCH_LIBRARY = build/bench/libbench.so
BENCH_SOURCES = $(CORE_SOURCES) benchmarks/host_bench.c
$(BENCH_LIBRARY): $(BENCH_SOURCES) $(wildcard csrc/include/*.h csrc/src/*/*.h csrc/src/*/*/*.h csrc/src/*/*/*.inc)
	@mkdir -p $(@D)
	$(call run,CC,$@) $(CC) -std=c99 -O2 -ffp-contract=off -fPIC -shared -pthread -Icsrc/include $(BENCH_SOURCES) -o $@

# What was said on the command line; OPT has a default of its own.
BENCH_OPTIONS = $(foreach option,OPT ABI,$(if $(filter command line,$(origin $(option))),$(option)=$($(option)))) \
    $(foreach option,FUSED SMALL,$(if $($(option)),$(option)=1))

.PHONY: bench-host bench-board
bench-host: setup
	@.venv/bin/python benchmarks/bench.py --csv $(BENCH_CSV)

bench-board: packages
	@mkdir -p $(dir $(BENCH_CSV)); rm -f $(BENCH_CSV)
	@$(PYTHON) benchmarks/board_bench.py $(BOARD) $(BENCH_OPTIONS) > $(BENCH_CSV).part
	@mv $(BENCH_CSV).part $(BENCH_CSV); cat $(BENCH_CSV); echo 'written: $(BENCH_CSV)'
