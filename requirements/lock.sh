#!/bin/sh
# Resolves pyproject.toml into hashed pins for Python 3.11-3.13 on every platform. Needs uv on the PATH.
set -eu
cd "$(dirname "$0")/.."
compile() {
    target=$1; shift
    uv pip compile pyproject.toml "$@" --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-annotate --custom-compile-command "make lock" --quiet --output-file "$target"
}
compile requirements/dev.txt --extra dev
compile requirements/train.txt --extra build --extra train --constraint requirements/dev.txt
compile requirements/base.txt --extra build --constraint requirements/dev.txt
compile requirements/gpu.txt --extra build --extra calendar --extra cluster --extra gpu --extra s3 \
    --extra tune --constraint requirements/dev.txt
