# SGD with 2 epochs of warm-up, then quadratic decay.
_base_ = 'faces_sgd_20e.py'

param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-4,
        by_epoch=True,
        begin=0,
        end=2,
        convert_to_iter_based=True),
    dict(
        type='PolyLR',
        power=2,
        by_epoch=True,
        begin=2,
        end=20,
        convert_to_iter_based=True),
]
