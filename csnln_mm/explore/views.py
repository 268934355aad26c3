"""What results look like on the page, and work that tells how far it is."""

import html
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import gradio as gr
import numpy as np

from csnln_mm.errors import UserError
from csnln_mm.explore.session import Session, as_uploaded, displayable
from csnln_mm.images.degradation import resize
from csnln_mm.upscaling.progress import format_duration
from csnln_mm.upscaling.upscaler import scaled_size
from csnln_mm.visualization import (
    AttentionMaps,
    compare_methods,
    extract_attribution,
    largest_difference,
)
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

SLOTS = 'A', 'B'
# Of a result, in pixels of the limit for images.
_MAX_AREA_FACTOR = 16
# Components of a slot: its column, text, details, patches, cross-scale map, in-scale map,
# attribution and its text.
_SLOT_VIEWS = 8
# Of the integral of an attribution: enough for a look.
_STEPS = 8
_PREVIEW_SIDE = 640
_MAP_SIDE = 576
_DETAIL_ZOOM = 4


class Work:
    """What is done of some work and the time left, in the page; ends what nobody waits for.

    Called with (done, total); raises :class:`~csnln_mm.explore.session.Stopped`.
    """

    def __init__(self, session: Session, progress: gr.Progress, unit: str = 'tile') -> None:
        self.check, self.progress, self.unit = session.work(), progress, unit
        self.started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self.started

    def __call__(self, done: int, total: int) -> None:
        self.check()
        left = format_duration(self.seconds * (total - done) / done)
        self.progress((done, total), desc=f'{self.unit} {done} of {total}, {left} left')


