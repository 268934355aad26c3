"""What :func:`~csnln_mm.upscaling.upscale` reports while it runs.

Events are dicts with ``event``: ``start``; ``skipped`` and ``failed`` for what is not begun; then,
in order and with a ``number``, for each image ``image``, ``tile`` after each run of the network,
and ``done`` or ``failed``; last ``end``.
"""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from typing import Any, TextIO

Tell = Callable[[dict[str, Any]], None]

# Seconds between lines where there is no terminal to draw a bar on.
_INTERVAL = 30.0


@contextlib.contextmanager
def report_json(stream: TextIO) -> Iterator[Tell]:
    """One JSON object per line and event, for other programs."""
    yield lambda event: print(json.dumps(event), file=stream, flush=True)


@contextlib.contextmanager
def report_text(stream: TextIO) -> Iterator[Tell]:
    """One line per image; below them a bar on terminals, elsewhere a line every 30 seconds."""
    if not stream.isatty():
        yield _Lines(lambda line: print(line, file=stream, flush=True))
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
            bar.update(task, completed=event['fraction'], description=label)

        yield _Lines(print_line, update)


class _Lines:
    """Events as lines; those of tiles go to ``update``, or become a line now and then."""

    def __init__(
        self,
        print_line: Callable[[str], None],
        update: Callable[[dict[str, Any], str], None] | None = None,
    ) -> None:
        self.print_line = print_line
        self.update = update or self._now_and_then
        self.started = self.last = time.monotonic()
        self.images = 0
        self.about: dict[int, str] = {}

    def __call__(self, event: dict[str, Any]) -> None:
        kind = event['event']
        if kind == 'start':
            self.images = event['images']
            if event.get('left_out'):
                self.print_line(f'results of earlier runs, left out: {event["left_out"]}')
        if 'number' not in event:
            if kind == 'failed':
                self.print_line(f'{event["source"]}: failed: {event["reason"]}')
            return
        label = f'[{event["number"]}/{self.images}] {event["source"]}'
        if kind == 'image':
            self.about[event['number']] = (
                f'{event["width"]}x{event["height"]} to {event["new_width"]}x'
                f'{event["new_height"]}, {event["tiling"]}'
            )
        elif kind == 'tile':
            self.update(event, label)
        elif kind == 'done':
            about = self.about.pop(event['number'])
            self.print_line(f'{label}: {about}; {event["target"]}, {event["seconds"]:.1f} s')
        elif kind == 'failed':
            self.print_line(f'{label}: failed: {event["reason"]}')

    def _now_and_then(self, event: dict[str, Any], label: str) -> None:
        now = time.monotonic()
        if now - self.last < _INTERVAL:
            return
        self.last = now
        fraction = event['fraction']
        left = (now - self.started) * (1 - fraction) / fraction
        percent = 100 * event['tile'] / event['tiles']
        self.print_line(f'{label}: {percent:.0f} %; all: {format_duration(left)} left')


def format_duration(seconds: float) -> str:
    """Such as 40 s, 3 min 20 s, or 2 h 05 min."""
    seconds = round(seconds)
    if seconds < 60:
        return f'{seconds} s'
    if seconds < 3600:
        return f'{seconds // 60} min {seconds % 60:02d} s'
    return f'{seconds // 3600} h {seconds % 3600 // 60:02d} min'
