# csnln-x4-fast with cross-scale attention in the first recurrence, initialised by csnln grow
# --attention. 4 LR patches of 48x48 per step: in larger patches the attention finds more.
_base_ = 'csnln_x4_fast.py'

# The model was trained without the skip, from an earlier csnln-x4-fast.
model = dict(
    generator=dict(
        recurrence_skip=False,
        attention_recurrences=(1,),
        cell=dict(branches=('local', 'cross_scale'), stages=(4,)),
    ),
    test_cfg=dict(_delete_=True, mode='tile', tile=64, overlap=8),
)

train_pipeline = _base_.train_pipeline
for step in train_pipeline:
    if step.type == 'PairedRandomCrop':
        step.gt_patch_size = 48 * 4
del step
train_dataloader = dict(batch_size=4, dataset=dict(pipeline=train_pipeline))

optim_wrapper = dict(optimizer=dict(lr=4e-4))
