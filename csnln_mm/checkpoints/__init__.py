"""Checkpoint files: read safely, whatever wrote them, and converted."""

from csnln_mm.checkpoints.convert import convert_released_file, convert_to_released_file
from csnln_mm.checkpoints.load import load_checkpoint
from csnln_mm.checkpoints.network import check_fit, load_network
from csnln_mm.checkpoints.released import (
    ReleasedCheckpoint,
    convert_released_state_dict,
    convert_to_released_state_dict,
)

__all__ = [
    'ReleasedCheckpoint',
    'check_fit',
    'convert_released_file',
    'convert_released_state_dict',
    'convert_to_released_file',
    'convert_to_released_state_dict',
    'load_checkpoint',
    'load_network',
]
