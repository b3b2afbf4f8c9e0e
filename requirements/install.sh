#!/bin/sh
# Installs STOCKBOT into an environment of its own, in two steps, so that an image keeps the first while sources change:
#   requirements/install.sh dependencies PREFIX PINS    a new environment at PREFIX with what PINS names, checked by hash
#   requirements/install.sh project PREFIX              this tree as a package in it; the tree is only read
# Dockerfile.gpu runs it, and `make container` runs the lines of Dockerfile.gpu.
set -eu
step=$1 prefix=$2
case $step in
dependencies)
    "${PYTHON:-python3}" -m venv "$prefix"
    "$prefix/bin/python" -m pip install --quiet --require-hashes --only-binary :all: --requirement "$3"
    ;;
project)
    tree=$(cd "$(dirname "$0")/.." && pwd)
    "$prefix/bin/python" -m pip install --quiet --no-deps --no-index --no-build-isolation "$tree"
    ;;
*)
    echo "install.sh: expected dependencies or project, received $step" >&2
    exit 2
    ;;
esac
