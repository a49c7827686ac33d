_base_ = './densepose-rcnn_r50_fpn_8xb2-s1x_densepose-coco.py'

model = dict(
    roi_head=dict(
        uv_head=dict(
            segm_confidence=True,
            loss_points=dict(
                _delete_=True,
                type='mmdense.ConfidentPointsLoss',
                confidence='anisotropic',
                reduction='sum'),
            loss_balancer=dict(weights=dict(uv=0.0005)))))
optim_wrapper = dict(clip_grad=dict(max_norm=100.0))
param_scheduler = [
    dict(
        type='LinearLR', start_factor=0.025, by_epoch=False, begin=0, end=1000),
    dict(
        type='MultiStepLR',
        by_epoch=False,
        begin=0,
        end=130000,
        milestones=[100000, 120000],
        gamma=0.1),
]
