# PSNR and SSIM on Y, without a border of `test_scale` pixels; Set5 for validation.
test_scale = 2
# Pillow rejects a truncated file; OpenCV fills the missing part with grey.
test_pipeline = [
    dict(type='LoadImageFromFile', key='img', channel_order='rgb', imdecode_backend='pillow'),
    dict(type='LoadImageFromFile', key='gt', channel_order='rgb', imdecode_backend='pillow'),
    dict(type='PackInputs'),
]
benchmarks = ['Set5', 'Set14', 'B100', 'Urban100', 'Manga109']
test_dataloader = [
    dict(
        num_workers=2,
        persistent_workers=False,
        drop_last=False,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(
            type='ImagePairDataset',
            data_root=f'data/{name}',
            data_prefix=dict(img=f'LRbicx{test_scale}', gt='GTmod12'),
            pipeline=test_pipeline,
        ),
    )
    for name in benchmarks
]
test_evaluator = [
    dict(
        type='Evaluator',
        metrics=[
            dict(type=metric, crop_border=test_scale, convert_to='Y', prefix=name)
            for metric in ('PSNR', 'SSIM')
        ],
    )
    for name in benchmarks
]
test_cfg = dict(type='MultiTestLoop')

val_dataloader = test_dataloader[0]
val_evaluator = dict(
    type='Evaluator',
    metrics=[
        dict(type=metric, crop_border=test_scale, convert_to='Y') for metric in ('PSNR', 'SSIM')
    ],
)
val_cfg = dict(type='MultiValLoop')
