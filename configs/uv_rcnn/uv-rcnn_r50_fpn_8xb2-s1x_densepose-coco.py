_base_ = [
    '../_base_/models/uv-rcnn_r50_fpn.py',
    '../_base_/datasets/densepose_coco.py',
    '../_base_/schedules/densepose_s1x.py',
    '../_base_/default_runtime_densepose.py',
]

default_hooks = dict(checkpoint=dict(by_epoch=False, interval=10000))
val_evaluator = [
    dict(
        type='mmdet.CocoMetric',
        ann_file='data/coco/annotations/densepose_minival2014.json',
        metric='bbox'),
    dict(
        type='mmdense.DensePoseCocoMetric',
        ann_file='data/coco/annotations/densepose_minival2014.json',
        surface='data/densepose'),
]
test_evaluator = val_evaluator
