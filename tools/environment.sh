# Sourced by the scripts beside it: makes a virtual environment with all that
# mmdense needs, once, and puts it on PATH. Needs Python 3.11 or 3.12 with pip.
#
#   PYTHON  the interpreter to start from (default: python3)
#   VENV    where the environment is (default: .venv in the repository)

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

PYTHON=${PYTHON:-python3}
VENV=${VENV:-$PWD/.venv}

"$PYTHON" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' || {
    echo "this environment needs Python 3.11 or 3.12, got $("$PYTHON" --version)." \
        'Set PYTHON to such an interpreter.' >&2
    exit 1
}

# Made anew when what it is made from has changed, or another checkout.
wanted="$PWD $(cat constraints.txt setup.cfg setup.py pyproject.toml | cksum)"
if [ "$(cat "$VENV/.made_from" 2>/dev/null || true)" != "$wanted" ]; then
    echo "Installing into $VENV (about 6 GB, some minutes) ..."
    [ -x "$VENV/bin/python" ] || "$PYTHON" -m venv "$VENV"
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check \
        --constraint constraints.txt --editable '.[onedl,tests,optional]'
    echo "$wanted" >"$VENV/.made_from"
fi
export PATH="$VENV/bin:$PATH"

# Threads that wait by spinning make a busy machine many times slower.
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}
