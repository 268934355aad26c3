# The model csnln-x2-fast: 16 LR patches of 24x24 per step.
_base_ = [
    '_base_/compact.py',
    '../_base_/datasets/div2k_x2.py',
    '../_base_/datasets/benchmarks_x2.py',
]

train_pipeline = _base_.train_pipeline
for step in train_pipeline:
    if step.type == 'PairedRandomCrop':
        step.gt_patch_size = 24 * 2
del step
train_dataloader = dict(batch_size=16, dataset=dict(pipeline=train_pipeline))
