_base_ = [
    '../_base_/models/partial-fc_iresnet50.py',
    '../_base_/datasets/webface12m_conflict.py',
    '../_base_/schedules/faces_sgd_20e_warmup2e.py',
    '../_base_/default_runtime_recognition.py',
]

model = dict(head=dict(num_classes=1017970))
