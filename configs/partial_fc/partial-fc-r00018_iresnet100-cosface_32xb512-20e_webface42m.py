_base_ = [
    '../_base_/models/partial-fc_iresnet50.py',
    '../_base_/datasets/webface42m.py',
    '../_base_/schedules/faces_sgd_20e_warmup2e.py',
    '../_base_/default_runtime_recognition.py',
]

model = dict(
    backbone=dict(depth=100),
    head=dict(num_classes=2059906, sample_rate=0.0018))
train_dataloader = dict(batch_size=512)
optim_wrapper = dict(optimizer=dict(lr=0.4))

# 32 GPUs with 512 images.
auto_scale_lr = dict(base_batch_size=16384)
