"""Results as components of the page, and work that reports its progress."""

import html
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import gradio as gr
import numpy as np

from csnln_mm import limits
from csnln_mm.checkpoints import list_pretrained
from csnln_mm.errors import UserError
from csnln_mm.explore.session import Session, as_uploaded, displayable
from csnln_mm.images.degradation import resize
from csnln_mm.images.image_file import read_header
from csnln_mm.tables import format_table
from csnln_mm.upscaling.progress import format_duration
from csnln_mm.upscaling.sizes import scaled_size
from csnln_mm.visualization import compare_methods, extract_attribution, largest_difference
from csnln_mm.visualization.attention import attends
from csnln_mm.visualization.comparison import BICUBIC
from csnln_mm.visualization.maps import (
    Crop,
    attribution_weights,
    concentration,
    match_crops,
    top_matches,
)
from csnln_mm.visualization.overlays import (
    draw_attribution,
    draw_box,
    draw_map,
    draw_matches,
    error_map,
    zoom,
    zoom_factor,
)

# Two pixels to compare, and the images that a slot shows of its pixel, with their titles.
SLOTS = 'A', 'B'
PICTURES = {
    'matches': 'The patches on the image',
    'cross': 'Cross-scale weights',
    'in': 'In-scale weights',
    'attribution': 'Local attribution',
}
# Updates of a slot's components, by name: its column, text, crops, the pictures, and depends, the
# text of the attribution. What is not named stays as it is.
SlotViews = dict[str, Any]
# Of the integral of an attribution: enough for a look.
_STEPS = 8
_PREVIEW_SIDE = 640
_MAP_SIDE = 576
_DETAIL_ZOOM = 4


class Work:
    """Work that reports its progress on the page, and ends when nobody waits for it.

    Gradio cannot stop a running function, so this is called with (done, total) now and then, and
    raises :class:`~csnln_mm.explore.session.Stopped`.
    """

    def __init__(self, session: Session, progress: gr.Progress, unit: str = 'tile') -> None:
        self.check, self.progress, self.unit = session.work(), progress, unit
        self.started = time.monotonic()

    @property
    def seconds(self) -> float:
        """The time since it began."""
        return time.monotonic() - self.started

    def __call__(self, done: int, total: int) -> None:
        self.check()
        left = format_duration(self.seconds * (total - done) / done)
        self.progress((done, total), desc=f'{self.unit} {done} of {total}, {left} left')


