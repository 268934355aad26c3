"""Super-resolve images: arrays in memory, files and folders, whole or in tiles."""

from csnln_mm.upscaling.chopping import chopped_forward
from csnln_mm.upscaling.files import UpscaleResult, upscale
from csnln_mm.upscaling.tiling import self_ensemble, tiled_forward
from csnln_mm.upscaling.upscaler import Upscaler

__all__ = [
    'UpscaleResult',
    'Upscaler',
    'chopped_forward',
    'self_ensemble',
    'tiled_forward',
    'upscale',
]
