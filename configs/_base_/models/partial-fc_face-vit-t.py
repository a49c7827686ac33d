# ViT-T of arcface_torch: 144 patches of 9 x 9 pixels. A config sets
# `num_classes`.
model = dict(
    type='mmpretrain.ImageClassifier',
    backbone=dict(type='mmdense.FaceViT', arch='t', drop_path_rate=0.05),
    neck=dict(
        type='mmdense.BottleneckEmbeddingNeck',
        in_channels=256,
        spatial_size=12,
        out_channels=512),
    head=dict(
        type='mmdense.PartialFCHead',
        num_classes=None,
        in_channels=512,
        loss=dict(type='mmdense.CosFaceLoss', scale=64.0, margin=0.4)))
