# csnln_x3_fast.py with SOAP (pip install pytorch-optimizer) on 2 hard LR patches of 48x48 per step.
_base_ = 'csnln_x3_fast.py'

train_pipeline = _base_.train_pipeline
crop = [step.type for step in train_pipeline].index('PairedRandomCrop')
train_pipeline[crop].gt_patch_size = 48 * 3
# Between the median and the 95th percentile of the patches of BSD400 and SunHays80.
train_pipeline.insert(crop + 1, dict(type='HardPatches', mse=(0.0019, 0.0084)))
del crop
train_dataloader = dict(batch_size=2, dataset=dict(pipeline=train_pipeline))

optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='pytorch_optimizer.SOAP', lr=1e-3, weight_decay=0)
)
