# EDSR as MMagic trains it, with another module after its body, which the recipe names.
_base_ = 'mmagic::edsr/edsr_x2c64b16_1xb16-300k_div2k.py'

custom_imports = dict(imports=['csnln_mm.mmagic'], allow_failed_imports=False)

model = dict(
    generator=dict(
        _delete_=True, type='ExtendedNetwork', network=_base_.model.generator, after='body'
    )
)

# Next to the log, in the work directory.
default_hooks = dict(checkpoint=dict(out_dir=None))
