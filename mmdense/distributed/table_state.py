"""The sharded tables of a run and where their optimizer state is."""

from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from .sharding import ShardedTable, named_sharded_tables


def plain_model(runner: Runner) -> nn.Module:
    """The model without what is wrapped around it to train or to test."""
    model = runner.model
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model


def tables_of(runner: Runner) -> dict[str, ShardedTable]:
    """The tables of the runner's model by name."""
    return dict(named_sharded_tables(plain_model(runner)))


def optimizer_places(
    runner: Runner, tables: dict[str, ShardedTable]
) -> dict[str, int]:
    """Number of each table's weight in the optimizer's `state_dict`."""
    order = {}
    for group in runner.optim_wrapper.optimizer.param_groups:
        for param in group['params']:
            order[id(param)] = len(order)
    return {name: order[id(table.weight)] for name, table in tables.items()}


def optimizer_states(
    runner: Runner, tables: dict[str, ShardedTable]
) -> dict[str, dict]:
    """The optimizer's state of each table's weight."""
    state = runner.optim_wrapper.optimizer.state
    return {
        name: state.get(table.weight, {}) for name, table in tables.items()
    }
