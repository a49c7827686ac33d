_base_ = [
    '../_base_/models/partial-fc_iresnet50.py',
    '../_base_/datasets/glint360k.py',
    '../_base_/schedules/faces_sgd_20e.py',
    '../_base_/default_runtime_recognition.py',
]

model = dict(head=dict(num_classes=360232))
optim_wrapper = dict(optimizer=dict(weight_decay=1e-4))
