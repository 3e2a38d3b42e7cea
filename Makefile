# Two commands for everyone: make demo, make test. For developers: make check, make format, make lock, make test-latest.
.PHONY: demo test test-latest check format lock
.DELETE_ON_ERROR:

BIN := .venv/bin

.venv/.ready: requirements.lock tools/bootstrap.lock tools/setup.sh training/pyproject.toml export/pyproject.toml \
		sdk/pyproject.toml sdk/build_hook.py artifacts/mnist/manifest.json artifacts/fashion-mnist/manifest.json
	@tools/setup.sh

.triton/.ready: .venv/.ready tools/triton.lock tools/triton.sh
	@tools/triton.sh

.web/.ready: .venv/.ready tools/web.sh
	@tools/web.sh

.torch/.ready: .venv/.ready tools/torch.lock tools/torch.sh
	@tools/torch.sh

demo: .venv/.ready
	@rm -rf runs/demo artifacts/demo
	@$(BIN)/cvae-train --preset fast --out runs/demo
	@$(BIN)/cvae-export runs/demo --out artifacts/demo
	@echo
	@echo "A picture of sampled digits, one row per digit: artifacts/demo/samples.png"
	@echo "Try next, in .venv/bin/python:"
	@echo "    from cvae_sdk import Sampler"
	@echo "    sampler = Sampler(\"artifacts/demo\")"
	@echo "    sampler.grid([3, 1, 4], n=8, seed=0).save(\"pi.png\")"

test: .venv/.ready .triton/.ready .web/.ready .torch/.ready
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

# The tests of export on the newest JAX, if there is a Python 3.12 or newer for it.
test-latest: .venv/.ready .triton/.ready .web/.ready
	@tools/test_latest.sh --numprocesses 2 --dist loadfile

check: .venv/.ready
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/basedpyright
	@$(BIN)/lint-imports

format: .venv/.ready
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

# Resolves for Python 3.11 to 3.13 and every platform; records versions and hashes, never where they came from.
lock:
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock" \
		--no-emit-package cvae-sdk --no-emit-package cvae-training \
		--group dev --extra ray --extra signing --extra grpc training/pyproject.toml export/pyproject.toml sdk/pyproject.toml -o requirements.lock
	echo uv | uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--custom-compile-command "make lock" - -o tools/bootstrap.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-deps --constraint requirements.lock \
		--custom-compile-command "make lock" tools/triton.in -o tools/triton.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-deps --constraint requirements.lock \
		--custom-compile-command "make lock" tools/torch.in -o tools/torch.lock
