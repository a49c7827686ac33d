"""Find the dicts of a config that something will be built from.

A config does not say which registry a dict is built with; the code that
reads it decides. Here that is inferred from the keys on the way to the dict.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

# What a key holds, wherever it stands. These hold in the hosts without
# exception, so that a type from another registry is an error.
KEYS = {
    'batch_sampler': 'data sampler',
    'dataset': 'dataset',
    'datasets': 'dataset',
    'collate_fn': 'function',
    'optimizer': 'optimizer',
    'vis_backends': 'vis_backend',
    'pipeline': 'transform',
    'transforms': 'transform',
    'worker_init_fn': 'function',
}

# What the top-level keys hold that the Runner and the tools read. What stands
# in others (variables such as `train_pipeline`) is built only where they are
# used, and found there.
TOP_KEYS = {
    'custom_hooks': 'hook',
    'data_preprocessor': 'model',
    'default_hooks': 'hook',
    'log_processor': 'log_processor',
    'model': 'model',
    'model_wrapper_cfg': 'model_wrapper',
    'optim_wrapper': 'optim_wrapper',
    'param_scheduler': 'parameter scheduler',
    'strategy': 'strategy',
    'test_cfg': 'loop',
    'test_dataloader': 'dataloader',
    'test_evaluator': 'metric',
    'train_cfg': 'loop',
    'train_dataloader': 'dataloader',
    'tta_model': 'model',
    'tta_pipeline': 'transform',
    'val_cfg': 'loop',
    'val_dataloader': 'dataloader',
    'val_evaluator': 'metric',
    'visualizer': 'visualizer',
}

# Arguments with types that the class looks up in places of its own.
OPAQUE = {
    'Albu': {'transforms', 'bbox_params'},
    'AmpOptimWrapper': {'clip_grad'},
    'FPG': {
        'across_down_trans',
        'across_lateral_trans',
        'across_skip_trans',
        'across_up_trans',
        'output_trans',
        'same_down_trans',
        'same_up_trans',
    },
    'LoRAModel': {'targets'},
    'OptimWrapper': {'clip_grad'},
    'StageCascadeRPNHead': {'adapt_cfg'},
}


class Node(NamedTuple):
    """A dict that something is built from.

    Attributes:
        path: Dotted path, such as `model.neck[0]`.
        key: The last key by name, `neck` for `model.neck[0]`.
        cfg: The dict, with lazy objects as they are.
        registry: Name of the registry expected; None if unknown.
        strict: Whether another registry than `registry` is an error.
        scope: The innermost `_scope_` around; None if there is none.
        is_component: False for a dict without a type of its own whose keys
            are arguments all the same (a dataloader, a loop, a hidden type).
    """

    path: str
    key: str
    cfg: Mapping[str, Any]
    registry: str | None
    strict: bool
    scope: str | None
    is_component: bool


class _Context(NamedTuple):
    registry: str | None
    strict: bool
    scope: str | None


def walk(cfg: Mapping[str, Any]) -> Iterator[Node]:
    """Yield the typed dicts of a config, outer ones first.

    Args:
        cfg: The config as a dict, what `Config.fromfile` returns or its
            inner dict.

    Yields:
        One node per dict with a `type`, and one per dataloader and per
        optimizer wrapper or loop that leaves its type to the Runner.
    """
    for key, value in _raw_items(cfg):
        context = _top_context(key, value)
        if context is not None:
            yield from _walk_value(value, key, key, context)


def misspelt_types(value: Any, path: str = '') -> Iterator[str]:
    """Yield the paths of keys that were to be `type`, as `tpye`.

    Without its type a dict counts as plain data, and nothing would be said.

    Args:
        value: The config, or a part of it.
        path: Path of the part.
    """
    if isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from misspelt_types(item, f'{path}[{index}]')
    elif isinstance(value, Mapping):
        prefix = f'{path}.' if path else ''
        items = list(_raw_items(value))
        keys = [key for key, _ in items]
        for key, item in items:
            swapped = key != 'type' and sorted(key) == sorted('type')
            if 'type' not in keys and (swapped or key in ('tpe', 'typ')):
                yield prefix + key
            yield from misspelt_types(item, prefix + key)


def _raw_items(cfg: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    # ConfigDict.items() would import each lazy object, and raise for the
    # first that is missing.
    inner = getattr(cfg, '_cfg_dict', cfg)
    return iter([(str(key), value) for key, value in dict.items(inner)])


def raw_get(cfg: Mapping[str, Any], key: str, default: Any = None) -> Any:
    """`cfg.get`, but a lazy object is returned as it is."""
    return dict.get(cfg, key, default)


def _top_context(key: str, value: Any) -> _Context | None:
    registry = TOP_KEYS.get(key)
    if registry == 'metric' and isinstance(value, dict) and 'metrics' in value:
        registry = 'evaluator'
    return _Context(registry, True, None) if registry else None


def _child_context(key: str, parent: _Context) -> _Context:
    if parent.registry == 'dataloader':
        registry = {'sampler': 'data sampler'}.get(key, KEYS.get(key))
    elif parent.registry == 'evaluator' and key == 'metrics':
        registry = 'metric'
    elif key in ('init_cfg', 'override'):
        # Not strict: some modules read a dict of their own from `init_cfg`.
        return parent._replace(registry='weight initializer', strict=False)
    elif key == 'data_preprocessor':
        registry = 'model'
    else:
        registry = KEYS.get(key)
    if registry is not None:
        strict = parent.registry != 'model' or registry == 'dataset'
        return parent._replace(registry=registry, strict=strict)
    # A collection of named things, or a part of the thing above.
    return parent._replace(strict=False)


def _walk_value(
    value: Any, path: str, key: str, context: _Context
) -> Iterator[Node]:
    if isinstance(value, dict):
        yield from _walk_dict(value, path, key, context)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _walk_value(item, f'{path}[{index}]', key, context)


def _walk_dict(
    cfg: dict[str, Any], path: str, key: str, context: _Context
) -> Iterator[Node]:
    scope = raw_get(cfg, '_scope_')
    if isinstance(scope, str):
        context = context._replace(scope=scope)
    typed = dict.__contains__(cfg, 'type')
    untyped_arguments = not typed and _reads_arguments(cfg, path, context)
    if typed or untyped_arguments:
        yield Node(path, key, cfg, *context, typed)
    plain = str(raw_get(cfg, 'type')).rpartition('.')[2]
    for child, value in _raw_items(cfg):
        if child in OPAQUE.get(plain, ()):
            continue
        inner = _child_context(child, context)
        if not typed and _is_collection(path, context):
            inner = inner._replace(strict=context.strict)
        yield from _walk_value(value, f'{path}.{child}', child, inner)


def _reads_arguments(
    cfg: dict[str, Any], path: str, context: _Context
) -> bool:
    if '.' in path or '[' in path:
        return False
    if context.registry == 'optim_wrapper':
        return 'optimizer' in cfg
    return context.registry in ('dataloader', 'log_processor', 'loop')


def _is_collection(path: str, context: _Context) -> bool:
    return path == 'default_hooks' and context.registry == 'hook'
