optim_wrapper = dict(
    constructor='mmdense.ShardedOptimWrapperConstructor',
    optimizer=dict(
        type='mmdense.RowSparseSGD',
        lr=0.1,
        momentum=0.9,
        weight_decay=5e-4),
    # As published: the centers are left out of the clipping.
    clip_grad=dict(max_norm=5.0, include_shards=False))

param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.01,
        by_epoch=True,
        begin=0,
        end=1,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        eta_min=1e-4,
        by_epoch=True,
        begin=1,
        end=6,
        convert_to_iter_based=True),
]

train_cfg = dict(
    type='mmdense.ResumableEpochLoop', max_epochs=6, val_interval=1)
val_cfg = dict()
test_cfg = dict()

# One process with 128 images.
auto_scale_lr = dict(base_batch_size=128)
