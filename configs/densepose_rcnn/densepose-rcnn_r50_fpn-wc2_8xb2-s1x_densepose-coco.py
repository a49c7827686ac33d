_base_ = './densepose-rcnn_r50_fpn_8xb2-s1x_densepose-coco.py'

model = dict(
    roi_head=dict(
        uv_head=dict(
            loss_points=dict(
                _delete_=True,
                type='mmdense.ConfidentPointsLoss',
                confidence='anisotropic',
                reduction='sum'),
            loss_balancer=dict(weights=dict(uv=0.0005)))))
optim_wrapper = dict(clip_grad=dict(type='value', clip_value=1.0))
