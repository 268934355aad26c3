"""Upscaling files and folders: which images, where the results go, and what became of each."""

import contextlib
import functools
import glob
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, NamedTuple

from torch import nn

from csnln_mm.errors import UserError
from csnln_mm.images.image_file import (
    OUTPUT_FORMATS,
    SUFFIXES,
    ImageData,
    check_format,
    read_image,
    read_image_size,
    write_image,
)
from csnln_mm.upscaling.progress import Tell, report_json, report_text
from csnln_mm.upscaling.tile_size import tile_cost
from csnln_mm.upscaling.upscaler import Upscaler, check_scale, scaled_size
from csnln_mm.version import __version__

# What names end with when results lie beside their inputs.
_LABEL = re.compile(r'(.+)_(x\d+(\.\d+)?|w\d+)')


class UpscaleResult(NamedTuple):
    """What became of an image.

    Attributes:
        source: the input.
        target: where the result is; None if the input led to no image.
        status: 'done', 'skipped' (the result was there already) or 'failed'.
        reason: why it failed.
    """

    source: str
    target: Path | None
    status: str
    reason: str = ''


class Job(NamedTuple):
    """An image file and where its result goes."""

    source: Path
    target: Path


def plan_jobs(
    inputs: Iterable[str | Path],
    out: str | Path | None,
    *,
    recursive: bool,
    suffix: str,
    label: str = '',
) -> tuple[list[Job], list[tuple[str, str]]]:
    """Find the images.

    Args:
        inputs: files, folders and glob patterns (``**`` for any depth).
        out: a folder, made if need be; or, for one file, a file with the suffix of an image.
            Images keep their place below an input folder or the fixed part of a pattern.
            None: beside each input, as ``{stem}_{label}{suffix}``; files in folders and patterns
            that are such results are no inputs.
        recursive: look into folders of folders.
        suffix: of the results, such as '.png'; 'same' for that of the input.
        label: such as 'x2'.

    Returns:
        The jobs in order, and what has none, as (input, reason).

    Raises:
        UserError: if the format is unknown, or ``out`` cannot hold the results.
    """
    if suffix != 'same' and suffix not in OUTPUT_FORMATS:
        raise UserError(f'unknown format {suffix}; use same or one of {", ".join(OUTPUT_FORMATS)}')
    found, failed = [], []
    for item in inputs:
        try:
            found.extend(_find(str(Path(item).expanduser()), recursive))
        except UserError as error:
            failed.append((str(item), str(error)))
        except OSError as error:  # a name too long, a folder that may not be searched
            failed.append((str(item), f'cannot look for {item}: {error.strerror or error}'))
    if out is None:
        named = {(f.parent, f.stem) for f, _ in found}
        found = [(f, place) for f, place in found if not place or not _is_result(f, named)]
    else:
        out = Path(out).expanduser()
    jobs, taken, seen = [], {}, set()
    one_file = len(found) == 1 and found[0][1] is None
    for source, place in found:
        if source.resolve() in seen:
            continue
        seen.add(source.resolve())
        kind = source.suffix if suffix == 'same' else suffix
        if out is None:
            target = source.with_name(f'{source.stem}_{label}{kind}')
        elif one_file and _names_image(out):
            target = out
        else:
            target = out / (place or Path(source.name)).with_suffix(kind)
        reason = ''
        if target.resolve() == source.resolve():
            reason = f'the result would replace the input: {target}'
        elif target.resolve() in taken:
            reason = (
                f'{target} is already the result of {taken[target.resolve()]}; use another '
                'output folder or --format same'
            )
        if reason:
            failed.append((str(source), reason))
        else:
            taken[target.resolve()] = source
            jobs.append(Job(source, target))
    if out is not None:
        if any(job.target != out for job in jobs) and out.exists() and not out.is_dir():
            raise UserError(f'output {out} is a file; name a folder')
        if len(jobs) > 1 and _names_image(out):
            raise UserError(
                f'output {out} is named like an image, but there are {len(jobs)} images; '
                'name a folder'
            )
    return jobs, failed


def _names_image(out: Path) -> bool:
    return out.suffix.lower() in OUTPUT_FORMATS and not out.is_dir()


