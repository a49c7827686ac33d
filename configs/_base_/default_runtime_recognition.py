# The scope of the host; every type that is not mmengine's carries its prefix.
default_scope = 'mmpretrain'

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=100),
    param_scheduler=dict(type='ParamSchedulerHook'),
    # Saves the class centers too, which are in no state_dict.
    checkpoint=dict(
        type='mmdense.ShardedCheckpointHook', interval=1, max_keep_ckpts=2),
    sampler_seed=dict(type='DistSamplerSeedHook'))
custom_hooks = [
    # Every rank normalises by its own batches; what is validated and saved
    # is the mean over ranks.
    dict(type='SyncBuffersHook'),
    dict(type='mmdense.ProgressBarHook'),
    dict(type='mmdense.VerificationVisualizationHook'),
]

# Leaves the centers of each rank to that rank.
model_wrapper_cfg = dict(type='mmdense.ShardedDistributedDataParallel')

env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'))
vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='Visualizer', vis_backends=vis_backends)
log_level = 'INFO'
load_from = None
resume = False
randomness = dict(seed=0)
