# Two commands do all the set-up: `make demo` and `make test`. `make check` adds the quality gates.
# They need Python 3.11 or later, pip and make; the rest is installed into build/demo and .venv.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
DISTS  := core drivers-local drivers-memory drivers-http drivers-s3 drivers-azure drivers-gcs drivers-sftp drivers-opendal \
	layers layers-clamav layers-otel web testing integrations-django integrations-fsspec images attachments cli
BENCHED := core drivers-local drivers-memory drivers-http drivers-s3 web images cli
DEMONSTRATED := core drivers-local drivers-memory
META   := pyproject.toml constraints.txt constraints-aioboto3.txt $(DISTS:%=%/pyproject.toml)
SOURCES = $(shell find $(DISTS:%=%/src) -name '*.py')

# What is checked for Windows and macOS as well.
PORTABLE := core drivers-local drivers-memory testing

# The other Pythons that the tests run on, where they are installed (on PATH, or by pyenv).
OTHERS := 3.12 3.13 3.14

EMPTY :=
SPACE := $(EMPTY) $(EMPTY)

# Coverage takes as long again as the tests, so that those that go through what others go through too, in many
# combinations or in another process, do not measure it. What is left measures what all would, within 1 %.
UNMEASURED := $(patsubst %,tests/%.py,core/test_every_option core/test_whole_content core/test_reserved_directory \
	drivers_local/test_modes layers_clamav/test_never_readable sync_api/test_other_libraries web/test_gallery)
MEASURED := $(filter-out $(UNMEASURED),$(sort $(shell find $(wildcard $(patsubst %,tests/%,unit core layers \
	drivers_local drivers_memory drivers_http drivers_s3 drivers_azure drivers_gcs drivers_sftp drivers_opendal \
	layers_clamav layers_otel integrations_fsspec sync_api integrations_django web images attachments cli \
	$(patsubst %,conformance/test_%.py,memory gcs sftp opendal))) -name 'test_*.py')))
# SQLAlchemy's async sessions run their sync code in greenlets. To follow these takes coverage two thirds longer.
IN_GREENLETS := $(filter tests/attachments/%,$(MEASURED))

# What the packages below the S3 driver can change: aioboto3, aiobotocore, botocore and aiohttp. The diagnosis's tests
# read the doctor's list of ids, and the command line is not installed there.
WITH_AIOBOTO3 := tests/drivers_s3 tests/conformance/test_s3.py \
	$(addprefix --ignore=tests/drivers_s3/,test_diagnosis.py scripted/test_diagnosis.py)

# As many workers as there are processors; each starts a SeaweedFS of its own when it needs one.
PARALLEL := -n auto

# Two more for the tests that wait most of their time: for processes, servers and deadlines.
WAITING = -n $(shell expr $$(getconf _NPROCESSORS_ONLN) + 2)

export PIP_DISABLE_PIP_VERSION_CHECK := 1

# Or each of the processes that the tests start would compile everything anew.
unexport PYTHONDONTWRITEBYTECODE

# The build backend is installed beside the tools, so that no build makes an environment for it.
INSTALL := PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pip --python
# Most modules are never imported. What is, Python compiles then: pip would take half its time for all of them.
FLAGS   := --quiet --no-compile -c constraints.txt
# Of several lines for one package, the first counts.
WITH_OLDER := awk -F== '!seen[$$1]++'
DEMO_INSTALL := PATH="$(CURDIR)/build/demo/bin:$$PATH" build/demo/bin/python -m pip install $(FLAGS)
NEW_ENOUGH := $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.11")'

.PHONY: help demo web test engines conformance suites suites-django suites-django-local suites-django-memory suites-django-s3 suites-starlette faults rivals fuzz soak tools bench bench-smoke check gates lint types others downloads \
	simplicity format api sync cli clean

