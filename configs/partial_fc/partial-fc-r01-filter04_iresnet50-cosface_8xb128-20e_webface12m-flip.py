_base_ = [
    '../_base_/models/partial-fc_iresnet50.py',
    '../_base_/datasets/webface12m_flip.py',
    '../_base_/schedules/faces_sgd_20e_warmup2e.py',
    '../_base_/default_runtime_recognition.py',
]

model = dict(
    head=dict(num_classes=617970, sample_rate=0.1, filter_threshold=0.4))
