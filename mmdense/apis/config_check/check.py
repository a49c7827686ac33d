"""Check the components of a config without building any."""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from mmengine.optim import OptimWrapper
from mmengine.runner import LogProcessor, loops
from torch.utils.data import DataLoader

from ...compat import missing
from ..config_file import load_config
from ..config_walk import Node, misspelt_types, raw_get, walk
from ..libraries import advice, is_missing, library_of
from .binding import Accepted, accepted_arguments
from .class_centers import missing_companions
from .data_files import missing_files
from .resolve import Resolver


class Problem(NamedTuple):
    """One thing that is wrong with a config.

    Attributes:
        config: Path of the config.
        path: Dotted path of the key; empty if it concerns the file.
        message: What is wrong.
        is_warning: Whether the config may work all the same.
    """

    config: str
    path: str
    message: str
    is_warning: bool = False

    def __str__(self) -> str:
        parts = [self.config, self.path, self.message]
        return ': '.join(part for part in parts if part)


# Arguments that the Runner or the class around passes, by registry.
INJECTED = {
    'data sampler': {'dataset', 'seed', 'sampler', 'batch_size'},
    'loop': {'runner', 'dataloader', 'evaluator'},
    'model_wrapper': {'module', 'device_ids'},
    'optim_wrapper': {'optimizer'},
    'optimizer': {'params'},
    'parameter scheduler': {'optimizer'},
    'vis_backend': {'save_dir'},
}

# Keys that the builder reads and takes out before it calls the class.
TAKEN_OUT = {
    'hook': {'priority'},
    'optim_wrapper': {'constructor', 'paramwise_cfg'},
    'parameter scheduler': {'convert_to_iter_based', 'epoch_length'},
    'weight initializer': {'override', 'layer'},
}

# The same by the ending of the key, where the class around does it.
TAKEN_OUT_BY_KEY = {
    'loss_cls': {'bg_cls_weight'},
    'norm_cfg': {'requires_grad'},
    'policies': {'magnitude_key', 'magnitude_range'},
    'upsample_cfg': {'scale_factor'},
    'vision_encoder': {'pretrained'},
}

# Keys whose types are looked up in `mmcv.ops` rather than in a registry.
OPS_KEYS = {'dqs_cfg', 'nms', 'nms_cfg', 'roi_layer'}

# Registries whose components the Runner builds just as they are written, so
# that a missing argument is an error for certain.
COMPLETE = {
    'data sampler',
    'dataset',
    'hook',
    'loop',
    'metric',
    'optim_wrapper',
    'optimizer',
    'parameter scheduler',
    'transform',
    'vis_backend',
}

_LOOPS = {
    'train_cfg': loops.EpochBasedTrainLoop,
    'val_cfg': loops.ValLoop,
    'test_cfg': loops.TestLoop,
}


def check_file(path: str, check_data: bool = False) -> list[Problem]:
    """Check one config file.

    Args:
        path: The file.
        check_data: Whether to look for the files that datasets name.

    Returns:
        What is wrong; a file that cannot be read is one problem.
    """
    try:
        cfg = load_config(path)
    except Exception as error:  # A config is code and may raise anything.
        # The errors of `load_config` begin with the path, as a line does.
        text = str(error).removeprefix(path).lstrip()
        kind = type(error).__name__
        return [Problem(path, '', f'cannot be read: {kind}: {text}')]
    return check_config(cfg, path, check_data)


def check_config(
    cfg: Mapping[str, Any], name: str, check_data: bool = False
) -> list[Problem]:
    """Check that all types of a config exist and take their arguments.

    Nothing is built. What a value must be is not checked, but for what a
    training with sharded class centers needs.

    Args:
        cfg: The config.
        name: How to call it in the problems.
        check_data: Whether to look for the files that datasets name.

    Returns:
        The problems, in the order of the config; those of class centers
        last.
    """
    scope = cfg.get('default_scope')
    problems = []
    if scope is not None and is_missing(scope):
        message = f'{scope} is not installed. {advice(scope)}'
        return [Problem(name, 'default_scope', message)]
    resolver = Resolver(scope)
    runner_type = cfg.get('runner_type')
    if runner_type is not None:
        found = resolver.resolve(runner_type, 'runner', True, None)
        if found.problem is not None:
            problems.append(Problem(name, 'runner_type', found.problem))
    for path in misspelt_types(getattr(cfg, '_cfg_dict', cfg)):
        message = 'unknown key; did you mean `type`?'
        problems.append(Problem(name, path, message))
    nodes = list(walk(cfg))
    for node in nodes:
        for path, message, is_warning in _check_node(
            node, resolver, check_data
        ):
            problems.append(Problem(name, path, message, is_warning))
    for path, message in missing_companions(cfg, nodes, resolver):
        problems.append(Problem(name, path, message))
    return problems