help:
	@echo "make demo    a tour of the API on real files, and with DISK=s3, azure, gcs, sftp or opendal there too"
	@echo "make web     a gallery of pictures and videos: FILESYSTEM_DISK=s3 for SeaweedFS, PORT=8000"
	@echo "make test    all tests, S3 on SeaweedFS included, with coverage"
	@echo "make suites  the tests of Django's file storages and Starlette's files, over ours: ALL=1 runs all on S3, too"
	@echo "make engines run the conformance tests of S3 on other engines, and write docs/engines.md"
	@echo "make conformance run the conformance tests on each driver, and write docs/conformance.md"
	@echo "make faults  run the fault tests in full, and write docs/reliability.md"
	@echo "make rivals kill workers that use other libraries for files of rows, and count what is lost"
	@echo "make fuzz    more random paths, configurations and responses: FUZZ_TIMES=5"
	@echo "make soak    ten minutes of mixed load with faults, and what grew: SOAK_SECONDS=600"
	@echo "make mutants change the memory driver in each line, and count what the conformance tests find"
	@echo "make bench   compare the speed with other libraries, and write docs/benchmarks.md"
	@echo "make tools   as root on Debian: install what some tests need, and Chromium"
	@echo "make check   the tests and every quality gate: lint, types, other Pythons"
	@echo "make downloads  10,000 downloads of each disk, a tenth aborted: what is left open"
	@echo "make simplicity  count calls, code lines, long functions, import circles: LIST=1 names all"
	@echo "make format  format the code"
	@echo "make api     write docs/api.md from the docstrings"
	@echo "make cli     run the examples of docs/cli.md on a terminal, and write them and the picture"
	@echo "make sync    write the methods of the sync API from the async ones"
	@echo "make clean   remove everything that make installed or built"

# In an environment of its own: the tour needs neither the tests' packages nor, on files, an SDK. With DISK=azure or
# another one it is taken there too: where the variables of its driver name no store, a server of the tests serves it.
DISK ?= $(if $(AWS_BUCKET),s3)
SERVER_s3 = $(if $(AWS_BUCKET),,seaweedfs)
SERVER_azure = $(if $(AZURE_STORAGE_CONNECTION_STRING)$(AZURE_STORAGE_ACCOUNT),,azurite)
SERVER_gcs = $(if $(GCS_BUCKET),,google_store)
SERVER_sftp = $(if $(SFTP_HOST),,openssh)
SERVER_opendal = $(if $(OPENDAL_SCHEME),,webdav)
SERVER = $(SERVER_$(DISK))
demo: build/demo/installed $(if $(filter-out local memory,$(DISK)),build/demo/with-$(DISK)) $(if $(SERVER),$(VENV)/installed)
	@echo "==> Running docs/examples/storage_example.py"
	@$(if $(DISK),FILESYSTEM_DISK=$(DISK)) $(if $(SERVER),$(BIN)/python tests/support/$(SERVER).py tour) \
		build/demo/bin/python docs/examples/storage_example.py

build/demo/installed: $(DEMONSTRATED:%=%/pyproject.toml) constraints.txt
	@echo "==> Installing $(DEMONSTRATED) into build/demo, a few seconds"
	@$(NEW_ENOUGH)
	@$(PYTHON) -m venv build/demo
	@$(DEMO_INSTALL) uv-build
	@$(DEMO_INSTALL) --no-build-isolation $(DEMONSTRATED:%=-e %)
	@touch $@

build/demo/with-%: drivers-%/pyproject.toml | build/demo/installed
	@echo "==> Installing drivers-$* into build/demo"
	@$(DEMO_INSTALL) --no-build-isolation -e drivers-http -e drivers-$*
	@touch $@

# On S3 without a bucket's name, a SeaweedFS runs for as long as the gallery does.
FILESYSTEM_DISK ?= local
PORT ?= 8000
web: $(VENV)/installed
	@FILESYSTEM_DISK=$(FILESYSTEM_DISK) PORT=$(PORT) GALLERY_SETS_CORS=$(if $(AWS_BUCKET),,$(filter s3,$(FILESYSTEM_DISK))) \
		$(BIN)/python \
		$(if $(filter s3,$(FILESYSTEM_DISK)),$(if $(AWS_BUCKET),,tests/support/seaweedfs.py gallery $(BIN)/python)) \
		docs/examples/gallery

