"""Enlarging pictures with a trained network."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmagic.structures import DataSample
from PIL import Image
from torch import Tensor

from csnln_mm.checkpoints.network import load_model
from csnln_mm.errors import UserError
from csnln_mm.images.image_file import Picture, check_format, read_picture, read_size, write_picture
from csnln_mm.upscaling.files import Job, plan_jobs
from csnln_mm.upscaling.progress import Progress
from csnln_mm.upscaling.tile_size import Pieces, choose_pieces, work_of
from csnln_mm.upscaling.tiling import check_tiles

__all__ = ['Result', 'Upscaler', 'upscale']

DTYPES = {'float32': None, 'float16': torch.float16, 'bfloat16': torch.bfloat16}


class Result(NamedTuple):
    """What became of a picture.

    Attributes:
        source: the input.
        target: where the result is; None if the input led to no picture.
        status: 'done', 'skipped' (the result was there already) or 'failed'.
        reason: why it failed.
    """

    source: str
    target: Path | None
    status: str
    reason: str = ''


class Upscaler:
    """A network that enlarges pictures, loaded once.

    Args:
        checkpoint: a training's checkpoint, a converted one, or a released state dict.
        config: config file; needed only where the checkpoint does not carry its config.
        tile: side in LR pixels of the pieces that a picture goes through in, also what the
            attention can see; 0 for the whole picture. By default
            :func:`~.upscaling_pieces.choose_pieces` decides.
        overlap: LR pixels that neighbouring pieces share, 0 to half of ``tile``.
        ensemble: mean over the eight flips and rotations: eight times the time.
        device: such as 'cpu' or 'cuda:1'; by default CUDA if there is some.
        dtype: 'float32', 'float16' or 'bfloat16'; the latter two by autocast, the softmax and
            the result stay float32.

    Raises:
        UserError: if a file cannot be read, they do not fit together, or a setting is out of
            range or impossible on this device.
    """

    def __init__(
        self,
        checkpoint: str | Path,
        config: str | Path | None = None,
        *,
        tile: int | None = None,
        overlap: int | None = None,
        ensemble: bool = False,
        device: str | None = None,
        dtype: str = 'float32',
    ) -> None:
        if dtype not in DTYPES:
            raise UserError(f'dtype must be one of {", ".join(DTYPES)}, got {dtype}')
        if overlap is not None and tile is None:
            raise UserError('an overlap needs a tile')
        try:
            check_tiles(tile or 0, overlap or 0)
        except ValueError as error:
            raise UserError(str(error)) from error
        self.model = load_model(str(checkpoint), config and str(config), device)
        self.device = next(self.model.parameters()).device
        if self.device.type == 'cpu' and dtype == 'float16':
            raise UserError('float16 needs a GPU; a CPU knows bfloat16')
        self.scale: int = self.model.generator.upscale_factor
        self.dtype = DTYPES[dtype]
        self.tile = tile
        self.overlap = overlap
        self.ensemble = ensemble

    def pieces(self, width: int, height: int) -> Pieces:
        """The pieces that a picture of this size goes through in."""
        return choose_pieces(
            (width, height), self.model.generator, self.device, tile=self.tile, overlap=self.overlap
        )

    def work(self, pieces: Pieces) -> float:
        """What a picture in such pieces takes, see :func:`~.upscaling_pieces.work_of`."""
        return pieces.count * (8 if self.ensemble else 1) * work_of(pieces.pixels)

    def __call__(
        self, picture: Picture | np.ndarray, *, advance: Callable[[float], None] = lambda work: None
    ) -> Any:
        """Enlarge a picture.

        Args:
            picture: or its colours alone: uint8 or uint16, [H, W] grey or [H, W, 3] RGB, any
                size. Grey goes through the network as RGB and comes back as grey; transparency
                is enlarged bicubically; the profile is kept.
            advance: called with the work done after each run of the network.

        Returns:
            The same kind of thing, ``scale`` times as wide and high.

        Raises:
            UserError: if the memory does not suffice.
        """
        if not isinstance(picture, Picture):
            return self(Picture(picture), advance=advance).colour
        pieces = self.pieces(*picture.size)
        self.model.set_test_cfg(
            dict(mode='tile', tile=pieces.tile, overlap=pieces.overlap, ensemble=self.ensemble)
        )
        hook = self.model.generator.register_forward_hook(
            lambda module, inputs, output: advance(work_of(inputs[0].shape[-2:].numel()))
        )
        try:
            colour = self._enlarge_colour(picture.colour)
        except (MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
            raise UserError(f'not enough memory {pieces}; use a smaller tile') from error
        finally:
            hook.remove()
        alpha = picture.alpha
        if alpha is not None:
            alpha = _enlarge_bicubically(alpha, self.scale)
        return Picture(colour, alpha, picture.icc_profile)

    def _enlarge_colour(self, colour: np.ndarray) -> np.ndarray:
        """Through the toolbox's preprocessor and editor, which work in 0..255."""
        unit = np.iinfo(colour.dtype).max / 255.0
        rgb = np.stack([colour] * 3, -1) if colour.ndim == 2 else colour
        image = torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1), np.float32))
        sample = DataSample(metainfo=dict(img_channel_order='RGB'))
        data = dict(inputs=[image / unit], data_samples=[sample])
        with (
            torch.inference_mode(),
            torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not None),
        ):
            data = self.model.data_preprocessor(data)
            prediction = self.model(**data, mode='predict')[0].output.pred_img
        prediction = _as_rgb(prediction) * unit
        if colour.ndim == 2:
            prediction = prediction.mean(0, keepdim=True)
        prediction = prediction.round().permute(1, 2, 0).numpy().astype(colour.dtype)
        return prediction[..., 0] if colour.ndim == 2 else prediction


