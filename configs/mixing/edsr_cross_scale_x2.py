# EDSR with cross-scale attention after its body.
_base_ = '_base_/edsr_extended_x2.py'

model = dict(generator=dict(module=dict(type='CrossScaleEnhancer', channels=64)))

experiment_name = 'edsr_cross_scale_x2'
work_dir = f'./work_dirs/{experiment_name}'
