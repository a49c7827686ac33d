_base_ = './uv-rcnn_r50_fpn_8xb2-s1x_densepose-coco.py'

# Geometric and context encoding on the finest level alone, as in Parsing R-CNN.
model = dict(
    roi_head=dict(
        uv_decoder=None,
        uv_roi_extractor=dict(roi_layer=dict(output_size=32)),
        uv_head=dict(
            trunk=dict(
                _delete_=True,
                type='mmdense.ASPPTrunk',
                dilations=(6, 12, 18),
                aspp_out_channels=512,
                non_local=True,
                num_convs=4))))
