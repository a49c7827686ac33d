# WebFace42M: 2,059,906 identities, 42,474,557 images.
_base_ = 'aligned_faces.py'

data_root = 'data/webface42m'
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))
