_base_ = './uv-rcnn_r50_fpn_8xb2-s1x_densepose-coco.py'

model = dict(
    backbone=dict(
        type='mmdet.ResNeXt',
        depth=101,
        groups=32,
        base_width=4,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='data/pretrained/resnext101_32x4d.pth')))
