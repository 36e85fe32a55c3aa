# Littoral's commands. `make dev` and `make test` set up everything they need; see docs/setup.md.
.PHONY: help setup build dev test simulate fuzz bench fmt lint size clean

help:
	@echo 'make dev      set up, build, and serve examples/shore on 127.0.0.1:8787'
	@echo 'make test     set up, build, and run every check; "make test STEPS=\"fmt units\"" runs some'
	@echo 'make simulate replicas in a million simulated worlds; SEEDS=n and FIRST=n choose others'
	@echo 'make fuzz     look for bytes that make a decoder or the engine panic; SECONDS=n each, TARGETS="message source"'
	@echo 'make bench    compare with D1 and native Durable Object SQL; writes bench/RESULTS.md and bench/REPLICAS.md'
	@echo 'make build    build the Worker into build/ and print its size'
	@echo 'make fmt      format the Rust sources'
	@echo 'make lint     check formatting, clippy on both targets, the scripts, and JavaScript once everything is built'
	@echo 'make setup    only install what is missing'
	@echo 'make clean    remove what was built; installed tools and local databases stay'

setup:
	@scripts/setup

build: setup
	@scripts/build
	@scripts/size

dev: setup
	@scripts/dev

test:
	@scripts/test $(STEPS)

simulate:
	@LITTORAL_SEEDS=$(or $(SEEDS),1000000) LITTORAL_SEED=$(or $(FIRST),0) cargo test --release --package littoral-engine --lib simulation::worlds -- --nocapture

fuzz:
	@scripts/fuzz $(or $(SECONDS),60) $(TARGETS)

bench: setup
	@scripts/build --if-changed
	@scripts/build --if-changed bench/edge-worker
	@scripts/with-tools node bench/run.mjs

fmt:
	@cargo fmt --all

lint:
	@scripts/test scripts fmt clippy clippy-wasm js

size: setup
	@scripts/size

clean:
	@rm -rf build build-testing examples/rust-worker/build bench/edge-worker/build target .wrangler/bundle .wrangler/tmp
