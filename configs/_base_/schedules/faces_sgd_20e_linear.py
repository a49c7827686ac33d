# SGD with linear decay: what the code of arcface_torch has done since
# PolynomialLRWarmup replaced PolyScheduler, whose power was 2.
_base_ = 'faces_sgd_20e.py'

param_scheduler = [
    dict(
        type='PolyLR',
        power=1,
        by_epoch=True,
        begin=0,
        end=20,
        convert_to_iter_based=True),
]
