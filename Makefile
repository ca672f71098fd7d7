# Darkroom's commands. Needs make, git and Python 3.11 or newer; everything else goes into .venv.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
PYTHON := $(VENV)/bin/python
PIP := $(VENV)/bin/pip
WORKFLOW := workflows/text_to_image.json

# As main.py sets it: threads that spin while they wait fight over a busy processor.
export OMP_WAIT_POLICY := passive

.PHONY: help
help: ## show these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: $(VENV)/ready ## draw the sample workflow; the picture lands in output/
	@$(PYTHON) main.py run $(WORKFLOW)

.PHONY: serve
serve: $(VENV)/ready ## start the server at http://127.0.0.1:8188, until Ctrl-C
	@$(PYTHON) main.py serve

.PHONY: test
test: $(VENV)/ready-dev ## run the whole test suite
	@$(PYTHON) -m pytest

.PHONY: check
check: $(VENV)/ready-dev ## format, lint, types, and the tests of the house rules
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m mypy
	@$(PYTHON) -m pytest -q tests/test_architecture.py tests/test_house.py

.PHONY: format
format: $(VENV)/ready-dev ## put every Python file into the project's format
	@$(PYTHON) -m ruff format .
	@$(PYTHON) -m ruff check --fix .

.PHONY: bench
bench: $(VENV)/ready ## measure speed and memory, and compare with the last time
	@$(PYTHON) -m lab.bench

.PHONY: soak
soak: $(VENV)/ready ## kill a busy queue fifty times, then keep a server busy: nothing is lost, nothing grows
	@$(PYTHON) -m lab.soak
	@$(PYTHON) -m lab.soak_server

.PHONY: parity
parity: $(VENV)/ready ## compare with reference numbers: make parity GOLDEN=folder
	@test -n "$(GOLDEN)" || { echo "Say where the reference numbers are: make parity GOLDEN=folder" >&2; exit 2; }
	@$(PYTHON) -m lab.parity "$(GOLDEN)"

.PHONY: tiny
tiny: $(VENV)/ready ## train the bundled checkpoint anew (hours; goes on where it stopped)
	@$(PYTHON) -m lab.tiny train

.PHONY: score
score: $(VENV)/ready ## measure how often the bundled checkpoint draws what it is asked for
	@$(PYTHON) -m lab.tiny score

# The stamps: each stands for an installation that went through to its end.
$(VENV)/made:
	@python=$$(for each in python3 python3.14 python3.13 python3.12 python3.11; do \
		"$$each" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$each" && break; done); \
	test -n "$$python" || { echo "Darkroom needs Python 3.11 or newer: install it, then run make again." >&2; exit 2; }; \
	"$$python" -m venv --clear $(VENV)
	@touch $@

# torch first and by itself: packages that depend on it must find this one.
$(VENV)/ready: $(VENV)/made requirements.txt
	$(PIP) install torch==2.13.0
	$(PIP) install -r requirements.txt
	@touch $@

$(VENV)/ready-dev: $(VENV)/ready requirements-dev.txt
	$(PIP) install -r requirements-dev.txt
	@touch $@
