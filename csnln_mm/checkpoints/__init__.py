from .released import ReleasedCheckpoint, convert_released_state_dict
from .safe_load import load_checkpoint_file, use_safe_loading

__all__ = [
    'ReleasedCheckpoint', 'convert_released_state_dict', 'load_checkpoint_file', 'use_safe_loading'
]
