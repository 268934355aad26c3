"""Which checkpoint an interrupted training goes on from."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmengine.logging import HistoryBuffer
from mmengine.runner.checkpoint import CheckpointLoader

from csnln_mm.checkpoints.load import load_checkpoint
from csnln_mm.checkpoints.safe_pickle import TrainingLog
from csnln_mm.errors import UserError

__all__ = [
    'Newest',
    'list_checkpoints',
    'load_valid_checkpoint',
    'latest_valid_checkpoint',
    'use_safe_loading',
]

_NEEDED = 'meta', 'state_dict', 'optimizer', 'message_hub'


class Newest(NamedTuple):
    """A checkpoint to go on from.

    Attributes:
        path: the file; None if there is no checkpoint.
        content: what it holds.
        skipped: for each newer file that is not whole, what is wrong with it.
    """

    path: Path | None
    content: dict[str, Any] | None
    skipped: list[str]


def list_checkpoints(folder: Path, template: str = 'iter_{}.pth') -> list[Path]:
    """The checkpoints of a training, whole or not, newest first.

    Args:
        folder: need not exist.
        template: of file names, with ``{}`` for the number of steps or epochs.
    """
    before, after = template.split('{}')
    name = re.compile(f'{re.escape(before)}(\\d+){re.escape(after)}')
    found = [(name.fullmatch(path.name), path) for path in folder.glob('*')]
    numbered = [(int(match[1]), path) for match, path in found if match]
    return [path for _, path in sorted(numbered, reverse=True)]


def latest_valid_checkpoint(folder: Path, template: str = 'iter_{}.pth') -> Newest:
    """Find the newest checkpoint that a training can go on from.

    Args:
        folder: where checkpoints are written.
        template: see :func:`list_checkpoints`.

    Raises:
        UserError: if there are checkpoints, and none is whole.
    """
    skipped = []
    for path in list_checkpoints(folder, template):
        try:
            return Newest(path, load_valid_checkpoint(path), skipped)
        except UserError as error:
            skipped.append(str(error))
    if skipped:
        raise UserError(
            f'no checkpoint in {folder} is whole: '
            + '; '.join(skipped)
            + '; remove them to begin anew'
        )
    return Newest(None, None, skipped)


def load_valid_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of MMEngine that a training can go on from.

    Raises:
        UserError: if it is cut off, has changed since it was written, lacks what a training needs
            besides weights, or :func:`csnln_mm.checkpoints.load_checkpoint` refuses it.
    """
    checkpoint = load_checkpoint(path)
    missing = [key for key in _NEEDED if not isinstance(checkpoint, dict) or key not in checkpoint]
    if missing:
        raise UserError(f'{path} cannot be gone on from: it lacks {", ".join(missing)}')
    return checkpoint


def use_safe_loading() -> None:
    """Have MMEngine read local checkpoints (load_from, resume) by our :func:`load_checkpoint`.

    MMEngine's own reader runs what a file asks for: in some versions by ``torch.load`` without
    ``weights_only``, in others as what it falls back to.
    """
    CheckpointLoader.register_scheme('', _load_from_local, force=True)


def _load_from_local(filename: str, map_location: Any = None) -> Any:
    checkpoint = load_checkpoint(filename)
    if isinstance(checkpoint, dict):
        if isinstance(checkpoint.get('meta'), dict):
            # Runner.resume would run it as a program.
            checkpoint['meta'].pop('config', None)
        hub = checkpoint.get('message_hub')
        if isinstance(hub, dict) and isinstance(hub.get('log_scalars'), dict):
            hub['log_scalars'] = {
                name: _to_buffer(log, filename) for name, log in hub['log_scalars'].items()
            }
    return checkpoint


def _to_buffer(log: Any, filename: str) -> Any:
    """MMEngine's form of a log."""
    if not isinstance(log, TrainingLog):
        return log
    if (
        not isinstance(log.max_length, int)
        or np.ndim(log.values) != 1
        or np.shape(log.values) != np.shape(log.counts)
    ):
        raise UserError(f'{filename} is refused: a log in it is damaged')
    return HistoryBuffer(log.values, log.counts, log.max_length)
