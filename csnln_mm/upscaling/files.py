"""Upscale files and folders."""

import contextlib
import functools
import hashlib
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import numpy as np
from torch import nn

from csnln_mm.checkpoints import choose_pretrained
from csnln_mm.checkpoints.pretrained import PretrainedModel
from csnln_mm.errors import UserError
from csnln_mm.files import remove_partials
from csnln_mm.images.bands import parse_bands
from csnln_mm.images.image_data import ImageHeader
from csnln_mm.images.image_file import (
    ImageData,
    RowReader,
    encode_image,
    read_frames,
    read_image,
    write_frames,
    write_image,
    write_rows,
)
from csnln_mm.images.value_range import RangeOption, ValueRange, check_range
from csnln_mm.limits import LARGE_IMAGE_PIXELS, REPEATED_FRAMES_BYTES
from csnln_mm.shard import Shard, shard_of_process
from csnln_mm.upscaling.names import Names, check_template, made_by, software_note, split_template
from csnln_mm.upscaling.pipeline import read_ahead, run_pipeline, write_behind
from csnln_mm.upscaling.plan import Job, is_by_rows, plan_jobs, plan_sizes
from csnln_mm.upscaling.progress import Tell, reporter
from csnln_mm.upscaling.sizes import target_size
from csnln_mm.upscaling.stream import ImageStream
from csnln_mm.upscaling.tile_size import Tiling, tile_cost
from csnln_mm.upscaling.upscaler import Upscaler, network_name


class UpscaleResult(NamedTuple):
    """The outcome for an image.

    Attributes:
        source: the input.
        target: where the result is; None if the input led to no image.
        status: 'done', 'skipped' (the result was there already) or 'failed'.
        reason: why it failed, or was skipped: what made the result that exists, if that says so.
    """

    source: str
    target: Path | None
    status: str
    reason: str = ''


