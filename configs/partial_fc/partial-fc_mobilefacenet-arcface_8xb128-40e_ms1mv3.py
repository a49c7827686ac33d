_base_ = [
    '../_base_/models/partial-fc_mobilefacenet.py',
    '../_base_/datasets/ms1mv3.py',
    '../_base_/schedules/faces_sgd_20e.py',
    '../_base_/default_runtime_recognition.py',
]

model = dict(
    head=dict(
        num_classes=93431,
        loss=dict(type='mmdense.ArcFaceLoss', margin=0.5)))
optim_wrapper = dict(optimizer=dict(weight_decay=1e-4))
param_scheduler = [
    dict(
        type='PolyLR',
        power=2,
        by_epoch=True,
        begin=0,
        end=40,
        convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=40)
