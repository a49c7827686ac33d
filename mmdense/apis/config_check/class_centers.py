"""What a config with sharded class centers must have beside the head."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..config_walk import Node, raw_get
from .resolve import Resolver

_HEAD = 'PartialFCHead'
_HOOK = 'ShardedCheckpointHook'
_CONSTRUCTOR = 'ShardedOptimWrapperConstructor'


def missing_companions(
    cfg: Mapping[str, Any], nodes: Sequence[Node], resolver: Resolver
) -> Iterator[tuple[str, str]]:
    """Yield what a training with a `PartialFCHead` lacks.

    Without either of them a training runs, and nothing tells that its class
    centers are lost or that ranks drift apart.

    Args:
        cfg: The config.
        nodes: What :func:`~mmdense.apis.config_walk.walk` finds in it.
        resolver: Resolves its types.

    Yields:
        The key and what is wrong. Nothing for a config that does not train,
        and for types that are not found.
    """
    cfg = getattr(cfg, '_cfg_dict', cfg)
    if raw_get(cfg, 'train_cfg') is None:
        return
    heads = [
        node.path
        for node in nodes
        if node.path.startswith('model.')
        and _is(_target(node, 'type', node.registry, resolver), _HEAD)
    ]
    if not heads:
        return
    by_path = {node.path: node for node in nodes}
    path = 'default_hooks.checkpoint'
    hooks = raw_get(cfg, 'default_hooks') or {}
    node = by_path.get(path)
    if dict.__contains__(hooks, 'checkpoint'):
        # None is no hook: nothing is to be saved.
        hook = node and _target(node, 'type', 'hook', resolver)
        lost = hook is not None and not _is(hook, _HOOK)
        found = getattr(hook, '__name__', hook)
    else:
        lost, found = True, "mmengine's CheckpointHook, as none is given,"
    if lost:
        yield (
            path,
            f'{found} would not save the class centers of {heads[0]}; set '
            f"dict(type='mmdense.{_HOOK}', ...)",
        )
    node = by_path.get('optim_wrapper')
    if node is None:
        return
    target, found = None, 'no constructor is given'
    if raw_get(node.cfg, 'constructor') is not None:
        target = _target(
            node, 'constructor', 'optimizer wrapper constructor', resolver
        )
        if target is None:
            return
        found = f'{getattr(target, "__name__", target)} is given'
    if not _is(target, _CONSTRUCTOR):
        yield (
            'optim_wrapper.constructor',
            f'{found}, but {heads[0]} needs one that clips and scales class '
            f"centers alike on all ranks; set 'mmdense.{_CONSTRUCTOR}'",
        )


def _target(
    node: Node, key: str, registry: str | None, resolver: Resolver
) -> Any:
    """The class at a key of a node; None if it is not found."""
    type_ = raw_get(node.cfg, key)
    if type_ is None:
        return None
    return resolver.resolve(type_, registry, False, node.scope).target


def _is(target: Any, name: str) -> bool:
    """Whether a class is ours of that name, or derived from it.

    By name, as importing the head would need a library that another config
    does without.
    """
    return any(
        base.__name__ == name and base.__module__.startswith('mmdense.')
        for base in getattr(target, '__mro__', ())
    )
