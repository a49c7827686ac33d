#!/usr/bin/env bash
# Installs what is needed, then lints, checks types and runs the tests.
# Further arguments go to pytest, such as `-m slow` for the long ones.
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

ruff check .
ruff format --check .
mypy
# A file at a time to each of two processes: fixtures serve a whole file, and
# half of the time is spent where one core waits.
python -m pytest -n 2 --dist loadfile "$@"
