# DensePose-COCO on the images of COCO 2014; docs/densepose_data.md says which
# files go where. Short sides as in the s1x schedule of detectron2.
data_root = 'data/coco/'
# The symmetry of the surface the points were annotated on.
symmetry = 'data/densepose/UV_symmetry_transforms.mat'

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdense.LoadDensePoseAnnotations', symmetry=symmetry),
    dict(
        type='RandomChoiceResize',
        scales=[(1333, short) for short in range(640, 801, 32)],
        keep_ratio=True,
        resize_type='mmdet.Resize'),
    dict(type='mmdet.RandomFlip', prob=0.5),
    dict(type='mmdense.PackDensePoseInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdet.Resize', scale=(1333, 800), keep_ratio=True),
    dict(
        type='mmdet.PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape',
                   'scale_factor')),
]

dataset_type = 'mmdense.DensePoseCocoDataset'
filter_cfg = dict(filter_empty_gt=True, min_size=32)

train_dataloader = dict(
    batch_size=2,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    batch_sampler=dict(type='mmdet.AspectRatioBatchSampler'),
    dataset=dict(
        type='ConcatDataset',
        datasets=[
            dict(
                type=dataset_type,
                data_root=data_root,
                ann_file='annotations/densepose_train2014.json',
                data_prefix=dict(img='train2014/'),
                filter_cfg=filter_cfg,
                pipeline=train_pipeline),
            dict(
                type=dataset_type,
                data_root=data_root,
                ann_file='annotations/densepose_valminusminival2014.json',
                data_prefix=dict(img='val2014/'),
                filter_cfg=filter_cfg,
                pipeline=train_pipeline),
        ]))

val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/densepose_minival2014.json',
        data_prefix=dict(img='val2014/'),
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader
