# The released model (x2); the published figures were measured in parts.
model = dict(
    type='CSNLNEditor',
    generator=dict(
        type='CSNLNNet',
        mid_channels=128,
        num_recurrences=12,
        upscale_factor=2,
        rgb_mean=[0.4488, 0.4371, 0.4040],
    ),
    pixel_loss=dict(type='L1Loss', loss_weight=1.0, reduction='mean'),
    test_cfg=dict(mode='chop', overlap=10, max_pixels=3600),
    data_preprocessor=dict(
        type='DataPreprocessor', mean=[0.0, 0.0, 0.0], std=[255.0, 255.0, 255.0]
    ),
)
