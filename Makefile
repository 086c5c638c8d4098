# make install | label-studio | demo | test | test-quick | lint | format | docs | dist | clean
# ARGS goes to the command behind `demo`, `test` and `test-quick`: make demo ARGS="--annotate 60"
# TORCH_INDEX is where PyTorch comes from: on a machine without a GPU the address that PyTorch's own site gives for CPU.

LABEL_STUDIO := 1.23.2

BACKEND_READY := .venv/.ready
TEST_READY := .venv/.ready-for-tests
LABEL_STUDIO_READY := .venv-label-studio/.ready-$(LABEL_STUDIO)
LABEL_STUDIO_DATABASE := .venv-label-studio/.migrated-$(LABEL_STUDIO)

# How many tests run at a time: more than there are cores, since those with a Label Studio mostly wait.
TEST_WORKERS := 3
PYTEST = .venv/bin/python -m pytest -n $(TEST_WORKERS) --dist loadgroup --no-loadscope-reorder

# The newest Python that all the libraries have wheels for, then whatever `python3` is. A name alone
# proves nothing: version managers put shims for every version on the path, and Debian ships
# a Python without venv.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3.10 python3 python; do \
	$$p -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo $$p && break; done)

# The environment keeps the one that it was made with.
OLD_TORCH_INDEX := $(shell cat .venv/.torch-index 2>/dev/null)
TORCH_INDEX ?= $(OLD_TORCH_INDEX)

.PHONY: install label-studio demo install-for-tests test test-quick lint format docs dist clean

install: $(BACKEND_READY)

label-studio: $(LABEL_STUDIO_READY)

demo: $(BACKEND_READY) $(LABEL_STUDIO_READY)
	.venv/bin/pt4al-backend demo $(ARGS)

# ARGS choose among the tests, so that how much of the code they run says nothing.
test: $(TEST_READY) $(LABEL_STUDIO_DATABASE)
	$(PYTEST) $(if $(ARGS),$(ARGS),--cov --cov-report=term)

# For the inner loop: no Label Studio, no browser, nothing that takes long.
test-quick: $(TEST_READY)
	$(PYTEST) -m "not (label_studio or browser or slow)" $(ARGS)

install-for-tests: $(TEST_READY) $(LABEL_STUDIO_DATABASE)

lint: $(TEST_READY)
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

format: $(TEST_READY)
	.venv/bin/ruff check --fix-only .
	.venv/bin/ruff format .

# The pages lie in the tree as they do on the site, so that their links lead to the same places on both.
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
	docker/install.sh --editable --extra encoders --extra strategies --extra test --extra dev --extra docs .venv/bin/python
	touch $@

# Label Studio and the backend want different versions of the same libraries.
$(LABEL_STUDIO_READY):
	$(call make_environment,.venv-label-studio)
	.venv-label-studio/bin/python -m pip install --disable-pip-version-check label-studio==$(LABEL_STUDIO)
	touch $@

# Its several hundred migrations take most of a minute: the tests start theirs with a copy of what they make.
$(LABEL_STUDIO_DATABASE): $(LABEL_STUDIO_READY)
	.venv-label-studio/bin/python tests/support/studio_database.py
	touch $@

define make_environment
@test -n "$(PYTHON)" || { echo "No Python 3.10 or newer with venv was found: install one (Debian and Ubuntu: apt-get install python3 python3-venv), or name it with make PYTHON=/path/to/python3." >&2; exit 1; }
$(1)/bin/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(1)
endef
