# One cell of the study; run.py sets labels, margin, sampling, steps and seeds.
# A ResNet-18 of a quarter of the width for 32 x 32 grey images.
_base_ = '../../../configs/partial_fc/partial-fc_resnet18-cosface_1xb128-6e_glyphs.py'
custom_imports = dict(imports=['projects.sampling_study.small_images'])

max_iters = 1200
size = 32

data_preprocessor = dict(mean=[127.5], std=[127.5])
model = dict(
    # 8, 4, 2 and 2 px after the stages.
    backbone=dict(
        in_channels=1,
        stem_channels=16,
        base_channels=16,
        strides=(1, 2, 2, 1)),
    neck=dict(in_channels=128, spatial_size=2, out_channels=128))

train_dataloader = dict(
    _delete_=True,
    batch_size=64,
    num_workers=0,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    collate_fn=dict(type='as_is'),
    dataset=dict(
        type='mmdense.SmallImages',
        size=size,
        padding=2,
        dataset=dict(
            type='mmdense.NoisyLabels',
            noise=None,
            dataset=dict(
                type='mmdense.GlyphIdentities',
                data_file=None,
                split='train',
                pipeline=[dict(type='mmpretrain.PackInputs')]))))
val_dataloader = dict(
    _delete_=True,
    batch_size=500,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='as_is'),
    dataset=dict(
        type='mmdense.SmallImages',
        size=size,
        dataset=dict(
            type='mmdense.GlyphIdentities',
            data_file=None,
            split='unseen',
            pipeline=[dict(type='mmpretrain.PackInputs')])))
test_dataloader = val_dataloader

# As many steps for every cell, whatever the number of samples.
train_cfg = dict(
    _delete_=True,
    type='IterBasedTrainLoop',
    max_iters=max_iters,
    val_interval=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=200),
    dict(
        type='CosineAnnealingLR',
        eta_min=1e-4,
        by_epoch=False,
        begin=200,
        end=max_iters),
]

default_hooks = dict(
    checkpoint=None, logger=dict(type='LoggerHook', interval=200))
custom_hooks = []
log_processor = dict(by_epoch=False)
