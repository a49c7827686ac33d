# A UV R-CNN of 4.8 million parameters for small images, to train from scratch:
# a ResNet-18 of half the width, 64 channels in pyramid and decoder, group norm
# in the dense branch.
_base_ = './uv-rcnn_r50_fpn.py'

model = dict(
    backbone=dict(
        depth=18,
        base_channels=32,
        stem_channels=32,
        frozen_stages=-1,
        norm_eval=False,
        init_cfg=None),
    neck=dict(
        in_channels=[32, 64, 128, 256], out_channels=64, num_outs=4),
    rpn_head=dict(
        in_channels=64,
        feat_channels=64,
        anchor_generator=dict(strides=[4, 8, 16, 32])),
    roi_head=dict(
        bbox_roi_extractor=dict(
            roi_layer=dict(sampling_ratio=2), out_channels=64),
        bbox_head=dict(in_channels=64, fc_out_channels=256),
        uv_decoder=dict(
            in_channels=64, channels=64, out_channels=64, groups=16),
        uv_roi_extractor=dict(
            roi_layer=dict(output_size=14), out_channels=64),
        uv_head=dict(
            trunk=dict(
                in_channels=64, channels=128, num_convs=4, groups=16)),
        max_rois=8),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=64)),
        rpn_proposal=dict(nms_pre=200, max_per_img=100),
        rcnn=dict(sampler=dict(num=32))),
    test_cfg=dict(
        rpn=dict(nms_pre=200, max_per_img=100),
        rcnn=dict(max_per_img=20)))
