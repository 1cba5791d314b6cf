# `make` alone tells what there is. Every recipe makes the machine ready first (.ci/setup, a
# moment when nothing is missing) and takes its tools from .ci/env.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
ENV := . .ci/env
export CHECK

.PHONY: help setup build worker runner web release test demo dev bench screenshots fmt lint clean

help: ## tell what each target does
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' Makefile

setup: ## install what is missing on this machine (tools go to ~/.cache/hosted-agents)
	@.ci/setup

build: worker runner web ## build the Worker, the runner and the web client

worker: setup
	@$(ENV); .ci/build-worker

runner: setup
	@$(ENV)
	# Beside what starts it, since alone it would have other features of what both depend on, and
	# these would be compiled twice.
	cargo build -p sandbox-runner -p support --bin sandbox-runner

web: setup
	@$(ENV); .ci/build-web

release: web ## build what is deployed: the web client and the Worker, made small by wasm-opt
	@$(ENV); .ci/build-worker --optimize

test: ## set up, then format, lints, build and every test; `.ci/test STAGE...` runs single stages
	@.ci/test

demo: build ## do the main job once on the whole stack; CHECK=1 verifies the result and exits
	@$(ENV); exec cargo run --quiet -p support --bin demo

dev: build ## run the whole stack on loopback until Ctrl-C
	@$(ENV); exec cargo run --quiet -p support --bin dev

bench: build ## measure, print a table and write target/bench/results.json; MEASURES="…" chooses
	@$(ENV)
	# As it is deployed: an unoptimised runner would be measured instead of the design. The bench
	# too, since it has parts of the runner in its own process.
	cargo build --release -p sandbox-runner -p support --bin sandbox-runner --bin bench
	export SANDBOX_RUNNER_BIN=$$PWD/target/release/sandbox-runner
	exec cargo run --quiet --release -p support --bin bench -- $(MEASURES)

screenshots: web ## write a picture of every page, in both sizes, to target/screenshots
	@$(ENV)
	export SCREENSHOTS=$$PWD/target/screenshots
	cd web
	npx vitest run --project browser screenshots

fmt: ## format the Rust code
	@cargo fmt --all

lint: setup ## format check and lints as errors, for the host and for wasm32
	@.ci/test format clippy clippy_wasm

clean: ## delete what was built here; the cache folder stays
	@rm -rf target build web/dist web/node_modules .wrangler
