from csnln_mm.checkpoints.released import ReleasedCheckpoint, convert_released_state_dict
from csnln_mm.checkpoints.safe_load import load_checkpoint_file, use_safe_loading
from csnln_mm.mmagic.resume import checkpoints_in, newest_whole_checkpoint

__all__ = [
    'ReleasedCheckpoint',
    'checkpoints_in',
    'convert_released_state_dict',
    'load_checkpoint_file',
    'newest_whole_checkpoint',
    'use_safe_loading',
]
