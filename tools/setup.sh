#!/bin/sh
# Make .venv from the hash-pinned lock and install the three distributions into it, editable.
# Needs only a Python of 3.11 to 3.13 and its pip; touches nothing outside the checkout.
set -eu
cd "$(dirname "$0")/.."

fail() {
    echo "setup: $1" >&2
    exit 1
}

fits() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

python=
if [ -n "${PYTHON:-}" ]; then
    set -- "$PYTHON"
else
    set -- python3 python3.13 python3.12 python3.11
fi
for candidate in "$@"; do
    if fits "$candidate"; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    found=$("${PYTHON:-python3}" --version 2>/dev/null || echo none)
    fail "needs Python 3.11, 3.12 or 3.13 (found: $found); name one with PYTHON=/path/to/python make ..."
fi
"$python" -m pip --version >/dev/null 2>&1 || fail "$python has no pip: install it (Debian: apt install python3-pip)"

# A .venv left by an interrupted setup, or by another Python, is made again.
rm -rf .venv
# Without ensurepip, which Debian leaves out; the pip that is there installs into the new environment.
"$python" -m venv --without-pip .venv || fail "$python cannot make a virtual environment"
"$python" -m pip --python .venv/bin/python install --quiet --disable-pip-version-check \
    --require-hashes --no-deps -r tools/bootstrap.lock || fail "cannot install uv; see above"
echo "setup: installing the locked packages into .venv (about 2.4 GB)"
.venv/bin/python -m uv pip sync --quiet --python .venv/bin/python --require-hashes requirements.lock ||
    fail "cannot install the locked packages; see above"
.venv/bin/python -m uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --offline \
    --editable sdk --editable training --editable export || fail "cannot install the project's own packages; see above"
touch .venv/.ready
