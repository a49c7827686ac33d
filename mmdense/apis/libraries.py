"""Which libraries a config needs, and which of them are missing."""

from collections.abc import Mapping
from typing import Any

from mmengine.config.lazy import LazyAttr, LazyObject
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.registry import Registry, root

from ..compat.versions import SIBLINGS, install_advice, is_available
from .config_walk import raw_get, walk


def library_of(type_: Any) -> str | None:
    """The import name of the library that a `type` of a config is from.

    Args:
        type_: `'mmdet.X'`, a class, or an import of a pure-Python config.

    Returns:
        Its name; None for a type without a prefix.
    """
    if isinstance(type_, LazyAttr | LazyObject):
        source = getattr(type_, 'module', None)
        return str(source).split('.')[0] if source else None
    if isinstance(type_, str) and '.' in type_:
        return type_.split('.')[0]
    return None


def is_missing(library: str) -> bool:
    """Whether `library` is neither importable nor a scope made at run time."""
    if is_available(library):
        return False
    registries = [r for r in vars(root).values() if isinstance(r, Registry)]
    return all(library not in registry.children for registry in registries)


def advice(library: str) -> str:
    """The sentence that tells how to install `library`."""
    if library in SIBLINGS:
        return install_advice(library)
    # Some packages are not called as they are imported (mmsegmentation).
    return install_advice(MODULE2PACKAGE.get(library, library))


def missing_libraries(cfg: Mapping[str, Any]) -> dict[str, str]:
    """The libraries that a config needs and that are not installed.

    Args:
        cfg: The config.

    Returns:
        For each library what needs it, as the user wrote it.
    """
    needed: dict[str, str] = {}
    scope = cfg.get('default_scope')
    if scope is not None:
        needed[scope] = f"default_scope='{scope}'"
    for node in walk(cfg):
        if node.scope is not None:
            needed.setdefault(node.scope, f'the base of `{node.path}`')
        type_ = raw_get(node.cfg, 'type')
        library = library_of(type_)
        if library is not None:
            needed.setdefault(library, f'{type_} (`{node.path}`)')
    return {lib: what for lib, what in needed.items() if is_missing(lib)}


def require_libraries(cfg: Mapping[str, Any], config: str) -> None:
    """Raise one ImportError for all libraries that are missing.

    Args:
        cfg: The config.
        config: How the user called it, for the message.

    Raises:
        ImportError: At least one library is not installed.
    """
    missing = missing_libraries(cfg)
    if missing:
        lines = [
            f'  {library}, for {what}. {advice(library)}'
            for library, what in missing.items()
        ]
        raise ImportError(
            f'{config} needs libraries that are not installed:\n'
            + '\n'.join(lines)
        )
