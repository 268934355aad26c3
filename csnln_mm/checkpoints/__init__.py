"""Checkpoint files: read safely, whatever wrote them, and converted."""

from csnln_mm.checkpoints.released import ReleasedCheckpoint, convert_released_state_dict
from csnln_mm.checkpoints.safe_load import load_checkpoint_file, use_safe_loading

__all__ = [
    'ReleasedCheckpoint',
    'convert_released_state_dict',
    'load_checkpoint_file',
    'use_safe_loading',
]
