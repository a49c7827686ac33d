# Glint360K: 360,232 identities, 17,091,657 images.
_base_ = 'aligned_faces.py'

data_root = 'data/glint360k'
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))
