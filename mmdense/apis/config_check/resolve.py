"""Find the class that a `type` names, or what the user may have meant."""

import difflib
import importlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import mmengine._strategy
import mmengine.evaluator
import mmengine.hooks
import mmengine.model
import mmengine.optim
import mmengine.runner
import mmengine.visualization  # noqa: F401  (root registries have no location)
from mmengine.config.lazy import LazyAttr, LazyObject
from mmengine.registry import Registry, root

from ...compat.versions import SIBLINGS, is_available


class Resolution(NamedTuple):
    """What a `type` turned out to be.

    Attributes:
        target: The class or function; None if there is none.
        registry: Name of the registry it was found in; None for a class.
        problem: Why it was not found; None if it was.
    """

    target: Any
    registry: str | None
    problem: str | None


class Resolver:
    """Resolves the types of one config.

    Args:
        default_scope: The `default_scope` of the config.
    """

    def __init__(self, default_scope: str | None) -> None:
        self._default_scope = default_scope or 'mmengine'
        self._seen: dict[tuple[Any, ...], Resolution] = {}

    def resolve(
        self, type_: Any, registry: str | None, strict: bool, scope: str | None
    ) -> Resolution:
        """Find `type_`.

        Args:
            type_: What stands at the key `type`.
            registry: Name of the root registry expected; None if unknown.
            strict: Whether a type in another registry is an error.
            scope: The `_scope_` around the dict, if any.
        """
        if isinstance(type_, LazyAttr | LazyObject):
            try:
                type_ = type_.build()
            except (ImportError, AttributeError) as error:
                return Resolution(None, None, str(error))
        if callable(type_):
            return Resolution(type_, None, None)
        if not isinstance(type_, str):
            return Resolution(
                None,
                None,
                f'`type` is {type_!r}, expected a name or a class',
            )
        key = (type_, registry, strict, scope)
        if key not in self._seen:
            self._seen[key] = _resolve_name(
                type_, registry, strict, scope or self._default_scope
            )
        return self._seen[key]


def _resolve_name(
    name: str, expected: str | None, strict: bool, scope: str
) -> Resolution:
    registries = _root_registries()
    with suppress(ImportError):
        module = importlib.import_module(f'{scope}.registry')
        # Roots of a host's own, such as mmpretrain's BATCH_AUGMENTS.
        for registry in vars(module).values():
            if isinstance(registry, Registry) and registry.parent is None:
                registries.setdefault(registry.name, registry)
    order = sorted(registries.values(), key=lambda r: r.name != expected)
    for registry in order:
        try:
            target = _lookup(registry, name, scope)
        except ImportError as error:
            return Resolution(
                None, None, f'{name}: cannot be imported: {error}'
            )
        if target is None:
            continue
        if strict and registry.name != expected:
            return Resolution(
                None,
                None,
                f"{name}: is in registry '{registry.name}', but "
                f"this place takes registry '{expected}'",
            )
        return Resolution(target, registry.name, None)
    if strict:
        order = order[:1]
    return Resolution(None, None, _not_found(name, order, scope))


def _root_registries() -> dict[str, Registry]:
    found = [r for r in vars(root).values() if isinstance(r, Registry)]
    return {registry.name: registry for registry in found}


def _lookup(registry: Registry, name: str, scope: str) -> Any:
    # A registry without a node for the scope is used itself, as when
    # mmengine builds.
    node = registry.children.get(scope, registry)
    try:
        return node.get(name)
    except (RuntimeError, KeyError):
        # How mmengine says "not found" depends on its version.
        return None


def _not_found(name: str, order: list[Registry], scope: str) -> str:
    """Say that `name` is nowhere, and what it may stand for.

    Args:
        name: The type as written.
        order: The registries it may be in, the likeliest first.
        scope: The scope the config is read in.
    """
    _import_siblings(order)
    # A name in several registries counts for the likeliest.
    homes: dict[str, str] = {}
    for registry in order:
        for known in _names(registry, scope):
            homes.setdefault(known, registry.name)
    if '.' not in name:
        qualified = [n for n in homes if n.endswith(f'.{name}')]
        if qualified:
            return f'`{name}` needs the prefix: {" or ".join(qualified)}'
    near = _nearest(name, homes)
    if near is not None:
        return f"{name}: not in registry '{homes[near]}'; did you mean {near}?"
    if len(order) == 1:
        return f"{name}: not in registry '{order[0].name}'"
    return f'{name}: not in any registry'


def _nearest(name: str, known: Iterable[str]) -> str | None:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
    if near:
        return near[0]
    # The prefix may be what is wrong.
    plain = name.rpartition('.')[2]
    by_plain: dict[str, str] = {}
    for candidate in known:
        by_plain.setdefault(candidate.rpartition('.')[2], candidate)
    close = difflib.get_close_matches(plain, by_plain, n=1, cutoff=0.8)
    return by_plain[close[0]] if close else None


def _import_siblings(registries: list[Registry]) -> None:
    for library in ('mmdense', *SIBLINGS):
        if is_available(library):
            with suppress(ImportError):
                importlib.import_module(f'{library}.registry')
    for registry in registries:
        for child in registry.children.values():
            with suppress(ImportError):
                child.import_from_location()


def _names(registry: Registry, scope: str) -> Iterator[str]:
    """The names as a config of `scope` has to write them."""
    yield from registry.module_dict
    for child_scope, child in registry.children.items():
        prefix = '' if child_scope == scope else f'{child_scope}.'
        for name in child.module_dict:
            yield f'{prefix}{name}'
