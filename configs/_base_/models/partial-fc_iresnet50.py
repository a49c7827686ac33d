# The network of arcface_torch. A config sets `num_classes`.
model = dict(
    type='mmpretrain.ImageClassifier',
    backbone=dict(type='mmdense.IResNet', depth=50),
    neck=dict(
        type='mmdense.EmbeddingNeck',
        in_channels=512,
        spatial_size=7,
        out_channels=512),
    head=dict(
        type='mmdense.PartialFCHead',
        num_classes=None,
        in_channels=512,
        loss=dict(type='mmdense.CosFaceLoss', scale=64.0, margin=0.4)))
