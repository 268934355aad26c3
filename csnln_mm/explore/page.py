"""Layout and events of the page; the work is done by ``upscaling`` and ``visualization``."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from csnln_mm.errors import UserError
from csnln_mm.explore.session import Session, Sessions, Stopped
from csnln_mm.explore.views import (
    PICTURES,
    SLOTS,
    SlotViews,
    Work,
    attention_views,
    attribution_views,
    comparison_views,
    image_views,
    no_attribution,
    nothing_in_slot,
    preview_zoom,
    slider_views,
    upscale_views,
)
from csnln_mm.visualization.attention import attends

CSS = """
.gradio-container {max-width: 1360px !important; margin: auto}
.pixels img {image-rendering: pixelated}
.figures {display: grid; gap: 10px}
.figures figure {margin: 0; font-size: 13px; line-height: 1.35; text-align: center}
.figures figcaption {padding-top: 4px}
.figures img {width: 100%; border-radius: 4px; display: block}
/* Gradio gives what is within margins of its own. */
.figures a, .figures img, .figures figcaption {margin: 0 !important}
#slider {height: min(560px, 90vw) !important}
.crops {grid-template-columns: repeat(auto-fit, minmax(68px, 1fr)); gap: 6px; max-width: 750px}
.crops figcaption {white-space: nowrap; font-size: 12px}
.crops img {aspect-ratio: 1; border: 3px solid}
.large {grid-template-columns: repeat(auto-fill, minmax(160px, 1fr))}
/* Before a browser loads them, as it does when they come into view. */
.map {min-height: 220px}
/* Two pixels have their pictures at the same height. */
@media (min-width: 761px) {#text-A:has(p), #text-B:has(p) {min-height: 76px}}
"""


def theme() -> gr.themes.Base:
    """Gradio's theme with the fonts of the system: none comes from the network."""
    return gr.themes.Default(
        primary_hue='orange',
        font=['system-ui', 'Segoe UI', 'Roboto', 'sans-serif'],
        font_mono=['ui-monospace', 'Consolas', 'monospace'],
    )


def _in_page(handler: Callable) -> Callable:
    """Show errors that the user can fix on the page."""

    @functools.wraps(handler)
    def run(*args: Any) -> Any:
        try:
            return handler(*args)
        except (UserError, OSError) as error:
            text = str(error) if isinstance(error, UserError) else error.strerror
            raise gr.Error(text, duration=20, print_exception=False) from error
        except Stopped as error:  # the page is closed
            raise gr.Error('stopped', print_exception=False) from error

    return run


class Page:
    """The page: an image and a checkpoint, to upscale, explain and compare in three tabs.

    Args:
        sessions: the open pages of the server.
        examples: image files to choose from.
        open_first: whether the page begins with the first of them.
        scale: that the page begins with; by default that of the first network.

    Attributes:
        blocks: to be launched.
    """

    def __init__(
        self,
        sessions: Sessions,
        *,
        examples: Sequence[Path] = (),
        open_first: bool = False,
        scale: float | None = None,
    ) -> None:
        self.sessions, self.examples = sessions, list(examples)
        self.scale = scale or next(iter(sessions.networks.values())).upscale_factor
        with gr.Blocks(title='csnln explore', analytics_enabled=False) as self.blocks:
            gr.Markdown(
                '# Where does the detail come from?\n'
                'Drop, paste or choose an image. Upscale it, or click on a detail.'
            )
            with gr.Row():
                with gr.Column(scale=2, min_width=320):
                    self._lay_out_image()
                with gr.Column(scale=5, min_width=340), gr.Tabs() as self.tabs:
                    with gr.Tab('Upscale', id='upscale'):
                        self._lay_out_upscale()
                    with gr.Tab('Attention', id='attention'):
                        self._lay_out_attention()
                    with gr.Tab('Compare', id='compare'):
                        self._lay_out_compare()
            self._connect(open_first)
            self.blocks.unload(self._close)

    # Layout

    def _lay_out_image(self) -> None:
        names = list(self.sessions.networks)
        self.image = gr.Image(
            label='Image',
            type='filepath',
            image_mode=None,
            sources=['upload', 'clipboard'],
            buttons=[],
            height=340,
            elem_id='image',
        )
        # The file itself: Gradio would refuse it in its own words, or make it 8 bits.
        self.image.preprocess = lambda payload: payload and payload.path
        self.about = gr.Markdown(elem_id='about')
        self.gallery = gr.Dataset(
            components=[gr.Image(visible=False, render=False)],
            samples=[[str(path)] for path in self.examples],
            label='Examples',
            type='index',
            visible=bool(self.examples),
            elem_id='examples',
        )
        self.checkpoint = gr.Dropdown(
            names, value=names[0], label='Checkpoint', elem_id='checkpoint'
        )
        self.add = gr.UploadButton('Add a checkpoint', size='sm', elem_id='add')

    def _lay_out_upscale(self) -> None:
        with gr.Row():
            self.factor = gr.Number(
                self.scale, label='Scale', step=0.5, min_width=100, elem_id='scale'
            )
            self.tile = gr.Dropdown(
                [('automatic', -1), ('whole image', 0), *((f'{n} px', n) for n in (32, 64, 128))],
                value=-1,
                label='Tile',
                min_width=140,
            )
        self.ensemble = gr.Checkbox(label='Ensemble: mean over 8 flips and rotations')
        with gr.Row():
            self.upscale = gr.Button('Upscale', variant='primary', elem_id='upscale')
            self.stop = gr.Button('Stop', elem_id='stop')
        self.status = gr.Markdown(elem_id='status', min_height=28)
        self.slider = gr.ImageSlider(
            label='Bicubic | result', type='filepath', height=560, elem_id='slider',
            buttons=['fullscreen'],
        )  # fmt: skip
        self.download = gr.DownloadButton('Download PNG', interactive=False, elem_id='download')

    def _lay_out_attention(self) -> None:
        with gr.Row():
            self.slot = gr.Radio(SLOTS, value='A', label='A click sets pixel', min_width=120)
            self.x = gr.Number(label='x', step=1, min_width=70, elem_id='x')
            self.y = gr.Number(label='y', step=1, min_width=70, elem_id='y')
            self.window = gr.Dropdown(
                [(f'{n} pixels', n) for n in (48, 96, 144, 192)],
                value=96,
                label='Window around it',
                min_width=120,
            )
        with gr.Row():
            self.show = gr.Button('Show', variant='primary', elem_id='show')
            self.attribute = gr.Button('Attribution', elem_id='attribute')
        self.working = gr.Markdown(
            'Click on the image, or give x and y: what the network attends to at this pixel, and '
            'what its surroundings depend on.',
            min_height=48,
        )
        with gr.Row():
            self.recurrence = gr.Slider(
                1, 99, value=99, step=1, label='Recurrence', visible=False, elem_id='recurrence'
            )
            self.stage = gr.Slider(
                1, 2, value=1, step=1, label='Stage', visible=False, elem_id='stage'
            )
        self.slots: dict[str, dict[str, Any]] = {}
        with gr.Row():
            for slot in SLOTS:
                with gr.Column(min_width=320, visible=False) as column:
                    views = dict(
                        column=column,
                        text=gr.Markdown(elem_id=f'text-{slot}'),
                        crops=gr.HTML(elem_id=f'crops-{slot}', elem_classes='pixels'),
                    )
                    with gr.Row():
                        for name, label in PICTURES.items():
                            views[name] = gr.Image(
                                label=label, type='filepath', buttons=['fullscreen'],
                                interactive=False, min_width=220, elem_id=f'{name}-{slot}',
                                elem_classes=['pixels', 'map'],
                            )  # fmt: skip
                    views['depends'] = gr.Markdown(elem_id=f'depends-{slot}')
                self.slots[slot] = views

    def _lay_out_compare(self) -> None:
        names = list(self.sessions.networks)
        gr.Markdown('The image serves as ground truth: reduced, and upscaled again by each method.')
        self.methods = gr.CheckboxGroup(
            names, value=names[:1], label='Checkpoints, beside bicubic', elem_id='methods'
        )
        with gr.Row():
            self.compare = gr.Button('Compare', variant='primary', elem_id='compare')
            self.stop_comparison = gr.Button('Stop')
        self.scores = gr.Markdown(elem_id='scores', min_height=28)
        gr.Markdown('Where they differ most:')
        self.details = gr.HTML(elem_id='details', elem_classes='pixels')
        gr.Markdown('Difference from the ground truth, 8 times:')
        self.errors = gr.HTML(elem_id='errors')

    # Events

    def _connect(self, open_first: bool) -> None:
        result = [self.slider, self.download, self.status]
        slots = [view for slot in SLOTS for view in self.slots[slot].values()]
        compared = [self.scores, self.details, self.errors]
        loaded = [self.image, self.about, *result, *slots, *compared]
        # One page's slow file does not keep another page waiting.
        own = dict(show_progress='hidden', concurrency_limit=4)
        self._on(self.image.upload, self._load, [self.image], loaded, **own)
        self._on(self.image.clear, self._clear, [], loaded, show_progress='hidden')
        self._on(self.gallery.click, self._load_example, [self.gallery], loaded)
        if open_first:
            self._on(self.blocks.load, self._load_first, [], loaded)
        added = [self.checkpoint, self.methods]
        self._on(self.add.upload, self._add, [self.add, self.methods], added, concurrency_limit=4)
        self._on(self.checkpoint.change, self._choose, [self.checkpoint], [self.factor])

        settings = [self.checkpoint, self.factor, self.tile, self.ensemble]
        work = dict(concurrency_limit=2, show_progress_on=self.status)
        self._on(self.upscale.click, self._upscale, settings, result, **work)
        work = dict(concurrency_limit=2, show_progress_on=self.scores)
        self._on(self.compare.click, self._compare, [self.methods], compared, **work)
        for button in self.stop, self.stop_comparison:
            self._on(button.click, self._stop, [], [], queue=False)

        place = [self.checkpoint, self.window, self.slot, self.x, self.y]
        sliders = [self.recurrence, self.stage]
        shown = [*sliders, *slots]
        alone: dict[str, Any] = dict(concurrency_id='attention', show_progress_on=self.working)
        picked = [self.tabs, self.x, self.y]
        click = self._on(self.image.select, self._pick, [], picked, show_progress='hidden')
        for event in click.then, self.show.click:
            self._on(event, self._show, [*place, *sliders], shown, **alone)
        self._on(self.attribute.click, self._attribute, place, shown, **alone)
        alone = dict(concurrency_id='attention', show_progress='hidden', trigger_mode='always_last')
        for slider in sliders:
            self._on(slider.input, self._redraw, sliders, shown, **alone)

    def _on(
        self, event: Callable, handler: Callable, inputs: list, outputs: list, **options: Any
    ) -> Any:
        # Nothing of the page is an interface for programs.
        return event(_in_page(handler), inputs, outputs, api_visibility='private', **options)

    def _session(self, request: gr.Request) -> Session:
        return self.sessions.get(request.session_hash)

    def _close(self, request: gr.Request) -> None:
        self.sessions.end(request.session_hash)

    # Handlers

    def _load(self, path: str, request: gr.Request) -> dict:
        return self._show_image(Path(path), request)

    def _load_example(self, index: int, request: gr.Request) -> dict:
        return self._show_image(self.examples[index], request, keep=True)

    def _load_first(self, request: gr.Request) -> dict:
        return self._load_example(0, request)

    def _show_image(self, path: Path, request: gr.Request, keep: bool = False) -> dict:
        session = self._session(request)
        session.take_image(path, keep=keep)
        shown, about = image_views(session)
        return {**self._nothing(), self.image: shown, self.about: about}

    def _clear(self, request: gr.Request) -> dict:
        self._session(request).forget_image()
        return {**self._nothing(), self.image: None, self.about: ''}

    def _nothing(self) -> dict:
        """Remove what was made of an earlier image."""
        views = {self.scores: '', self.details: None, self.errors: None}
        views.update(zip([self.slider, self.download, self.status], [*_no_result(), '']))
        for slot in SLOTS:
            views.update(self._in_slot(slot, nothing_in_slot()))
        return views

    def _in_slot(self, slot: str, views: SlotViews) -> dict:
        return {self.slots[slot][name]: view for name, view in views.items()}

    def _at_sliders(self, session: Session, slot: str, recurrence: int, stage: int) -> dict:
        views = slider_views(session, slot, recurrence, stage)
        return {self.recurrence: views['recurrence'], self.stage: views['stage']}

    def _add(self, path: str, chosen: list[str], request: gr.Request) -> tuple:
        session = self._session(request)
        name = session.take_checkpoint(Path(path))
        names = list(session.networks)
        session.forget_attention()
        return gr.Dropdown(names, value=name), gr.CheckboxGroup(names, value=[*chosen, name])

    def _choose(self, name: str, request: gr.Request) -> float:
        session = self._session(request)
        session.forget_attention()
        return session.networks[name].upscale_factor

    def _upscale(
        self,
        name: str,
        factor: float | None,
        tile: int,
        ensemble: bool,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # how Gradio knows it
    ) -> tuple:
        session = self._session(request)
        tile = None if tile < 0 else tile
        try:
            return upscale_views(session, name, factor, tile, ensemble, Work(session, progress))
        except Stopped:
            return *_no_result(), 'Stopped.'

    def _stop(self, request: gr.Request) -> None:
        self._session(request).stop()

    def _pick(self, event: gr.SelectData, request: gr.Request) -> tuple:
        size = self._session(request).require_image().size
        x, y = (min(int(at) // preview_zoom(size), side - 1) for at, side in zip(event.index, size))
        return gr.Tabs(selected='attention'), x, y

    def _show(
        self,
        name: str,
        window: int,
        slot: str,
        x: float | None,
        y: float | None,
        recurrence: int,
        stage: int,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),
    ) -> dict:
        session = self._session(request)
        point = session.require_pixel(x, y)
        if not attends(session.upscaler(name).network):
            return self._attribute(name, window, slot, x, y, request, progress)
        session.record_attention(slot, name, window, point)
        views = {**attention_views(session, slot, recurrence, stage), **no_attribution()}
        return {**self._at_sliders(session, slot, recurrence, stage), **self._in_slot(slot, views)}

    def _attribute(
        self,
        name: str,
        window: int,
        slot: str,
        x: float | None,
        y: float | None,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),
    ) -> dict:
        session = self._session(request)
        point = session.require_pixel(x, y)
        work = Work(session, progress, 'step')
        return self._in_slot(slot, attribution_views(session, slot, name, window, point, work))

    def _redraw(self, recurrence: int, stage: int, request: gr.Request) -> dict:
        """Show another recurrence or stage of the pixels; their attribution stays."""
        session = self._session(request)
        views = {}
        for slot in session.points:
            views.update(self._at_sliders(session, slot, recurrence, stage))
            views.update(self._in_slot(slot, attention_views(session, slot, recurrence, stage)))
        return views or {self.recurrence: gr.skip()}

    def _compare(
        self, names: list[str], request: gr.Request, progress: gr.Progress = gr.Progress()
    ) -> tuple:
        session = self._session(request)
        try:
            return comparison_views(session, names, Work(session, progress))
        except Stopped:
            return 'Stopped.', None, None


def _no_result() -> tuple:
    """Empty the slider, and leave nothing to download."""
    return None, gr.DownloadButton(value=None, interactive=False)
