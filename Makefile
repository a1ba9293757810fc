# What people run. Each target installs what it lacks (./setup is silent when nothing is missing).
CARGO ?= cargo

.PHONY: demo test lint bench build setup

setup:
	@./setup

build: setup
	$(CARGO) build --release --locked

# The main job on real HTTP, with nothing else running: ends by itself.
demo: setup
	$(CARGO) build --locked
	$(CARGO) run --locked --quiet -- demo

# Every test: nextest where it is installed, cargo test otherwise.
test: setup
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
		$(CARGO) nextest run --locked --no-fail-fast; \
	else \
		$(CARGO) test --locked; \
	fi

lint: setup
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny --offline check bans licenses sources; \
	else echo "lint: cargo-deny is not installed; skipped"; fi

bench: setup
	$(CARGO) bench --locked
