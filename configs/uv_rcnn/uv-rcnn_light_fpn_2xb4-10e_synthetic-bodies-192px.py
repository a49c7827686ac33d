# The quick start: from scratch in some minutes on two cores.
_base_ = [
    '../_base_/models/uv-rcnn_light_fpn.py',
    '../_base_/datasets/synthetic_bodies_192px.py',
    '../_base_/schedules/densepose_adamw.py',
    '../_base_/default_runtime_densepose.py',
]

ann_file = 'data/synthetic_bodies_192px/annotations/val.json'
val_evaluator = [
    dict(type='mmdet.CocoMetric', ann_file=ann_file, metric='bbox'),
    dict(type='mmdense.DensePoseCocoMetric', ann_file=ann_file, surface=None),
]
test_evaluator = val_evaluator
