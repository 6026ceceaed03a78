# Two commands do everything on a fresh machine:  make demo   and   make test
.DEFAULT_GOAL := help
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
LINTERS := $(VENV)/.linters
PEERS := $(VENV)/.peers
SIMULATOR := $(VENV)/.simulator
JOBLIBS := $(addprefix build/joblib-,$(shell sed -n 's/^\(VERSIONS\|TOO_OLD\) = //p' tests/upstream/table.py | tr -d '(",)'))
DASKS := $(addprefix build/dask-,$(shell sed -n 's/^OLD_DASK = //p' tests/upstream/table.py | tr -d '"'))
DISKCACHE := build/diskcache-tests
PIP := $(BIN)/python -m pip --no-input --disable-pip-version-check -qq
BENCH = $(BIN)/python -m benchmarks --rows "$(ROWS)" $(if $(LIST),--list) \
  $(if $(OUT),--out "$(OUT)") $(if $(OUT_MD),--out-md "$(OUT_MD)")
export JOBS ?= 2

# A change of any of these makes a rebuild due.
NATIVE := $(wildcard native/src/*.[ch] native/include/*.h native/ffi/*)

.PHONY: help build demo test test-pku bench bench-full docs against lint format native-test counts free-threaded newest \
  mutants soak dist clean

help: ## say what there is
	@echo "plib_cache: a cache in memory shared by all processes of a machine"; echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: $(INSTALLED) ## make .venv with everything in it, and build the extension

demo: build ## several processes share the results of real work
	$(BIN)/plib-cache demo

test: build $(LINTERS) $(SIMULATOR) $(JOBLIBS) $(DASKS) build/django-tests $(DISKCACHE) ## run every test and check (STEPS="lint native arm64 counts serial pytest cffi keys" chooses)
	@scripts/test $(STEPS)

test-pku: build ## the tests that run where the CPU has protection keys: in a guest, on two kernels (ONLY="probe joblib" chooses)
	@PYTHONPATH=tests $(BIN)/python -m protection $(ONLY)

bench: build $(PEERS) ## measure next to other caches, 15 minutes at most; writes docs/benchmarks.md (ROWS=c-,py- LIST=1)
	@$(BENCH)

bench-full: build $(PEERS) ## the same with every row and all rounds; half an hour or more
	@$(BENCH) --full

against: build ## measure this tree against an earlier one, interleaved (BEFORE=revision, ROWS=name,name)
	@$(BIN)/python -m benchmarks.against $(or $(BEFORE),HEAD~1) --rows "$(ROWS)" --out-md "$(or $(OUT_MD),build/against.md)"

docs: build ## the documents as a site, into build/site; every warning is an error
	@$(BIN)/sphinx-build -q -W --keep-going -b html docs build/site && echo "written: build/site/index.html"

lint: build $(LINTERS) ## style, types, warnings and the house's rules
	@scripts/lint

format: build $(LINTERS) ## put Python and C into shape
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $$(find native tests/native tests/fuzz tests/instructions tests/protection benchmarks/native -name '*.[ch]')

native-test: ## the tests of the C core alone: plain, ASan + UBSan, TSan
	@scripts/test native arm64

counts: build ## count the instructions of each operation (valgrind), and store them as the new bounds
	$(BIN)/python tests/instructions/run.py --renew

free-threaded: build ## the contract tests on a CPython without the GIL, which is built if need be
	@scripts/free-threaded

newest: build ## the contract tests on CPython 3.14, in a Debian of its own (root)
	@scripts/newest

mutants: build ## plants known bugs in a copy of the core; each must be noticed by its test
	$(BIN)/python tests/mutants/run.py

soak: build ## the long forms of the tests, hours of them; renews docs/reliability.md (SOAK_ONLY="kills fuzz" chooses)
	@$(BIN)/python tests/soak/run.py $(SOAK_ONLY)

dist: build ## source distribution, a wheel for each Python that is there and one for arm64, tried in empty environments
	@scripts/dist

clean: ## remove everything that make made
	rm -rf $(VENV) build dist *.egg-info plib_cache/_native*.so .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/pyvenv.cfg: scripts/venv
	@scripts/venv $(VENV)
	@echo "making $(VENV) (the first time this takes a minute)"
	@$(PIP) install 'setuptools>=77' wheel 'cffi>=1.17'
	@touch $@

# What the package needs is looked up again only when pyproject.toml has changed; a change of the core
# only rebuilds the extension.
$(INSTALLED): $(VENV)/pyvenv.cfg pyproject.toml setup.py $(NATIVE)
	$(if $(and $(wildcard $@),$(if $(filter-out native/%,$?),,yes)),\
	  $(BIN)/python setup.py -q build_ext --inplace,\
	  $(PIP) install --no-build-isolation -e '.[test]')
	@touch $@

# The linters' versions are pinned in pyproject.toml; this reads them from there, without building anything.
$(LINTERS): $(VENV)/pyvenv.cfg pyproject.toml
	@$(PIP) install $$(sed -n 's/^lint = \[\(.*\)\]/\1/p' pyproject.toml | tr -d '",')
	@touch $@

# What the rows of policies are compared with, so that their test runs.  It has wheels for x86_64, CPython up to 3.13 and
# glibc from 2.34 on; elsewhere it would be compiled, so it is done without and the test reported as untested.
$(SIMULATOR): $(VENV)/pyvenv.cfg pyproject.toml
	@$(PIP) install --no-deps --only-binary :all: libcachesim || echo "libcachesim has no wheel for this machine" >&2
	@touch $@

# The versions of joblib that the backend is tested with, each in a folder of its own.
build/joblib-%: | $(VENV)/pyvenv.cfg
	@echo "installing joblib $*"
	@rm -rf $@.new
	@$(PIP) install --no-deps --target $@.new joblib==$*
	@mv $@.new $@

# The same for dask and distributed of a year ago.
build/dask-%: | $(VENV)/pyvenv.cfg
	@echo "installing dask and distributed $*"
	@rm -rf $@.new
	@$(PIP) install --no-deps --target $@.new dask==$* distributed==$*
	@mv $@.new $@

# diskcache's own tests, which are in its source distribution.
build/diskcache-tests: | $(VENV)/pyvenv.cfg
	@echo "fetching diskcache's tests"
	@rm -rf $@.new && mkdir -p $@.new
	@version=$$(sed -n 's/^VERSION = "\([0-9.]*\)".*/\1/p' tests/upstream/diskcache_table.py) && \
	  $(PIP) download --no-deps --no-binary :all: -d $@.new diskcache==$$version && \
	  tar -xzf $@.new/diskcache-$$version.tar.gz -C $@.new && \
	  mv $@.new/diskcache-$$version/tests $@ && rm -rf $@.new

# distributed's own tests, of which its wheels have none; only where GitHub can be reached.
build/distributed-tests: | $(VENV)/pyvenv.cfg
	@rm -rf $@.new
	@git clone -q --depth 1 https://github.com/dask/distributed $@.new --branch \
	  $$($(BIN)/python -c 'import distributed; print(distributed.__version__)') && \
	  mv $@.new/distributed/tests $@ && rm -rf $@.new

# Django's own tests, of which its wheels have none, from its source distribution.
build/django-tests: | $(INSTALLED)
	@echo "fetching Django's own tests"
	@rm -rf $@.new && mkdir -p $@.new
	@$(PIP) download --no-deps --no-build-isolation --no-binary django -d $@.new \
	  django==$$($(BIN)/python -c 'import django; print(django.__version__)')
	@tar -xzf $@.new/*.tar.gz -C $@.new --strip-components=1 --wildcards '*/tests'
	@mv $@.new/tests $@ && rm -rf $@.new

# memcached's own tests; only where GitHub can be reached.
build/memcached-tests: | $(VENV)/pyvenv.cfg
	@rm -rf $@.new
	@git clone -q --depth 1 https://github.com/memcached/memcached $@.new --branch \
	  $$(sed -n 's/^VERSION = "\(.*\)"/\1/p' tests/upstream/memcached_table.py) && \
	  mv $@.new/t $@ && rm -rf $@.new

# What `make bench` compares with and draws with, from pyproject.toml.  What cannot be installed is reported as not measured.
$(PEERS): $(VENV)/pyvenv.cfg pyproject.toml
	@echo "installing what the benchmark compares with"
	@for peer in $$(sed -n 's/^bench = \[\(.*\)\]/\1/p' pyproject.toml | tr -d '",'); do \
	  $(PIP) install "$$peer" || echo "$$peer cannot be installed" >&2; done
	@scripts/need "the benchmark's peer LMDB" "test -e /usr/include/lmdb.h" liblmdb-dev || true
	@scripts/need "the benchmark's peer memcached" "command -v memcached" memcached || true
	@scripts/need "the benchmark's peer libmemcached" "test -e /usr/include/libmemcached/memcached.h" \
	  libmemcached-dev || true
	@scripts/need "the benchmark's peer redis" "command -v redis-server" redis-server || true
	@touch $@
