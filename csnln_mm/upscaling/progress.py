"""The progress reports of :func:`~csnln_mm.upscaling.upscale`.

Events are dicts with ``event``: ``start``, with ``shard`` if other processes have other images, or
``processes``; ``skipped`` and ``failed`` for what is not begun; then, in order and with a
``number``, for each image ``image``, ``values`` if their range was seen in the image, ``tile``
after each run of the network, and ``done`` or ``failed``, or ``skipped`` without a number if
another process has made the result; last ``end``.
"""

import contextlib
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from csnln_mm.errors import failure_line
from csnln_mm.images.foreign_formats import describe_foreign
from csnln_mm.images.value_range import ValueRange

Tell = Callable[[dict[str, Any]], None]

# Seconds between lines where there is no terminal to draw a bar on.
_INTERVAL = 30.0


def reporter(
    progress: bool | str | Tell, out: TextIO | None = None
) -> contextlib.AbstractContextManager[Tell]:
    """Make the reporter for ``progress`` of :func:`~csnln_mm.upscaling.upscale`."""
    stream = out or sys.stdout
    if callable(progress):
        return contextlib.nullcontext(progress)
    if progress == 'json':
        return report_json(stream)
    return report_text(stream) if progress else contextlib.nullcontext(lambda event: None)


@contextlib.contextmanager
def report_json(stream: TextIO) -> Iterator[Tell]:
    """One JSON object per line and event, for other programs."""
    yield lambda event: print(json.dumps(event), file=stream, flush=True)


@contextlib.contextmanager
def report_text(stream: TextIO) -> Iterator[Tell]:
    """One line per image; below them a bar on terminals, elsewhere a line every 30 seconds.

    What failed goes to stderr if ``stream`` is no terminal.
    """
    if not stream.isatty():
        yield _Lines(
            lambda line: print(line, file=stream, flush=True),
            print_failure=lambda line: print(line, file=sys.stderr, flush=True),
        )
        return
    from rich import progress as rich_progress
    from rich.console import Console

    with rich_progress.Progress(
        rich_progress.TextColumn('{task.description}', markup=False),
        rich_progress.BarColumn(),
        rich_progress.TaskProgressColumn(),
        rich_progress.TimeRemainingColumn(),
        console=Console(file=stream),
        transient=True,
    ) as bar:
        task = bar.add_task('', total=1.0)

        def print_line(line: str) -> None:
            bar.console.print(line, markup=False, highlight=False, soft_wrap=True)

        def update(event: dict[str, Any], label: str) -> None:
            place = f', {_frame(event)}' if 'frame' in event else ''
            known = event['fraction'] is not None
            bar.update(
                task,
                completed=event['fraction'] or 0.0,
                total=1.0 if known else None,
                description=label + place,
            )

        yield _Lines(print_line, print_line, update)


