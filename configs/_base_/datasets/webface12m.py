# WebFace12M: 617,970 identities, 12,720,066 images.
_base_ = 'aligned_faces.py'

data_root = 'data/webface12m'
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))
