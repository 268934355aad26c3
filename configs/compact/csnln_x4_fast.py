# The model csnln-x4-fast; initialised from csnln-x2-fast (csnln grow --scale 4
# --num-recurrences 8).
_base_ = [
    '_base_/compact.py',
    '../_base_/datasets/div2k_x4.py',
    '../_base_/datasets/benchmarks_x4.py',
]

model = dict(generator=dict(upscale_factor=4, num_recurrences=8))

train_pipeline = _base_.train_pipeline
for step in train_pipeline:
    if step.type == 'PairedRandomCrop':
        step.gt_patch_size = 24 * 4
del step
train_dataloader = dict(batch_size=16, dataset=dict(pipeline=train_pipeline))
