_base_ = 'mmdense::partial_fc/partial-fc_resnet18-cosface_1xb128-6e_glyphs.py'
custom_imports = dict(
    imports=['projects.example_margin.elastic_cosface_loss'])
model = dict(
    head=dict(loss=dict(_delete_=True, type='mmdense.ElasticCosFaceLoss')))
