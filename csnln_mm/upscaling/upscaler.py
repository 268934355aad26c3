"""A network that super-resolves images in memory."""

import logging
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from csnln_mm.checkpoints import choose_pretrained, load_network
from csnln_mm.device import free_memory, is_out_of_memory, select_device
from csnln_mm.errors import UserError
from csnln_mm.images.bands import fit_groups, parse_bands
from csnln_mm.images.image_data import (
    ImageData,
    RowSource,
    WrappedRows,
    as_bands,
    fill_pixels,
    hidden_pixels,
    read_rows,
    unseen_pixels,
)
from csnln_mm.images.metadata import scale_resolution
from csnln_mm.images.value_range import (
    DTYPES,
    RangeOption,
    ValueRange,
    check_range,
    find_range,
    full_range,
)
from csnln_mm.ops.imresize import RowwiseResize, imresize
from csnln_mm.upscaling.sizes import check_scale, scaled_size
from csnln_mm.upscaling.tile_size import (
    OutOfMemory,
    Tiling,
    choose_tiling,
    choose_wrap_margin,
    with_smaller_tiles,
)
from csnln_mm.upscaling.tiling import check_tile, self_ensemble, tiled_rows

logger = logging.getLogger(__name__)

Result = TypeVar('Result')

WRAPS = 'x', 'y', 'xy'
ALPHAS = 'network', 'bicubic'
PRECISIONS = {'float32': None, 'float16': torch.float16, 'bfloat16': torch.bfloat16}


