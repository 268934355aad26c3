# csnln_x2_fast.py with SOAP (pip install pytorch-optimizer) on 4 LR patches of 48x48 per step.
_base_ = 'csnln_x2_fast.py'

train_pipeline = _base_.train_pipeline
for step in train_pipeline:
    if step.type == 'PairedRandomCrop':
        step.gt_patch_size = 48 * 2
del step
train_dataloader = dict(batch_size=4, dataset=dict(pipeline=train_pipeline))

optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='pytorch_optimizer.SOAP', lr=7e-4, weight_decay=0)
)
