# A ResNet-18 of half width for 48 x 48 images.
model = dict(
    type='mmpretrain.ImageClassifier',
    backbone=dict(
        type='mmpretrain.ResNet',
        depth=18,
        stem_channels=32,
        base_channels=32),
    neck=dict(
        type='mmdense.EmbeddingNeck',
        in_channels=256,
        spatial_size=2,
        out_channels=128),
    head=dict(
        type='mmdense.PartialFCHead',
        num_classes=2000,
        in_channels=128,
        sample_rate=0.3,
        loss=dict(type='mmdense.CosFaceLoss', scale=64.0, margin=0.4)))
