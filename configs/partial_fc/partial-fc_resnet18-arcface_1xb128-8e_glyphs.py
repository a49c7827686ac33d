_base_ = './partial-fc_resnet18-cosface_1xb128-8e_glyphs.py'

model = dict(
    head=dict(
        loss=dict(
            _delete_=True, type='mmdense.ArcFaceLoss', scale=64.0,
            margin=0.5)))
