_base_ = [
    '../_base_/models/partial-fc_iresnet50.py',
    '../_base_/datasets/ms1mv3.py',
    '../_base_/schedules/faces_sgd_20e_linear.py',
    '../_base_/default_runtime_recognition.py',
]

model = dict(
    head=dict(
        num_classes=93431,
        loss=dict(type='mmdense.ArcFaceLoss', margin=0.5)))
