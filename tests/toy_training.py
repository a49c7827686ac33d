"""A small real training with mmengine's Runner, for tests of hooks."""

import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn

import mmdense.distributed.checkpoint
import mmdense.distributed.model_wrapper
import mmdense.distributed.optim  # noqa: F401
from mmdense.recognition.heads import PartialFCHead
from mmdense.registry import DATASETS, MODELS

CLASSES = 23


@MODELS.register_module(force=True)
class ToyRecognizer(BaseModel):
    """Backbone and head."""

    def __init__(self, num_classes=CLASSES, sample_rate=0.3):
        super().__init__()
        self.backbone = nn.Linear(6, 4)
        self.head = PartialFCHead(
            num_classes,
            4,
            dict(type='mmdense.CosFaceLoss', scale=16.0),
            sample_rate,
            init_std=0.3,
        )

    def forward(self, inputs, label, mode='tensor'):
        feats = self.backbone(inputs)
        if mode == 'loss':
            return self.head.loss_by_feat(feats, label)
        return feats


@DATASETS.register_module(force=True)
class ToyVectors(torch.utils.data.Dataset):
    """Random vectors with labels; those of an index are always the same."""

    def __len__(self):
        return 24

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        return dict(
            inputs=torch.randn(6, generator=generator),
            label=torch.tensor(index % CLASSES),
        )


def config(work_dir, max_epochs, **kwargs) -> Config:
    """Of a training; `kwargs` replace entries, `checkpoint` the hook's."""
    checkpoint = dict(type='mmdense.ShardedCheckpointHook', interval=1)
    checkpoint.update(kwargs.pop('checkpoint', {}))
    optimizer = dict(
        type='mmdense.RowSparseSGD', lr=0.1, momentum=0.9, weight_decay=1e-3
    )
    optimizer.update(kwargs.pop('optimizer', {}))
    return Config(
        dict(
            model=dict(type='mmdense.ToyRecognizer'),
            work_dir=str(work_dir),
            train_dataloader=dict(
                batch_size=4,
                num_workers=0,
                collate_fn=dict(type='default_collate'),
                dataset=dict(type='mmdense.ToyVectors'),
                sampler=dict(type='DefaultSampler', shuffle=True, seed=3),
            ),
            train_cfg=dict(by_epoch=True, max_epochs=max_epochs),
            optim_wrapper=dict(
                constructor='mmdense.ShardedOptimWrapperConstructor',
                optimizer=optimizer,
                clip_grad=dict(max_norm=5.0, include_shards=False),
            ),
            param_scheduler=dict(
                type='PolyLR', begin=0, end=24, by_epoch=False, power=1.0
            ),
            default_hooks=dict(
                checkpoint=checkpoint,
                logger=dict(type='LoggerHook', interval=100),
            ),
            randomness=dict(seed=0),
            log_level='ERROR',
            default_scope='mmengine',
        )
        | kwargs
    )


def train(work_dir, max_epochs, name, **kwargs):
    """Train; returns the runner. `name` must be new in the process."""
    runner = Runner.from_cfg(
        config(work_dir, max_epochs, experiment_name=name, **kwargs)
    )
    runner.train()
    return runner


def final_state(runner) -> dict:
    """All numbers that training has changed, as arrays."""
    model = getattr(runner.model, 'module', runner.model)
    optimizer = runner.optim_wrapper.optimizer
    optimizer.state_dict()  # brings lazily updated rows up to date
    state = {name: p.detach().clone() for name, p in model.named_parameters()}
    for name, param in model.named_parameters():
        for slot, value in optimizer.state[param].items():
            state[f'{name}.{slot}'] = torch.as_tensor(value).clone()
    return {name: value.numpy() for name, value in state.items()}