class Upscaler:
    """A network that upscales images, loaded once.

    Args:
        network: checkpoint of a training run, a converted one, or a released state dict; the name
            of a model that comes with the package; or the network itself, [N, c, H, W] in 0..1 to
            [N, c, S H, S W], with ``upscale_factor``, ``mid_channels`` and, if c is not 3,
            ``in_channels``. By default the model of
            the package that suits ``scale``, see
            :func:`~csnln_mm.checkpoints.choose_pretrained`.
        scale: upscaling factor of the results, above 0 and up to 64. Where it is not the
            network's, the network's output is resized bicubically. By default the network's.
        tile: side in LR pixels of the tiles that an image is cut into, also what the attention
            can see; 0 for the whole image. By default
            :func:`~csnln_mm.upscaling.tile_size.choose_tiling` decides.
        overlap: LR pixels that neighbouring tiles share, 0 to half of ``tile``.
        ensemble: mean over the eight flips and rotations: eight times the time.
        device: such as 'cpu' or 'cuda:1'; by default CUDA if there is some.
        dtype: 'float32', 'float16' or 'bfloat16'; the latter two by autocast, the softmax and
            the result stay float32.
        wrap: 'x', 'y' or 'xy' for images whose left and right, upper and lower borders continue
            each other, as those of textures and panoramas: so do the results'.
        alpha: what upscales transparency: 'network', as a grey image, or 'bicubic', which takes
            less time.

    Attributes:
        network: in evaluation mode, on ``device``.
        scale: upscaling factor of the results.
        name: of the model or the file; of a network, its class.

    Raises:
        UserError: if a file cannot be read or is not of a network, or a setting is out of range
            or impossible on this device.

    Examples:
        >>> import numpy as np
        >>> from csnln_mm.upscaling import Upscaler
        >>> upscaler = Upscaler(scale=3, device='cpu')
        >>> upscaler(np.zeros((20, 30, 3), np.uint8)).shape
        (60, 90, 3)
    """

    def __init__(
        self,
        network: str | Path | nn.Module | None = None,
        *,
        scale: float | None = None,
        tile: int | None = None,
        overlap: int | None = None,
        ensemble: bool = False,
        device: str | None = None,
        dtype: str = 'float32',
        wrap: str | None = None,
        alpha: str = 'network',
    ) -> None:
        for name, value, known in (
            ('dtype', dtype, PRECISIONS),
            ('wrap', wrap, (None, *WRAPS)),
            ('alpha', alpha, ALPHAS),
        ):
            if value not in known:
                raise UserError(f'{name} must be one of {", ".join(map(str, known))}, got {value}')
        if overlap is not None and tile is None:
            raise UserError('overlap needs tile: set both')
        try:
            check_tile(tile or 0, overlap or 0)
        except ValueError as error:
            raise UserError(str(error)) from error
        check_scale(scale)
        self.device = select_device(device)
        if self.device.type == 'cpu' and dtype == 'float16':
            raise UserError('float16 needs a GPU; use bfloat16 on a CPU')
        if network is None:
            network = choose_pretrained(scale).path
        self.name = network_name(network)
        if not isinstance(network, nn.Module):
            network = load_network(str(network))
        # Convolutions run up to twice as fast on CPUs when channels vary fastest in memory.
        self.network = network.to(self.device).to(memory_format=torch.channels_last).eval()
        self.scale = scale or cast(int, network.upscale_factor)
        self.dtype = PRECISIONS[dtype]
        self.tile = tile
        self.overlap = overlap
        self.ensemble = ensemble
        self.alpha = alpha
        margin = choose_wrap_margin(self.network)
        # Columns and rows by which an image is continued.
        self.margins = margin * ('x' in (wrap or '')), margin * ('y' in (wrap or ''))
        # Asked once: what earlier images leave in caches must not change the tiles of later ones.
        self._free_memory = free_memory(self.device)

    def tiling(self, width: int, height: int) -> Tiling:
        """The tiles that an image of this size is cut into."""
        return choose_tiling(
            self._continued((width, height)),
            self.network,
            self.device,
            free=self._free_memory,
            tile=self.tile,
            overlap=self.overlap,
        )

    def _continued(self, size: tuple[int, int]) -> tuple[int, int]:
        """The size of what the network sees of an image of this size."""
        return size[0] + 2 * self.margins[0], size[1] + 2 * self.margins[1]

    def __call__(
        self,
        image: ImageData | np.ndarray | Image.Image,
        *,
        size: tuple[int, int] | None = None,
        tiling: Tiling | None = None,
        on_tile: Callable[[int, int], None] | None = None,
        value_range: RangeOption = None,
        bands: str | None = None,
        on_range: Callable[[ValueRange], None] | None = None,
    ) -> Any:
        """Upscale an image.

        When memory runs out, the tile is halved, down to 32 pixels, and a warning is logged.

        Args:
            image: its pixels, uint8, uint16, int16 or float32, [H, W] grey, [H, W, 3] RGB, or
                [H, W, C] bands, any size; an image of Pillow; or an ``ImageData``. Of four bands
                the first three are colour, of other numbers each is grey, unless ``bands`` says
                otherwise; grey goes through the network as RGB. A network that takes as many
                channels as there are bands takes all together. Transparent pixels, NaN and
                ``nodata`` take the colour of the nearest other pixel, and NaN and ``nodata`` stay
                where they are.
            size: (width, height) to resize the network's output to, bicubically.
            tiling: from :meth:`tiling`, if that was called before.
            on_tile: called with (done, total) after each run of the network. What it raises ends
                the call.
            value_range: (low, high), the values that are black and white, 'full' or 'data', see
                :func:`~csnln_mm.images.value_range.find_range`. By default all values of 8 bits,
                and of others what the image shows, which is logged. Values outside are upscaled
                bicubically, and not clipped.
            bands: groups of bands to upscale, counted from 1, such as '4,3,2+8' for bands 4, 3
                and 2 as colour and 8 as grey.
            on_range: called with the range of values that is used.

        Returns:
            The same kind of thing, ``scale`` times as wide and high, or of ``size``.

        Raises:
            UserError: if the image is of another dtype or shape, the memory does not suffice, or
                the network's output is not finite.
        """
        options: dict[str, Any] = dict(
            on_tile=on_tile, value_range=value_range, bands=bands, on_range=on_range
        )
        if isinstance(image, Image.Image):
            return _to_pillow(self(_from_pillow(image), size=size, tiling=tiling, **options))
        if not isinstance(image, ImageData):
            image = ImageData(_check_array(image))
            return self(image, size=size, tiling=tiling, **options).pixels
        size = size or scaled_size(image.size, self.scale)

        def run(tiling: Tiling) -> ImageData:
            strips = self.rows(image, size=size, tiling=tiling, **options)
            return join_rows(strips, size[1])

        return self.with_smaller_tiles(run, image.size, size, tiling)

    def with_smaller_tiles(
        self,
        run: Callable[[Tiling], Result],
        source: tuple[int, int],
        size: tuple[int, int],
        tiling: Tiling | None = None,
    ) -> Result:
        """Call ``run`` with the tiling for an image, and with smaller tiles if memory runs out.

        Args:
            run: upscales an image of the (width, height) ``source``, such as by :meth:`rows`.
            source: see ``run``.
            size: of the result, for the message.
            tiling: from :meth:`tiling`, if that was called before.

        Raises:
            UserError: if the memory does not suffice.
        """
        try:
            return with_smaller_tiles(
                run,
                tiling or self.tiling(*source),
                self._continued(source),
                self.network,
                self.overlap,
            )
        except OutOfMemory as error:
            raise UserError(str(error)) from error
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise UserError(f'not enough memory for {size[0]}x{size[1]} pixels') from error

    def rows(
        self,
        image: RowSource,
        *,
        size: tuple[int, int],
        tiling: Tiling,
        on_tile: Callable[[int, int], None] | None = None,
        value_range: RangeOption = None,
        bands: str | None = None,
        on_range: Callable[[ValueRange], None] | None = None,
    ) -> Iterator[ImageData]:
        """Upscale an image that is read by rows, with memory for a row of tiles.

        Args:
            image: an ``ImageData``, or what reads one row by row.
            size: (width, height) of the result.
            tiling: from :meth:`tiling`.
            on_tile: as for :meth:`__call__`, like the others.

        Yields:
            The rows of the result from top to bottom: as one image they are what the call gives.

        Raises:
            UserError: as :meth:`__call__`, and what reading raises.
        """
        check_range(value_range)
        chosen = None if bands is None else parse_bands(bands)
        first = read_rows(image, 0, 1, chosen)
        groups = fit_groups(first.groups, network_bands(self.network), chosen=chosen is not None)
        values = find_range(image, value_range, chosen)
        if on_range is not None:
            on_range(values)
        elif values.origin == 'data' and value_range is None:
            logger.info('values from %s are taken for black to white, as seen in the image', values)
        work = _Work(self, first, groups, values, on_tile, tiling)
        source = WrappedRows(image, self.margins)
        return work(lambda top, bottom: read_rows(source, top, bottom, chosen), image.size, size)

    def run_network(self, x: Tensor, on_run: Callable[[], None]) -> Tensor:
        """[N, C, h, w] -> [N, C, S h, S w], on the device; averaged if this is an ensemble."""

        def run(tile: Tensor) -> Tensor:
            y = self.network(tile)
            on_run()
            return y

        return self_ensemble(run, x) if self.ensemble else run(x)