test: $(VENV)/installed build/aioboto3/installed
	@echo "==> Running the tests, those that measure the coverage first"
	@failed=0; \
	$(BIN)/python -m pytest $(PARALLEL) --cov --cov-report= --cov-fail-under=0 \
		$(filter-out $(IN_GREENLETS),$(MEASURED)) || failed=1; \
	COVERED=greenlet $(BIN)/python -m pytest $(WAITING) --cov --cov-append --cov-report=term \
		$(IN_GREENLETS) || failed=1; \
	$(BIN)/python -m pytest $(WAITING) $(MEASURED:%=--ignore=%) || failed=1; \
	echo "==> Running the tests of the S3 driver beside aioboto3, on the oldest aiohttp"; \
	PATH="$(CURDIR)/$(BIN):$$PATH" build/aioboto3/bin/python -m pytest -q $(WAITING) $(WITH_AIOBOTO3) || failed=1; \
	exit $$failed

# aioboto3 cannot be installed beside a current boto3, which is in $(VENV). SeaweedFS is that of $(VENV).
build/aioboto3/installed: $(META) | $(VENV)/installed
	@echo "==> Installing the S3 driver with aioboto3 and the oldest aiohttp that it takes"
	@$(VENV)/bin/python -m venv --without-pip build/aioboto3
	@echo aiohttp==3.12.0 | $(WITH_OLDER) - constraints-aioboto3.txt constraints.txt > build/aioboto3/constraints.txt
	@$(INSTALL) build/aioboto3 install --quiet --no-compile -c build/aioboto3/constraints.txt --group others httpx
	@$(INSTALL) build/aioboto3 install --quiet --no-compile -c build/aioboto3/constraints.txt --no-build-isolation \
		-e core -e drivers-local -e drivers-memory -e drivers-http -e 'drivers-s3[aioboto3]' -e testing
	@$(INSTALL) build/aioboto3 check
	@touch $@

# Frameworks' own tests, over our disks. What differs on purpose is listed, with its reasons, beside each runner.
suites: suites-django suites-starlette

DJANGO := $(shell sed -n 's/^Django==//p' constraints.txt)
DJANGO_TESTS := build/suites/django-$(DJANGO)
# On S3, the other tests of static files copy and hash the same files fifty times, which takes two minutes.
ON_S3 := file_storage staticfiles_tests.test_management staticfiles_tests.test_storage.TestCustomManifestStorage \
	staticfiles_tests.test_storage.TestCollectionSimpleStorage staticfiles_tests.test_storage.TestCollectionHashedFilesCache

# Each kind of disk uses one processor at a time, so two run at once.
suites-django: $(DJANGO_TESTS)/tests $(VENV)/installed
	@$(MAKE) --no-print-directory -j2 --output-sync=target $(addprefix suites-django-,s3 local memory)

suites-django-local suites-django-memory: suites-django-%:
	@echo "==> Running Django's tests of file storages on a $* disk"
	@$(BIN)/python tests/suites/django $(DJANGO_TESTS) $*

suites-django-s3:
	@echo "==> Running Django's tests of file storages on S3"
	@$(BIN)/python tests/support/seaweedfs.py suites \
		$(BIN)/python tests/suites/django $(DJANGO_TESTS) s3 $(if $(ALL),,$(ON_S3))

# Django's tests are in its source distribution only.
$(DJANGO_TESTS)/tests: | $(VENV)/installed
	@echo "==> Downloading the tests of Django $(DJANGO)"
	@$(BIN)/python -m pip download --quiet --no-deps --no-binary Django --dest build/suites Django==$(DJANGO)
	@tar -xzf build/suites/django-$(DJANGO).tar.gz -C build/suites django-$(DJANGO)/tests

