# MMagic's DIV2K training and runtime for EDSR, with CSNLN as the generator.
_base_ = 'mmagic::edsr/edsr_x2c64b16_1xb16-300k_div2k.py'

custom_imports = dict(imports=['csnln_mm.mmagic'], allow_failed_imports=False)

model = dict(generator=dict(_delete_=True, type='CSNLNNet', upscale_factor=2))

experiment_name = 'csnln_x2_mmagic'
work_dir = f'./work_dirs/{experiment_name}'
# Next to the log, in the work directory.
default_hooks = dict(checkpoint=dict(out_dir=None))
