_base_ = [
    '../_base_/models/partial-fc_face-vit-t.py',
    '../_base_/datasets/webface42m.py',
    '../_base_/schedules/faces_adamw_40e.py',
    '../_base_/default_runtime_recognition.py',
]

model = dict(head=dict(num_classes=2059906, sample_rate=0.3))
train_dataloader = dict(batch_size=512)

# 8 GPUs with 512 images.
auto_scale_lr = dict(base_batch_size=4096)
