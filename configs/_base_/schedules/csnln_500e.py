# Section 5.2: 500 epochs of 1,000 steps, 16 samples per step.
train_cfg = dict(type='IterBasedTrainLoop', max_iters=500_000, val_interval=5000)
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4, betas=(0.9, 0.999), eps=1e-8)
)
param_scheduler = dict(
    type='MultiStepLR', by_epoch=False, milestones=[150_000, 300_000, 450_000], gamma=0.5
)
auto_scale_lr = dict(enable=False, base_batch_size=16)
