# DIV2K in sub-images, LR patches of 48x48, 2 samples on each of eight processes.
train_scale = 2
# Pillow rejects a truncated file; OpenCV fills the missing part with grey.
train_pipeline = [
    dict(type='SeedPerSample'),
    dict(type='LoadImageFromFile', key='img', channel_order='rgb', imdecode_backend='pillow'),
    dict(type='LoadImageFromFile', key='gt', channel_order='rgb', imdecode_backend='pillow'),
    dict(type='SetValues', dictionary=dict(scale=train_scale)),
    dict(type='PairedRandomCrop', gt_patch_size=48 * train_scale),
    dict(type='Flip', keys=['img', 'gt'], flip_ratio=0.5, direction='horizontal'),
    dict(type='Flip', keys=['img', 'gt'], flip_ratio=0.5, direction='vertical'),
    dict(type='RandomTransposeHW', keys=['img', 'gt'], transpose_ratio=0.5),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='ResumableSampler', shuffle=True),
    dataset=dict(
        type='ImagePairDataset',
        data_root='data/DIV2K',
        ann_file='meta_info_DIV2K800sub_GT.txt',
        data_prefix=dict(img=f'DIV2K_train_LR_bicubic/X{train_scale}_sub', gt='DIV2K_train_HR_sub'),
        filename_tmpl=dict(img='{}', gt='{}'),
        pipeline=train_pipeline,
    ),
)
