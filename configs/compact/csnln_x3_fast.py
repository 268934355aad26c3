# The model csnln-x3-fast; initialised from csnln-x2-fast (csnln grow --scale 3).
_base_ = [
    '_base_/compact.py',
    '../_base_/datasets/div2k_x3.py',
    '../_base_/datasets/benchmarks_x3.py',
]

model = dict(generator=dict(upscale_factor=3))

train_pipeline = _base_.train_pipeline
crop = [step.type for step in train_pipeline].index('PairedRandomCrop')
train_pipeline[crop].gt_patch_size = 24 * 3
# Without them the skip makes features of text and noise grow from recurrence to recurrence.
train_pipeline.insert(crop + 1, dict(type='HighContrast', prob=0.1))
del crop
train_dataloader = dict(batch_size=16, dataset=dict(pipeline=train_pipeline))
