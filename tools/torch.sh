#!/bin/sh
# Make .torch: PyTorch and what the SDK needs, in an environment of its own; tests run examples in it.
# A build for CPUs is 190 MB, what PyPI has for Linux on x86-64 some 3 GB with CUDA's libraries. So the first is looked for
# where pip's settings say that wheels lie (find-links), then on PyTorch's own index, which uv knows; PyPI comes last.
set -eu
cd "$(dirname "$0")/.."

version=2.13.0

fail() {
    echo "setup: $1" >&2
    exit 1
}

uv() {
    .venv/bin/python -m uv "$@"
}

install_torch() {
    # .venv has no pip; the Python that it was made of has.
    base=$(.venv/bin/python -c 'import sys; print(sys._base_executable)')
    "$base" -m pip --python .torch/bin/python install --quiet --disable-pip-version-check \
        --no-index --no-deps "torch==$version+cpu" 2>/dev/null && return
    uv pip install --quiet --python .torch/bin/python --no-deps --torch-backend cpu "torch==$version" 2>/dev/null && return
    echo "setup: found no build of PyTorch for CPUs; installing PyPI's (on Linux on x86-64 about 3 GB)"
    uv pip install --quiet --python .torch/bin/python "torch==$version"
}

rm -rf .torch
echo "setup: installing PyTorch into .torch (200 MB where there is a build for CPUs)"
uv venv --quiet --python .venv/bin/python .torch || fail "cannot make .torch; see above"
uv pip sync --quiet --python .torch/bin/python --require-hashes tools/torch.lock ||
    fail "cannot install the packages of tools/torch.lock; see above"
install_torch || fail "cannot install PyTorch $version; see above"
# The SDK itself, as .venv has it: from this checkout.
echo "$PWD/sdk" >"$(.torch/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/cvae-sdk.pth"
touch .torch/.ready
