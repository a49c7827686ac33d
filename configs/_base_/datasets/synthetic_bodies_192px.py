# Small synthetic bodies, as they are in the files; made with
#   tools/dataset_converters/synthetic_bodies.py --size 192 --max-people 3
_base_ = './synthetic_bodies.py'
data_root = 'data/synthetic_bodies_192px/'

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdense.LoadDensePoseAnnotations', symmetry=None),
    dict(type='mmdet.RandomFlip', prob=0.5),
    dict(type='mmdense.PackDensePoseInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdet.Resize', scale=(192, 192), keep_ratio=True),
    dict(
        type='mmdet.PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape',
                   'scale_factor')),
]

train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    dataset=dict(
        data_root=data_root,
        filter_cfg=dict(min_size=8),
        pipeline=train_pipeline))
val_dataloader = dict(
    num_workers=1,
    dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = val_dataloader
