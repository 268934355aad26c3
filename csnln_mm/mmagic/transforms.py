"""Transforms of image pairs that MMagic lacks."""

import numpy as np
import torch
import torch.nn.functional as F
from mmagic.registry import TRANSFORMS

from csnln_mm.images.degradation import downsample, downsample_window, mod_crop

# More rejected patches in a row are taken for a mistake.
_PATIENCE = 500


@TRANSFORMS.register_module()
class BicubicDegradation:
    """Make ``img`` from ``gt`` by MATLAB's antialiased bicubic, rounded to 8 bits.

    Patches equal those of a reduced whole image: the reduction also uses what surrounds a patch.

    Args:
        scale: s.
        gt_patch_size: side of a random crop in pixels of ``gt``, a multiple of s; by default the
            whole image, cropped to multiples of s.

    Raises:
        ValueError: if s does not divide the patch size, or an image is smaller than a patch.
    """

    def __init__(self, scale: int, gt_patch_size: int | None = None) -> None:
        if gt_patch_size is not None and (gt_patch_size < scale or gt_patch_size % scale):
            raise ValueError(f'gt_patch_size must be a multiple of {scale}, got {gt_patch_size}')
        self.scale = scale
        self.gt_patch_size = gt_patch_size

    def __call__(self, results: dict) -> dict:
        """Crop ``gt``, uint8 [H, W, C]; add ``img`` and ``scale``."""
        gt = mod_crop(results['gt'], self.scale)
        if self.gt_patch_size is None:
            img = downsample(gt, self.scale)
        else:
            side = self.gt_patch_size // self.scale
            free = [length // self.scale - side for length in gt.shape[:2]]
            if min(free) < 0:
                raise ValueError(
                    f'an image of {gt.shape[1]}x{gt.shape[0]} pixels is smaller than the patches '
                    f'of {self.gt_patch_size}'
                )
            y, x = (np.random.randint(places + 1) for places in free)
            img = downsample_window(gt, self.scale, (y, x, side, side))
            y, x, side = self.scale * y, self.scale * x, self.gt_patch_size
            gt = gt[y : y + side, x : x + side]
        # OpenCV flips in place, and takes no views.
        gt, img = np.ascontiguousarray(gt), np.ascontiguousarray(img)
        # MMagic takes images without these keys for BGR.
        told = {key: results.get(f'gt_{key}') for key in ('channel_order', 'color_type')}
        told = {f'img_{key}': value for key, value in told.items() if value}
        return dict(results, gt=gt, img=img, scale=self.scale, **told)


@TRANSFORMS.register_module()
class HardPatches:
    """Reject patches that teach little; the data set draws another sample instead.

    Bicubic interpolation of ``img`` reproduces these patches almost exactly, or very badly. The
    median and the 95th percentile of a data set's errors have proved good bounds.

    Args:
        mse: lowest and highest mean squared error of bicubic interpolation, of values in 0..1.

    Raises:
        ValueError: if 500 patches in a row are rejected.
    """

    def __init__(self, mse: tuple[float, float]) -> None:
        self.mse = mse
        self._left_out = 0

    def __call__(self, results: dict) -> dict | None:
        """Return ``results``, or None to have another sample drawn."""
        gt, img = (
            torch.from_numpy(results[key]).permute(2, 0, 1)[None].float() / 255
            for key in ('gt', 'img')
        )
        bicubic = F.interpolate(img, gt.shape[2:], mode='bicubic', align_corners=False)
        error = F.mse_loss(bicubic, gt).item()
        lowest, highest = self.mse
        if lowest <= error <= highest:
            self._left_out = 0
            return results
        self._left_out += 1
        if self._left_out == _PATIENCE:
            raise ValueError(
                f'bicubic interpolation of {_PATIENCE} patches in a row has an error outside '
                f'HardPatches.mse={tuple(self.mse)}, the last one {error:.2g}'
            )
        return None
