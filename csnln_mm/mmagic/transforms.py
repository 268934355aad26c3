"""Transforms of image pairs that MMagic lacks."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from mmagic.registry import TRANSFORMS

from csnln_mm.errors import UserError
from csnln_mm.images.bands import parse_bands
from csnln_mm.images.degradation import downsample, downsample_window, mod_crop, upsample
from csnln_mm.images.ground_truth import read_ground_truth
from csnln_mm.images.value_range import RangeOption, check_range

# More rejected patches in a row are taken for a mistake.
_PATIENCE = 500
# Bayer's order of 4x4 pixels: ordered dithers of a level of grey are checks, stripes or dots.
_BAYER = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]]) / 16 + 1 / 32


@TRANSFORMS.register_module()
class LoadBands:
    """Load images of any type and number of bands; MMagic's own step loads 8-bit grey or RGB.

    Values become 0 (black) to 255 (white), in float32 unless they have 8 bits. An LQ image has the
    range of its ground truth if both have the same type. Transparent pixels, and those without a
    value, get the value of the nearest other pixel.

    Args:
        keys: images to load, each from its ``KEY_path``.
        channels: of the network's input. A single band is repeated.
        value_range: see :func:`~csnln_mm.images.value_range.find_range`.
        bands: bands to load, in order, such as '4,3,2,8'; all by default.

    Raises:
        UserError: if the range or the bands are invalid; for a sample, if an image cannot be read,
            or has another number of bands.
    """

    def __init__(
        self,
        keys: Sequence[str] = ('img', 'gt'),
        channels: int = 3,
        value_range: RangeOption = None,
        bands: str | None = None,
    ) -> None:
        check_range(value_range)
        if bands is not None:
            parse_bands(bands)
        self.keys = keys
        self.channels = channels
        self.value_range = value_range
        self.bands = bands

    def __call__(self, results: dict) -> dict:
        """Add each key, [H, W, ``channels``], and ``gt_values``: range and type of the GT."""
        paths = {key: results[f'{key}_path'] for key in self.keys}
        loaded = {
            key: read_ground_truth(path, self.value_range, self.bands)
            for key, path in paths.items()
        }
        results = dict(results)
        for key, own in loaded.items():
            pixels, truth = own.image.pixels, loaded.get('gt', own)
            if pixels.shape[2] not in (1, self.channels):
                raise UserError(
                    f'{paths[key]} has {pixels.shape[2]} bands, the network {self.channels}'
                )
            kind = [(x.image.pixels.dtype, x.image.pixels.shape[2]) for x in (truth, own)]
            pixels = (truth if kind[0] == kind[1] else own).to_255(pixels)
            if pixels.shape[2] < self.channels:
                pixels = np.repeat(pixels, self.channels, 2)
            results[key] = np.ascontiguousarray(pixels)
            results[f'ori_{key}_shape'] = pixels.shape
            # What it takes for BGR, MMagic leaves in its order.
            results[f'{key}_channel_order'] = 'rgb' if self.channels == 3 else 'bgr'
            if key == 'gt':
                results['gt_values'] = dict(own.values._asdict(), dtype=str(own.image.pixels.dtype))
        return results


@TRANSFORMS.register_module()
class BicubicDegradation:
    """Make ``img`` from ``gt`` by MATLAB's antialiased bicubic; integers are rounded.

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
        """Crop ``gt``, [H, W, C]; add ``img`` and ``scale``."""
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


@TRANSFORMS.register_module()
class HighContrast:
    """Replace some pairs by text, stretched contrast, dithers or noise.

    A network that is trained on photographs alone may answer such images with values far outside
    of theirs: nothing has bounded its features there.

    Args:
        prob: how often a pair is replaced.
    """

    def __init__(self, prob: float = 0.1) -> None:
        self.prob = prob

    def __call__(self, results: dict) -> dict:
        """Replace ``img``, RGB [H, W, 3], and ``gt``, s times as large, by uint8 of that shape."""
        if np.random.rand() >= self.prob:
            return results
        scale, shape = results['scale'], results['img'].shape
        kind = np.random.randint(3)
        if kind == 0:
            img = _dither(shape)
            gt = upsample(img, scale)
        else:
            gt = _text(results['gt'].shape, scale) if kind == 1 else _stretch(results['gt'])
            img = downsample(gt, scale)
        gt, img = np.ascontiguousarray(gt), np.ascontiguousarray(img)
        return dict(results, gt=gt, img=img)


