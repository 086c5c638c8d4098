# make install | label-studio | demo | test | test-quick | lint | format | docs | dist | clean
# ARGS is passed to the command of `demo`, `test` and `test-quick`: make demo ARGS="--annotate 60"
# TORCH_INDEX is the index that PyTorch comes from: without a GPU, use the one for CPU on PyTorch's own site.

LABEL_STUDIO := 1.23.2

BACKEND_READY := .venv/.ready
TEST_READY := .venv/.ready-for-tests
LABEL_STUDIO_READY := .venv-label-studio/.ready-$(LABEL_STUDIO)
LABEL_STUDIO_DATABASE := .venv-label-studio/.migrated-$(LABEL_STUDIO)

# The tests start hundreds of processes, each of which would compile the package once more.
unexport PYTHONDONTWRITEBYTECODE

# Tests that run at the same time: more than cores, because those with a Label Studio mostly wait.
TEST_WORKERS := 3
PYTEST = .venv/bin/python -m pytest -n $(TEST_WORKERS) --dist loadgroup --no-loadscope-reorder

# The newest Python for which all libraries have wheels, then whatever `python3` is. A name alone
# proves nothing: version managers put shims for every version on the path, and Debian ships
# a Python without venv.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3.10 python3 python; do \
	$$p -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo $$p && break; done)

# An environment keeps the index that it was created with.
OLD_TORCH_INDEX := $(shell cat .venv/.torch-index 2>/dev/null)
TORCH_INDEX ?= $(OLD_TORCH_INDEX)

.PHONY: install label-studio demo install-for-tests test test-quick lint format docs dist clean

install: $(BACKEND_READY)

label-studio: $(LABEL_STUDIO_READY)

demo: $(BACKEND_READY) $(LABEL_STUDIO_READY)
	.venv/bin/pt4al-backend demo $(ARGS)

# With ARGS only some tests run, and their coverage means nothing.
test: $(TEST_READY) $(LABEL_STUDIO_DATABASE)
	$(PYTEST) $(if $(ARGS),$(ARGS),--cov --cov-report=term)

# For the inner loop of development: no Label Studio, no browser, no slow tests.
test-quick: TEST_WORKERS := 2
test-quick: $(TEST_READY)
	$(PYTEST) --quick $(ARGS)

install-for-tests: $(TEST_READY) $(LABEL_STUDIO_DATABASE)

lint: $(TEST_READY)
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

format: $(TEST_READY)
	.venv/bin/ruff check --fix-only .
	.venv/bin/ruff format .

# The pages have the same paths in the repository and on the site, so that their links work in both.
docs: $(TEST_READY)
	rm -rf build/pages
	mkdir -p build/pages
	cp -r *.md LICENSE docs benchmarks docker build/pages
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict

dist: $(BACKEND_READY)
	.venv/bin/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt build
	rm -rf dist
	.venv/bin/python -m build

clean:
	rm -rf .venv .venv-label-studio build dist *.egg-info .coverage* .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

ifneq ($(TORCH_INDEX),$(OLD_TORCH_INDEX))
.PHONY: $(BACKEND_READY)
endif

$(BACKEND_READY): setup.cfg constraints.txt docker/install.sh
	@test ! -e $@ || test "$(TORCH_INDEX)" = "$(OLD_TORCH_INDEX)" || { echo "The PyTorch in .venv is from elsewhere than TORCH_INDEX: make clean, then this again." >&2; exit 1; }
	$(call make_environment,.venv)
	docker/install.sh --editable $(if $(TORCH_INDEX),--torch-index "$(TORCH_INDEX)") .venv/bin/python
	echo "$(TORCH_INDEX)" >.venv/.torch-index
	touch $@

$(TEST_READY): $(BACKEND_READY)
	docker/install.sh --editable --extra strategies --extra test --extra dev --extra docs .venv/bin/python
	touch $@

# Label Studio and the backend need different versions of the same libraries.
$(LABEL_STUDIO_READY):
	$(call make_environment,.venv-label-studio)
	.venv-label-studio/bin/python -m pip install --disable-pip-version-check label-studio==$(LABEL_STUDIO)
	touch $@

# Its several hundred migrations take most of a minute: the tests start with a copy of the migrated database.
$(LABEL_STUDIO_DATABASE): $(LABEL_STUDIO_READY)
	.venv-label-studio/bin/python tests/support/studio_database.py
	touch $@

define make_environment
@test -n "$(PYTHON)" || { echo "No Python 3.10 or newer with venv was found: install one (Debian and Ubuntu: apt-get install python3 python3-venv), or name it with make PYTHON=/path/to/python3." >&2; exit 1; }
$(1)/bin/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(1)
endef
