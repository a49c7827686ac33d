"""Which sibling libraries are there, by import name and version.

Each OpenMMLab library comes under several distribution names that own the
same files (`mmdet` and `onedl-mmdetection`), so requirements in the metadata
cannot express what is needed; this module checks it at run time instead.
"""

import importlib.metadata
import importlib.util
import warnings
from typing import NamedTuple

from packaging.version import Version


class Sibling(NamedTuple):
    """A library known by its import name.

    Attributes:
        distributions: Names it is installed under; the first is advised.
        minimum: The oldest version that works.
        below: The first version that nobody has tried.
        job: What the package needs it for.
    """

    distributions: tuple[str, ...]
    minimum: str
    below: str
    job: str


SIBLINGS = {
    'mmengine': Sibling(
        ('onedl-mmengine', 'mmengine'), '0.10.4', '1', 'everything'
    ),
    'mmcv': Sibling(
        ('onedl-mmcv', 'mmcv', 'mmcv-lite'), '2.0.0', '3', 'transforms and ops'
    ),
    'mmdet': Sibling(
        ('onedl-mmdetection', 'mmdet'), '3.3.0', '4', 'dense pose'
    ),
    'mmpretrain': Sibling(
        ('onedl-mmpretrain', 'mmpretrain'), '1.2.0', '2', 'recognition'
    ),
}


def is_available(library: str) -> bool:
    """Whether `import library` would find something; imports nothing."""
    try:
        return importlib.util.find_spec(library) is not None
    except (ImportError, ValueError):
        return False


def installed_distributions(library: str) -> dict[str, str]:
    """Versions of the installed distributions that provide `library`."""
    found = {}
    for name in SIBLINGS[library].distributions:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def install_advice(library: str) -> str:
    """The sentence that tells how to install `library`."""
    if library not in SIBLINGS:
        return f'Run: pip install {library}'
    names = SIBLINGS[library].distributions
    return (
        f'Run: pip install {names[0]} (upstream: {" or ".join(names[1:])}; '
        'never both families in one environment)'
    )


def require(library: str, what: str) -> None:
    """Raise an ImportError with advice unless `library` can be imported.

    Args:
        library: Import name, such as `'mmdet'`.
        what: What needs it, as the user wrote it, such as
            `'mmdense.PartialFCHead'`.

    Raises:
        ImportError: `library` is not installed.
    """
    if not is_available(library):
        raise ImportError(
            f'{what} needs {library}, which is not installed. '
            f'{install_advice(library)}'
        )


def check_stack() -> None:
    """Check what is installed against :data:`SIBLINGS`.

    Raises:
        ImportError: mmengine is missing, or a sibling is too old.
    """
    require('mmengine', 'mmdense')
    for library, sibling in SIBLINGS.items():
        found = installed_distributions(library)
        if len(found) > 1:
            warnings.warn(
                f'{library} is installed twice, by {" and ".join(found)}; '
                'they overwrite each other. Uninstall all of them, then '
                'install one.',
                stacklevel=3,
            )
        for name, version in found.items():
            if Version(version) < Version(sibling.minimum):
                raise ImportError(
                    f'mmdense needs {library}>={sibling.minimum}, got '
                    f'{name} {version}. Run: pip install -U {name}'
                )
            if Version(version) >= Version(sibling.below):
                warnings.warn(
                    f'mmdense was tested with {library}<{sibling.below}, '
                    f'got {name} {version}',
                    stacklevel=3,
                )