STARLETTE := $(shell sed -n 's/^starlette==//p' constraints.txt)
STARLETTE_TESTS := build/suites/starlette-$(STARLETTE)

suites-starlette: $(STARLETTE_TESTS)/tests $(VENV)/installed
	@echo "==> Running Starlette's tests of StaticFiles and FileResponse"
	@$(BIN)/python tests/suites/starlette $(STARLETTE_TESTS)

# Starlette's tests are in its source distribution only.
$(STARLETTE_TESTS)/tests: | $(VENV)/installed
	@echo "==> Downloading the tests of Starlette $(STARLETTE)"
	@$(BIN)/python -m pip download --quiet --no-deps --no-binary starlette --dest build/suites starlette==$(STARLETTE)
	@tar -xzf build/suites/starlette-$(STARLETTE).tar.gz -C build/suites

# Their programs are in build/engines, or in $(VENV) where the tests need them too.
engines: $(VENV)/installed build/engines/installed
	@echo "==> Running the conformance tests of S3 on each engine, a few minutes"
	@failed=0; \
	PATH="$(CURDIR)/build/engines/bin:$$PATH" ENGINES=all \
		$(BIN)/python -m pytest -q $(PARALLEL) --junitxml=build/engines/results.xml \
		tests/conformance/test_s3.py tests/conformance/test_engines.py || failed=1; \
	PATH="$(CURDIR)/build/engines/bin:$$PATH" \
		$(BIN)/python docs/generate_engines.py build/engines/results.xml; \
	exit $$failed

CONFORMING := $(patsubst %,tests/conformance/test_%.py,memory local s3 azure gcs sftp opendal)
conformance: $(VENV)/installed
	@echo "==> Running the conformance tests on each driver"
	@mkdir -p build; failed=0; \
	$(BIN)/python -m pytest -q $(PARALLEL) --junitxml=build/conformance.xml $(CONFORMING) || failed=1; \
	$(BIN)/python docs/generate_conformance.py build/conformance.xml; \
	exit $$failed

build/engines/installed: pyproject.toml constraints.txt | $(VENV)/installed
	@echo "==> Installing S3 engines into build/engines"
	@$(VENV)/bin/python -m venv --without-pip build/engines
	@$(INSTALL) build/engines install $(FLAGS) --group engines
	@touch $@

# Tests that watch the loop run by themselves, after the others.
faults: $(VENV)/installed
	@echo "==> Running the fault tests in full"
	@rm -rf build/faults && mkdir -p build/faults
	@export FAULT_ROUNDS=full; failed=0; \
	$(BIN)/python -m pytest tests/faults -m "not alone" $(PARALLEL) \
		--junitxml=build/faults/together.xml || failed=1; \
	$(BIN)/python -m pytest tests/faults -m alone --junitxml=build/faults/alone.xml || failed=1; \
	$(BIN)/python -m pytest -q tests/conformance/test_layers.py $(PARALLEL) || failed=1; \
	$(BIN)/python docs/generate_reliability.py build/faults/together.xml build/faults/alone.xml; \
	exit $$failed

tools:
	@tests/install_tools.sh

# The faults of tests/faults with other libraries, in an environment of its own.
rivals: build/rivals/installed
	@echo "==> Killing workers that use other libraries 1,000 times, a few minutes"
	@build/rivals/bin/python tests/faults/rival_file_objects.py

build/rivals/installed: pyproject.toml constraints.txt | $(VENV)/installed
	@echo "==> Installing the libraries to compare with into build/rivals"
	@$(VENV)/bin/python -m venv --without-pip build/rivals
	@$(INSTALL) build/rivals install $(FLAGS) --group rivals
	@touch $@

FUZZ_TIMES ?= 5
fuzz: $(VENV)/installed
	@FAULT_ROUNDS=full FUZZ_TIMES=$(FUZZ_TIMES) $(BIN)/python -m pytest -s $(PARALLEL) \
		tests/faults/test_fuzzing.py tests/faults/test_odd_answers.py

