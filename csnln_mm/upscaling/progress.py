"""What upscaling tells about itself while it runs."""

import sys
import time
from pathlib import Path
from typing import TextIO

__all__ = ['ConsoleProgress', 'Progress']


class Progress:
    """Told of everything, tells nobody."""

    def begin(self, pictures: int, work: float) -> None:
        """So many pictures and so much work (:func:`~.upscaling_pieces.work_of`) are ahead."""

    def begin_picture(self, source: Path, text: str, work: float) -> None:
        """A picture begins; ``text`` says its sizes and pieces."""

    def advance(self, work: float) -> None:
        """So much work is done."""

    def end_picture(self, text: str, dropped_work: float = 0.0) -> None:
        """The picture ended as ``text`` says; of its work so much will not be done."""


class ConsoleProgress(Progress):
    """Lines on a stream; on a terminal, the last one lives and shows the time left.

    Elsewhere the time left is a line every 30 seconds.
    """

    def __init__(self, stream: TextIO = sys.stdout) -> None:
        self.stream = stream
        self.live = stream.isatty()
        self.interval = 0.2 if self.live else 30.0
        self.started = time.monotonic()
        self.number = self.pictures = 0
        self.total = self.done = 0.0
        self.width = 0

    def begin(self, pictures: int, work: float) -> None:
        self.pictures, self.total = pictures, work

    def begin_picture(self, source: Path, text: str, work: float) -> None:
        self.number += 1
        self.picture_total, self.picture_done = work, 0.0
        self.picture_started = self.last_shown = time.monotonic()
        self._line(f'[{self.number}/{self.pictures}] {source}: {text}')

    def advance(self, work: float) -> None:
        self.done += work
        self.picture_done += work
        now = time.monotonic()
        if now - self.last_shown < self.interval:
            return
        self.last_shown = now
        text = (
            f'    {100 * self.picture_done / self.picture_total:.0f} %, '
            f'{_duration(self._left(self.picture_total - self.picture_done))} left'
        )
        if self.pictures > 1:
            text += f'; all: {_duration(self._left(self.total - self.done))} left'
        if self.live:
            self.stream.write('\r' + text.ljust(self.width))
            self.width = len(text)
            self.stream.flush()
        else:
            self._line(text)

    def end_picture(self, text: str, dropped_work: float = 0.0) -> None:
        self.total -= dropped_work
        self._line(f'    {text}')

    def _left(self, work: float) -> float:
        """Seconds that so much work takes at the speed so far."""
        return work * (time.monotonic() - self.started) / self.done

    def _line(self, text: str) -> None:
        if self.live and self.width:
            self.stream.write('\r' + ' ' * self.width + '\r')
            self.width = 0
        print(text, file=self.stream, flush=True)


def _duration(seconds: float) -> str:
    seconds = round(seconds)
    if seconds < 60:
        return f'{seconds} s'
    if seconds < 3600:
        return f'{seconds // 60} min {seconds % 60:02d} s'
    return f'{seconds // 3600} h {seconds % 3600 // 60:02d} min'
