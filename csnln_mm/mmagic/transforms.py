"""What happens to pairs of images on the way to the network, beyond MMagic's transforms."""

import numpy as np
import torch
import torch.nn.functional as F
from mmagic.registry import TRANSFORMS

from csnln_mm.images.degradation import downsample, downsample_window, mod_crop

# Patches in a row whose being left out is taken for a mistake.
_PATIENCE = 500


@TRANSFORMS.register_module()
class BicubicDegradation:
    """Make ``img`` of ``gt`` by MATLAB's antialiased bicubic, rounded to 8 bits.

    The patches are those of images that were reduced as a whole: a window is reduced with what
    lies around it.

    Args:
        scale: s.
        gt_patch_size: side of a random square that is cut out, in pixels of ``gt``, a multiple of
            s; by default the whole image, cut to sides that are multiples of s.

    Raises:
        ValueError: if s does not divide the patch; for an image that is smaller.
    """

    def __init__(self, scale: int, gt_patch_size: int | None = None) -> None:
        if gt_patch_size is not None and (gt_patch_size < scale or gt_patch_size % scale):
            raise ValueError(f'gt_patch_size must be a multiple of {scale}, got {gt_patch_size}')
        self.scale = scale
        self.gt_patch_size = gt_patch_size

    def __call__(self, results: dict) -> dict:
        """Replace ``gt``, uint8 [H, W, C], by its window; add ``img`` and ``scale``."""
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
        # For MMagic, images that do not tell otherwise are BGR.
        told = {key: results.get(f'gt_{key}') for key in ('channel_order', 'color_type')}
        told = {f'img_{key}': value for key, value in told.items() if value}
        return dict(results, gt=gt, img=img, scale=self.scale, **told)


@TRANSFORMS.register_module()
class HardPatches:
    """Leave out patches from which little can be learnt; another sample is drawn at random instead.

    These are the patches that bicubic interpolation of ``img`` reproduces almost exactly, or very
    badly. The median and the 95th percentile of a data set's errors have proved good bounds.

    Args:
        mse: lowest and highest mean squared error of bicubic interpolation, of values in 0..1.

    Raises:
        ValueError: if 500 patches in a row are left out.
    """

    def __init__(self, mse: tuple[float, float]) -> None:
        self.mse = mse
        self._left_out = 0

    def __call__(self, results: dict) -> dict | None:
        """None, for which the data set draws another sample, or ``results`` as they are."""
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