def _check_node(
    node: Node, resolver: Resolver, check_data: bool
) -> Iterator[tuple[str, str, bool]]:
    if check_data and node.registry in ('dataset', 'metric'):
        for key, path in missing_files(node.cfg):
            yield f'{node.path}.{key}', f'{path} does not exist', True
    if not node.is_component:
        yield from _check_hidden(node)
    else:
        yield from _check_typed(node, resolver)
    if node.registry == 'optim_wrapper':
        yield from _check_constructor(node, resolver)


def _check_hidden(node: Node) -> Iterator[tuple[str, str, bool]]:
    """A dict whose type the Runner supplies."""
    if node.registry == 'dataloader':
        accepted = accepted_arguments(DataLoader)
        extra = {'num_batch_per_epoch', 'disable_subprocess_warning'}
        yield from _check_arguments(node, 'DataLoader', accepted, extra, set())
        return
    if node.registry == 'loop':
        target = _LOOPS[node.key]
        extra = {'by_epoch'}
        if node.key == 'train_cfg' and raw_get(node.cfg, 'by_epoch') is False:
            target = loops.IterBasedTrainLoop
    elif node.registry == 'log_processor':
        target, extra = LogProcessor, set()
    else:
        target, extra = OptimWrapper, TAKEN_OUT['optim_wrapper']
    accepted = accepted_arguments(target)
    injected = INJECTED.get(node.registry, set())
    yield from _check_arguments(
        node, target.__name__, accepted, extra, accepted.required - injected
    )


def _check_typed(
    node: Node, resolver: Resolver
) -> Iterator[tuple[str, str, bool]]:
    type_ = raw_get(node.cfg, 'type')
    for library in {library_of(type_), node.scope} - {None}:
        if is_missing(library):
            message = f'{type_} needs {library}, which is not installed. '
            yield f'{node.path}.type', message + advice(library), False
            return
    if node.key in OPS_KEYS and _is_op(type_):
        return
    found = resolver.resolve(type_, node.registry, node.strict, node.scope)
    if found.problem is not None:
        yield f'{node.path}.type', found.problem, False
        return
    target = found.target
    if getattr(target, '__module__', None) == missing.__name__:
        # A placeholder, which knows best what to say.
        try:
            target()
        except ImportError as error:
            yield f'{node.path}.type', str(error), False
        return
    registry = found.registry or node.registry or ''
    accepted = accepted_arguments(target)
    needed = accepted.required - INJECTED.get(registry, set())
    if registry not in COMPLETE:
        needed = frozenset()
    extra = TAKEN_OUT.get(registry, set()) | INJECTED.get(registry, set())
    for ending, taken in TAKEN_OUT_BY_KEY.items():
        if node.key.endswith(ending):
            extra = extra | taken
    label = getattr(target, '__name__', str(type_))
    yield from _check_arguments(node, label, accepted, extra, needed)


def _is_op(name: Any) -> bool:
    try:
        from mmcv import ops
    except ImportError:
        return True
    return isinstance(name, str) and hasattr(ops, name)


def _check_constructor(
    node: Node, resolver: Resolver
) -> Iterator[tuple[str, str, bool]]:
    constructor = raw_get(node.cfg, 'constructor')
    if constructor is None:
        return
    found = resolver.resolve(
        constructor, 'optimizer wrapper constructor', True, node.scope
    )
    if found.problem is not None:
        yield f'{node.path}.constructor', found.problem, False


def _check_arguments(
    node: Node,
    label: str,
    accepted: Accepted,
    extra: set[str],
    needed: frozenset[str] | set[str],
) -> Iterator[tuple[str, str, bool]]:
    given = [str(key) for key in dict.keys(node.cfg)]
    known = accepted.names | extra | {'type', '_scope_'}
    # A class may do with its **kwargs whatever it likes; only what is almost
    # a name that it knows is worth a word.
    cutoff = 0.85 if accepted.is_open else 0.6
    for key in given:
        if key in known:
            continue
        near = difflib.get_close_matches(key, sorted(known), 1, cutoff)
        hint = f'; did you mean `{near[0]}`?' if near else ''
        if near and accepted.is_open:
            message = f'{label} has no argument `{key}` by name{hint}'
            yield f'{node.path}.{key}', message, True
        elif not accepted.is_open:
            message = f'{label} takes no `{key}`{hint}'
            yield f'{node.path}.{key}', message, False
    for key in sorted(needed - set(given)):
        yield node.path, f'{label} needs `{key}`', False
