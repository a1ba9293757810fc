# What people run. Each target installs what it lacks (./setup is silent when nothing is missing).
CARGO ?= cargo

.PHONY: demo test test-clients lint bench build setup chdb sdk loadtest soak fuzz

setup:
	@./setup

build: setup
	$(CARGO) build --release --locked

# A real ClickHouse engine for the audit's tests; they are skipped without it (NO_CHDB=1).
chdb: setup
	@./tests/facade/install

# The vendors' SDKs, Python and JavaScript, for the round trip; TOLLGATE_SKIP_SDK=1 leaves them out.
sdk: setup
	@./tests/sdk/setup

# The main job on real HTTP, with nothing else running: ends by itself.
demo: setup
	$(CARGO) build --locked
	$(CARGO) run --locked --quiet -- demo

# Every test: nextest where it is installed, cargo test otherwise.
test: setup chdb sdk
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
		$(CARGO) nextest run --locked --no-fail-fast; \
	else \
		$(CARGO) test --locked; \
	fi; \
	status=$$?; ./tests/facade/install --told; exit $$status

# The published agents (Claude Code, Codex, opencode, aider, Continue, Cline) through the gateway, in a network of their own:
# installs 2 GB from npm and PyPI, then takes ten minutes or so. UPDATE_CLIENTS=1 writes docs/CLIENTS.md anew.
test-clients: setup
	@./tests/agents/setup
	@CARGO="$(CARGO)" ./tests/agents/run

lint: setup
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --test agents -- -D warnings
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny --offline check bans licenses sources; \
	else echo "lint: cargo-deny is not installed; skipped"; fi

bench: setup
	$(CARGO) bench --locked

# The gateway beside nginx, HAProxy and a bare pass-through, and by the state of Redis and ClickHouse, in one run on loopback;
# tables and a plot in target/loadtest. LOADTEST="--seconds 3 --rounds 2" and the like pass on (python3 loadtest/run.py
# --help); NO_CHDB=1 leaves ClickHouse out.
loadtest: setup chdb
	@./loadtest/setup
	python3 loadtest/run.py $(LOADTEST)

# An hour of mixed traffic and faults; `make test` runs the same for a few seconds.
soak: setup
	TOLLGATE_SOAK_SECONDS=3600 $(CARGO) test --locked --test it soak::

# Each fuzz target for FUZZ_SECONDS (60): FUZZ="scan restore" FUZZ_SECONDS=3600 make fuzz
fuzz: setup
	./fuzz/run $(FUZZ)
