"""Which files exist at every moment of a run, and what they hold."""

import json
import uuid
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from safetensors.torch import load_file

from mmdense.distributed import atomic_files, checkpoint
from mmdense.distributed.plain_checkpoint import from_plain, to_plain
from mmdense.registry import HOOKS, METRICS
from tests.toy_training import final_state, train


@METRICS.register_module(force=True)
class GivenScores(BaseMetric):
    """One score after the other."""

    def __init__(self, scores):
        super().__init__()
        self.scores = iter(scores)

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        return dict(score=next(self.scores))


@HOOKS.register_module(force=True)
class DyingHook(Hook):
    """Fails while the checkpoint of an epoch is put together."""

    def __init__(self, epoch):
        self.epoch = epoch

    def before_save_checkpoint(self, runner, checkpoint):
        if checkpoint['meta']['epoch'] == self.epoch:
            raise OSError('no space left on device')


def _data(**kwargs):
    return dict(
        batch_size=4,
        num_workers=0,
        collate_fn=dict(type='default_collate'),
        dataset=dict(type='mmdense.ToyVectors'),
        **kwargs,
    )


def _train(work_dir, epochs, scores=None, **kwargs):
    if scores is not None:
        kwargs.update(
            val_dataloader=_data(
                sampler=dict(type='DefaultSampler', shuffle=False)
            ),
            val_cfg=dict(),
            val_evaluator=dict(type='mmdense.GivenScores', scores=scores),
            train_cfg=dict(by_epoch=True, max_epochs=epochs, val_interval=1),
        )
        best = dict(save_best='score', rule='greater')
        kwargs.setdefault('checkpoint', best)
    return train(work_dir, epochs, uuid.uuid4().hex, **kwargs)


def _names(folder):
    return sorted(
        path.name
        for path in folder.iterdir()
        if path.suffix in ('.pth', '.shards') or path.name.startswith('.')
    )


def test_the_best_has_its_shards(tmp_path):
    checkpoint = dict(save_best='score', max_keep_ckpts=1, rule='greater')
    _train(tmp_path, 4, [0.1, 0.7, 0.4, 0.2], checkpoint=checkpoint)
    best = 'best_score_epoch_2'
    assert _names(tmp_path) == [
        f'{best}.pth',
        f'{best}.shards',
        'epoch_4.pth',
        'epoch_4.shards',
    ]
    shorter = _train(tmp_path / 'shorter', 2)
    centers = load_file(
        tmp_path / f'{best}.shards' / 'rank_00000_of_00001.safetensors'
    )
    expected = final_state(shorter)['head.centers.weight']
    assert np.array_equal(centers['head.centers.weight'], expected)
    saved = torch.load(tmp_path / f'{best}.pth', weights_only=True)
    assert saved['meta']['shards']['folder'] == f'{best}.shards'


def test_shards_of_one_iteration_are_written_once(tmp_path):
    """The best has the files of the epoch, and no file is written twice."""
    write = mock.Mock(side_effect=checkpoint.write_shards)
    with mock.patch.object(checkpoint, 'write_shards', write):
        _train(tmp_path, 2, [0.1, 0.7])
    assert [call.args[0].name for call in write.call_args_list] == [
        'epoch_1.shards',
        'epoch_2.shards',
    ]
    name = 'rank_00000_of_00001.safetensors'
    best = tmp_path / 'best_score_epoch_2.shards' / name
    assert best.samefile(tmp_path / 'epoch_2.shards' / name)


def test_a_run_with_best_checkpoints_resumes_bit_for_bit(tmp_path):
    scores = [0.1, 0.7, 0.4, 0.8]
    straight = _train(tmp_path / 'a', 4, scores)
    _train(tmp_path / 'b', 2, scores[:2])
    resumed = _train(tmp_path / 'b', 4, scores[2:], resume=True)
    for name, value in final_state(straight).items():
        assert np.array_equal(value, final_state(resumed)[name]), name
    assert _names(tmp_path / 'a') == _names(tmp_path / 'b')


