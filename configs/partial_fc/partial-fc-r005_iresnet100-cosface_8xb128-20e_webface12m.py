_base_ = [
    '../_base_/models/partial-fc_iresnet50.py',
    '../_base_/datasets/webface12m.py',
    '../_base_/schedules/faces_sgd_20e.py',
    '../_base_/default_runtime_recognition.py',
]

model = dict(
    backbone=dict(depth=100),
    head=dict(num_classes=617970, sample_rate=0.05))
