"""What results look like on the page, and work that tells how far it is."""

import html
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import gradio as gr
import numpy as np
from torch import nn

from csnln_mm.explore.session import Session
from csnln_mm.upscaling.progress import format_duration
from csnln_mm.visualization import AttentionMaps, Comparison, PixelAttribution, largest_difference
from csnln_mm.visualization.attention import attends
from csnln_mm.visualization.figures import top_matches
from csnln_mm.visualization.overlays import (
    Crop,
    attribution_weights,
    concentration,
    draw_attribution,
    draw_map,
    draw_matches,
    error_map,
    frame_box,
    match_crops,
    zoom,
)

__all__ = ['Work', 'attention_views', 'attribution_views', 'comparison_views', 'preview_zoom']

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


def attention_views(
    session: Session, slot: str, point: tuple[int, int], one: AttentionMaps
) -> list[Any]:
    """Of a slot: its column, text, details, patches, cross-scale map, in-scale map,
    attribution and its text."""
    factor = _factor(one.input)
    text = f'**Pixel {slot} {point}**, recurrence {one.recurrence}'
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
    session: Session, slot: str, point: tuple[int, int], one: PixelAttribution, network: nn.Module
) -> list[Any]:
    """The same of an attribution: beside the attention, or in place of it."""
    drawn = draw_attribution(one, network.upscale_factor, factor=_factor(one.input))
    picture = _picture(session, drawn)
    text = (
        f'**Pixel {slot} {point}**: its surroundings in the result depend on these pixels, '
        f'{concentration(attribution_weights(one), "pixels")}; diffusion index '
        f'{one.attribution.diffusion_index:.2f}.'
    )
    if attends(network):
        return [gr.Column(visible=True), *[gr.skip()] * 5, picture, text]
    text = f'{text} The network has no attention to show.'
    nothing = gr.Image(value=None, visible=False)
    return [gr.Column(visible=True), '', '', *[nothing] * 3, picture, text]


def comparison_views(session: Session, comparison: Comparison) -> tuple[str, str, str]:
    """The scores as a table, where the methods differ most, and the errors."""
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
    details.append(Crop(frame_box(comparison.gt, box), 'the box'))
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
        caption = html.escape(crop.caption)
        figures.append(
            f'<figure><a href="{url}" target="_blank"><img src="{url}" alt="{caption}"{border}></a>'
            f'<figcaption>{caption}</figcaption></figure>'
        )
    return f'<div class="figures {kind}">{"".join(figures)}</div>'


def _picture(session: Session, pixels: np.ndarray) -> gr.Image:
    return gr.Image(value=session.write(pixels), visible=True)


def _factor(input: np.ndarray) -> int:
    """The magnification of maps."""
    return max(1, _MAP_SIDE // max(input.shape[:2]))
