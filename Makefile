PYTHON ?= python3
VENV := .venv$(patsubst python3%,%,$(filter-out python3,$(notdir $(PYTHON))))
VENV := $(patsubst .venv.%,.venv-3.%,$(VENV))
PY := $(VENV)/bin/python
LAB := $(PY) lab/lab.py
INVENTORY ?= inventories/example
FAILURES := $(CURDIR)/.cache/failures

# Ansible starts Python many times a run; without its bytecode cache each start compiles everything anew.
unexport PYTHONDONTWRITEBYTECODE

export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help venv containers lab lab-down shell demo validate lint lint-python lint-types lint-yaml \
	lint-ansible unit both-ends molecule test bench clean

help: ## Show the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | \
		while IFS='|' read -r target text; do printf '  %-10s %s\n' "$$target" "$$text"; done

venv: $(VENV)/.lock ## Make the Python environment (PYTHON=python3.13 makes another beside it)

$(VENV)/.lock: requirements.lock lab/bootstrap.sh
	@PYTHON=$(PYTHON) VENV=$(VENV) lab/bootstrap.sh venv

containers: venv
	@lab/bootstrap.sh lab

lab: containers ## Start the throwaway database hosts
	@$(LAB) up

lab-down: venv ## Remove them and their data
	@$(LAB) down

shell: venv ## Log in to one of them: make shell HOST=pg1
	@$(LAB) shell $(or $(HOST),$(error say which: make shell HOST=pg1))

demo: containers ## Start, back up, restore and show the result
	@$(PY) lab/demo.py

validate: venv ## Check an inventory: make validate INVENTORY=inventories/example
	@$(PY) module_utils/inventory_source.py $(INVENTORY)

lint: venv ## Check style, types and playbooks
	@$(MAKE) --no-print-directory --output-sync=target -j2 lint-ansible lint-types lint-python lint-yaml

lint-python: venv
	ruff check --quiet .
	ruff format --check --quiet .

lint-types: venv
	mypy
	mypy --python-version 3.11 lab

lint-yaml: venv
	yamllint --strict .

lint-ansible: venv
	ansible-lint --offline --strict -q

unit: venv ## Run the tests that need no host
	$(PY) -m pytest -q

both-ends: venv
	@other=$$(lab/bootstrap.sh other-end); \
	if [ -n "$$other" ]; then \
		echo "lint and unit tests on $$other"; \
		$(MAKE) --no-print-directory lint unit PYTHON="$$other"; \
	else \
		echo "not run: lint and unit tests on a second Python, as no other than $(PYTHON) is installed"; \
	fi

# A scenario that fails does not hide what the others would say. Logs and patches change the packages of their hosts: they
# have a lab of their own. Without reset, hosts of a run that was cut short count as there; without force, hosts that one
# scenario has prepared count as prepared for the next.
PACKAGES := logs patching
SCENARIOS := $(filter-out default shared $(PACKAGES),$(sort $(notdir $(wildcard molecule/*))))

molecule: containers ## Run the scenarios on hosts of their own
	@mkdir -p .cache && rm -f $(FAILURES)
	@failed=; \
	for scenarios in "$(SCENARIOS)" "$(PACKAGES)"; do \
		molecule reset --scenario-name default >/dev/null 2>&1; \
		$(LAB) --name molecule down; \
		molecule create --scenario-name default; \
		for scenario in $$scenarios; do \
			molecule prepare --scenario-name $$scenario --force && \
				HOLDFAST_FAILURES=$(FAILURES) molecule test --scenario-name $$scenario --destroy=never || \
				failed="$$failed $$scenario"; \
		done; \
	done; \
	molecule destroy --scenario-name default; \
	if [ -n "$$failed" ]; then cat $(FAILURES) 2>/dev/null; echo "failed:$$failed" >&2; exit 1; fi

test: lint unit both-ends molecule ## Run all tests

bench: containers ## Compare with the plain tools, an hour; ONLY=recovery, sites, site or a host is a part of it
	@$(PY) -m tests.bench $(if $(ONLY),--only $(ONLY))

clean: ## Remove environments and caches; lab-down removes labs
	rm -rf .venv .venv-* .cache .ansible .mypy_cache .ruff_cache .pytest_cache