def _is_result(path: Path, named: set[tuple[Path, str]]) -> bool:
    """Whether a file has the name of a result beside an input that was found as well."""
    match = _LABEL.fullmatch(path.stem)
    return match is not None and (path.parent, match[1]) in named


def _find(item: str, recursive: bool) -> list[tuple[Path, Path | None]]:
    """(file, its place below the output folder) of each; None for a file given as such."""
    path = Path(item)
    if path.is_dir():
        pattern = '**/*' if recursive else '*'
        files = sorted(f for f in path.glob(pattern) if _is_image(f))
        if not files:
            where = '' if recursive else ' (folders in it are skipped without --recursive)'
            raise UserError(f'no images in {path}{where}')
        return [(f, f.relative_to(path)) for f in files]
    if path.exists() or not glob.has_magic(item):
        # What does not exist is reported when it is its turn.
        return [(path, None)]
    files = sorted(Path(f) for f in glob.glob(item, recursive=True))
    files = [f for f in files if _is_image(f)]
    if not files:
        raise UserError(f'no images match {item}')
    root = Path(re.split(r'[*?[]', item)[0] + '_').parent
    return [(f, f.relative_to(root)) for f in files]


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file() and not path.name.startswith('.')


def upscale(
    inputs: Iterable[str | Path],
    out: str | Path | None = None,
    *,
    checkpoint: str | Path | nn.Module | None = None,
    recursive: bool = False,
    overwrite: bool = False,
    suffix: str = '.png',
    scale: float | None = None,
    width: int | None = None,
    strip: bool = False,
    quality: int | None = None,
    tile: int | None = None,
    overlap: int | None = None,
    ensemble: bool = False,
    device: str | None = None,
    dtype: str = 'float32',
    progress: bool | Literal['json'] = False,
) -> list[UpscaleResult]:
    """Upscale image files; what is wrong with one of them does not stop the others.

    The next image is read, and the last one written, while the network runs. Each result is the
    same as if its image were the only one.

    Args:
        inputs: files, folders and glob patterns.
        out: folder, or a file for a single input file; None for ``{stem}_x{scale}{suffix}``
            beside each input.
        checkpoint: or a network; like tile, overlap, ensemble, device and dtype, see
            :class:`~csnln_mm.upscaling.Upscaler`. By default the model of the package that suits
            the scale, or the largest factor to ``width``.
        recursive: look into folders of folders.
        overwrite: replace results that exist; otherwise they are skipped.
        suffix: format of the results, such as '.png'; 'same' for that of each input.
        scale: upscaling factor, if it is not the network's: the network's output is resized.
        width: of the results in pixels, in place of a factor.
        strip: leave out EXIF, ICC profile and XMP.
        quality: 1 to 100, of JPEG and WebP; by default 95 and lossless.
        progress: lines and a bar on stdout; 'json' for one JSON object per line.

    Returns:
        What became of each image.

    Raises:
        UserError: if a setting is wrong, so that no image could be upscaled.
    """
    if scale is not None and width is not None:
        raise UserError('give a scale or a width, not both')
    check_scale(scale)
    if width is not None and not 0 < width <= 2**17:
        raise UserError(f'width must be from 1 to {2**17} pixels, got {width}')

    options = dict(tile=tile, overlap=overlap, ensemble=ensemble, device=device, dtype=dtype)
    load = functools.partial(Upscaler, checkpoint, **options)
    # Where the names do not need it, nothing is loaded before it is known that there is work.
    upscaler = load() if out is None and scale is None and width is None else None
    label = f'w{width}' if width else f'x{scale or (upscaler.scale if upscaler else 0):g}'
    jobs, failed = plan_jobs(inputs, out, recursive=recursive, suffix=suffix, label=label)
    results = [UpscaleResult(source, None, 'failed', reason) for source, reason in failed]
    there = [] if overwrite else [job for job in jobs if job.target.exists()]
    todo = [job for job in jobs if job not in there]
    results += [UpscaleResult(str(job.source), job.target, 'skipped') for job in there]
    if todo:
        upscaler = upscaler or load(scale=scale or _largest_factor(todo, width))
    with _reporter(progress) as report:
        lock = threading.Lock()

        def tell(**event: Any) -> None:
            with lock:
                report(event)

        tell(event='start', images=len(todo))
        for result in results:
            told = dict(target=str(result.target)) if result.target else dict(reason=result.reason)
            tell(event=result.status, source=result.source, **told)
        if todo:
            results += _Run(upscaler, todo, tell, width, strip, quality).run()
        counts = Counter(result.status for result in results)
        tell(event='end', **{status: counts[status] for status in ('done', 'skipped', 'failed')})
    return results


