"""Super-resolve images: arrays in memory, files and folders, whole or in tiles."""

from csnln_mm.upscaling.files import upscale
from csnln_mm.upscaling.upscaler import Upscaler

__all__ = ['Upscaler', 'upscale']
