# The model csnln-x2-fast: 16 LR patches of 24x24 per step.
_base_ = [
    '_base_/compact.py',
    '../_base_/datasets/div2k_x2.py',
    '../_base_/datasets/benchmarks_x2.py',
]

train_pipeline = _base_.train_pipeline
crop = [step.type for step in train_pipeline].index('PairedRandomCrop')
train_pipeline[crop].gt_patch_size = 24 * 2
# Without them the skip makes features of text and noise grow from recurrence to recurrence.
train_pipeline.insert(crop + 1, dict(type='HighContrast', prob=0.1))
del crop
train_dataloader = dict(batch_size=16, dataset=dict(pipeline=train_pipeline))
