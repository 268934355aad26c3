# ESRGAN as MMagic trains it, with CSNLN as its generator.
_base_ = 'mmagic::esrgan/esrgan_x4c64b23g32_1xb16-400k_div2k.py'

custom_imports = dict(imports=['csnln_mm.mmagic'], allow_failed_imports=False)

model = dict(generator=dict(_delete_=True, type='CSNLNNet', upscale_factor=4))

experiment_name = 'esrgan_csnln_x4'
work_dir = f'./work_dirs/{experiment_name}'
# Next to the log, in the work directory.
default_hooks = dict(checkpoint=dict(out_dir=None))
