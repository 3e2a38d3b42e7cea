#!/bin/sh
# Make .triton: the real Triton server, from nvidia-pytriton, in an environment of its own; tests start it from there.
# Where there is none for the machine, say so and leave the reason in .triton/absent: its tests are skipped then.
set -eu
cd "$(dirname "$0")/.."

fail() {
    echo "setup: $1" >&2
    exit 1
}

absent() {
    [ -z "${CI:-}" ] || fail "$1"
    echo "setup: $1: the tests that start Triton are skipped" >&2
    mkdir -p .triton
    echo "$1" >.triton/absent
    touch .triton/.ready
    exit 0
}

rm -rf .triton
case "$(uname -s) $(uname -m)" in
    "Linux x86_64" | "Linux aarch64") ;;
    *) absent "there is no Triton for $(uname -s) on $(uname -m)" ;;
esac

echo "setup: installing Triton into .triton (about 290 MB)"
.venv/bin/python -m uv venv --quiet --python .venv/bin/python .triton || fail "cannot make .triton; see above"
.venv/bin/python -m uv pip sync --quiet --python .triton/bin/python --require-hashes tools/triton.lock ||
    fail "cannot install the packages of tools/triton.lock; see above"

# Triton's Python backend is linked with the interpreter's own library, which Debian's python3 comes without.
library=$(.triton/bin/python -c 'import sysconfig as s; print(s.get_config_var("LIBDIR"))')
minor=$(.triton/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
missing=$(LD_LIBRARY_PATH=$library ldd .triton/lib/python*/site-packages/pytriton/tritonserver/python_backend_stubs/"$minor"/* |
    sed -n 's/^[[:space:]]*\(.*\) => not found/\1/p')
[ -z "$missing" ] || absent "Triton needs $missing (Debian: apt install libpython$minor)"
touch .triton/.ready
