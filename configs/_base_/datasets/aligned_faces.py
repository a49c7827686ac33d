# Aligned faces of 112 x 112 pixels in a RecordIO file, with verification
# packs beside it, as insightface publishes its data sets (docs/data.md). A
# set says where it is: `data_root` of the three loaders.
data_preprocessor = dict(
    type='mmpretrain.ClsDataPreprocessor',
    mean=[127.5, 127.5, 127.5],
    std=[127.5, 127.5, 127.5],
    to_rgb=True)

train_pipeline = [
    dict(type='mmpretrain.RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='mmpretrain.PackInputs'),
]
test_pipeline = [
    # Says what size the network is for; leaves images of that size alone.
    dict(type='mmpretrain.Resize', scale=112),
    dict(type='mmpretrain.PackInputs'),
]

train_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=True,
    # The networks normalise over the batch: none of a single image.
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='mmdense.RecordIODataset',
        data_root='data/faces',
        pipeline=train_pipeline))

val_dataloader = dict(
    batch_size=256,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mmdense.VerificationPacks',
        data_root='data/faces',
        packs=['lfw.bin', 'cfp_fp.bin', 'agedb_30.bin'],
        # Published figures add the embedding of the mirror image.
        flip=True,
        pipeline=test_pipeline))
val_evaluator = dict(type='mmdense.VerificationMetric', val_fars=(1e-3,))

test_dataloader = val_dataloader
test_evaluator = val_evaluator
