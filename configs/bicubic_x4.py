# Bicubic enlargement through the same test: calibrates data and metrics.
_base_ = ['_base_/datasets/benchmarks_x4.py', '_base_/runtime.py']

model = dict(
    type='BaseEditModel',
    generator=dict(type='BicubicUpsampler', upscale_factor=4),
    pixel_loss=dict(type='L1Loss'),
    data_preprocessor=dict(type='DataPreprocessor', mean=[0., 0., 0.], std=[255., 255., 255.]))