def upscale(
    inputs: Iterable[str | Path],
    out: str | Path,
    *,
    checkpoint: str | Path,
    config: str | Path | None = None,
    recursive: bool = False,
    overwrite: bool = False,
    suffix: str = '.png',
    tile: int | None = None,
    overlap: int | None = None,
    ensemble: bool = False,
    device: str | None = None,
    dtype: str = 'float32',
    progress: Progress | None = None,
) -> list[Result]:
    """Enlarge picture files; what one of them suffers from does not stop the others.

    Args:
        inputs: files, folders and glob patterns.
        out: folder, or a file for a single input file.
        checkpoint, config, tile, overlap, ensemble, device, dtype: see :class:`Upscaler`.
        recursive: look into folders of folders.
        overwrite: replace results that exist; otherwise they are skipped.
        suffix: format of the results, such as '.png'; 'same' for that of each input.
        progress: is told what goes on.

    Returns:
        What became of each picture.

    Raises:
        UserError: if a setting is wrong, so that no picture could be enlarged.
    """
    progress = progress or Progress()
    jobs, failed = plan_jobs(inputs, out, recursive=recursive, suffix=suffix)
    results = [Result(source, None, 'failed', reason) for source, reason in failed]
    todo = []
    for job in jobs:
        if job.target.exists() and not overwrite:
            results.append(Result(str(job.source), job.target, 'skipped'))
        else:
            todo.append(job)
    if not todo:
        return results
    upscaler = Upscaler(
        checkpoint,
        config,
        tile=tile,
        overlap=overlap,
        ensemble=ensemble,
        device=device,
        dtype=dtype,
    )
    work = {job: _expected_work(upscaler, job) for job in todo}
    progress.begin(len(todo), sum(work.values()))
    for job in todo:
        results.append(_upscale_file(upscaler, job, work[job], progress))
    return results


def _expected_work(upscaler: Upscaler, job: Job) -> float:
    try:
        return upscaler.work(upscaler.pieces(*read_size(job.source)))
    except UserError:
        return 0.0  # is told when it is its turn


def _upscale_file(upscaler: Upscaler, job: Job, work: float, progress: Progress) -> Result:
    started = time.monotonic()
    done, begun = 0.0, False

    def begin(text: str) -> None:
        nonlocal begun
        begun = True
        progress.begin_picture(job.source, text, work)

    def advance(amount: float) -> None:
        nonlocal done
        done += amount
        progress.advance(amount)

    try:
        picture = read_picture(job.source)
        check_format(job.target, picture)
        width, height = picture.size
        scale = upscaler.scale
        begin(
            f'{width}x{height} to {scale * width}x{scale * height}, '
            f'{upscaler.pieces(width, height)}'
        )
        write_picture(job.target, upscaler(picture, advance=advance))
    except (UserError, MemoryError) as error:
        reason = str(error) or 'not enough memory'
        if not begun:
            begin('cannot be enlarged')
        progress.end_picture(f'failed: {reason}', work - done)
        return Result(str(job.source), job.target, 'failed', reason)
    progress.end_picture(f'{job.target}, {time.monotonic() - started:.1f} s', work - done)
    return Result(str(job.source), job.target, 'done')


def _as_rgb(prediction: Tensor) -> Tensor:
    """MMagic's preprocessor gives back images in BGR, whatever went in."""
    return prediction.float().flip(0)


def _enlarge_bicubically(channel: np.ndarray, scale: int) -> np.ndarray:
    height, width = channel.shape
    image = Image.fromarray(channel.astype(np.float32))
    image = image.resize((scale * width, scale * height), Image.Resampling.BICUBIC)
    limit = np.iinfo(channel.dtype).max
    return np.asarray(image).round().clip(0, limit).astype(channel.dtype)


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)) or any(
        text in str(error) for text in ("can't allocate memory", 'not enough memory')
    )
