# The s1x schedule of detectron2's DensePose: 130,000 iterations of 16 images.
train_cfg = dict(
    type='IterBasedTrainLoop', max_iters=130000, val_interval=10000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=1e-4))
param_scheduler = [
    dict(
        type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=1000),
    dict(
        type='MultiStepLR',
        by_epoch=False,
        begin=0,
        end=130000,
        milestones=[100000, 120000],
        gamma=0.1),
]
log_processor = dict(type='LogProcessor', window_size=50, by_epoch=False)

# Of 8 ranks with 2 images each; --auto-scale-lr goes by it.
auto_scale_lr = dict(enable=False, base_batch_size=16)