SOAK_SECONDS ?= 600
soak: $(VENV)/installed
	@$(BIN)/python tests/soak.py $(SOAK_SECONDS)

# In an environment without our distributions: mutmut's copies of them are what the tests import.
mutants: build/mutants/installed
	@build/mutants/bin/python tests/mutants.py

build/mutants/installed: pyproject.toml constraints.txt | $(VENV)/installed
	@echo "==> Installing mutmut into build/mutants"
	@$(VENV)/bin/python -m venv --without-pip build/mutants
	@$(INSTALL) build/mutants install $(FLAGS) --group mutants
	@touch $@

# In an environment of its own, with the libraries to compare with.
bench: build/bench/installed
	@build/bench/bin/python tests/benchmarks

bench-smoke: build/bench/installed
	@echo "==> Running the benchmarks with small sizes"
	@build/bench/bin/python tests/benchmarks --smoke

# A compiler for the proxy that makes a store far away, where the system has none.
COMPILER := $(if $(shell command -v cc),,--group compiler)

build/bench/installed: $(META) | $(VENV)/installed
	@echo "==> Installing the libraries to compare with"
	@$(VENV)/bin/python -m venv --without-pip build/bench
	@$(WITH_OLDER) constraints-aioboto3.txt constraints.txt > build/bench/constraints.txt
	@$(INSTALL) build/bench install --quiet --no-compile -c build/bench/constraints.txt --group bench $(COMPILER)
	@$(INSTALL) build/bench install --quiet --no-compile -c build/bench/constraints.txt --no-build-isolation $(BENCHED:%=-e %)
	@touch $@

check: gates test suites others

# Most of these use one processor at a time, so two run at once.
gates: $(VENV)/installed
	@$(MAKE) --no-print-directory -j2 --output-sync=target lint types bench-smoke $(OTHERS:%=environment-%)

lint: $(VENV)/installed
	@echo "==> Checking format and lint"
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/python docs/generate_sync.py --check
	@$(BIN)/python docs/generate_api.py --check

types: $(VENV)/installed build/types/installed
	@echo "==> Checking types with mypy"
	@MYPYPATH=$(subst $(SPACE),:,$(DISTS:%=%/src)) $(BIN)/mypy --strict $(DISTS:%=%/src) tests/typing
	@for system in win32 darwin; do MYPYPATH=$(subst $(SPACE),:,$(PORTABLE:%=%/src)) \
		$(BIN)/mypy --strict --platform $$system --cache-dir build/types/mypy-$$system \
		$(PORTABLE:%=%/src) || exit 1; done
	@echo "==> Checking types with pyright"
	@$(BIN)/pyright --pythonpath build/types/bin/python build/types/lib/python*/site-packages/jtc
	@for system in Windows Darwin; do $(BIN)/pyright --pythonplatform $$system \
		--pythonpath build/types/bin/python \
		build/types/lib/python*/site-packages/jtc/storage/drivers/local_driver || exit 1; done
	@$(BIN)/pyright --pythonpath build/types/bin/python -p tests/typing

# The path of the interpreter of another Python, or nothing.
define find_python
python=$$(command -v python$* || true); \
if [ -z "$$python" ] || ! $$python -c '' 2>/dev/null; then \
	python=$$(ls -d $${PYENV_ROOT:-$$HOME/.pyenv}/versions/$*.*/bin/python 2>/dev/null | tail -n 1); fi
endef

others: $(OTHERS:%=others-%)

# What does not differ between Pythons: each option of each method, each kind of content, modes of files, pages, links.
ALIKE := $(patsubst %,tests/%.py,core/test_every_option core/test_whole_content core/test_reserved_directory \
	core/test_url_signing layers/test_validate drivers_local/test_modes drivers_local/test_listing_pages \
	drivers_local/test_listing drivers_local/test_links drivers_local/test_page_cache sync_api/test_other_libraries)

