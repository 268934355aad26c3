# A compact CSNLN: the local branch alone, 48 channels, 4 recurrences; for two CPU cores or any GPU.
_base_ = [
    '../../_base_/models/csnln.py',
    '../../_base_/schedules/csnln_500e.py',
    '../../_base_/runtime.py',
]

model = dict(
    generator=dict(
        mid_channels=48,
        num_recurrences=4,
        image_skip=True,
        recurrence_skip=True,
        cell=dict(branches=('local',)),
    ),
    test_cfg=dict(_delete_=True, mode='whole'),
)

train_cfg = dict(max_iters=60_000, val_interval=2000)
optim_wrapper = dict(optimizer=dict(lr=1e-3), clip_grad=dict(max_norm=1.0))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=200),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=200, end=60_000, eta_min=1e-5),
]
# The moving average of the weights is validated, saved and shipped.
default_hooks = dict(
    average=dict(type='EMAHook', ema_type='ExponentialMovingAverage', momentum=0.002)
)
