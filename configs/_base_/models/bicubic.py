# Bicubic upscaling (x2), tested like a network: calibrates data and metrics.
model = dict(
    type='BaseEditModel',
    generator=dict(type='BicubicUpsampler', upscale_factor=2),
    pixel_loss=dict(type='L1Loss'),
    data_preprocessor=dict(
        type='DataPreprocessor', mean=[0.0, 0.0, 0.0], std=[255.0, 255.0, 255.0]
    ),
)
