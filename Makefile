# Everything there is to run. `make` alone lists it.
SHELL := /bin/sh
PYTHON_IN_VENV := .venv/bin/python

# Only what stands on make's command line: shells and conda export a HOST of their own.
given = $(if $(findstring command line,$(origin $1)),$($1))

.DEFAULT_GOAL := help
.PHONY: help run example example-check test test-full format unit check docs bench bench-instructions bench-compare bench-growth bench-cluster conformance chaos abuse constraints package release clean

help:  ## List these targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name text; do \
		printf '  make %-18s %s\n' "$$name" "$$text"; done

run:  ## Start the server: make run [HOST=0.0.0.0] [PORT=6001] [WORKERS=2] [CONFIG=file.toml] [ARGS=...]
	@scripts/setup
	@exec .venv/bin/pusher-server serve --make-credentials .pusher-server.env \
		$(if $(call given,CONFIG),--config '$(CONFIG)') $(if $(call given,HOST),--host '$(HOST)') \
		$(if $(call given,PORT),--port '$(PORT)') $(if $(call given,WORKERS),--workers '$(WORKERS)') \
		$(call given,ARGS)

example:  ## The comments example: server, stand-in backend, two phones at http://127.0.0.1:8000/duo
	@exec scripts/example

example-check:  ## The user's validation script, against a running `make example`
	@exec scripts/example check

test:  ## Set up and run everything: lint, types, import contracts, all tests, the package
	@scripts/setup-tests
	@$(PYTHON_IN_VENV) scripts/run_checks.py all

test-full:  ## As test, with more examples, repetitions, coverage, other Pythons, containers: make test-full [ONLY=edge] [RESUME=1]
	@scripts/setup-tests full
	@scripts/debian-packages deployment
	@scripts/go-tools
	@$(PYTHON_IN_VENV) scripts/run_checks.py all --full $(if $(call given,ONLY),--only '$(ONLY)') \
		$(if $(call given,RESUME),--resume)

format:  ## Repair what `make check` says about format and lint, where a tool can
	@scripts/setup dev
	@$(PYTHON_IN_VENV) scripts/run_checks.py format

unit:  ## The unit tests alone
	@scripts/setup dev
	@$(PYTHON_IN_VENV) scripts/run_checks.py unit

check:  ## Lint, types, import contracts and unit tests, under a minute
	@scripts/setup dev
	@$(PYTHON_IN_VENV) scripts/run_checks.py quick

docs:  ## The documentation as a site in site/, links checked; read it: python3 -m http.server -d site
	@scripts/setup dev
	@$(PYTHON_IN_VENV) scripts/run_checks.py docs

bench:  ## Micro-benchmarks, seconds each (docs/performance.md has recorded numbers)
	@scripts/setup dev
	@$(PYTHON_IN_VENV) scripts/run_checks.py bench

bench-instructions:  ## Instructions of the hot path, against the baseline (ARGS="--against main", ARGS=--record)
	@scripts/debian-packages valgrind
	@scripts/setup dev
	@$(PYTHON_IN_VENV) -m benchmarks.instructions $(call given,ARGS)

bench-compare:  ## Ours, soketi and a C floor side by side, about 20 minutes (ARGS=--quick: a few)
	@scripts/bench-setup
	@$(PYTHON_IN_VENV) -m benchmarks.load.compare $(call given,ARGS)

bench-growth:  ## How cost grows with the work (ARGS=--quick)
	@scripts/bench-setup compiler
	@$(PYTHON_IN_VENV) -m benchmarks.load.growth $(call given,ARGS)

bench-cluster:  ## One process, workers, nodes on Redis: what each costs (ARGS=--quick)
	@scripts/bench-setup compiler
	@$(PYTHON_IN_VENV) -m benchmarks.load.cluster $(call given,ARGS)

conformance:  ## Protocol rules against any server: make conformance HOST= PORT= APP_ID= KEY= SECRET= [TLS=1]
	@scripts/setup-tests
	@$(foreach name,HOST PORT APP_ID KEY SECRET,$(if $(call given,$(name)),CONFORMANCE_$(name)='$($(name))')) \
		CONFORMANCE_SCHEME=$(if $(call given,TLS),https,http) \
		$(PYTHON_IN_VENV) scripts/run_checks.py conformance

chaos:  ## Audit a cluster under faults: make chaos [BUS=redis] [SECONDS=60] [MINUTES=] [SEED=n] [SEEDS=20] [ARGS=...]
	@scripts/setup dev
	@$(PYTHON_IN_VENV) -m tests.chaos $(if $(call given,BUS),--bus '$(BUS)') \
		$(if $(call given,SECONDS),--seconds '$(SECONDS)') $(if $(call given,MINUTES),--minutes '$(MINUTES)') \
		$(if $(call given,SEED),--seed '$(SEED)') $(if $(call given,SEEDS),--seeds '$(SEEDS)') $(call given,ARGS)

abuse:  ## Flood a server in every way beside ordinary clients (ARGS="--quick --servers uvloop --floods pings ...")
	@scripts/setup dev
	@$(PYTHON_IN_VENV) -m tests.abuse $(call given,ARGS)

constraints:  ## constraints.txt anew: the newest versions that pyproject.toml allows, with hashes
	@scripts/setup release
	@$(PYTHON_IN_VENV) -m scripts.constraints

package:  ## sdist, wheel, SBOM and checksums in dist/, each tried in an empty environment
	@scripts/setup release
	@$(PYTHON_IN_VENV) -m scripts.package

release:  ## As package, if version, changelog, tag, constraints, tests and tree agree (ARGS=--check: only that)
	@scripts/setup release
	@$(PYTHON_IN_VENV) -m scripts.release $(call given,ARGS)

clean:  ## Remove what setup and tests made (not your config, not .pusher-server.env)
	rm -rf .venv tests/js/node_modules tests/java/build benchmarks/load/.build benchmarks/load/soketi/node_modules dist build site .checks-passed.json .coverage .coverage.* .hypothesis
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
