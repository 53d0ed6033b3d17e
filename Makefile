# Needs Debian 12 or newer, as root or with sudo: what is missing comes through apt, what Python
# needs goes into $(VENV).

PYTHON ?= python3
VENV ?= .venv
# Of Debian's kernels the smallest: 27 MB to download.
DEMO_KERNEL ?= linux-image-cloud-amd64
# Which tests, in pytest's words.
TESTS ?= not kernels
KERNEL_TESTS ?= kernels

BIN := $(VENV)/bin
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

# What the tests compile and read with, and what it takes to build a kernel.
TEST_PACKAGES := binutils gcc libc6-dev
KERNEL_PACKAGES := $(TEST_PACKAGES) bc bison flex libelf-dev make perl qemu-system-x86 xz-utils

# $(call install,PACKAGE...). That a source cannot be updated is no matter where another has them.
install = echo "installing $(1)" >&2; $(SUDO) apt-get update -qq || true; \
    $(SUDO) env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends $(1) >/dev/null

# $(call need,PACKAGE...): install them where one is missing. Where that cannot be, the tests that
# need them say so and are skipped.
need = @dpkg -s $(1) >/dev/null 2>&1 || { $(call install,$(1)); } || echo "cannot install: $(1)" >&2

.PHONY: help
help:
	@echo "make demo          set up, fetch a real kernel, print its frames"
	@echo "make test          set up, run the tests that need no download"
	@echo "make lint          set up, check style, types and the direction of imports"
	@echo "make test-kernels  set up, run the tests that fetch or build kernels"
	@echo "make bench         set up, measure against the tools that there were"
	@echo "make exactness     set up, hold Debian's kernels against every evidence there is"
	@echo "make clean         remove what was set up"

.PHONY: demo
demo: $(VENV)/.has-run
	@image=$$($(BIN)/stackgauge fetch debian $(DEMO_KERNEL) --arch amd64) || exit; \
	image=$$(echo "$$image" | head -n 1); \
	for options in "--top 20" --summary; do \
	    echo "\$$ stackgauge frames $$image $$options"; \
	    $(BIN)/stackgauge frames "$$image" $$options || exit; \
	done

.PHONY: test
test: $(VENV)/.has-test
	$(call need,$(TEST_PACKAGES))
	$(BIN)/python -m pytest -m "$(TESTS)"

.PHONY: test-kernels
test-kernels: $(VENV)/.has-test
	$(call need,$(KERNEL_PACKAGES))
	$(BIN)/python -m pytest -m "$(KERNEL_TESTS)"

.PHONY: lint
lint: $(VENV)/.has-lint
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: bench
bench: $(VENV)/.has-run
	$(call need,binutils perl)
	$(BIN)/python bench/frames.py
	$(BIN)/python bench/depth.py

.PHONY: exactness
exactness: $(VENV)/.has-run
	$(BIN)/python bench/exactness.py
	@cat docs/exactness.md

.PHONY: clean
clean:
	rm -rf $(VENV)

# What is installed in the environment: the package alone, or with what its tests or checks need.
$(VENV)/.has-run: WITH :=
$(VENV)/.has-test: WITH := [test]
$(VENV)/.has-lint: WITH := [test,lint]
$(VENV)/.has-%: pyproject.toml | $(VENV)/.made
	@echo "installing stackgauge$(WITH) into $(VENV)" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.$(WITH)'
	@touch $@

# Debian has ensurepip, which a new environment needs, in a package of its own.
$(VENV)/.made:
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { $(call install,python3-venv); }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "needs Python 3.11 or newer")'
	@$(PYTHON) -m venv $(VENV)
	@touch $@
