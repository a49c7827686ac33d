# WebFace4M: 205,990 identities, 4,235,242 images.
_base_ = 'aligned_faces.py'

data_root = 'data/webface4m'
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))
