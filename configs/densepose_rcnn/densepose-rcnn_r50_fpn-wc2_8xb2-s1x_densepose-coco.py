_base_ = './densepose-rcnn_r50_fpn-wc1_8xb2-s1x_densepose-coco.py'

model = dict(
    roi_head=dict(uv_head=dict(loss_points=dict(confidence='anisotropic'))))
