_base_ = [
    '../_base_/models/partial-fc_iresnet50.py',
    '../_base_/datasets/glint360k.py',
    '../_base_/schedules/faces_sgd_20e_warmup2e.py',
    '../_base_/default_runtime_recognition.py',
]

model = dict(
    backbone=dict(depth=100),
    head=dict(num_classes=360232))
train_dataloader = dict(batch_size=256)
optim_wrapper = dict(optimizer=dict(lr=0.4))

# 16 GPUs with 256 images.
auto_scale_lr = dict(base_batch_size=4096)
