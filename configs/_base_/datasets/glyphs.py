# The glyph identities that ship with the package: an ideograph is an
# identity, a font face is a capture. `data_file` takes a bigger set, made by
# tools/dataset_converters/glyphs.py.
data_file = None

data_preprocessor = dict(
    type='mmpretrain.ClsDataPreprocessor',
    mean=[127.5, 127.5, 127.5],
    std=[127.5, 127.5, 127.5],
    to_rgb=False)

train_pipeline = [
    dict(
        type='mmpretrain.RandomResizedCrop',
        scale=48,
        crop_ratio_range=(0.8, 1.0),
        aspect_ratio_range=(0.85, 1.18)),
    dict(type='mmpretrain.PackInputs'),
]
test_pipeline = [dict(type='mmpretrain.PackInputs')]

train_dataloader = dict(
    batch_size=128,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='mmdense.GlyphIdentities',
        data_file=data_file,
        split='train',
        pipeline=train_pipeline))

val_dataloader = dict(
    batch_size=256,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mmdense.GlyphIdentities',
        data_file=data_file,
        split='unseen',
        pipeline=test_pipeline))
val_evaluator = dict(type='mmdense.VerificationMetric')

test_dataloader = val_dataloader
test_evaluator = val_evaluator
