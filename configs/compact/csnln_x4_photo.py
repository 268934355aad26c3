# The model csnln-x4-photo: csnln-x4-fast, trained on what JPEG, slight blur and noise leave.
_base_ = 'csnln_x4_fast_soap.py'

train_pipeline = _base_.train_pipeline
crop = [step.type for step in train_pipeline].index('PairedRandomCrop')
flip = [step.type for step in train_pipeline].index('Flip')
# A margin around the patches, so that the grid of JPEG lies anywhere in them.
train_pipeline[crop].gt_patch_size = 64 * 4
train_pipeline[flip:flip] = [
    dict(
        type='RandomBlur',
        params=dict(
            prob=0.1,
            kernel_size=[7],
            kernel_list=['iso'],
            kernel_prob=[1.0],
            sigma_x=[0.2, 0.5],
            sigma_y=[0.2, 0.5],
            rotate_angle=[0, 0],
        ),
        keys=['img'],
    ),
    dict(
        type='RandomNoise',
        params=dict(
            prob=0.1,
            noise_type=['gaussian'],
            noise_prob=[1.0],
            gaussian_sigma=[0.3, 2],
            gaussian_gray_noise_prob=0.5,
        ),
        keys=['img'],
    ),
    dict(type='JPEGPhotograph', quality=(30, 100), prob=0.75),
    dict(type='PairedRandomCrop', gt_patch_size=48 * 4),
]
del crop, flip
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

optim_wrapper = dict(type='BFloat16OptimWrapper', optimizer=dict(lr=1e-3))
