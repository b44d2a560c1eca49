# Everything that a contributor needs: `make help` lists it.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed-$(shell { echo '$(CURDIR)'; cat pyproject.toml constraints.txt; } | cksum | tr ' ' -)
INSTALL := PYTHONWARNINGS='ignore:Editable installation:UserWarning' \
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable
RESULTS ?= runs/quickstart
export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help install run test check format compile images sbom audit sign bench mutate lock clean

help: ## List the verbs.
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED) ## Create .venv and install everything in the locked versions.

# The stamp is named by this checkout and what it locks: files of a fresh clone are newer than any other stamp, or older.
$(INSTALLED):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "make: $(PYTHON) is older than 3.11; install a newer one and say make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "make: $(PYTHON) has no venv; install it with: apt-get install python3-venv"; exit 1; }
	@rm -f $(VENV)/.installed*
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt pip
	$(INSTALL) '.[dev]'
	@touch $(INSTALLED)

run: $(INSTALLED) ## Run the quickstart: two experiments, a table, a report, an MLflow store. Again: only what is missing.
	@$(BIN)/precisionflow run quickstart-language quickstart-regression --out $(RESULTS)

test: $(INSTALLED) ## The whole test suite.
	@$(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

check: $(INSTALLED) ## Lint, format, types, layers, compiled pipelines.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@rm -rf build/layers build/compiled && mkdir -p build/layers && cp -r src/precisionflow build/layers/ \
		&& cp -r components pipelines build/layers/precisionflow/
	@PYTHONPATH=build/layers $(BIN)/lint-imports --no-cache --no-logo
	@$(BIN)/precisionflow compile --out build/compiled >/dev/null
	@diff -r manifests/compiled build/compiled \
		|| { echo "make: manifests/compiled is out of date; say make compile"; exit 1; }

format: $(INSTALLED) ## Format the code.
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

compile: $(INSTALLED) ## Compile the pipelines into manifests/compiled.
	@$(BIN)/precisionflow compile --out manifests/compiled

images: ## Build the container images with docker, podman or buildah; writes build/images.json.
	@PYTHON=$(PYTHON) sh containers/build

# Tools with an environment of their own: what they need does not decide what runs here.
build/tools/.installed: supply/requirements.txt
	@$(PYTHON) -m venv --clear build/tools
	@build/tools/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r supply/requirements.txt
	@touch $@

sbom: build/tools/.installed ## Write the bill of materials of each image's Python packages, build/sbom/*.json (CycloneDX).
	@mkdir -p build/sbom
	@for image in core train; do \
		lock=containers/requirements-$$image.txt; \
		if [ $$image = train ]; then lock=$(or $(REQUIREMENTS),$$lock); fi; \
		PYTHONWARNINGS=ignore build/tools/bin/cyclonedx-py requirements --output-reproducible --pyproject pyproject.toml \
			--output-file build/sbom/$$image.json $$lock || exit 1; done

audit: build/tools/.installed ## Ask for known vulnerabilities of every locked package.
	@for lock in containers/requirements-*.txt supply/requirements.txt; do echo "make: $$lock"; \
		build/tools/bin/pip-audit --strict --disable-pip --require-hashes --progress-spinner off --requirement $$lock \
			|| exit 1; done

sign: ## Sign the pushed images with cosign, and attest their provenance and bill: KEY=FILE, or without a key.
	@$(PYTHON) supply/sign.py

# Modules of the scripts, and those that want a cluster and delete on it.
NO_BENCH := measured held attention_forms attention_gpu_forms attention_page device_timing kneser_ney texts planning_peer cluster_runs cluster_kills cluster_resubmit cluster_serving cluster_strikes
bench: $(INSTALLED) ## Measure every claim but a cluster's; writes runs/benchmarks/*.json.
	@$(BIN)/python -m pip install --quiet catboost==1.2.10
	@mkdir -p runs/benchmarks
	@for script in $(filter-out $(NO_BENCH:%=benchmarks/%.py), $(wildcard benchmarks/*.py)); do \
		$(BIN)/python $$script --json runs/benchmarks/$$(basename $$script .py).json || exit 1; done

mutate: $(INSTALLED) ## Put faults into the code, see which ones tests notice; hours, or SAMPLE=30, MODULE=ablation/statistics.py.
	@$(INSTALL) '.[mutate]'
	@$(BIN)/python -m tests.mutate $(MODULE) $(addprefix --sample ,$(SAMPLE)) $(addprefix --skip ,$(SKIP))

lock: ## Resolve the newest versions that fit together into constraints.txt.
	@$(PYTHON) -m venv build/lock && build/lock/bin/pip install --quiet uv
	@build/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --no-annotate --no-header \
		--no-emit-index-url --extra dev pyproject.toml -o build/lock/constraints.txt
	@{ echo '# Every version that `make` installs. Made by `make lock`; pip reads it with -c.'; \
		cat build/lock/constraints.txt; } > constraints.txt
	@for image in core train; do \
		extras="--extra cluster --extra serve --extra server --extra search"; [ $$image = core ] || extras="$$extras --extra train --extra int8"; \
		echo 'setuptools>=80' | build/lock/bin/uv pip compile --quiet --generate-hashes --python-version 3.11 \
			--python-platform x86_64-manylinux_2_28 --no-annotate --no-header --no-emit-index-url \
			--constraint constraints.txt $$extras pyproject.toml - -o build/lock/requirements-$$image.txt \
		&& { echo "# What the image $$image holds, with hashes. Made by \`make lock\`."; \
			cat build/lock/requirements-$$image.txt; } > containers/requirements-$$image.txt || exit 1; done
	@printf 'cyclonedx-bom\npip-audit\n' | build/lock/bin/uv pip compile --quiet --universal --python-version 3.11 \
		--generate-hashes --no-annotate --no-header --no-emit-index-url - -o build/lock/tools.txt \
		&& { echo '# What `make sbom` and `make audit` run, with hashes. Made by `make lock`.'; \
			cat build/lock/tools.txt; } > supply/requirements.txt

clean: ## Remove results and caches, keep .venv.
	rm -rf build runs .mypy_cache .ruff_cache .import_linter_cache
