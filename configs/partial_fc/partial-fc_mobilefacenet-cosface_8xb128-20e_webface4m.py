_base_ = [
    '../_base_/models/partial-fc_mobilefacenet.py',
    '../_base_/datasets/webface4m.py',
    '../_base_/schedules/faces_sgd_20e.py',
    '../_base_/default_runtime_recognition.py',
]

model = dict(head=dict(num_classes=205990))
optim_wrapper = dict(optimizer=dict(weight_decay=1e-4))
