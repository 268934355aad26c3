# A small CSNLN for two CPU cores and a few minutes, on the photographs of scikit-image.
_base_ = 'csnln_x2_div2k.py'

model = dict(generator=dict(mid_channels=16, num_recurrences=2, image_skip=True))

train_pipeline = _base_.train_pipeline
for step in train_pipeline:
    if step.type == 'LoadImageFromFile':
        step.use_cache = True
    elif step.type == 'PairedRandomCrop':
        step.gt_patch_size = 48
del step
train_dataloader = dict(
    batch_size=4,
    dataset=dict(
        data_root='data/demo/train',
        ann_file='',
        data_prefix=dict(img='LRbicx2', gt='GTmod12'),
        pipeline=train_pipeline,
    ),
)

val_dataloader = _base_.val_dataloader
val_dataloader.dataset.data_root = 'data/demo/test'
test_dataloader = [val_dataloader]
test_evaluator = [_base_.val_evaluator]

# The rate is meant for these 4 samples per step.
auto_scale_lr = dict(base_batch_size=4)
train_cfg = dict(max_iters=1200, val_interval=600)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = dict(milestones=[700, 950, 1100])
default_hooks = dict(checkpoint=dict(interval=600), logger=dict(interval=50))
