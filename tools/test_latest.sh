#!/bin/sh
# Run the tests of export on the newest JAX that training/pyproject.toml allows, in an environment of its own.
# That JAX needs Python 3.12 or newer: PYTHON names one, or it is looked for on the path, and then where uv keeps its own.
# More arguments go to pytest.
set -eu
cd "$(dirname "$0")/.."

fits() {
    "$1" -c 'import sys; sys.exit(not (3, 12) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

uv=".venv/bin/python -m uv"
python=
if [ -n "${PYTHON:-}" ]; then
    set -- "$PYTHON" -- "$@"
else
    set -- python3.13 python3.12 python3 "$($uv python find --no-python-downloads '>=3.12,<3.14' 2>/dev/null || :)" -- "$@"
fi
while [ "$1" != -- ]; do
    if [ -z "$python" ] && [ -n "$1" ] && fits "$1"; then
        python=$1
    fi
    shift
done
shift
if [ -z "$python" ]; then
    echo "test-latest: nothing was tested: the newest JAX needs Python 3.12 or 3.13, and none was found;" \
        "name one with PYTHON=/path/to/python make test-latest"
    exit 0
fi

if [ ! -e .venv-latest/.ready ] || [ requirements.lock -nt .venv-latest/.ready ] || ! fits .venv-latest/bin/python; then
    echo "test-latest: installing the locked packages and the newest JAX into .venv-latest (about 2.4 GB)"
    rm -rf .venv-latest
    $uv venv --quiet --python "$python" .venv-latest
    $uv pip sync --quiet --python .venv-latest/bin/python --require-hashes requirements.lock
    $uv pip install --quiet --python .venv-latest/bin/python --no-build-isolation \
        --upgrade-package jax --upgrade-package jaxlib --upgrade-package flax \
        --editable sdk --editable training --editable export
    touch .venv-latest/.ready
fi
.venv-latest/bin/python -c '
import platform, sys
from importlib.metadata import version
libraries = ("jax", "flax", "tensorflow-cpu" if platform.machine() == "x86_64" and sys.platform != "darwin" else "tensorflow")
told = ", ".join(f"{library} {version(library)}" for library in libraries)
print(f"test-latest: Python {platform.python_version()}, {told}")'
exec .venv-latest/bin/python -m pytest tests/export "$@"