def _dither(shape: tuple[int, ...]) -> np.ndarray:
    """Noise of two or all levels, or a slope dithered in order or by noise, in pixels of 1 to 3."""
    zoom = np.random.randint(1, 4)
    height, width, channels = (-(-shape[0] // zoom), -(-shape[1] // zoom), shape[2])
    noise = np.random.rand(height, width, channels if np.random.rand() < 0.5 else 1)
    if np.random.rand() < 0.75:
        slope = np.random.rand() + np.linspace(0, np.random.uniform(-1, 1), width)[None, :, None]
        order = np.tile(_BAYER, (-(-height // 4), -(-width // 4)))[:height, :width, None]
        noise = (slope > (order if np.random.rand() < 0.5 else noise)).astype(float)
    low, high = np.sort(np.random.rand(2)) if np.random.rand() < 0.3 else (0, 1)
    img = (255 * (low + (high - low) * noise)).round().astype(np.uint8)
    img = img.repeat(zoom, 0).repeat(zoom, 1)[: shape[0], : shape[1]]
    return np.array(np.broadcast_to(img, shape))


def _text(shape: tuple[int, ...], scale: int) -> np.ndarray:
    """Lines of random characters, of two colours that are often black and white."""
    ink, paper = np.random.randint(256, size=(2, shape[2]))
    if np.random.rand() < 0.5:
        ink, paper = np.random.permutation([np.zeros_like(ink), np.full_like(ink, 255)])
    gt = np.full(shape, paper, np.uint8)
    size = scale * np.random.uniform(0.2, 0.8)
    y = 0.0
    while y < shape[0] + 20 * size:
        line = ''.join(chr(code) for code in np.random.randint(33, 127, size=40))
        font, weight = np.random.randint(8), np.random.randint(1, 1 + scale)
        start = (-np.random.randint(20), int(y))
        cv2.putText(gt, line, start, font, size, ink.tolist(), weight, cv2.LINE_AA)
        y += np.random.uniform(20, 40) * size
    return gt


def _stretch(gt: np.ndarray) -> np.ndarray:
    """The contrast of a photograph stretched 2 to 100 times, about one of its own levels."""
    level = gt[np.random.randint(gt.shape[0]), np.random.randint(gt.shape[1])].astype(np.float32)
    if np.random.rand() < 0.5:
        gt, level = gt.mean(2, keepdims=True).repeat(gt.shape[2], 2), level.mean()
    factor = np.exp(np.random.uniform(np.log(2), np.log(100)))
    return np.clip(128 + factor * (gt - level), 0, 255).round().astype(np.uint8)


@TRANSFORMS.register_module()
class JPEGPhotograph:
    """Compress ``img`` as JPEG once or twice, like the photographs that people have.

    Colour is sampled 4:2:0 or 4:4:4. An image that is compressed twice is cropped in between, so
    that the two grids of 8x8 pixels differ. MMagic's RandomJPEGCompression does neither.

    Args:
        quality: lowest and highest quality of the last compression, drawn uniformly.
        prob: how often an image is compressed at all.
        prob_full_colour: how often its colour is sampled 4:4:4.
        prob_twice: how often it had been compressed before, of a quality of at least 50.
    """

    def __init__(
        self,
        quality: tuple[int, int] = (30, 100),
        prob: float = 1.0,
        prob_full_colour: float = 0.4,
        prob_twice: float = 0.25,
    ) -> None:
        self.quality = quality
        self.prob = prob
        self.prob_full_colour = prob_full_colour
        self.prob_twice = prob_twice

    def __call__(self, results: dict) -> dict:
        """Replace ``img``, RGB [H, W, 3] in 0..255, by uint8 of that shape."""
        img = np.clip(results['img'], 0, 255).round().astype(np.uint8)
        if np.random.rand() < self.prob:
            full_colour = bool(np.random.rand() < self.prob_full_colour)
            lowest, highest = self.quality
            twice = np.random.rand() < self.prob_twice
            if twice:
                earlier = np.random.randint(max(50, lowest), max(50, highest) + 1)
                img = _jpeg(img, earlier, full_colour, (0, 0))
            quality = np.random.randint(lowest, highest + 1)
            shift = tuple(np.random.randint(8, size=2)) if twice else (0, 0)
            img = _jpeg(img, quality, full_colour, shift)
        return dict(results, img=img)


def _jpeg(img: np.ndarray, quality: int, full_colour: bool, shift: tuple[int, int]) -> np.ndarray:
    """Compress an RGB image whose first pixel lies ``shift`` pixels from a corner of the grid."""
    y, x = shift
    img = np.pad(img, ((y, 0), (x, 0), (0, 0)), 'reflect')
    sampling = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444
    if not full_colour:
        sampling = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420
    options = [cv2.IMWRITE_JPEG_QUALITY, int(quality), cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling]
    _, data = cv2.imencode('.jpg', cv2.cvtColor(img, cv2.COLOR_RGB2BGR), options)
    img = cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    return np.ascontiguousarray(img[y:, x:])
