# WebFace12M with identities split, 1,017,970 labels. The published set is not
# to be had; `mmdense.NoisyLabels` and tools/dataset_converters/label_noise.py
# make one (docs/label_noise.md).
_base_ = 'aligned_faces.py'

data_root = 'data/webface12m_conflict'
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))
