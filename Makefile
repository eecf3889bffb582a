# Everything runs in .venv, which is made from pyproject.toml on first use.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint types docs site golden bench fuzz nightly mutants \
	test-oldest test-newest test-locked lock vulnerabilities sbom clean

demo: .venv/ready
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh examples/demo.sh

# With KUBEBUILDER_ASSETS naming a folder with etcd, kube-apiserver and kubectl, on a real cluster too.
test: .venv/ready
	$(BIN)/python -m pytest -n auto --dist loadgroup

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: .venv/ready
	$(BIN)/mypy

# Writes docs/policies.md and docs/cli.md anew; a test fails when they are not up to date.
docs: .venv/ready
	$(BIN)/python docs/generate.py

# The documentation as pages, in build/site.
site: .venv/ready
	$(BIN)/mkdocs build --quiet

# Writes the expected outputs of the tests anew; look at the difference before committing it.
golden: .venv/ready
	$(BIN)/python -m pytest -q --update-golden

# How fast it is, against floors measured in the same run; some twenty minutes and 6 GB of memory.
bench: .venv/ready
	$(BIN)/python benchmarks/run.py

# Looks for inputs that break a promise, guided by coverage; the seconds are shared by all targets.
FUZZ_SECONDS ?= 1800
fuzz: .venv/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group fuzz
	$(BIN)/python tests/fuzz/drive.py $(FUZZ_SECONDS)

# The random tests with twenty times the examples; about half an hour on two cores.
nightly: .venv/ready
	RBACGUARD_EXAMPLES=20 $(BIN)/python -m pytest -n auto --dist loadgroup tests/properties tests/rbac tests/fuzz

# Changes of the code that no test notices; see docs/mutants.md.
mutants: .venv/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group mutants
	RBACGUARD_EXAMPLES=0.05 RBACGUARD_IN_PROCESS=1 $(BIN)/mutmut run
	$(BIN)/mutmut results
	RBACGUARD_IN_PROCESS=1 $(BIN)/coverage run --branch --data-file=build/coverage \
	  --source=rbacguard/rbac,rbacguard/update -m pytest -q \
	  tests/rbac tests/approvals tests/queries tests/update tests/policies tests/properties \
	  tests/readiness/test_usage.py
	$(BIN)/coverage report --data-file=build/coverage

# The tests with the oldest and the newest versions that pyproject.toml allows, and with the locked ones.
ENV = build/env-$(subst test-,,$@)
define environment
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(ENV)
endef
test-oldest: .venv/supply
	$(environment)
	VIRTUAL_ENV=$(ENV) $(BIN)/uv pip install --quiet --editable '.[fleet]' --group dev
	VIRTUAL_ENV=$(ENV) $(BIN)/uv pip install --quiet --editable '.[fleet]' --resolution lowest-direct --upgrade
	$(ENV)/bin/python -m pytest -n auto --dist loadgroup

test-newest: .venv/supply
	$(environment)
	VIRTUAL_ENV=$(ENV) $(BIN)/uv pip install --quiet --editable '.[fleet]' --group dev --upgrade
	$(ENV)/bin/python -m pytest -n auto --dist loadgroup

test-locked: .venv/supply
	$(environment)
	VIRTUAL_ENV=$(ENV) $(BIN)/uv pip sync --quiet --require-hashes requirements.lock
	VIRTUAL_ENV=$(ENV) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	$(ENV)/bin/python -m pytest -n auto --dist loadgroup

# Every version and hash that test-locked takes, for all platforms.
lock: .venv/supply
	$(BIN)/uv pip compile pyproject.toml --group dev --all-extras --universal --generate-hashes \
	  --no-annotate --upgrade --quiet --custom-compile-command 'make lock' --output-file requirements.lock

# What is known against the locked versions; asks pypi.org.
vulnerabilities: .venv/supply
	$(BIN)/pip-audit --requirement requirements.lock --require-hashes --disable-pip

# What the installed tool consists of (CycloneDX), in build/rbacguard.cdx.json.
sbom: .venv/supply
	$(environment)
	VIRTUAL_ENV=$(ENV) $(BIN)/uv pip install --quiet --constraint requirements.lock '.[fleet]'
	$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --mc-type application \
	  --output-reproducible --output-file build/rbacguard.cdx.json $(ENV)

.venv/supply: .venv/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group supply
	touch $@

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

.venv/ready: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed" if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable . --group dev
	touch $@
