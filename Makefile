# Two commands do all the set-up: `make demo` and `make test`. `make check` adds the quality gates.
# They need Python 3.11 or later, pip and make; the rest is installed into .venv.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
DISTS  := core drivers-local drivers-memory drivers-s3
META   := pyproject.toml constraints.txt $(DISTS:%=%/pyproject.toml)
SOURCES = $(shell find $(DISTS:%=%/src) -name '*.py')

# The other Pythons that the tests run on, where they are installed (on PATH, or by pyenv).
OTHERS := 3.12 3.13

# As many workers as there are processors; each starts a SeaweedFS of its own when it needs one.
PARALLEL := -n auto --dist loadgroup

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test check lint types others format api clean

help:
	@echo "make demo    a tour of the API on real files, and on S3 where AWS_BUCKET is set"
	@echo "make test    all tests, S3 on SeaweedFS included, with coverage"
	@echo "make check   the tests and every quality gate: lint, types, other Pythons"
	@echo "make format  format the code"
	@echo "make api     write docs/api.md from the docstrings"
	@echo "make clean   remove everything that was installed or made here"

demo: $(VENV)/installed
	@echo "==> Running docs/examples/storage_example.py"
	@$(BIN)/python docs/examples/storage_example.py

test: $(VENV)/installed
	@echo "==> Running the tests"
	@$(BIN)/python -m pytest $(PARALLEL) --cov --cov-report=term

check: lint types test others

lint: $(VENV)/installed
	@echo "==> Checking format and lint"
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/python docs/generate_api.py --check

types: $(VENV)/installed build/types/installed
	@echo "==> Checking types with mypy"
	@for dist in $(DISTS); do \
		MYPYPATH=$$dist/src $(BIN)/mypy --strict $$dist/src || exit 1; done
	@$(BIN)/mypy --strict tests/typing
	@echo "==> Checking types with pyright"
	@$(BIN)/pyright --pythonpath build/types/bin/python build/types/lib/python*/site-packages/jtc
	@$(BIN)/pyright --pythonpath build/types/bin/python -p tests/typing

others: $(OTHERS:%=others-%)

others-%: $(META)
	@python=$$(command -v python$* || true); \
	if [ -z "$$python" ] || ! $$python -c '' 2>/dev/null; then \
		python=$$(ls -d $${PYENV_ROOT:-$$HOME/.pyenv}/versions/$*.*/bin/python 2>/dev/null | tail -n 1); fi; \
	if [ -z "$$python" ]; then echo "==> Python $* is not installed: skipped"; exit 0; fi; \
	echo "==> Running the tests on Python $*"; \
	$(MAKE) --no-print-directory VENV=$(VENV)-$* PYTHON=$$python $(VENV)-$*/installed && \
	$(VENV)-$*/bin/python -m pytest -q $(PARALLEL) \
		tests/unit tests/memory tests/local tests/s3 tests/docs tests/kit/test_memory.py

$(VENV)/installed: $(META)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.11")'
	@echo "==> Installing the distributions and the development tools into $(VENV), about a minute"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet -c constraints.txt $(DISTS:%=-e %) --group dev
	@touch $@

# Pyright follows drivers of several distributions only where they are installed, not editable.
build/types/installed: $(META) $(SOURCES)
	@echo "==> Installing the distributions for pyright"
	@test -d build/types || $(PYTHON) -m venv build/types
	@build/types/bin/python -m pip install --quiet --force-reinstall --no-deps $(DISTS:%=./%)
	@echo "$(CURDIR)/$(VENV)" | xargs -I{} sh -c 'ls -d {}/lib/python*/site-packages' \
		> $$(ls -d build/types/lib/python*/site-packages)/tools.pth
	@touch $@

api: $(VENV)/installed
	@$(BIN)/python docs/generate_api.py

format: $(VENV)/installed
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) $(OTHERS:%=$(VENV)-%) build dist .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis
