"""Super-resolve images: arrays in memory, files and folders, whole or in tiles."""

from csnln_mm.upscaling.upscaler import Upscaler, upscale

__all__ = ['Upscaler', 'upscale']
