# Two commands: `make run` serves Concord on this machine, `make test` runs every test.
# PORT and DATA_DIR are honoured; `make run CHECK=1` stops with 0 once the server has answered.
# `make stack` serves with PostgreSQL, Redis and Celery, given by DATABASE_URL and REDIS_URL.

PYTHON ?= python3
VENV ?= .venv
PY := $(VENV)/bin/python
PORT ?= 8000
DATA_DIR ?= $(CURDIR)/data
CHECK ?=
ARGS ?=

.PHONY: run stack test lint types checks compose-check vendor vendor-check lock clean

run: $(VENV)/installed
	@DATA_DIR="$(DATA_DIR)" PORT="$(PORT)" exec $(PY) manage.py serve $(if $(CHECK),--check)

# The topology of docker-compose.yml from processes on this machine: web processes, two workers, beat.
stack: $(VENV)/installed
	@DATA_DIR="$(DATA_DIR)" PORT="$(PORT)" TASKS=celery exec $(PY) manage.py stack $(if $(CHECK),--check) $(ARGS)

# Unit tests share the cores; so do Chromium and the stories told by real processes, which mostly wait.
test: $(VENV)/installed-dev
	$(PY) -m pytest -n 2 --dist loadfile -m "not browser and not races" $(ARGS)
	$(PY) -m pytest -n 2 --dist loadgroup -m "browser or races" $(ARGS) || { code=$$?; [ $$code -eq 5 ] || exit $$code; }

lint: $(VENV)/installed-dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

types: $(VENV)/installed-dev
	$(PY) -m mypy config labeling consistency api

checks: $(VENV)/installed-dev
	$(PY) manage.py makemigrations --check --dry-run
	ALLOWED_HOSTS=concord.example SECRET_KEY=$$($(PY) -c "import secrets; print(secrets.token_urlsafe(64))") \
		$(PY) manage.py check --deploy --fail-level WARNING

compose-check: $(VENV)/installed-dev
	.ci/compose/check "$(abspath $(PY))"

vendor:
	cd frontend && npm ci --no-audit --no-fund && npm run vendor

vendor-check:
	cd frontend && npm ci --no-audit --no-fund && npm run check

# Resolve the ranges again and write both hashed locks.
lock: $(VENV)/installed-dev
	$(PY) -m pip install -q uv
	$(PY) -m uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header requirements.txt -o requirements.lock
	$(PY) -m uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header requirements-dev.txt -o requirements-dev.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache

$(PY):
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || { echo "Concord needs Python 3.11 or newer (set PYTHON=…)."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: requirements.lock | $(PY)
	$(PY) -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

$(VENV)/installed-dev: requirements-dev.lock | $(PY)
	$(PY) -m pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@ $(VENV)/installed
