# Each target makes the virtual environment it needs; nothing but Python 3.11+ and make is needed.
PYTHON ?= python3
RUN := .venv/run
TEST := .venv/test

# Hundreds of processes start in the tests: Python keeps what it compiled, whatever the user set.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo run test check lab test-lab bench clean

demo: $(RUN)/ready
	@if [ -t 0 ] && [ -t 1 ]; then $(RUN)/bin/kscope demo; else $(RUN)/bin/kscope survey demo; fi

$(RUN)/ready: pyproject.toml requirements/run.txt
	@$(PYTHON) requirements/make_environment.py $(RUN) requirements/run.txt

$(TEST)/ready: pyproject.toml requirements/test.txt
	@$(PYTHON) requirements/make_environment.py $(TEST) requirements/test.txt

test: $(TEST)/ready
	$(TEST)/bin/pytest -n 4 --dist worksteal -m "not lab and not alone"
	$(TEST)/bin/pytest -m "alone and not lab"

check: $(TEST)/ready
	$(TEST)/bin/ruff format --check .
	$(TEST)/bin/ruff check .
	$(TEST)/bin/mypy
	$(TEST)/bin/lint-imports

lab: $(TEST)/ready
	$(TEST)/bin/python -m tests.lab build
	-$(TEST)/bin/python -m tests.lab build deadlock machine-check remote-stuck --kernel newest

test-lab: $(TEST)/ready
	$(TEST)/bin/pytest -n 3 --dist worksteal -m lab tests/on_lab

bench: $(TEST)/ready
	$(TEST)/bin/python -m benchmarks

clean:
	rm -rf .venv build dist
