_base_ = [
    '../_base_/models/partial-fc_face-vit-t.py',
    '../_base_/datasets/webface42m.py',
    '../_base_/schedules/faces_adamw_40e.py',
    '../_base_/default_runtime_recognition.py',
]

model = dict(
    backbone=dict(arch='s'),
    neck=dict(in_channels=512),
    head=dict(num_classes=2059906, sample_rate=0.3))
train_dataloader = dict(batch_size=384)