def upscale(
    inputs: Iterable[str | Path],
    out: str | Path | None = None,
    *,
    checkpoint: str | Path | nn.Module | None = None,
    recursive: bool = False,
    overwrite: bool = False,
    suffix: str = 'auto',
    scale: float | None = None,
    width: int | None = None,
    longest: int | None = None,
    shortest: int | None = None,
    fit: tuple[int, int] | None = None,
    at_least: tuple[int, int] | None = None,
    skip_larger: bool = False,
    name: str | None = None,
    strip: bool = False,
    quality: int | None = None,
    tile: int | None = None,
    overlap: int | None = None,
    ensemble: bool = False,
    device: str | None = None,
    dtype: str = 'float32',
    wrap: str | None = None,
    alpha: str = 'network',
    value_range: RangeOption = None,
    bands: str | None = None,
    frame: int | None = None,
    stream: ImageStream | None = None,
    shard: str | None = None,
    progress: bool | Literal['json'] | Tell = False,
) -> list[UpscaleResult]:
    """Upscale image files; one that fails does not stop the others.

    The next image is read, and the last one written, while the network runs. Each result is the
    same as if its image were the only one. Results of earlier runs are no inputs, unless they are
    named as files.

    Args:
        inputs: files, folders and glob patterns.
        out: folder, or a file for a single input file; None for ``{stem}_x{scale}{suffix}``
            beside each input. It may have the fields of ``name``.
        checkpoint: file, name of a model, or network; see :class:`~csnln_mm.upscaling.Upscaler`,
            as for tile, overlap, ensemble, device, dtype, wrap and alpha. By default the model of
            the package that suits the factor of each image; JPEG and other lossy files have models
            of their own.
        recursive: search subfolders.
        overwrite: replace results that exist; otherwise they are skipped.
        suffix: format of the results, such as '.png'; 'same' for that of each input; 'auto' for
            '.png', '.tif' for what a PNG cannot hold: bands, a georeference, negative values, and
            for animations and several pages that of the input.
        scale: upscaling factor, if it is not the network's: the network's output is resized.
        width: of the results in pixels, in place of a factor; so are the next four.
        longest: side of the results.
        shortest: side of the results.
        fit: (width, height) that the results fill in one direction and do not exceed.
        at_least: (width, height) that the results have at least, in one direction exactly.
        skip_larger: leave out images that are as large already, which would be reduced.
        name: of the results, without suffix: ``{stem}``, ``{model}``, ``{scale}``, ``{width}`` and
            ``{height}`` are filled in.
        strip: write no EXIF, ICC profile and XMP.
        quality: 1 to 100, of JPEG and WebP; by default 95 and lossless.
        value_range: the values that are black and white, and
        bands: which bands are upscaled, and which of them together; as for calls of
            :class:`~csnln_mm.upscaling.Upscaler`.
        frame: which frame of animations, and which page, is upscaled, from 1; by default all.
        stream: images that are upscaled as ``inputs``, the file of its first one, is; the results
            go to its target.
        shard: such as '3/8', for the third of eight shares of the images; 'auto' for the share
            that torchrun, Slurm or MPI give this process; None for all.
        progress: lines and a bar on stdout; 'json' for one JSON object per line; or what is called
            with each event, see :mod:`csnln_mm.upscaling.progress`.

    Returns:
        The outcome for each image.

    Raises:
        UserError: if a setting is wrong, so that no image could be upscaled.

    Examples:
        >>> from csnln_mm.upscaling import upscale
        >>> (result,) = upscale(['photo.png'], 'large', scale=2, device='cpu')
        >>> result.status, result.target.name
        ('done', 'photo.png')
    """
    wanted = target_size(
        scale=scale, width=width, longest=longest, shortest=shortest, fit=fit, at_least=at_least
    )
    if skip_larger and wanted is None:
        raise UserError('leaving out larger images takes a size, such as a width')
    folder, template, suffix = split_template(out, suffix)
    if template and name:
        raise UserError('give the name by --name or in the output, not both')
    template = template or name
    fields = check_template(template) if template else set()
    check_range(value_range)
    if bands is not None:
        parse_bands(bands)
    if frame is not None and frame < 1:
        raise UserError(f'frames are counted from 1, got {frame}')
    share = Shard() if shard in (None, 'auto') else Shard.parse(shard)

    def load(network: str | Path | nn.Module) -> Upscaler:
        return Upscaler(
            network,
            tile=tile,
            overlap=overlap,
            ensemble=ensemble,
            device=device,
            dtype=dtype,
            wrap=wrap,
            alpha=alpha,
        )

    # A checkpoint is loaded when it is known that there is work, unless names need its factor.
    upscalers: dict[str, Upscaler] = {}
    if wanted is None and checkpoint is None:
        wanted = target_size(scale=choose_pretrained(None).scale)
    elif wanted is None and ((folder is None and template is None) or fields - {'stem', 'model'}):
        assert checkpoint is not None
        loaded = load(checkpoint)
        upscalers[loaded.name] = loaded
        wanted = target_size(scale=loaded.scale)
    choose = functools.cache(choose_pretrained)

    def choice(header: ImageHeader) -> PretrainedModel:
        assert wanted is not None  # as without a checkpoint
        return choose(math.ceil(min(64.0, wanted.factor(header.size))), lossy=header.lossy)

    def model_of(header: ImageHeader) -> str:
        return choice(header).name if checkpoint is None else network_name(checkpoint)

    def values_of(header: ImageHeader) -> dict[str, str]:
        values = dict(model=model_of(header)) if 'model' in fields else {}
        if wanted is not None and fields - {'stem', 'model'}:
            scale, (width, height) = wanted.factor(header.size), wanted.of(header.size)
            values |= dict(scale=f'{scale:.4g}', width=str(width), height=str(height))
        return values

    jobs, left_out, not_read = plan_jobs(
        inputs,
        Names(folder, template, wanted.label if wanted else '', values_of),
        recursive=recursive,
        suffix=suffix,
        overwrite=overwrite,
        bands=bands,
        frame=frame,
    )
    if shard == 'auto':
        share = shard_of_process(len(jobs))
    if wanted:
        jobs = plan_sizes(jobs, wanted, skip_larger=skip_larger)
    of = len(jobs)
    jobs = share.of(jobs)
    # Those of others may be written on another machine, whose locks are not seen here.
    remove_partials(job.target for job in jobs if job.target)
    models = [model_of(job.header) if job.header else '' for job in jobs]
    for job, model in zip(jobs, models, strict=True):
        if job.is_open and model not in upscalers:
            assert job.header is not None
            upscalers[model] = load(choice(job.header).path if checkpoint is None else checkpoint)
    if upscalers and wanted is None:
        wanted = target_size(scale=next(iter(upscalers.values())).scale)
        assert wanted is not None
        jobs = plan_sizes(jobs, wanted)
    with reporter(progress) as report:
        lock = threading.Lock()

        def tell(**event: Any) -> None:
            with lock:
                report(event)

        todo = [job for job in jobs if job.is_open]
        of_jobs = [upscalers[m] for job, m in zip(jobs, models, strict=True) if job.is_open]
        headers = [job.header for job in todo if job.header] if checkpoint is None else []
        for_lossy = [header for header in headers if choice(header).for_lossy]
        tell(
            event='start',
            images=len(todo),
            left_out=left_out,
            not_read=not_read,
            lossy_model=choice(for_lossy[0]).name if for_lossy else None,
            shard=f'{share} of {of} images, by {share.origin}' if share.count > 1 else None,
        )
        results = [_result(job) for job in jobs if not job.is_open]
        for result in results:
            about = dict(reason=result.reason) if result.reason else {}
            target = dict(target=str(result.target)) if result.target else {}
            tell(event=result.status, source=result.source, **about, **target)
        size_of = wanted.of if wanted else tuple  # without work there is none
        options = strip, quality, value_range, bands, overwrite, frame, stream
        results += _Run(of_jobs, todo, size_of, tell, *options)()
        counts = Counter(result.status for result in results)
        tell(event='end', **{status: counts[status] for status in ('done', 'skipped', 'failed')})
    return results