# What the newest that is installed shows for those before it, unless ALL=1.
NEWEST = $(lastword $(patsubst $(VENV)-%/installed,%,$(sort $(shell ls $(OTHERS:%=$(VENV)-%/installed) 2>/dev/null))))
ON_NEWEST := tests/layers tests/drivers_memory tests/layers_otel tests/integrations_django tests/conformance/test_memory.py

# What of the core differs between Pythons, for those before the newest. The newest runs the core's other tests too.
IN_CORE := $(patsubst %,tests/core/test_%.py,content directory_copies discovery downloads exceptions fakes hooks loading \
	loop_clients manager many_files mime_types models open_files read_ahead read_write standalone streams sync_plan \
	temporary_files text_files traceback_scrubbing uploaded_hook without_asyncio written_files)

# What differs between Pythons: loops, threads, files, imports and types. Not documents, wheels and web
# frameworks, nor S3 but for its connections. SeaweedFS is that of $(VENV).
others-%: environment-%
	@if [ -e $(VENV)-$*/installed ]; then \
	echo "==> Running the tests on Python $*"; \
	PATH="$(CURDIR)/$(BIN):$$PATH" $(VENV)-$*/bin/python -m pytest -q $(WAITING) \
		tests/drivers_local tests/sync_api $(ALIKE:%=--ignore=%) \
		tests/drivers_s3/test_loops.py tests/drivers_s3/test_streams.py tests/faults/test_cancelled_puts.py \
		$(if $(ALL)$(filter $(NEWEST),$*),tests/core $(ON_NEWEST),$(IN_CORE)); fi

environment-%: $(VENV)/installed
	@$(find_python); \
	if [ -z "$$python" ]; then echo "==> Python $* is not installed: skipped"; exit 0; fi; \
	$(MAKE) --silent --no-print-directory OTHER=$$python $(VENV)-$*/installed

$(VENV)-%/installed: $(META) | $(VENV)/installed
	@echo "==> Installing the distributions for Python $*"
	@$(OTHER) -m venv --without-pip $(VENV)-$*
	@$(INSTALL) $(VENV)-$* install $(FLAGS) --group others
	@$(INSTALL) $(VENV)-$* install $(FLAGS) --no-build-isolation $(DISTS:%=-e %)
	@touch $@

$(VENV)/installed: $(META)
	@$(NEW_ENOUGH)
	@echo "==> Installing the distributions and the development tools into $(VENV), about a minute"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	@$(INSTALL) $(VENV) install $(FLAGS) --group dev
	@$(INSTALL) $(VENV) install $(FLAGS) --no-build-isolation $(DISTS:%=-e %)
	@touch $@

# Pyright follows drivers of several distributions only where they are installed, not editable.
build/types/installed: $(META) $(SOURCES) | $(VENV)/installed
	@echo "==> Installing the distributions for pyright"
	@test -d build/types || $(BIN)/python -m venv --without-pip build/types
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pip install --quiet --upgrade --no-compile --no-deps \
		--no-build-isolation --target $$(ls -d build/types/lib/python*/site-packages) $(DISTS:%=./%)
	@echo "$(CURDIR)/$(VENV)" | xargs -I{} sh -c 'ls -d {}/lib/python*/site-packages' \
		> $$(ls -d build/types/lib/python*/site-packages)/tools.pth
	@touch $@

# On Python 3.12 where that is installed, so that figures of different days compare.
simplicity: environment-3.12
	@python=$(VENV)-3.12/bin/python; test -x $$python || python=$(BIN)/python; \
	$(BIN)/python tests/support/seaweedfs.py simplicity $$python tests/simplicity.py $(if $(LIST),--list)

downloads: $(VENV)/installed
	@DOWNLOADS=10000 $(BIN)/python -m pytest -q -s tests/large/test_downloads.py

api: $(VENV)/installed
	@$(BIN)/python docs/generate_api.py

cli: $(VENV)/installed
	@$(BIN)/python docs/generate_cli.py

sync: $(VENV)/installed
	@$(BIN)/python docs/generate_sync.py

format: $(VENV)/installed
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) $(OTHERS:%=$(VENV)-%) build dist .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis
