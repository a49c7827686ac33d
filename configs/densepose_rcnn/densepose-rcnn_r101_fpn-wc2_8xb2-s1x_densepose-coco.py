_base_ = './densepose-rcnn_r50_fpn-wc2_8xb2-s1x_densepose-coco.py'

model = dict(
    backbone=dict(
        depth=101,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='data/pretrained/resnet101_msra.pth')))
