"""Checkpoint files: read safely, whatever wrote them, and converted."""

from csnln_mm.checkpoints.convert import convert_released_file, convert_to_released_file
from csnln_mm.checkpoints.load import load_checkpoint
from csnln_mm.checkpoints.network import check_fit, load_network
from csnln_mm.checkpoints.pretrained import PretrainedModel, choose_pretrained, list_pretrained
from csnln_mm.checkpoints.released import (
    ReleasedCheckpoint,
    convert_released_state_dict,
    convert_to_released_state_dict,
)

__all__ = [
    'PretrainedModel',
    'ReleasedCheckpoint',
    'check_fit',
    'choose_pretrained',
    'convert_released_file',
    'convert_released_state_dict',
    'convert_to_released_file',
    'convert_to_released_state_dict',
    'list_pretrained',
    'load_checkpoint',
    'load_network',
]