@pytest.mark.parametrize('keep', [1, 2])
def test_the_old_goes_after_the_new_has_come(tmp_path, keep):
    """A save that fails costs nothing that was there."""
    kwargs = dict(checkpoint=dict(max_keep_ckpts=keep))
    dies = dict(custom_hooks=[dict(type='mmdense.DyingHook', epoch=4)])
    with pytest.raises(OSError, match='no space left'):
        _train(tmp_path, 5, **dies, **kwargs)
    kept = [path for path in _names(tmp_path) if path.endswith('.pth')]
    assert kept == [f'epoch_{n}.pth' for n in (2, 3)[-keep:]]
    resumed = _train(tmp_path, 5, resume=True, **kwargs)
    straight = _train(tmp_path / 'straight', 5, **kwargs)
    for name, value in final_state(straight).items():
        assert np.array_equal(value, final_state(resumed)[name]), name
    assert len(_names(tmp_path)) == 2 * keep


def test_what_a_killed_run_had_no_time_to_remove_goes_later(tmp_path):
    kwargs = dict(checkpoint=dict(max_keep_ckpts=1))
    remove = 'mmdense.distributed.checkpoint.remove_checkpoint'
    with mock.patch(remove):
        _train(tmp_path, 2, **kwargs)
    assert 'epoch_1.pth' in _names(tmp_path)
    (tmp_path / '.epoch_3.shards.partial').mkdir()
    (tmp_path / '.epoch_3.pth.partial').touch()
    _train(tmp_path, 3, resume=True, **kwargs)
    assert _names(tmp_path) == ['epoch_3.pth', 'epoch_3.shards']


@pytest.mark.parametrize('note', ['', 'gone/epoch_2.pth', None])
def test_resume_without_a_usable_note_takes_the_newest(tmp_path, note):
    """`last_checkpoint` is written in place; a kill may leave it empty."""
    _train(tmp_path, 2)
    path = tmp_path / 'last_checkpoint'
    path.unlink() if note is None else path.write_text(note)
    resumed = _train(tmp_path, 3, resume=True)
    assert resumed.message_hub.get_info('iter') == 17
    assert len(resumed.message_hub.get_scalar('train/loss').data[0]) == 18
    straight = _train(tmp_path / 'straight', 3)
    for name, value in final_state(straight).items():
        assert np.array_equal(value, final_state(resumed)[name]), name


def test_a_name_taken_by_another_run_is_never_half_replaced(tmp_path):
    """The old `.pth` goes before its shards, so it has none of the new."""
    _train(tmp_path, 1)
    with mock.patch.object(
        checkpoint, 'write_shards', side_effect=OSError('disk full')
    ):
        with pytest.raises(OSError, match='disk full'):
            _train(tmp_path, 1)
    assert not (tmp_path / 'epoch_1.pth').exists()


def test_files_can_be_read_as_the_umask_says(tmp_path):
    _train(tmp_path, 1)
    modes = {
        path.stat().st_mode & 0o777
        for path in [
            tmp_path / 'epoch_1.pth',
            *(tmp_path / 'epoch_1.shards').iterdir(),
        ]
    }
    assert len(modes) == 1


def test_the_manifest_tells_the_files_apart(tmp_path):
    _train(tmp_path, 1)
    folder = tmp_path / 'epoch_1.shards'
    manifest = json.loads((folder / 'manifest.json').read_text())
    (entry,) = manifest['files']
    path = folder / entry['name']
    assert entry['size'] == path.stat().st_size
    assert entry['sha256'] == atomic_files.sha256_of(path)
    assert (manifest['epoch'], manifest['iter']) == (1, 6)


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / 'x.pth'
    atomic_files.write_atomically(path, b'old')
    with mock.patch.object(
        atomic_files, 'flush_to_disk', side_effect=OSError('full')
    ):
        with pytest.raises(OSError, match='full'):
            atomic_files.write_atomically(path, b'new')
    assert path.read_bytes() == b'old'
    assert list(tmp_path.iterdir()) == [path]


