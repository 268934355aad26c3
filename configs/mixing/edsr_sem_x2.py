# EDSR with a SEM cell after its body.
_base_ = '_base_/edsr_extended_x2.py'

model = dict(generator=dict(module=dict(type='SEMEnhancer', channels=64)))

experiment_name = 'edsr_sem_x2'
work_dir = f'./work_dirs/{experiment_name}'
