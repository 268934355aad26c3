_base_ = './div2k_x2.py'

train_scale = 3
train_pipeline = _base_.train_pipeline
for step in train_pipeline:
    if step.type == 'SetValues':
        step.dictionary.scale = train_scale
    elif step.type == 'PairedRandomCrop':
        step.gt_patch_size = 48 * train_scale
train_dataloader = dict(
    dataset=dict(
        data_prefix=dict(img=f'DIV2K_train_LR_bicubic/X{train_scale}_sub'), pipeline=train_pipeline
    )
)
del step
