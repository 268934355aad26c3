"""Image files, their degradation and their comparison."""

from csnln_mm.images.degradation import downsample, mod_crop, upsample
from csnln_mm.images.image_file import ImageData, read_image, read_image_size, read_rgb, write_image
from csnln_mm.images.metrics import psnr, ssim

__all__ = [
    'ImageData',
    'downsample',
    'mod_crop',
    'psnr',
    'read_image',
    'read_image_size',
    'read_rgb',
    'ssim',
    'upsample',
    'write_image',
]
