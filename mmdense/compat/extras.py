"""Libraries of the optional extras, imported when they are needed."""

import importlib
from types import ModuleType


def import_extra(module: str, extra: str, what: str) -> ModuleType:
    """Import a library that an extra of the package installs.

    Args:
        module: Import name, such as `'onnxruntime'`.
        extra: Name of the extra.
        what: What needs it, as the user wrote it.

    Raises:
        ImportError: It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f'{what} needs {module}, which cannot be imported ({error}). '
            f"Run: pip install 'mmdense[{extra}]'"
        ) from error
