"""Placeholders for types whose sibling library is not installed."""

from collections.abc import Sequence

from mmengine.registry import Registry

from .versions import install_advice


def register_missing(
    registry: Registry, library: str, names: Sequence[str]
) -> None:
    """Register `names` as types that explain what to install.

    Without them a config that names such a type would fail with "not in the
    registry", which says nothing of the cause.

    Args:
        registry: Where the real types would be.
        library: Import name of the library that is missing.
        names: Names of the types that need it.
    """
    for name in names:
        full_name = f'{registry.scope}.{name}'

        def refuse(self, *args, _what=full_name, **kwargs):
            raise ImportError(
                f'{_what} needs {library}, which is not installed. '
                f'{install_advice(library)}'
            )

        placeholder = type(name, (), {'__init__': refuse})
        registry.register_module(name=name, module=placeholder)
