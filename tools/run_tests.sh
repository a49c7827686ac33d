#!/usr/bin/env bash
# Installs what is needed, then lints, checks types and runs the tests.
# Further arguments go to pytest, such as `-m slow` for the long ones.
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

ruff check .
ruff format --check .
mypy
python -m pytest "$@"