class _Lines:
    """Events as lines; those of tiles go to ``update``, or become a line now and then."""

    def __init__(
        self,
        print_line: Callable[[str], None],
        print_failure: Callable[[str], None],
        update: Callable[[dict[str, Any], str], None] | None = None,
    ) -> None:
        self.print_line, self.print_failure = print_line, print_failure
        self.update = update or self._now_and_then
        self.started = self.last = time.monotonic()
        self.images = self.left_out = 0
        self.about: dict[int, str] = {}
        self.not_read: dict[str, int] = {}
        self.skipped: list[dict[str, Any]] = []

    def __call__(self, event: dict[str, Any]) -> None:
        kind = event['event']
        if kind == 'start':
            self.images, self.not_read = event['images'], event.get('not_read', {})
            if event.get('processes'):
                self.print_line(f'{event["processes"]} processes share the images')
            if event.get('shard'):
                self.print_line(f'share {event["shard"]}; --shard 1/1 takes all of them')
            if event.get('lossy_model'):
                self.print_line(
                    f'{event["lossy_model"]} upscales JPEG and other lossy files; -n names another '
                    'model'
                )
            self.left_out = event.get('left_out', 0)
        if 'number' not in event:
            if kind == 'failed':
                self.print_failure(failure_line(event['source'], event['reason']))
            elif kind == 'skipped':
                self.skipped.append(event)
            elif kind == 'end':
                self.print_line(self._end(event))
            return
        label = f'[{event["number"]}/{self.images}] {event["source"]}'
        if kind == 'image':
            self.about[event['number']] = (
                f'{event["width"]}x{event["height"]} to {event["new_width"]}x'
                f'{event["new_height"]} by {event["model"]}{_resized(event)}, {event["tiling"]}'
            )
            if event.get('reduced'):
                self.print_line(f'{label}: its frames have more than 8 bits, and are read in 8')
        elif kind == 'values':
            values = ValueRange(event['low'], event['high'], 'data')
            seen = f'black to white is {values}, as seen in the image (--range sets it)'
            self.print_line(f'{label}: {seen}')
        elif kind == 'tile':
            self.update(event, label)
        elif kind == 'done':
            about = self.about.pop(event['number'])
            if 'frames' in event:
                again = event['repeated']
                about += f'; {event["frames"]} frames' + f', {again} of them repeated' * (again > 0)
            self.print_line(f'{label}: {about}; {event["target"]}, {event["seconds"]:.1f} s')
        elif kind == 'failed':
            failure = failure_line(event['source'], event['reason'])
            self.print_failure(f'[{event["number"]}/{self.images}] {failure}')

    def _end(self, event: dict[str, Any]) -> str:
        skipped = f'{event["skipped"]} skipped' + _why_skipped(self.skipped)
        left_out = f'; left out: {self.left_out} results of earlier runs' if self.left_out else ''
        left_out += f'; not read: {describe_foreign(self.not_read)}' if self.not_read else ''
        return f'{event["done"]} done, {skipped}, {event["failed"]} failed{left_out}'

    def _now_and_then(self, event: dict[str, Any], label: str) -> None:
        now = time.monotonic()
        if now - self.last < _INTERVAL:
            return
        self.last = now
        fraction = event['fraction']
        percent = 100 * event['tile'] / event['tiles']
        place = f', {_frame(event)}' if 'frame' in event else ''
        about = f'{label}{place}: {percent:.0f} %'
        if fraction is not None:
            left = (now - self.started) * (1 - fraction) / fraction
            about += f'; all: {format_duration(left)} left'
        self.print_line(about)


def _frame(event: dict[str, Any]) -> str:
    return f'frame {event["frame"]}' + (f' of {event["frames"]}' if event['frames'] else '')


def _why_skipped(events: list[dict[str, Any]]) -> str:
    """Such as ' because their results exist, 3 made by csnln-x2-fast, csnln-mm 1.0.0 (...)'."""
    existing = [event for event in events if 'target' in event]
    reasons = []
    if existing:
        makers = Counter(event.get('reason', '') for event in existing)
        told = [
            f'{count} {maker}' if len(existing) > 1 else maker
            for maker, count in makers.most_common(3)
            if maker
        ]
        what = f'{existing[0]["target"]} exists' if len(existing) == 1 else 'their results exist'
        reasons.append(', '.join([what, *told]) + ' (--overwrite replaces, --name renames)')
    if len(existing) < len(events):
        large = [event for event in events if 'target' not in event]
        what = f'{large[0]["source"]} is' if len(large) == 1 else f'{len(large)} are'
        reasons.append(f'{what} large enough')
    return f' because {" and ".join(reasons)}' if reasons else ''


def _resized(event: dict[str, Any]) -> str:
    """Such as ' (x2, then resized)'; '' if the result is what the network gave."""
    if not event['resized']:
        return ''
    smaller = ' to less than the input' if event['new_width'] < event['width'] else ''
    return f' (x{event["factor"]}, then resized{smaller})'


def format_duration(seconds: float) -> str:
    """Such as 40 s, 3 min 20 s, or 2 h 05 min."""
    seconds = round(seconds)
    if seconds < 60:
        return f'{seconds} s'
    if seconds < 3600:
        return f'{seconds // 60} min {seconds % 60:02d} s'
    return f'{seconds // 3600} h {seconds % 3600 // 60:02d} min'
