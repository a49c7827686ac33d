"""Resume with another number of ranks: state, and what comes of it."""

import uuid

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook

from mmdense.distributed.collectives import rank, world_size
from mmdense.distributed.sharding import shard_range
from mmdense.registry import HOOKS
from tests.toy_training import CLASSES, final_state, train

_TABLE = 'head.centers.weight'
_OPTIMIZERS = {
    'sgd': dict(type='mmdense.RowSparseSGD', lr=0.1, momentum=0.9),
    'adamw': dict(type='mmdense.RowSparseAdamW', lr=0.01, weight_decay=0.1),
}


@HOOKS.register_module(force=True)
class TakeStateHook(Hook):
    """Puts a state that is given as arrays into a run that starts."""

    given = None

    def before_train(self, runner):
        model = getattr(runner.model, 'module', runner.model)
        optimizer = runner.optim_wrapper.optimizer
        rows = slice(*shard_range(CLASSES, rank(), world_size()))
        with torch.no_grad():
            for name, param in model.named_parameters():
                given = {
                    key[len(name) :].lstrip('.'): torch.tensor(value)
                    for key, value in self.given.items()
                    if key == name or key.startswith(f'{name}.')
                }
                if name == _TABLE:
                    given = {
                        key: value[rows] if value.ndim else value
                        for key, value in given.items()
                    }
                param.copy_(given.pop(''))
                optimizer.state[param].update(given)


def _run(work_dir, epochs, resume, optimizer, given=None):
    """States at the end; those given are where the second epoch starts."""
    kwargs = dict(
        optim_wrapper=dict(
            constructor='mmdense.ShardedOptimWrapperConstructor',
            optimizer=_OPTIMIZERS[optimizer],
        )
    )
    if given is not None:
        TakeStateHook.given = given
        kwargs['custom_hooks'] = [dict(type='mmdense.TakeStateHook')]
    runner = train(
        work_dir,
        epochs,
        uuid.uuid4().hex,
        resume=resume,
        launcher='pytorch' if world_size() > 1 else 'none',
        model_wrapper_cfg=dict(type='mmdense.ShardedDistributedDataParallel'),
        **kwargs,
    )
    history = runner.message_hub.get_scalar('train/loss').data[0]
    return final_state(runner), np.asarray(history)


def _whole(states):
    """The state of all ranks as that of one."""
    whole = dict(states[0])
    for name in whole:
        if name.startswith(_TABLE) and whole[name].ndim:
            whole[name] = np.concatenate([state[name] for state in states])
    return whole


@pytest.mark.parametrize('optimizer', _OPTIMIZERS)
@pytest.mark.parametrize(('before', 'after'), [(1, 3), (2, 3), (3, 2), (4, 1)])
def test_state_and_continuation(ranks, tmp_path, before, after, optimizer):
    folder = str(tmp_path / 'a')
    saved = ranks(before)(_run, folder, 1, False, optimizer)
    whole = _whole([state for state, _ in saved])
    # No further epoch: the states are those just read.
    read = ranks(after)(_run, folder, 1, True, optimizer)
    found = _whole([state for state, _ in read])
    slots = {name.removeprefix(_TABLE) for name in whole if _TABLE in name}
    assert (
        slots
        == {
            'sgd': {'', '.momentum_buffer'},
            'adamw': {'', '.step', '.exp_avg', '.exp_avg_sq', '.row_steps'},
        }[optimizer]
    )
    assert found.keys() == whole.keys()
    for name in whole:
        assert np.array_equal(found[name], whole[name]), name
    assert len(whole[_TABLE]) == CLASSES

    # Against a run of the new size that has the state from the hand, and
    # whose iterations and schedule are at the same place: it comes from a
    # checkpoint of its own size, of the same epoch, with other values.
    resumed = ranks(after)(_run, folder, 2, True, optimizer)
    own = str(tmp_path / 'b')
    steps = -(-24 // (4 * before))
    ranks(after)(_run, own, 1, False, optimizer)
    _set_iteration(tmp_path / 'b' / 'epoch_1.pth', tmp_path / 'a', steps)
    direct = ranks(after)(_run, own, 2, True, optimizer, whole)
    for (a, _), (b, _) in zip(resumed, direct, strict=True):
        for name in a:
            assert np.array_equal(a[name], b[name]), name
        assert not np.array_equal(
            a['backbone.weight'], whole['backbone.weight']
        )


def _set_iteration(path, other, steps):
    """Counters and schedules of the other run's checkpoint."""
    mine = torch.load(path, weights_only=True)
    theirs = torch.load(other / 'epoch_1.pth', weights_only=True)
    assert theirs['meta']['iter'] == steps
    mine['meta']['iter'] = steps
    mine['param_schedulers'] = theirs['param_schedulers']
    mine['optimizer']['param_groups'] = theirs['optimizer']['param_groups']
    torch.save(mine, path)
