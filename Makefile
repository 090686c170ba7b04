# Targets for people; logic is in cargo xtask and in scripts/.
CARGO ?= cargo

.PHONY: help demo test bench image image-test lint fmt build ui

help:
	@echo "make demo    build Lateen, start a mesh on this machine and show a request's way through it"
	@echo "make test    install what the tests need and run all of them"
	@echo "make bench   measure Lateen beside stock Envoy, HAProxy and nginx"
	@echo "make ui      build the graph's page with Node 20, which the next build takes in"
	@echo "make image   build the container image with buildah or docker (IMAGE=hub/lateen:tag, IPTABLES=yes)"
	@echo "make lint    rustfmt, clippy and the repository's own checks"
	@echo "make fmt     format all code"

# A build without Node serves everything but the page, and says so.
ui:
	@scripts/ui.sh

build: ui
	$(CARGO) build --release --locked -p lateen-cli -p lateen-testkit --bins

demo: build
	@scripts/demo-deps.sh
	@scripts/demo.sh target/release/lateen

test:
	@scripts/test-deps.sh
	@scripts/ui.sh --test
	$(CARGO) build --locked --workspace --all-targets
	$(CARGO) test --locked --workspace

bench: build
	@scripts/test-deps.sh --bench
	@bench/run.py --lateen target/release/lateen

image: ui
	@scripts/image.sh

image-test:
	@scripts/image-test.sh

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) xtask tidy

fmt:
	$(CARGO) fmt --all
