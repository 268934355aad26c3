# The model csnln-x2-photo: as csnln-x2-fast, trained on what JPEG, slight blur and noise leave.
_base_ = ['csnln_x2_fast_soap.py', '_base_/lossy.py']

train_pipeline = _base_.train_pipeline
crop = [step.type for step in train_pipeline].index('PairedRandomCrop')
flip = [step.type for step in train_pipeline].index('Flip')
# A margin around the patches, so that the grid of JPEG lies anywhere in them.
train_pipeline[crop].gt_patch_size = 64 * 2
train_pipeline[flip:flip] = [*_base_.lossy, dict(type='PairedRandomCrop', gt_patch_size=48 * 2)]
del crop, flip
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

optim_wrapper = dict(type='BFloat16OptimWrapper', optimizer=dict(lr=2e-3))
