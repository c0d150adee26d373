# Two commands do all: `make demo` and `make test`. Everything else is for developers.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# What a first run imports: compiled at install, so that the first decision does not wait for it.
HOT := anyio duckdb exchange_calendars h11 httpcore httpx httpx2 jsonpatch.py jsonschema langchain_core langgraph langgraph_sdk langsmith mcp mcp_types \
       msgspec nacl numpy openai orjson packaging pandas pydantic requests starlette ta talib tenacity urllib3 uuid_utils uvicorn xxhash yaml zmq
OURS := agents bench bus execution feed mcp_servers outcry quant risk

.PHONY: demo test check conformance acceptance tools-lock controls matrix model mutation quickfix nautilus venv bench lock clean

demo: $(STAMP)  ## A recorded (synthetic) day, every stage in its own process
	$(BIN)/outcry run

test: $(STAMP)  ## The whole suite
	$(BIN)/python -m pytest -n 3 --dist worksteal  # three on two cores: one of them waits for a process or a deadline

check: $(STAMP)  ## Style, strict types, the import table, the bans
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright --level error
	$(BIN)/lint-imports

conformance: $(STAMP)  ## The official MCP conformance suite, on the product's own stack (npm)
	$(BIN)/python scripts/conformance.py

acceptance: $(STAMP)  ## Independent clients: MCP Inspector, the TypeScript SDK, a Python agent framework (npm, pip)
	$(BIN)/python scripts/acceptance.py

tools-lock: $(STAMP)  ## Write down what tools/list says, after a description was changed on purpose
	$(BIN)/python scripts/tools_lock.py

controls: $(STAMP)  ## Write docs/controls.md anew from the gate's table of controls
	$(BIN)/python scripts/controls.py

matrix: $(STAMP)  ## kill -9 at every persistence point, with every loopback broker
	$(BIN)/python -m tests.matrix

model: $(STAMP)  ## Every state of a small model of the gate's book, a million and more
	$(BIN)/python -m tests.risk.model

mutation: $(STAMP)  ## Change the gate and the order path line by line: does a test fail? (half an hour and more)
	$(BIN)/python scripts/mutation.py

quickfix: $(STAMP)  ## Our FIX session against QuickFIX itself (pip, in an environment of its own)
	$(BIN)/python scripts/quickfix_peer.py || test $$? -eq 77

nautilus: $(STAMP)  ## The gate's check beside nautilus_trader's risk engine (pip, in an environment of its own)
	$(BIN)/python scripts/nautilus_peer.py

bench: $(STAMP)  ## Each figure beside its floor, from the same run
	$(BIN)/outcry bench bus
	$(BIN)/outcry bench gate
	$(BIN)/outcry bench journal
	$(BIN)/outcry bench replay
	$(BIN)/outcry bench feed
	$(BIN)/outcry bench mcp

venv: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Open Outcry needs Python 3.11 or newer; none was found. Install it, or say: make PYTHON=/path/to/python3"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --no-build-isolation --editable .
	cd $$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') && $(CURDIR)/$(BIN)/python -m compileall -q -j 2 $(HOT)
	$(BIN)/python -m compileall -q -j 2 $(OURS)
	@touch $(STAMP)

lock:  ## Pin everything again, with hashes and without addresses (needs uv on the PATH)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate \
		--all-extras --quiet --output-file requirements.lock pyproject.toml scripts/build.in

clean:
	rm -rf $(VENV) runs .pytest_cache .ruff_cache .hypothesis