def network_name(network: str | Path | nn.Module) -> str:
    """The name of a model or a file; of a network, its class."""
    if isinstance(network, nn.Module):
        return type(network).__name__
    return Path(network).name.removesuffix('.safetensors')


def network_bands(network: nn.Module) -> int:
    """Channels of the images that a network takes; 3 of those that do not say."""
    return getattr(network, 'in_channels', 3)


def join_rows(strips: Iterable[ImageData], height: int) -> ImageData:
    """Join strips of rows to an image."""
    joined, top = None, 0
    for strip in strips:
        if len(strip.pixels) == height:
            return strip
        if joined is None:
            pixels = np.empty((height, *strip.pixels.shape[1:]), strip.pixels.dtype)
            alpha = None if strip.alpha is None else np.empty(pixels.shape[:2], pixels.dtype)
            joined = strip._replace(pixels=pixels, alpha=alpha)
        rows = slice(top, top + len(strip.pixels))
        joined.pixels[rows] = strip.pixels
        if joined.alpha is not None:
            joined.alpha[rows] = strip.alpha
        top = rows.stop
    assert joined is not None
    return joined


class _Work:
    """An image on its way through a network, row of tiles by row of tiles."""

    def __init__(
        self,
        upscaler: Upscaler,
        like: ImageData,
        groups: tuple[int, ...],
        values: ValueRange,
        on_tile: Callable[[int, int], None] | None,
        tiling: Tiling,
    ) -> None:
        self.upscaler, self.like, self.tiling = upscaler, like, tiling
        self.channels = network_bands(upscaler.network)
        ends = full_range(like.pixels.dtype)
        self.alpha_by_network = like.alpha is not None and upscaler.alpha == 'network'
        if self.alpha_by_network:  # as one more band
            groups, low, high = (*groups, 1), (*values.low, ends[0]), (*values.high, ends[1])
            values = values._replace(low=low, high=high)
        self.groups = groups
        low, high = (torch.tensor(ends)[:, None, None] for ends in (values.low, values.high))
        # In steps of 255, so that 8 bits are what they are in training.
        self.low, self.factor = low, (high - low) / 255.0
        self.may_exceed = (
            like.pixels.dtype.kind == 'f' or max(values.low) > ends[0] or min(values.high) < ends[1]
        )
        self.on_tile, self.done = on_tile, 0
        self.total = tiling.count * len(groups) * (8 if upscaler.ensemble else 1)

    def __call__(
        self, read: Callable[[int, int], ImageData], source: tuple[int, int], size: tuple[int, int]
    ) -> Iterator[ImageData]:
        scale = cast(int, self.upscaler.network.upscale_factor)
        (width, height), target = source, (size[1], size[0])
        like = self.like
        if like.georeference is not None:
            factors = size[0] / width, size[1] / height
            like = like._replace(
                exif=scale_resolution(like.exif, factors, always=like.georeference.has_place),
                georeference=like.georeference.scaled(*factors),
            )
        across, down = self.upscaler.margins
        upscaled = RowwiseResize(
            (scale * height, scale * width), target, margins=(scale * down, scale * across)
        )
        alpha = _Queue(RowwiseResize((height, width), target, margins=(down, across)))
        hidden = _Queue(
            RowwiseResize((height, width), target, nearest=True, margins=(down, across))
        )
        results, seen = _Queue(upscaled), 0
        hides = self.like.nodata is not None or self.like.pixels.dtype.kind == 'f'

        def read_tensor(top: int, bottom: int) -> Tensor:
            nonlocal seen
            image = read(top, bottom)
            following = image.rows(seen - top, bottom - top)
            seen = bottom
            if hides:
                kept = as_bands(following.pixels).astype(np.float32)
                marks = hidden_pixels(following)
                if marks is None:
                    marks = np.zeros(kept.shape, bool)
                both = np.concatenate([np.where(marks, kept, 0), marks], -1, dtype=np.float32)
                hidden.push(torch.from_numpy(both.transpose(2, 0, 1)))
            if image.alpha is not None and following.alpha is not None:
                if not self.alpha_by_network:
                    alpha.push(torch.from_numpy(following.alpha.astype(np.float32)))
            pixels = fill_pixels(as_bands(image.pixels), unseen_pixels(image))
            if self.alpha_by_network and image.alpha is not None:
                pixels = np.dstack([pixels, image.alpha])
            x = pixels.transpose(2, 0, 1).astype(np.float32)
            x = torch.from_numpy(np.ascontiguousarray(x))
            x = x.sub_(self.low).div_(self.factor).div_(255.0)
            return x[None].to(self.upscaler.device)

        strips = tiled_rows(
            self._run,
            read_tensor,
            (height + 2 * down, width + 2 * across),
            scale,
            tile=self.tiling.tile,
            overlap=self.tiling.overlap,
            margin=self.tiling.margin,
        )
        dtype = self.upscaler.dtype
        while True:
            with (
                torch.inference_mode(),
                torch.autocast(self.upscaler.device.type, dtype, enabled=dtype is not None),
            ):
                y = next(strips, None)
                if y is None:
                    return
                y = y[0].float().cpu()
                if not y.isfinite().all():
                    less = ' (--dtype float32 may help)' if dtype is not None else ''
                    raise UserError(f'the result has values that are not finite{less}')
                results.push(y)
                del y
                others = [queue.ready for queue in (alpha, hidden) if queue.used]
                count = min([results.ready, *others])
                if count == 0:
                    continue
                rows, opacity = self._restore(results.pop(count)), None
                if self.alpha_by_network:
                    rows, opacity = rows[..., :-1], rows[..., -1]
                if hidden.used:
                    both = hidden.pop(count).numpy().transpose(1, 2, 0)
                    kept, marks = np.split(both, 2, -1)
                    rows = _put_back(rows, kept, marks > 0, self.like.nodata)
                if alpha.used:
                    opacity = alpha.pop(count).round_().numpy()
                    limits = full_range(self.like.pixels.dtype)
                    opacity = opacity.clip(*limits).astype(self.like.pixels.dtype)
            pixels = rows[..., 0] if self.like.pixels.ndim == 2 else rows
            yield like._replace(pixels=pixels, alpha=opacity)

    def _run(self, x: Tensor) -> Tensor:
        """Run the network on all bands of a tile; append what exceeds 0..1, if anything can."""
        inside = x.clamp(0, 1) if self.may_exceed else x
        scale = cast(int, self.upscaler.network.upscale_factor)
        *groups, last = inside.split(self.groups, 1)
        parts = [self._run_group(group) for group in groups]
        parts.append(
            self._run_alpha(last, scale) if self.alpha_by_network else self._run_group(last)
        )
        if self.may_exceed:
            excess, size = x - inside, [scale * side for side in x.shape[-2:]]
            if excess.any():
                parts.append(imresize(excess, (size[0], size[1])))
            else:
                parts.append(x.new_zeros(*x.shape[:2], *size))
        return torch.cat(parts, 1) if len(parts) > 1 else parts[0]

    def _run_group(self, group: Tensor) -> Tensor:
        if group.shape[1] == self.channels:
            return self.upscaler.run_network(group, self._count)
        grey = group.expand(-1, self.channels, -1, -1).contiguous()
        y = self.upscaler.run_network(grey, self._count)
        return y.clamp(0, 1).mean(1, keepdim=True)

    def _run_alpha(self, alpha: Tensor, scale: int) -> Tensor:
        """Upscale as grey, but keep areas of one value: what is opaque stays so."""
        highest, lowest = (sign * F.max_pool2d(sign * alpha, 5, 1, 2) for sign in (1, -1))
        same = F.interpolate((highest == lowest).to(alpha), scale_factor=scale) > 0
        kept = F.interpolate(alpha, scale_factor=scale)
        if not same.all():
            return torch.where(same, kept, self._run_group(alpha))
        for _ in range(8 if self.upscaler.ensemble else 1):
            self._count()
        return kept

    def _count(self) -> None:
        self.done += 1
        if self.on_tile:
            self.on_tile(self.done, self.total)

    def _restore(self, y: Tensor) -> np.ndarray:
        """[C, H, W] in 0..1, with what exceeds it -> [H, W, C] of the image's dtype."""
        y, *excess = y.split(sum(self.groups))
        y = y.mul(255.0).clamp_(0, 255).mul_(self.factor)
        if excess:
            y.add_(excess[0].mul(255.0).mul_(self.factor))
        if self.low.any():
            y.add_(self.low)
        dtype = self.like.pixels.dtype
        if dtype.kind != 'f':
            y = y.round_().clamp_(*full_range(dtype))
        return y.numpy().astype(dtype, copy=False).transpose(1, 2, 0)


