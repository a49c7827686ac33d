_base_ = './densepose-rcnn_r50_fpn_8xb2-s1x_densepose-coco.py'

# Without decoder, with 15 coarse parts and other weights: the model of
# Güler et al., 2018, in detectron2's hands.
model = dict(
    roi_head=dict(
        uv_decoder=None,
        uv_roi_extractor=dict(
            roi_layer=dict(output_size=14), featmap_strides=[4, 8, 16, 32]),
        uv_head=dict(
            coarse_channels=15,
            loss_balancer=dict(weights=dict(coarse=2.0, part=0.3, uv=0.1)))))
optim_wrapper = dict(optimizer=dict(lr=0.002))
