"""Reading checkpoint files that nobody vouches for."""

import zipfile
from pathlib import Path
from typing import Any

from csnln_mm.checkpoints.load import load_torch_file
from csnln_mm.checkpoints.safe_pickle import Refused
from csnln_mm.errors import UserError

__all__ = ['load_checkpoint_file', 'use_safe_loading']


def load_checkpoint_file(path: str | Path) -> Any:
    """Like :func:`torch.load` to the CPU, but only of tensors, containers, numbers and logs.

    ``weights_only=True`` of torch refuses the logs that MMEngine saves beside the weights to
    resume a training, and believes what a file says of its sizes.

    Args:
        path: file.

    Raises:
        UserError: if the file is missing, unreadable, cut off, no checkpoint, would run code, or
            claims more than it holds.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise UserError(
            f'checkpoint {path} does not exist'
            if not path.exists()
            else f'checkpoint {path} is not a file'
        )
    try:
        return load_torch_file(path)
    except Refused as error:
        raise UserError(
            f'{path} is refused: it would {error}, which no checkpoint needs'
        ) from error
    except OSError as error:
        raise UserError(f'cannot read {path}: {error.strerror or error}') from error
    except zipfile.BadZipFile as error:
        if 'CRC' not in str(error):
            raise UserError(f'{path} is cut off or not a checkpoint ({error})') from error
        raise UserError(f'{path} is damaged: its content does not fit its checksums') from error
    except Exception as error:  # whatever comes of bytes that are no checkpoint
        reason = ' '.join(f'{type(error).__name__} {error}'.split())
        raise UserError(f'{path} is cut off or not a checkpoint ({reason:.200})') from error


def use_safe_loading() -> None:
    """Have MMEngine read local checkpoints (load_from, resume) by :func:`load_checkpoint_file`."""
    from mmengine.runner.checkpoint import CheckpointLoader

    def load_from_local(filename: str, map_location: Any = None) -> Any:
        checkpoint = load_checkpoint_file(filename)
        meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
        if isinstance(meta, dict):
            # Runner.resume would run it as a program.
            meta.pop('config', None)
        return checkpoint

    CheckpointLoader.register_scheme('', load_from_local, force=True)
