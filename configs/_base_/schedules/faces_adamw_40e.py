# AdamW with 4 epochs of warm-up and quadratic decay, for 64 GPUs with 384
# images.
optim_wrapper = dict(
    constructor='mmdense.ShardedOptimWrapperConstructor',
    optimizer=dict(type='mmdense.RowSparseAdamW', lr=1e-3, weight_decay=0.1),
    # As published: the centers are left out of the clipping.
    clip_grad=dict(max_norm=5.0, include_shards=False))

param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-4,
        by_epoch=True,
        begin=0,
        end=4,
        convert_to_iter_based=True),
    dict(
        type='PolyLR',
        power=2,
        by_epoch=True,
        begin=4,
        end=40,
        convert_to_iter_based=True),
]

train_cfg = dict(
    type='mmdense.ResumableEpochLoop', max_epochs=40, val_interval=1)
val_cfg = dict()
test_cfg = dict()

auto_scale_lr = dict(base_batch_size=24576)
