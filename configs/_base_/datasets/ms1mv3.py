# MS1MV3: 93,431 identities, 5,179,510 images (ms1m-retinaface-t1).
_base_ = 'aligned_faces.py'

data_root = 'data/ms1mv3'
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))
