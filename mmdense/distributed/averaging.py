"""Averaged weights, by mmengine's EMAHook, beside sharded tables."""

from mmengine.hooks import EMAHook
from mmengine.runner import Runner

from .sharding import named_sharded_tables


def check_averaging(runner: Runner) -> None:
    """Refuse, or comment on, averaged weights beside sharded tables.

    Raises:
        ValueError: The optimizer updates rows lazily.
    """
    if not any(isinstance(hook, EMAHook) for hook in runner.hooks):
        return
    if getattr(runner.optim_wrapper.optimizer, 'is_lazy', False):
        raise ValueError(
            "EMAHook swaps weights under an optimizer with update='all', "
            "which tracks the age of their rows; use update='rows', or no "
            'EMAHook'
        )
    runner.logger.warning(
        'EMAHook averages the network alone: class centers, of which a step '
        'changes some, are those of the last step, also in validation'
    )


def share_tables(runner: Runner) -> None:
    """Give the averaged copy of a model the sharded tables of the model.

    The copy is made before a checkpoint is loaded and is not saved with its
    tables, so rows of its own would be those of the start wherever it
    replaces the model. Nothing changes when this is called again.

    Args:
        runner: The runner, after `before_run` of its hooks.
    """
    for hook in runner.hooks:
        # Before its `before_run`, a hook has no copy.
        if not isinstance(hook, EMAHook) or not hasattr(hook, 'ema_model'):
            continue
        copies = dict(named_sharded_tables(hook.ema_model.module))
        for name, table in named_sharded_tables(hook.src_model):
            copies[name].weight = table.weight
            hook.ema_model.avg_parameters.pop(f'{name}.weight', None)
