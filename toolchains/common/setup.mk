# What the tests and the demo need besides make: Debian packages, and a Python environment in .venv.

# The one list. Compilers for host and boards, their C libraries, emulators, Python.
DEBIAN_PACKAGES = build-essential cmake clang libclang-rt-dev python3-venv python3-dev \
    gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm qemu-user \
    gcc-aarch64-linux-gnu libc6-dev-arm64-cross gcc-arm-linux-gnueabihf libc6-dev-armhf-cross \
    gcc-i686-linux-gnu libc6-dev-i386-cross gcc-riscv64-linux-gnu libc6-dev-riscv64-cross \
    gcc-s390x-linux-gnu libc6-dev-s390x-cross gcc-powerpc64-linux-gnu libc6-dev-ppc64-cross

.PHONY: packages
packages:
	@toolchains/common/packages.sh $(DEBIAN_PACKAGES)

# The package is installed as a link to this tree; its compiled part is built again when a C source changes.
PACKAGE_SOURCES := pyproject.toml setup.py $(shell find csrc convgrad_embedded/_build -name '*.[chpi]*' -not -name '*.pyc')
PIP = .venv/bin/python -m pip --disable-pip-version-check --quiet
# What an extra of pyproject.toml asks for. Installing `.[extra]` would compile the package again.
needs = $$(.venv/bin/python toolchains/common/needs.py $(1))

.venv/ready: $(PACKAGE_SOURCES)
	@test -x .venv/bin/python || $(PYTHON) -m venv .venv
	@echo '  PY .venv'; $(PIP) install --upgrade setuptools wheel cffi
	@$(PIP) install --no-build-isolation --editable '.[test]'
	@touch $@

.venv/demo: pyproject.toml | .venv/ready
	@echo '  PY .venv, for the demo'; $(PIP) install $(call needs,demo)
	@touch $@

.venv/docs: pyproject.toml | .venv/ready
	@echo '  PY .venv, for the site'; $(PIP) install $(call needs,docs)
	@touch $@

# What the tests compare with (tests/oracles.py) and what builds the site: in CI, or by `make oracles`. CPU wheels, of which
# torch is the largest.
.PHONY: oracles
oracles: .venv/oracles
.venv/oracles: pyproject.toml | .venv/ready
	@echo '  PY .venv, to compare with'; $(PIP) install $(call needs,oracles docs plot)
	@$(PIP) install --no-deps aeon # for the data of docs/tutorials/imu.md alone
	@touch $@
