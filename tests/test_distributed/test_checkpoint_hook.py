"""Saving and resuming by mmengine's Runner."""

import json
import uuid

import numpy as np
import pytest
import torch

from tests.toy_training import CLASSES, final_state, train


def _name():
    return uuid.uuid4().hex


def _train(work_dir, epochs, **kwargs):
    return train(work_dir, epochs, _name(), **kwargs)


def _equal(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert np.array_equal(a[name], b[name]), name


def _names(folder):
    return sorted(
        path.name
        for path in folder.iterdir()
        if path.suffix in ('.pth', '.pt', '.shards')
    )


@pytest.mark.parametrize(
    'optimizer',
    [dict(), dict(update='all'), dict(fused=True)],
    ids=['rows', 'all', 'fused'],
)
def test_a_resumed_run_ends_bit_for_bit_alike(tmp_path, optimizer):
    kwargs = dict(optimizer=optimizer)
    straight = _train(tmp_path / 'a', 4, **kwargs)
    _train(tmp_path / 'b', 2, **kwargs)
    resumed = _train(tmp_path / 'b', 4, resume=True, **kwargs)
    assert resumed.iter == straight.iter == 24
    states = final_state(straight), final_state(resumed)
    _equal(*states)
    centers = states[0]['head.centers.weight']
    assert 'head.centers.weight.momentum_buffer' in states[0]
    assert np.abs(centers).max() > 0
    # And what both saved last.
    for file in ('epoch_4.pth', 'epoch_4.shards'):
        assert (tmp_path / 'a' / file).exists()
        assert (tmp_path / 'b' / file).exists()


def test_saving_does_not_disturb_the_training(tmp_path):
    """Not even the optimizer's state, from which the rows are dropped."""
    often = _train(tmp_path / 'a', 4)
    never = _train(tmp_path / 'b', 4, checkpoint=dict(interval=100))
    _equal(final_state(often), final_state(never))


def test_resume_of_a_named_file_from_elsewhere(tmp_path):
    straight = _train(tmp_path / 'a', 3)
    _train(tmp_path / 'b', 2)
    (tmp_path / 'b').rename(tmp_path / 'moved')
    path = tmp_path / 'moved' / 'epoch_1.pth'
    resumed = _train(tmp_path / 'c', 3, resume=True, load_from=str(path))
    _equal(final_state(straight), final_state(resumed))


def test_checkpoint_holds_no_centers_and_loads_safely(tmp_path):
    runner = _train(tmp_path, 1)
    checkpoint = torch.load(
        tmp_path / 'epoch_1.pth', map_location='cpu', weights_only=True
    )
    assert not [key for key in checkpoint['state_dict'] if 'centers' in key]
    assert checkpoint['meta']['shards']['folder'] == 'epoch_1.shards'
    rows = [
        value.shape
        for state in checkpoint['optimizer']['state'].values()
        for value in state.values()
        if isinstance(value, torch.Tensor) and len(value) == CLASSES
    ]
    assert rows == []
    manifest = json.loads(
        (tmp_path / 'epoch_1.shards/manifest.json').read_text()
    )
    assert manifest['iter'] == runner.iter
    assert manifest['tables']['head.centers'] == dict(
        num_rows=CLASSES, dim=4, slots=['momentum_buffer']
    )


def test_shards_are_pruned_with_their_checkpoints(tmp_path):
    kwargs = dict(checkpoint=dict(max_keep_ckpts=2))
    _train(tmp_path, 4, **kwargs)
    assert _names(tmp_path) == [
        'epoch_3.pth',
        'epoch_3.shards',
        'epoch_4.pth',
        'epoch_4.shards',
    ]
    _train(tmp_path, 5, resume=True, **kwargs)
    assert _names(tmp_path) == [
        'epoch_4.pth',
        'epoch_4.shards',
        'epoch_5.pth',
        'epoch_5.shards',
    ]


def test_shards_stay_beside_checkpoints_of_any_name(tmp_path):
    _train(tmp_path, 2, checkpoint=dict(filename_tmpl='net-{}.pt'))
    assert _names(tmp_path) == [
        'net-1.pt',
        'net-1.shards',
        'net-2.pt',
        'net-2.shards',
    ]


def test_checkpoints_by_iteration(tmp_path):
    kwargs = dict(checkpoint=dict(by_epoch=False, interval=10))
    _train(tmp_path, 2, **kwargs)
    assert _names(tmp_path) == [
        'iter_10.pth',
        'iter_10.shards',
        'iter_12.pth',
        'iter_12.shards',
    ]


def test_resume_without_shards_is_refused(tmp_path):
    _train(tmp_path, 1)
    (tmp_path / 'epoch_1.shards').rename(tmp_path / 'lost')
    with pytest.raises(FileNotFoundError, match=r'epoch_1\.shards.*missing'):
        _train(tmp_path, 2, resume=True)
    # Without resume the backbone is all that is wanted.
    runner = _train(
        tmp_path / 'new', 1, load_from=str(tmp_path / 'epoch_1.pth')
    )
    assert runner.epoch == 1


def test_resume_of_a_checkpoint_that_names_no_shards_is_refused(tmp_path):
    _train(tmp_path, 1)
    path = tmp_path / 'epoch_1.pth'
    checkpoint = torch.load(path, weights_only=False)
    del checkpoint['meta']['shards']
    torch.save(checkpoint, path)
    with pytest.raises(ValueError, match='names no shards'):
        _train(tmp_path, 2, resume=True)


def test_resume_with_other_classes_is_refused(tmp_path):
    _train(tmp_path, 1)
    model = dict(type='mmdense.ToyRecognizer', num_classes=CLASSES + 1)
    with pytest.raises(ValueError, match='same num_classes'):
        _train(tmp_path, 2, resume=True, model=model)


def _run_rank(work_dir, epochs, resume):
    # With a group already there, mmengine's launchers leave it as it is.
    wrapper = dict(type='mmdense.ShardedDistributedDataParallel')
    runner = train(
        work_dir,
        epochs,
        _name(),
        resume=resume,
        launcher='pytorch',
        model_wrapper_cfg=wrapper,
    )
    return final_state(runner), runner.model.module.head.centers.start


def test_ranks_resume_what_another_number_of_ranks_saved(ranks, tmp_path):
    """The rows of all ranks arrive, with their momentum."""
    before = ranks(3)(_run_rank, str(tmp_path), 1, False)
    # No further epoch: the states are those just read.
    after = ranks(2)(_run_rank, str(tmp_path), 1, True)
    for key in ('head.centers.weight', 'head.centers.weight.momentum_buffer'):
        a = np.concatenate([state[key] for state, _ in before])
        b = np.concatenate([state[key] for state, _ in after])
        assert len(a) == CLASSES
        assert np.array_equal(a, b)
    for state, _ in after:
        name = 'backbone.weight'
        assert np.array_equal(state[name], before[0][0][name])
        momentum = f'{name}.momentum_buffer'
        assert np.array_equal(state[momentum], before[0][0][momentum])
    # And it trains on, replicas alike.
    states = ranks(2)(_run_rank, str(tmp_path), 3, True)
    assert np.array_equal(
        states[0][0]['backbone.weight'], states[1][0]['backbone.weight']
    )


def test_all_ranks_raise_when_one_file_is_gone(ranks, tmp_path):
    ranks(3)(_run_rank, str(tmp_path), 1, False)
    folder = tmp_path / 'epoch_1.shards'
    (folder / 'rank_00002_of_00003.safetensors').unlink()
    outcomes = ranks(3).outcomes(_run_rank, str(tmp_path), 2, True)
    for outcome in outcomes:
        assert isinstance(outcome, FileNotFoundError)
        assert 'rank_00002_of_00003' in str(outcome)


def test_shards_stay_with_a_checkpoint_that_was_renamed(tmp_path):
    """When another run begins in the folder, and ends there."""
    name = 'head.centers.weight'
    trained = final_state(_train(tmp_path, 2))[name]
    (tmp_path / 'epoch_2.pth').rename(tmp_path / 'final.pth')
    _train(tmp_path, 1)
    assert _names(tmp_path) == [
        'epoch_1.pth',
        'epoch_1.shards',
        'epoch_2.shards',
        'final.pth',
    ]
    runner = _train(
        tmp_path / 'new',
        2,
        load_from=str(tmp_path / 'final.pth'),
        resume=True,
    )
    assert runner.iter == 12, 'there was nothing left to train'
    assert np.array_equal(final_state(runner)[name], trained)
