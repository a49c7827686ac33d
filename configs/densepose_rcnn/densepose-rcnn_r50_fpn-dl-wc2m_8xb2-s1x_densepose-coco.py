_base_ = './densepose-rcnn_r50_fpn-wc2m_8xb2-s1x_densepose-coco.py'

model = dict(
    roi_head=dict(
        uv_head=dict(
            trunk=dict(_delete_=True, type='mmdense.ASPPTrunk'))))