def preview_zoom(size: tuple[int, int]) -> int:
    """How much to magnify a small image, so that its pixels can be clicked on."""
    return max(1, _PREVIEW_SIDE // max(size))


def image_views(session: Session) -> tuple[str, str]:
    """Show the image, and describe it in words."""
    image = session.require_image()
    width, height = image.size
    parts = [session.path.name, f'{width}x{height}', f'{8 * image.pixels.itemsize} bits']
    parts += ['grey'] * (image.pixels.ndim == 2)
    parts += ['transparency'] * (image.alpha is not None)
    parts += ['colour profile'] * (image.icc_profile is not None)
    about = ', '.join(parts)
    if read_header(session.path).lossy:
        made_for = (m.name for m in list_pretrained() if m.for_lossy and m.name in session.networks)
        about += next((f'. For lossy files there is {name}.' for name in made_for), '')
    return session.write(zoom(displayable(image), preview_zoom(image.size))), about


def upscale_views(
    session: Session, name: str, factor: float | None, tile: int | None, ensemble: bool, work: Work
) -> tuple[gr.ImageSlider, gr.DownloadButton, str]:
    """Upscale, and return the slider, the download and a description.

    Raises:
        UserError: if there is no image or no scale, or the result would be too large.
        Stopped: when nobody waits for it any more.
    """
    image = session.require_image()
    if factor is None:
        raise UserError('give a scale from 1 to 8')
    upscaler = session.upscaler(name, scale=factor, tile=tile, ensemble=ensemble)
    size = scaled_size(image.size, factor)
    if size[0] * size[1] > limits.PAGE_RESULT_AREA * session.max_pixels:
        raise UserError(f'{size[0]}x{size[1]} pixels are too many; take a smaller scale')
    result = upscaler(image, on_tile=work)
    bicubic = session.write(resize(displayable(image), size[::-1]))
    stem = f'{session.path.stem}_x{factor:g}'
    file = session.write(result, f'{stem}.png', software='csnln-mm')
    plain = result.alpha is None and result.pixels.dtype == 'uint8'
    shown = file if plain else session.write(displayable(result))
    status = (
        f'{image.size[0]}x{image.size[1]} to {size[0]}x{size[1]}, '
        f'{upscaler.tiling(*image.size)}, {format_duration(work.seconds)}'
    )
    return (
        gr.ImageSlider(value=(bicubic, shown), label=f'Bicubic | {name}'),
        gr.DownloadButton(value=file, interactive=True),
        status,
    )


def slider_views(session: Session, slot: str, recurrence: int, stage: int) -> dict[str, gr.Slider]:
    """Fit the sliders to the recurrences and stages of a slot's network.

    Args:
        session: with a record for the slot.
        slot: one of ``SLOTS``.
        recurrence: where the slider is; the last with attention if there is none.
        stage: where the slider is.
    """
    record = session.records[slot][0]
    first, last = record.recurrences[0], record.recurrences[-1]
    recurrence = recurrence if recurrence in record.recurrences else last
    return dict(
        recurrence=gr.Slider(first, max(last, first + 1), value=recurrence, visible=last > first),
        stage=gr.Slider(value=min(stage, record.num_stages), visible=record.num_stages > 1),
    )


def attention_views(session: Session, slot: str, recurrence: int, stage: int) -> SlotViews:
    """Show what the pixel of a slot attends to; the arguments are those of `slider_views`."""
    record, point = session.records[slot][0], session.points[slot]
    at = recurrence if recurrence in record.recurrences else None
    one = record.maps(point, recurrence=at, stage=min(stage, record.num_stages))
    factor = zoom_factor(one.input, _MAP_SIDE)
    text = f'**Pixel {slot} {point}**, recurrence {one.recurrence}'
    views: SlotViews = dict(crops='', matches=_no_picture(), cross=_no_picture())
    if one.cross_scale is not None:
        matches, _ = top_matches(one, 6)
        scale = one.output.shape[0] // one.input.shape[0]
        views = dict(
            crops=_figures(session, 'crops', match_crops(one, matches, scale)),
            matches=_picture(session, draw_matches(one, matches, factor=factor)),
            cross=_picture(session, draw_map(one, one.cross_scale, factor=factor)),
        )
        text += f'. Cross-scale: {concentration(one.cross_scale, "patches")}'
    views['in'] = _no_picture()
    if one.in_scale is not None:
        views['in'] = _picture(session, draw_map(one, one.in_scale, factor=factor))
        text += f'. In-scale: {concentration(one.in_scale, "pixels")}'
    return dict(views, column=gr.Column(visible=True), text=f'{text}.')


def no_attribution() -> SlotViews:
    """Remove the attribution of another pixel."""
    return dict(attribution=_no_picture(), depends='')


def nothing_in_slot() -> SlotViews:
    """Empty and hide a slot."""
    texts = dict.fromkeys(('text', 'crops', 'depends'), '')
    return dict(texts, column=gr.Column(visible=False), **dict.fromkeys(PICTURES))


def attribution_views(
    session: Session, slot: str, name: str, window: int, point: tuple[int, int], work: Work
) -> SlotViews:
    """Show which pixels a detail of the result depends on, beside its attention if there is any.

    ``window`` is the side of the square around the pixel that the network sees.
    """
    upscaler = session.upscaler(name)
    one = extract_attribution(
        upscaler, session.image, point, steps=_STEPS, window=window, on_step=work
    )
    factor = zoom_factor(one.input, _MAP_SIDE)
    drawn = draw_attribution(one, upscaler.network.upscale_factor, factor=factor)
    text = (
        f'**Pixel {slot} {point}**: its surroundings in the result depend on these pixels, '
        f'{concentration(attribution_weights(one), "pixels")}; diffusion index '
        f'{one.attribution.diffusion_index:.2f}.'
    )
    views: SlotViews = {}
    if not attends(upscaler.network):
        views = dict(nothing_in_slot(), **{name: _no_picture() for name in PICTURES})
        text += ' The network has no attention to show.'
    views.update(column=gr.Column(visible=True), attribution=_picture(session, drawn), depends=text)
    return views


def comparison_views(session: Session, names: Sequence[str], work: Work) -> tuple[str, str, str]:
    """Networks beside bicubic: a table of scores, where they differ most, and the errors.

    Raises:
        UserError: if there is no image, or it is too small, or networks differ in their scale.
        Stopped: when nobody waits for it any more.
    """
    session.require_image()
    methods = {BICUBIC: BICUBIC, **{name: session.upscaler(name) for name in names}}
    with as_uploaded(session.path):
        (comparison,) = compare_methods(session.path, methods, on_tile=work)
    x, y, width, height = box = largest_difference(comparison.gt, comparison.results)
    rows = [
        [name, f'{score.psnr:.2f} dB', f'{score.ssim:.4f}']
        for name, score in comparison.scores.items()
    ]
    table = format_table(['method', 'PSNR', 'SSIM'], rows, style='markdown')
    shown = {'ground truth': comparison.gt, **comparison.results}
    details = [
        Crop(zoom(image[y : y + height, x : x + width], _DETAIL_ZOOM), name)
        for name, image in shown.items()
    ]
    details.append(Crop(draw_box(comparison.gt, box), 'where it is'))
    errors = [
        Crop(error_map(image, comparison.gt), name) for name, image in comparison.results.items()
    ]
    return (table, _figures(session, 'large', details), _figures(session, 'large', errors))


def _figures(session: Session, kind: str, crops: Sequence[Crop]) -> str:
    """Lay out images side by side, as many in a row as there is room for; a click opens one."""
    figures = []
    for crop in crops:
        url = f'/gradio_api/file={quote(session.write(crop.pixels))}'
        border = f' style="border-color: {crop.colour}"' if crop.colour else ''
        caption = '<br>'.join(html.escape(text) for text in crop[1:3] if text)
        alt = html.escape(crop.title)
        figures.append(
            f'<figure><a href="{url}" target="_blank"><img src="{url}" alt="{alt}"{border}></a>'
            f'<figcaption>{caption}</figcaption></figure>'
        )
    return f'<div class="figures {kind}">{"".join(figures)}</div>'


def _picture(session: Session, pixels: np.ndarray) -> gr.Image:
    return gr.Image(value=session.write(pixels), visible=True)


def _no_picture() -> gr.Image:
    return gr.Image(value=None, visible=False)
