from .released import ReleasedCheckpoint, convert_released_state_dict

__all__ = ['ReleasedCheckpoint', 'convert_released_state_dict']
