_base_ = 'mmagic::_base_/default_runtime.py'

custom_imports = dict(imports=['csnln_mm.mmagic'], allow_failed_imports=False)

default_hooks = dict(
    # Next to the log, in the work directory.
    checkpoint=dict(type='AtomicCheckpointHook', interval=1000, max_keep_ckpts=3, out_dir=None),
    check_invalid_loss=dict(type='CheckInvalidLossHook'),
    exact_resume=dict(type='ExactResumeHook'),
)
custom_hooks = [dict(type='BasicVisualizationHook', interval=1, on_val=False)]
