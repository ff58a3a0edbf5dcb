# convgrad_embedded: the front door. `make help` lists what it opens; toolchains/common/ holds the works.

include toolchains/common/options.mk

# `make test` without a board is everything; `make size` is about a microcontroller.
TEST_ONE := $(BOARD)
BOARD ?= $(if $(filter size%,$(MAKECMDGOALS)),crazyflie21,host)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

include toolchains/common/board.mk
include toolchains/common/build.mk
include toolchains/common/setup.mk
include toolchains/common/matrix.mk
include toolchains/common/bench.mk

.PHONY: help setup demo docs digits test coverage mutants lib flags firmware run size size-compare size-baseline boards boards-compare boards-baseline stack stack-baseline bench bench-models bench-compare bench-baseline clean

help: ## this list
	@echo 'make TARGET [BOARD=<name>] [OPT=-Os] [ABI=softfp] [FUSED=1] [SMALL=1] [PLAIN=1] [V=1]'
	@sed -n 's/^\([a-z-]*\):.*## /  \1@/p' Makefile | awk -F@ '{printf "%-17s %s\n", $$1, $$2}'
	@echo 'Boards: $(BOARDS)'
	@echo 'Tests of one build: make test-<one of>: $(VARIANTS)'

setup: packages .venv/ready ## Debian packages (as root or with sudo), .venv with the Python package

demo: setup .venv/demo ## train on digits in Python, go on training on an emulated flight controller
	.venv/bin/python examples/demo.py

docs: .venv/docs ## the documentation as a site, from docs/, README.md, docstrings and cge.h; a warning is an error
	@.venv/bin/python -m sphinx -q -W --keep-going -c docs . build/docs
	@echo 'look at build/docs/index.html'

digits: .venv/ready ## trains examples/digits again, the network that README's firmware needs
	.venv/bin/python examples/digits/export.py

test: $(if $(TEST_ONE),c-tests,everything) ## all tests, with set-up; with BOARD: the C tests on that board

coverage: ## which lines and branches of csrc/ the C tests take; fails on one without a reason
	@$(PYTHON) tests/coverage.py

mutants: setup ## breaks the sources in COUNT places of each language, one at a time, for at most MINUTES; what no test sees
	@$(PYTHON) tests/mutants.py c $(MUTANTS); status=$$?; .venv/bin/python tests/mutants.py python $(MUTANTS) && exit $$status
MUTANTS = $(strip $(foreach name,COUNT SEED MINUTES,$(if $($(name)),--$(shell echo $(name) | tr A-Z a-z) $($(name)))))

lib: $(LIBRARY) ## build/<board>/libcge.a

flags: ## `file: options` for other build systems: what make compiles each source with
	@$(foreach source,$(LIBRARY_SOURCES),echo '$(source): $(strip $(filter-out -W%,$(FLAGS)) $(call library_flags,$(source)))';)

firmware: $(if $(APP),$(OUT)) ## APP=<directories of .c and .cpp files> OUT=<program>: compiled and linked for the board
	@$(if $(APP),,echo 'make firmware: say which program: APP=<directory>'; exit 1)

run: ## ELF=<program>: runs it on the emulated board, passes its exit status out
	@$(if $(ELF),,echo 'make run: say which program: ELF=<file>'; exit 1)
	@$(RUN) $(ELF)

size: $(BUILD)/size.csv ## code, constants and worst-case stack of each function; with PLAIN=1: by README's recipe
	@$(PYTHON) benchmarks/size.py print $<

size-compare: $(BUILD)/size.csv ## the same against the committed baseline
	@$(PYTHON) benchmarks/size.py compare $< benchmarks/baselines/size_$(BOARD).csv

size-baseline: $(BUILD)/size.csv ## commits to today's figures
	cp $< benchmarks/baselines/size_$(BOARD).csv

boards: build/boards.csv ## builds for all boards; one table of sizes
	@$(PYTHON) benchmarks/boards.py print $<

boards-compare: build/boards.csv ## the same against the committed baseline
	@$(PYTHON) benchmarks/size.py compare $< benchmarks/baselines/boards.csv

boards-baseline: $(if $(TEST_ONE),$(BUILD)/size.csv,build/boards.csv) ## commits to today's table, in README.md too; with BOARD: to its row
	$(if $(TEST_ONE),$(PYTHON) benchmarks/boards.py put $(BOARD) $< benchmarks/baselines/boards.csv,cp $< benchmarks/baselines/boards.csv)
	$(PYTHON) benchmarks/boards.py readme benchmarks/baselines/boards.csv README.md

stack: build/stack.csv ## worst-case stack of training by core, built here and as README's recipe builds
	@$(PYTHON) benchmarks/stack.py print $<

stack-baseline: build/stack.csv ## commits to today's figures, which net.summary reads; README's too
	cp $< convgrad_embedded/stack.csv
	$(PYTHON) benchmarks/boards.py readme benchmarks/baselines/boards.csv README.md

bench: $(if $(TEST_ONE),bench-board,bench-host) ## speed beside PyTorch and others; with BOARD: instructions there

bench-models: setup ## training steps of published networks beside PyTorch's
	@mkdir -p build/bench
	@.venv/bin/python benchmarks/model_steps.py --csv build/bench/models.csv; cat build/bench/models.csv

bench-compare: ## the last `make bench` against the committed baseline
	@$(PYTHON) benchmarks/compare.py $(BENCH_CSV) $(BENCH_BASELINE)

bench-baseline: ## commits to the last `make bench`
	cp $(BENCH_CSV) $(BENCH_BASELINE)

clean: ## removes all that make made
	rm -rf build .venv convgrad_embedded/_native*.so *.egg-info
