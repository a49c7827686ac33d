"""Everything declarative is in setup.cfg; this file only makes `.mim`.

`mmdense/.mim` holds `configs`, `tools` and `model-index.yml`, which is where
mmengine looks for `_base_ = 'mmdense::...'` and `mim` for its scripts. An
editable install links them, a wheel carries copies.
"""

import os
import shutil
import sys
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).resolve().parent
MIM_ENTRIES = ('configs', 'tools', 'model-index.yml')


def add_mim_extension() -> None:
    """Put the `.mim` entries into the package, linked or copied."""
    copy = any(arg in sys.argv for arg in ('sdist', 'bdist_wheel'))
    mim = ROOT / 'mmdense' / '.mim'
    mim.mkdir(exist_ok=True)
    for name in MIM_ENTRIES:
        source, target = ROOT / name, mim / name
        if not source.exists():
            continue
        if target.is_symlink() or target.is_file():
            target.unlink()
        elif target.is_dir():
            shutil.rmtree(target)
        if not copy:
            try:
                target.symlink_to(os.path.relpath(source, mim))
                continue
            except OSError:  # no right to link, as on Windows: copy instead
                pass
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copyfile(source, target)


if __name__ == '__main__':
    add_mim_extension()
    setup()