class _Queue:
    """Rows of a result that wait for others of the same place."""

    def __init__(self, resize: RowwiseResize) -> None:
        self.resize, self.used = resize, False
        self.rows: list[Tensor] = []

    def push(self, x: Tensor) -> None:
        self.used = True
        self.rows.append(self.resize.push(x))

    @property
    def ready(self) -> int:
        return sum(rows.shape[-2] for rows in self.rows)

    def pop(self, count: int) -> Tensor:
        rows = torch.cat(self.rows, -2) if len(self.rows) > 1 else self.rows[0]
        # A view without rows would keep all of them in memory.
        self.rows = [rows[..., count:, :]] if count < rows.shape[-2] else []
        return rows[..., :count, :]


def _check_array(pixels: Any) -> np.ndarray:
    """Raise UserError unless these are pixels that can be upscaled."""
    if not isinstance(pixels, np.ndarray):
        raise UserError(f'an image must be an array or an image of Pillow, got {type(pixels)}')
    if pixels.dtype.newbyteorder('=') not in [np.dtype(name) for name in DTYPES]:
        raise UserError(
            f'pixels must be {", ".join(DTYPES[:-1])} or {DTYPES[-1]}, got {pixels.dtype}; '
            f'convert them with .astype, and scale them to what that type holds'
        )
    if pixels.ndim not in (2, 3) or 0 in pixels.shape:
        raise UserError(f'pixels must be [H, W] or [H, W, C], got {list(pixels.shape)}')
    if pixels.ndim == 3 and pixels.shape[2] > 32 and pixels.shape[0] <= 4:
        raise UserError(
            f'pixels must be [H, W, C], got {list(pixels.shape)}; turn [C, H, W] by '
            '.transpose(1, 2, 0)'
        )
    return pixels


def _from_pillow(image: Image.Image) -> ImageData:
    if image.mode not in ('L', 'RGB', 'LA', 'RGBA', 'I;16', 'F'):
        deep = image.mode.startswith('I')
        raise UserError(
            f'images of the mode {image.mode} are not upscaled; convert it to '
            f'{"an array of uint16" if deep else "L, RGB or RGBA"} first'
        )
    pixels, alpha = np.asarray(image), None
    if image.mode in ('LA', 'RGBA'):
        alpha, pixels = pixels[..., -1], pixels[..., :-1]
        pixels = pixels[..., 0] if image.mode == 'LA' else pixels
    return ImageData(np.ascontiguousarray(pixels), alpha)


def _to_pillow(image: ImageData) -> Image.Image:
    result = Image.fromarray(np.ascontiguousarray(image.pixels))
    if image.alpha is not None:
        result.putalpha(Image.fromarray(image.alpha))
    return result


def _put_back(
    pixels: np.ndarray, kept: np.ndarray, hidden: np.ndarray, nodata: float | None
) -> np.ndarray:
    """Restore the nodata values where they were, and nowhere else; all [H, W, C]."""
    if nodata is not None and math.isfinite(nodata):
        # By the smallest step, as GDAL avoids the value.
        if pixels.dtype.kind == 'f':
            other = np.nextafter(np.float32(nodata), np.float32(0 if nodata else 1))
        else:
            other = nodata - 1 if nodata >= np.iinfo(pixels.dtype).max else nodata + 1
        pixels = np.where(pixels == np.float32(nodata), other, pixels).astype(pixels.dtype)
    return np.where(hidden, kept.astype(pixels.dtype), pixels) if hidden.any() else pixels