def _largest_factor(jobs: Sequence[Job], width: int | None) -> float | None:
    """By which images become ``width`` pixels wide; those that cannot be read do not count."""
    factors = []
    for job in jobs if width else ():
        with contextlib.suppress(UserError):
            factors.append(min(64.0, width / read_image_size(job.source)[0]))
    return max(factors, default=None)


def _reporter(progress: bool | str) -> contextlib.AbstractContextManager[Tell]:
    if progress == 'json':
        return report_json(sys.stdout)
    return report_text(sys.stdout) if progress else contextlib.nullcontext(lambda event: None)


class _Run:
    """A list of jobs, with one thread that reads ahead and one that writes behind.

    No more than three images are in memory: one is read, one upscaled, one written.
    """

    def __init__(
        self,
        upscaler: Upscaler,
        jobs: Sequence[Job],
        tell: Any,
        width: int | None,
        strip: bool,
        quality: int | None,
    ) -> None:
        self.upscaler, self.jobs, self.tell = upscaler, jobs, tell
        self.width, self.strip, self.quality = width, strip, quality
        self.costs = [self._expected_cost(job) for job in jobs]
        self.total = sum(self.costs) or 1.0

    def run(self) -> list[UpscaleResult]:
        results: list[UpscaleResult | Future[UpscaleResult]] = []
        with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
            reading = reader.submit(read_image, self.jobs[0].source)
            for index in range(len(self.jobs)):
                started, current = time.monotonic(), reading
                if index + 1 < len(self.jobs):
                    reading = reader.submit(read_image, self.jobs[index + 1].source)
                try:
                    image = self._upscale(index, current.result())
                except (UserError, MemoryError) as error:
                    results.append(self._failed(index, error))
                    continue
                if results and isinstance(results[-1], Future):
                    results[-1].result()  # one result waits to be written, not many
                results.append(writer.submit(self._write, index, image, started))
                del image, current
        return [result.result() if isinstance(result, Future) else result for result in results]

    def _expected_cost(self, job: Job) -> float:
        try:
            tiling = self.upscaler.tiling(*read_image_size(job.source))
        except UserError:
            return 0.0  # is reported when it is its turn
        return tiling.count * tile_cost(tiling.pixels, self.upscaler.network)

    def _upscale(self, index: int, image: ImageData) -> ImageData:
        job = self.jobs[index]
        check_format(job.target, image)
        scale = self.width / image.size[0] if self.width else self.upscaler.scale
        size = scaled_size(image.size, scale)
        tiling = self.upscaler.tiling(*image.size)
        about = dict(number=index + 1, source=str(job.source))
        self.tell(
            event='image',
            **about,
            width=image.size[0],
            height=image.size[1],
            new_width=size[0],
            new_height=size[1],
            tiling=str(tiling),
        )
        before = sum(self.costs[:index])

        def on_tile(done: int, total: int) -> None:
            fraction = min(1.0, (before + self.costs[index] * done / total) / self.total)
            self.tell(event='tile', **about, tile=done, tiles=total, fraction=fraction)

        return self.upscaler(image, size=size, on_tile=on_tile)

    def _write(self, index: int, image: ImageData, started: float) -> UpscaleResult:
        job = self.jobs[index]
        try:
            write_image(
                job.target,
                image,
                quality=self.quality,
                software=f'csnln-mm {__version__}, x{self.upscaler.network.upscale_factor}',
                strip=self.strip,
            )
        except (UserError, MemoryError) as error:
            return self._failed(index, error)
        self.tell(
            event='done',
            number=index + 1,
            source=str(job.source),
            target=str(job.target),
            seconds=round(time.monotonic() - started, 3),
        )
        return UpscaleResult(str(job.source), job.target, 'done')

    def _failed(self, index: int, error: Exception) -> UpscaleResult:
        job, reason = self.jobs[index], str(error) or 'not enough memory'
        self.tell(event='failed', number=index + 1, source=str(job.source), reason=reason)
        return UpscaleResult(str(job.source), job.target, 'failed', reason)
