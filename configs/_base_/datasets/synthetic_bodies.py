# Synthetic bodies, written by tools/dataset_converters/synthetic_bodies.py in
# the format of DensePose-COCO.
data_root = 'data/synthetic_bodies/'
# That of the body that ships, of which they are made.
symmetry = None

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdense.LoadDensePoseAnnotations', symmetry=symmetry),
    dict(
        type='RandomChoiceResize',
        scales=[(800, short) for short in range(384, 513, 32)],
        keep_ratio=True,
        resize_type='mmdet.Resize'),
    dict(type='mmdet.RandomFlip', prob=0.5),
    dict(type='mmdense.PackDensePoseInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdet.Resize', scale=(800, 480), keep_ratio=True),
    dict(
        type='mmdet.PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape',
                   'scale_factor')),
]

dataset_type = 'mmdense.DensePoseCocoDataset'

train_dataloader = dict(
    batch_size=2,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    batch_sampler=dict(type='mmdet.AspectRatioBatchSampler'),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/train.json',
        data_prefix=dict(img='train/'),
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
        pipeline=train_pipeline))

val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/val.json',
        data_prefix=dict(img='val/'),
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader
