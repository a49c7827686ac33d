# One cell of the study; run.py sets the loss of points, the balancer, learning
# rate, images, points and seeds. Boxes are given, images are 128 px, the
# optimizer is that of the s1x schedule.
_base_ = [
    '../../../configs/_base_/models/uv-rcnn_light_fpn.py',
    '../../../configs/_base_/default_runtime_densepose.py',
]
custom_imports = dict(imports=[
    'projects.dense_points_study.divergence',
    'projects.dense_points_study.given_boxes',
])

data_root = 'data/study_bodies/'
max_iters = 120

model = dict(
    type='mmdet.TwoStageDetector',
    rpn_head=None,
    # run.py says where they start from.
    backbone=dict(
        norm_cfg=dict(type='BN', requires_grad=False), norm_eval=True),
    roi_head=dict(type='mmdense.GivenBoxesHead', max_rois=None),
    # Proposals are the annotated boxes already.
    train_cfg=dict(
        rpn=None, rcnn=dict(sampler=dict(add_gt_as_proposals=False))))

loading = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdense.LoadDensePoseAnnotations', symmetry=None),
]
train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='mmdense.DensePoseCocoDataset',
        data_root=data_root,
        ann_file='annotations/train.json',
        data_prefix=dict(img='train/'),
        filter_cfg=dict(filter_empty_gt=True),
        pipeline=[
            *loading,
            dict(type='mmdet.RandomFlip', prob=0.5),
            dict(type='mmdense.GiveBoxes'),
            dict(type='mmdense.PackDensePoseInputs'),
            dict(type='mmdense.TakePoints', share=1),
        ]))
val_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mmdense.DensePoseCocoDataset',
        data_root=data_root,
        ann_file='annotations/val.json',
        data_prefix=dict(img='val/'),
        test_mode=True,
        pipeline=[
            *loading,
            # As it is; for the scale factor.
            dict(type='mmdet.Resize', scale=(128, 128), keep_ratio=True),
            dict(type='mmdense.GiveBoxes'),
            dict(
                type='mmdense.PackDensePoseInputs',
                meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape',
                           'scale_factor')),
        ]))
test_dataloader = val_dataloader
val_evaluator = dict(
    type='mmdense.DensePoseCocoMetric',
    ann_file=data_root + 'annotations/val.json',
    surface=None)
test_evaluator = val_evaluator

train_cfg = dict(
    type='IterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=1e-4))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=15),
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=0.01,
        by_epoch=False,
        begin=15,
        end=max_iters),
]

default_hooks = dict(
    checkpoint=None, logger=dict(type='LoggerHook', interval=60))
custom_hooks = [dict(type='mmdense.StopDiverged')]
log_processor = dict(by_epoch=False)