def preview_zoom(size: tuple[int, int]) -> int:
    """How much a small image is magnified, so that its pixels can be clicked on."""
    return max(1, _PREVIEW_SIDE // max(size))


def image_views(session: Session) -> tuple[str, str]:
    """The image as the page shows it, and what it is in words."""
    image = session.require_image()
    width, height = image.size
    parts = [session.path.name, f'{width}x{height}', f'{8 * image.pixels.itemsize} bits']
    parts += ['grey'] * (image.pixels.ndim == 2)
    parts += ['transparency'] * (image.alpha is not None)
    parts += ['colour profile'] * (image.icc_profile is not None)
    return session.write(zoom(displayable(image), preview_zoom(image.size))), ', '.join(parts)


def upscale_views(
    session: Session, name: str, factor: float, tile: int | None, ensemble: bool, work: Work
) -> tuple[tuple[str, str], gr.DownloadButton, str]:
    """Upscale: bicubic and the result for the slider, the file, and what was done.

    Raises:
        UserError: if there is no image, or the result would be too large.
        Stopped: when nobody waits for it any more.
    """
    image = session.require_image()
    size = scaled_size(image.size, factor)
    if size[0] * size[1] > _MAX_AREA_FACTOR * session.max_pixels:
        raise UserError(f'{size[0]}x{size[1]} pixels are too many; take a smaller scale')
    upscaler = session.upscaler(name, scale=factor, tile=tile, ensemble=ensemble)
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
    return (bicubic, shown), gr.DownloadButton(value=file, interactive=True), status


def update_slots(views: Mapping[str, Sequence[Any]], *sliders: gr.Slider) -> list[Any]:
    """Updates of the two sliders and all slots; what is not given stays as it is."""
    stay = [gr.skip()] * _SLOT_VIEWS
    return [*(sliders or stay[:2]), *(view for slot in SLOTS for view in views.get(slot, stay))]


def attention_views(
    session: Session, slots: Sequence[str], recurrence: int, stage: int, *, redraw: bool = False
) -> list[Any]:
    """The sliders, and what the pixels of some slots attend to.

    Args:
        session: with a record for each of the slots.
        slots: the other ones stay as they are.
        recurrence: that the slider is at; the last with attention where it has none.
        stage: that the slider is at.
        redraw: of the same pixels, whose attribution stays.
    """
    if not slots:
        return update_slots({})
    record = session.records[slots[0]][0]
    first, last = record.recurrences[0], record.recurrences[-1]
    recurrence = recurrence if recurrence in record.recurrences else last
    stage = min(stage, record.num_stages)
    views = {}
    for slot in slots:
        point = session.points[slot]
        one = session.records[slot][0].maps(point, recurrence=recurrence, stage=stage)
        views[slot] = _slot_views(session, f'**Pixel {slot} {point}**', one)
        if redraw:
            views[slot][-2:] = [gr.skip()] * 2
    return update_slots(
        views,
        gr.Slider(first, max(last, first + 1), value=recurrence, visible=last > first),
        gr.Slider(value=stage, visible=record.num_stages > 1),
    )


def _slot_views(session: Session, title: str, one: AttentionMaps) -> list[Any]:
    factor = zoom_factor(one.input, _MAP_SIDE)
    text = f'{title}, recurrence {one.recurrence}'
    nothing = gr.Image(value=None, visible=False)
    views: list[Any] = ['', *[nothing] * 3]
    if one.cross_scale is not None:
        matches, _ = top_matches(one, 6)
        scale = one.output.shape[0] // one.input.shape[0]
        views[0] = _figures(session, 'crops', match_crops(one, matches, scale))
        views[1] = _picture(session, draw_matches(one, matches, factor=factor))
        views[2] = _picture(session, draw_map(one, one.cross_scale, factor=factor))
        text += f'. Cross-scale: {concentration(one.cross_scale, "patches")}'
    if one.in_scale is not None:
        views[3] = _picture(session, draw_map(one, one.in_scale, factor=factor))
        text += f'. In-scale: {concentration(one.in_scale, "pixels")}'
    return [gr.Column(visible=True), f'{text}.', *views, nothing, '']


def attribution_views(
    session: Session, slot: str, name: str, window: int, point: tuple[int, int], work: Work
) -> list[Any]:
    """What the result around a pixel depends on: beside its attention, or in place of it.

    ``window`` is the side of the square around the pixel that the network sees.
    """
    upscaler = session.upscaler(name)
    one = extract_attribution(
        upscaler, session.image, point, steps=_STEPS, window=window, on_step=work
    )
    drawn = draw_attribution(
        one, upscaler.network.upscale_factor, factor=zoom_factor(one.input, _MAP_SIDE)
    )
    picture = _picture(session, drawn)
    text = (
        f'**Pixel {slot} {point}**: its surroundings in the result depend on these pixels, '
        f'{concentration(attribution_weights(one), "pixels")}; diffusion index '
        f'{one.attribution.diffusion_index:.2f}.'
    )
    if attends(upscaler.network):
        views = [gr.skip()] * 5
    else:
        views = ['', '', *[gr.Image(value=None, visible=False)] * 3]
        text += ' The network has no attention to show.'
    return update_slots({slot: [gr.Column(visible=True), *views, picture, text]})


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
    table = ['| method | PSNR | SSIM |', '| --- | --- | --- |']
    table += [
        f'| {name} | {score.psnr:.2f} dB | {score.ssim:.4f} |'
        for name, score in comparison.scores.items()
    ]
    shown = {'ground truth': comparison.gt, **comparison.results}
    details = [
        Crop(zoom(image[y : y + height, x : x + width], _DETAIL_ZOOM), name)
        for name, image in shown.items()
    ]
    details.append(Crop(draw_box(comparison.gt, box), 'the box'))
    errors = [
        Crop(error_map(image, comparison.gt), name) for name, image in comparison.results.items()
    ]
    return (
        '\n'.join(table),
        _figures(session, 'large', details),
        _figures(session, 'large', errors),
    )


def _figures(session: Session, kind: str, crops: Sequence[Crop]) -> str:
    """Images side by side, as many in a row as there is room for; a click opens one alone."""
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
