from .newest import checkpoints_in, newest_whole_checkpoint
from .released import ReleasedCheckpoint, convert_released_state_dict
from .safe_load import load_checkpoint_file, use_safe_loading

__all__ = [
    'ReleasedCheckpoint', 'checkpoints_in', 'convert_released_state_dict', 'load_checkpoint_file',
    'newest_whole_checkpoint', 'use_safe_loading'
]
