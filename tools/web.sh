#!/bin/sh
# Make .web: onnxruntime-web from its npm package, for the tests of the page that samples in a browser. Pinned by the
# package's SHA-512, like all else; its own dependencies are bundled into the files that the page takes.
# Without npm, say so and leave the reason in .web/absent: those tests are skipped then.
set -eu
cd "$(dirname "$0")/.."

version=1.30.0
sha512=ab4cbe26baedba45d2cec05610c71c55fa97db92d19a8b171c5f8269126683ca590a5cdc57bb2f35ce2b298de32f4d956fb42644c0ecd528a0a91e025c07ca61

fail() {
    echo "setup: $1" >&2
    exit 1
}

rm -rf .web
mkdir .web
if ! command -v npm >/dev/null; then
    reason="there is no npm to bring onnxruntime-web (Debian: apt install npm)"
    [ -z "${CI:-}" ] || fail "$reason"
    echo "setup: $reason: the tests of the page in a browser are skipped" >&2
    echo "$reason" >.web/absent
    touch .web/.ready
    exit 0
fi

mkdir -p .web/node_modules/onnxruntime-web
echo "setup: bringing onnxruntime-web $version into .web (33 MB)"
npm pack --silent --pack-destination .web "onnxruntime-web@$version" >/dev/null || fail "cannot get onnxruntime-web; see above"
package=.web/onnxruntime-web-$version.tgz
.venv/bin/python -c 'import hashlib, sys; sys.exit(hashlib.sha512(open(sys.argv[1], "rb").read()).hexdigest() != sys.argv[2])' \
    "$package" "$sha512" || fail "onnxruntime-web $version is not the package that was tested: its SHA-512 differs"
tar -xzf "$package" -C .web/node_modules/onnxruntime-web --strip-components 1 || fail "cannot unpack $package"
rm -r "$package" .web/node_modules/onnxruntime-web/dist/*.map .web/node_modules/onnxruntime-web/lib
touch .web/.ready
