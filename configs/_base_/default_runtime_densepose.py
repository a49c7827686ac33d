# The scope of the host; every type that is not mmengine's carries its prefix.
default_scope = 'mmdet'

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    # Files of plain types, whole or not there.
    checkpoint=dict(
        type='mmdense.ShardedCheckpointHook', interval=1, max_keep_ckpts=2),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    # Draws with `tools/test.py --show-dir`, and not before.
    visualization=dict(type='mmdet.DetVisualizationHook'))
custom_hooks = [
    # Every rank normalises by its own batches; what is validated and saved
    # is the mean over ranks. (Frozen statistics stay as they are.)
    dict(type='SyncBuffersHook'),
    dict(type='mmdense.ProgressBarHook'),
]

# mmengine's own does not run on CPUs.
model_wrapper_cfg = dict(type='mmdense.ShardedDistributedDataParallel')

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'))
vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(
    type='mmdense.DensePoseVisualizer', vis_backends=vis_backends)
log_level = 'INFO'
load_from = None
resume = False
randomness = dict(seed=0)
