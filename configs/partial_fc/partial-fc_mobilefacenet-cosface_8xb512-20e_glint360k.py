_base_ = [
    '../_base_/models/partial-fc_mobilefacenet.py',
    '../_base_/datasets/glint360k.py',
    '../_base_/schedules/faces_sgd_20e_warmup2e.py',
    '../_base_/default_runtime_recognition.py',
]

model = dict(head=dict(num_classes=360232))
train_dataloader = dict(batch_size=512)
optim_wrapper = dict(optimizer=dict(lr=0.4, weight_decay=1e-4))

# 8 GPUs with 512 images.
auto_scale_lr = dict(base_batch_size=4096)
