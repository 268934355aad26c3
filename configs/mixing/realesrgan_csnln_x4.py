# Real-ESRGAN as MMagic trains it, degradations included, with CSNLN as its generator.
_base_ = 'mmagic::real_esrgan/realesrgan_c64b23g32_4xb12-lr1e-4-400k_df2k-ost.py'

custom_imports = dict(imports=['csnln_mm.mmagic'], allow_failed_imports=False)

model = dict(generator=dict(_delete_=True, type='CSNLNNet', upscale_factor=4))

experiment_name = 'realesrgan_csnln_x4'
work_dir = f'./work_dirs/{experiment_name}'
# Next to the log, in the work directory.
default_hooks = dict(checkpoint=dict(out_dir=None))
