# SGD with quadratic decay, 20 epochs, for 8 GPUs with 128 images.
optim_wrapper = dict(
    constructor='mmdense.ShardedOptimWrapperConstructor',
    optimizer=dict(
        type='mmdense.RowSparseSGD',
        lr=0.1,
        momentum=0.9,
        weight_decay=5e-4),
    # As published: the centers are left out of the clipping.
    clip_grad=dict(max_norm=5.0, include_shards=False))

# (1 - t / T)^2, which all published training logs show. The current code of
# arcface_torch decays linearly: faces_sgd_20e_linear.py.
param_scheduler = [
    dict(
        type='PolyLR',
        power=2,
        by_epoch=True,
        begin=0,
        end=20,
        convert_to_iter_based=True),
]

train_cfg = dict(
    type='mmdense.ResumableEpochLoop', max_epochs=20, val_interval=1)
val_cfg = dict()
test_cfg = dict()

auto_scale_lr = dict(base_batch_size=1024)
