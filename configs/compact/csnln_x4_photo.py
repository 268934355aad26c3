# The model csnln-x4-photo: csnln-x4-fast, trained on what JPEG, slight blur and noise leave.
_base_ = ['csnln_x4_fast_soap.py', '_base_/lossy.py']

# The model was trained without the skip, from an earlier csnln-x4-fast.
model = dict(generator=dict(recurrence_skip=False))

train_pipeline = _base_.train_pipeline
crop = [step.type for step in train_pipeline].index('PairedRandomCrop')
flip = [step.type for step in train_pipeline].index('Flip')
# A margin around the patches, so that the grid of JPEG lies anywhere in them.
train_pipeline[crop].gt_patch_size = 64 * 4
train_pipeline[flip:flip] = [*_base_.lossy, dict(type='PairedRandomCrop', gt_patch_size=48 * 4)]
del crop, flip
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

optim_wrapper = dict(type='BFloat16OptimWrapper', optimizer=dict(lr=1e-3))
