# The model csnln-x4-fast; initialised from a model for x2 (csnln grow --scale 4
# --num-recurrences 8).
_base_ = [
    '_base_/compact.py',
    '../_base_/datasets/div2k_x4.py',
    '../_base_/datasets/benchmarks_x4.py',
]

model = dict(generator=dict(upscale_factor=4, num_recurrences=8))

train_pipeline = _base_.train_pipeline
crop = [step.type for step in train_pipeline].index('PairedRandomCrop')
train_pipeline[crop].gt_patch_size = 24 * 4
# Without them the skip makes features of text and noise grow from recurrence to recurrence.
train_pipeline.insert(crop + 1, dict(type='HighContrast', prob=0.1))
del crop
train_dataloader = dict(batch_size=16, dataset=dict(pipeline=train_pipeline))
