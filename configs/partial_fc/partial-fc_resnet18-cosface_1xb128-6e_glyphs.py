_base_ = [
    '../_base_/models/partial-fc_resnet18_glyphs.py',
    '../_base_/datasets/glyphs.py',
    '../_base_/schedules/glyphs_sgd_6e.py',
    '../_base_/default_runtime_recognition.py',
]
