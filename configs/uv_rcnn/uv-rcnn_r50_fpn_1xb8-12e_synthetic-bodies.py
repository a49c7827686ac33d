_base_ = [
    '../_base_/models/uv-rcnn_r50_fpn.py',
    '../_base_/datasets/synthetic_bodies.py',
    '../_base_/schedules/densepose_sgd_12e.py',
    '../_base_/default_runtime_densepose.py',
]

# From scratch, for there is no need of a downloaded backbone here.
model = dict(
    backbone=dict(
        frozen_stages=-1,
        norm_eval=False,
        init_cfg=None))
train_dataloader = dict(batch_size=8)
val_evaluator = [
    dict(
        type='mmdet.CocoMetric',
        ann_file='data/synthetic_bodies/annotations/val.json',
        metric='bbox'),
    dict(
        type='mmdense.DensePoseCocoMetric',
        ann_file='data/synthetic_bodies/annotations/val.json',
        surface=None),
]
test_evaluator = val_evaluator
