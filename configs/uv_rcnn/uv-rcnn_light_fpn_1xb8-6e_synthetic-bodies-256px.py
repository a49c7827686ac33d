# The light model that ships: more and larger images than the quick start, from
# whose weights it goes on, and other sizes and colors of them.
_base_ = [
    '../_base_/models/uv-rcnn_light_fpn.py',
    '../_base_/datasets/synthetic_bodies_192px.py',
    '../_base_/schedules/densepose_adamw.py',
    '../_base_/default_runtime_densepose.py',
]
data_root = 'data/synthetic_bodies_256px/'
max_epochs = 6

train_dataloader = dict(
    batch_size=8,
    dataset=dict(
        data_root=data_root,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='mmdense.LoadDensePoseAnnotations', symmetry=None),
            dict(type='mmdet.PhotoMetricDistortion'),
            dict(
                type='RandomChoiceResize',
                scales=[(size, size) for size in range(192, 289, 32)],
                keep_ratio=True,
                resize_type='mmdet.Resize'),
            dict(type='mmdet.RandomFlip', prob=0.5),
            dict(type='mmdense.PackDensePoseInputs'),
        ]))
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='mmdet.Resize', scale=(256, 256), keep_ratio=True),
            dict(
                type='mmdet.PackDetInputs',
                meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape',
                           'scale_factor')),
        ]))
test_dataloader = val_dataloader

ann_file = data_root + 'annotations/val.json'
val_evaluator = [
    dict(type='mmdet.CocoMetric', ann_file=ann_file, metric='bbox'),
    dict(type='mmdense.DensePoseCocoMetric', ann_file=ann_file, surface=None),
]
test_evaluator = val_evaluator

train_cfg = dict(max_epochs=max_epochs, val_interval=2)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=0.01,
        begin=0,
        end=max_epochs,
        T_max=max_epochs,
        convert_to_iter_based=True),
]
