_base_ = './uv-rcnn_r50_fpn_8xb2-s1x_densepose-coco.py'

# Predicts how far off each point may be, and in which direction.
model = dict(
    roi_head=dict(
        uv_head=dict(
            loss_points=dict(
                _delete_=True,
                type='mmdense.ConfidentPointsLoss',
                confidence='anisotropic'),
            loss_balancer=dict(weights=dict(uv=0.5)))))
optim_wrapper = dict(clip_grad=dict(max_norm=35.0))
