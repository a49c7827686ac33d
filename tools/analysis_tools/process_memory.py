"""The memory of this process, for the benchmarks beside it."""

import sys
from pathlib import Path

_STATUS = Path('/proc/self/status')


def held_mib() -> float:
    """What it holds now; needs Linux."""
    return _field('VmRSS')


def peak_mib() -> float:
    """The most it ever held."""
    if _STATUS.exists():
        # Not `ru_maxrss`, which a process takes over from its parent.
        return _field('VmHWM')
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == 'darwin' else 1 << 10)


def _field(name: str) -> float:
    if not _STATUS.exists():
        raise RuntimeError(f'there is no {_STATUS}; Linux is needed')
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f'{name}:'):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f'{_STATUS} has no {name}; Linux is needed')
