_base_ = './partial-fc_resnet18-cosface_1xb128-6e_glyphs.py'

model = dict(head=dict(loss=dict(_delete_=True, type='mmdense.SphereFaceLoss')))