def test_plain_types_come_back():
    from mmengine.logging import HistoryBuffer

    history = HistoryBuffer([1.5, 2.5], [1, 1], 10)
    x = dict(
        a=[history, (np.float64(2.5), {'b': np.arange(3)})],
        names=np.array(['x', 'yz']),
    )
    plain = to_plain(x)
    path = Path  # what weights_only refuses is not in it
    assert path.__name__ not in repr(plain)
    back = from_plain(plain)
    assert back['a'][0].data[0].tolist() == [1.5, 2.5]
    assert back['a'][0].max_length == 10
    assert back['a'][1][0] == 2.5
    assert back['a'][1][1]['b'].tolist() == [0, 1, 2]
    assert back['names'].tolist() == ['x', 'yz']


def _scaled(work_dir, epochs, resume=False):
    optim_wrapper = dict(
        type='AmpOptimWrapper',
        dtype='bfloat16',
        loss_scale=dict(device='cpu', init_scale=64.0, growth_interval=4),
        constructor='mmdense.ShardedOptimWrapperConstructor',
        optimizer=dict(type='mmdense.RowSparseSGD', lr=0.1, momentum=0.9),
    )
    # mmengine's wrapper refuses to exist without an accelerator.
    name = 'mmengine.optim.optimizer.amp_optimizer_wrapper.is_cuda_available'
    with mock.patch(name, return_value=True):
        runner = _train(
            work_dir, epochs, resume=resume, optim_wrapper=optim_wrapper
        )
    return runner, runner.optim_wrapper.loss_scaler.state_dict()


def test_the_loss_scaler_goes_on(tmp_path):
    straight, expected = _scaled(tmp_path / 'a', 3)
    _scaled(tmp_path / 'b', 1)
    resumed, scaler = _scaled(tmp_path / 'b', 3, resume=True)
    assert scaler == expected
    assert expected['scale'] > 64, 'it has grown'
    for name, value in final_state(straight).items():
        assert np.array_equal(value, final_state(resumed)[name]), name


def test_a_best_that_is_found_again_under_its_name_stays(tmp_path):
    """As after resuming from before it, with a better score."""
    kwargs = dict(checkpoint=dict(save_best='score', rule='greater'))
    _train(tmp_path, 2, [0.1, 0.7], **kwargs)
    path = tmp_path / 'epoch_1.pth'
    checkpoint = torch.load(path, weights_only=True)
    best = tmp_path / 'best_score_epoch_2.pth'
    checkpoint['message_hub']['runtime_info']['best_ckpt'] = str(best)
    torch.save(checkpoint, path)
    _train(tmp_path, 2, [0.9], resume=True, load_from=str(path), **kwargs)
    assert best.exists()
    assert best.with_suffix('.shards').exists()


def test_shards_of_a_best_whose_name_has_dots_stay(tmp_path):
    kwargs = dict(checkpoint=dict(save_best='tar@0.001', rule='greater'))
    metric = dict(type='mmdense.GivenScores', scores=[0.3, 0.2])
    with mock.patch.object(
        GivenScores,
        'compute_metrics',
        lambda self, results: {'tar@0.001': next(self.scores)},
    ):
        _train(tmp_path, 2, [0.3, 0.2], val_evaluator=metric, **kwargs)
    assert (tmp_path / 'best_tar@0.001_epoch_1.shards').exists()


def test_a_run_resumed_elsewhere_removes_nothing_there(tmp_path):
    kwargs = dict(checkpoint=dict(max_keep_ckpts=1))
    _train(tmp_path / 'a', 2, **kwargs)
    (tmp_path / 'b').mkdir()
    other = tmp_path / 'b' / 'epoch_1.pth'
    other.touch()
    path = str(tmp_path / 'a' / 'epoch_2.pth')
    _train(tmp_path / 'b', 3, resume=True, load_from=path, **kwargs)
    assert other.exists()