def _result(job: Job) -> UpscaleResult:
    """The result of a job that needs no work."""
    if job.refusal:
        return UpscaleResult(job.source, None, 'failed', job.refusal)
    if job.target is None:
        return UpscaleResult(job.source, None, 'skipped', f'it has {job.note} pixels already')
    return UpscaleResult(job.source, job.target, 'skipped', made_by(job.note)[1])


@dataclass
class _Run:
    """Upscales images and reports them, with the options of :func:`upscale`."""

    upscalers: Sequence[Upscaler]
    jobs: Sequence[Job]
    size_of: Callable[[tuple[int, int]], tuple[int, int]]
    tell: Callable[..., None]
    strip: bool
    quality: int | None
    value_range: RangeOption
    bands: str | None
    overwrite: bool
    frame: int | None
    stream: ImageStream | None

    def __post_init__(self) -> None:
        of_jobs = list(zip(self.upscalers, self.jobs, strict=True))
        self.tilings = [u.tiling(*j.header.size) for u, j in of_jobs if j.header]
        self.costs = [
            tiling.count * tile_cost(tiling.pixels, upscaler.network) * job.header.frames
            for tiling, (upscaler, job) in zip(self.tilings, of_jobs, strict=True)
            if job.header
        ]
        self.started = [0.0] * len(self.jobs)
        self.counts: dict[int, dict[str, int]] = {}

    def __call__(self) -> list[UpscaleResult]:
        return run_pipeline(
            range(len(self.jobs)),
            read=self._read,
            work=self._upscale,
            write=self._write,
            fail=self._fail,
            alone=self._is_large,
        )

    def _is_large(self, index: int) -> bool:
        job = self.jobs[index]
        large = job.header is not None and math.prod(job.header.size) >= LARGE_IMAGE_PIXELS
        return large or is_by_rows(job)

    def _read(self, index: int) -> ImageData | RowReader | Iterator[ImageData] | None:
        if self._exists(index):
            return None
        job = self.jobs[index]
        if self.stream is not None:
            return self.stream.frames()
        if job.header is not None and job.header.frames > 1:
            return read_frames(job.source)
        read = RowReader if is_by_rows(job) else read_image
        return read(job.source, self.frame)

    def _exists(self, index: int) -> bool:
        """Whether another process has written the result since the work was planned."""
        target = self.jobs[index].target
        return not self.overwrite and target is not None and target.is_file()

    def _upscale(
        self, index: int, image: ImageData | RowReader | Iterator[ImageData] | None
    ) -> ImageData | Literal['written'] | None:
        with image if isinstance(image, RowReader) else contextlib.nullcontext():
            if image is None or self._exists(index):
                return None
            self.started[index] = time.monotonic()
            if isinstance(image, (ImageData, RowReader)):
                return self._upscale_image(index, image)
            return self._upscale_frames(index, image)

    def _upscale_frames(self, index: int, frames: Iterator[ImageData]) -> Literal['written']:
        """Upscale an animation, pages or a stream; repeated frames are upscaled once."""
        job = self.jobs[index]
        assert job.target is not None and job.header is not None
        target = job.target

        def results() -> Iterator[ImageData]:
            made: dict[bytes, ImageData] = {}
            kept = repeated = number = 0
            for number, image in enumerate(read_ahead(frames), 1):
                key = _digest(image)
                repeated += key in made
                result = made.pop(key, None)
                if result is None:
                    result = cast(ImageData, self._upscale_image(index, image, number))
                    kept += _bytes(result)
                made[key] = result  # behind the others, of which the first ones go
                while len(made) > 1 and kept > REPEATED_FRAMES_BYTES:
                    kept -= _bytes(made.pop(next(iter(made))))
                yield result._replace(duration=image.duration)
            self.counts[index] = dict(frames=number, repeated=repeated)

        options = self._options(index)
        if self.stream is None:
            write_frames(target, results(), job.header, **options)
        else:
            stream = self.stream
            write_behind(results(), lambda r: stream.write(encode_image(r, target, **options)))
        return 'written'

    def _upscale_image(
        self, index: int, image: ImageData | RowReader, frame: int = 0
    ) -> ImageData | Literal['written']:
        job, tiling, upscaler = self.jobs[index], self.tilings[index], self.upscalers[index]
        assert job.header is not None
        if (
            image.size != job.header.size
        ):  # a page, or lies on its side: a PNG may say so at its end
            tiling = upscaler.tiling(*image.size)
        size = self.size_of(image.size)
        about: dict[str, Any] = dict(number=index + 1, source=job.source)
        factor = cast(int, upscaler.network.upscale_factor)
        if frame in (0, 1):
            self.tell(
                event='image',
                **about,
                width=image.size[0],
                height=image.size[1],
                new_width=size[0],
                new_height=size[1],
                model=upscaler.name,
                factor=factor,
                resized=size != (image.size[0] * factor, image.size[1] * factor),
                tiling=str(tiling),
                reduced=job.header.reduced,
            )
        before, total = sum(self.costs[:index]), sum(self.costs)
        # How many images a stream has is not known.
        frames = None if self.stream else job.header.frames
        place = dict(frame=frame, frames=frames) if frame else {}

        def on_tile(done: int, tiles: int) -> None:
            part = (max(0, frame - 1) + done / tiles) / (frames or 1)
            fraction = frames and min(1.0, (before + self.costs[index] * part) / total)
            self.tell(event='tile', **about, **place, tile=done, tiles=tiles, fraction=fraction)

        def on_range(values: ValueRange) -> None:
            if values.origin == 'data' and frame in (0, 1):
                self.tell(event='values', **about, low=values.low, high=values.high)

        options: dict[str, Any] = dict(
            size=size,
            on_tile=on_tile,
            value_range=self.value_range,
            bands=self.bands,
            on_range=on_range,
        )
        if isinstance(image, ImageData):
            return upscaler(image, tiling=tiling, **options)

        def write(tiling: Tiling) -> Literal['written']:
            assert job.target is not None
            rows = upscaler.rows(image, tiling=tiling, **options)
            write_rows(job.target, rows, size, software=self._note(index), strip=self.strip)
            return 'written'

        return upscaler.with_smaller_tiles(write, image.size, size, tiling)

    def _note(self, index: int) -> str:
        upscaler = self.upscalers[index]
        return software_note(upscaler.name, cast(int, upscaler.network.upscale_factor))

    def _options(self, index: int) -> dict[str, Any]:
        return dict(quality=self.quality, software=self._note(index), strip=self.strip)

    def _write(self, index: int, image: ImageData | Literal['written'] | None) -> UpscaleResult:
        job = self.jobs[index]
        assert job.target is not None
        if image is None:
            self.tell(event='skipped', source=job.source, target=str(job.target))
            return UpscaleResult(job.source, job.target, 'skipped')
        if image != 'written':
            write_image(job.target, image, **self._options(index))
        self.tell(
            event='done',
            number=index + 1,
            source=job.source,
            target=str(job.target),
            seconds=round(time.monotonic() - self.started[index], 3),
            **self.counts.get(index, {}),
        )
        return UpscaleResult(job.source, job.target, 'done')

    def _fail(self, index: int, reason: str) -> UpscaleResult:
        job = self.jobs[index]
        self.tell(event='failed', number=index + 1, source=job.source, reason=reason)
        return UpscaleResult(job.source, job.target, 'failed', reason)


def _digest(image: ImageData) -> bytes:
    """Hash the pixels of an image."""
    digest = hashlib.blake2b(f'{image.pixels.shape} {image.pixels.dtype}'.encode(), digest_size=16)
    for array in image.pixels, image.alpha:
        if array is not None:
            digest.update(np.ascontiguousarray(array).data)
    return digest.digest()


def _bytes(image: ImageData) -> int:
    return image.pixels.nbytes + (0 if image.alpha is None else image.alpha.nbytes)
