# MS1MV2: 85,742 identities, 5,822,653 images (ms1m-arcface, faces_emore).
_base_ = 'aligned_faces.py'

data_root = 'data/ms1mv2'
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))
