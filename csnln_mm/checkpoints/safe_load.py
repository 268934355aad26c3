"""Reading checkpoint files that nobody vouches for."""
import errno
import pickle
import zipfile
from pathlib import Path
from typing import Any, Union

import torch
from mmengine.logging.history_buffer import HistoryBuffer

from csnln_mm.errors import UserError

__all__ = ['load_checkpoint_file', 'use_safe_loading']

# What state dicts, optimizers and MMEngine's training logs are made of. Nothing here runs code
# of the file's choosing.
_ALLOWED = {
    ('builtins', 'set'),
    ('collections', 'Counter'),
    ('collections', 'OrderedDict'),
    ('collections', 'defaultdict'),
    ('_codecs', 'encode'),
    ('mmengine.logging.history_buffer', 'HistoryBuffer'),
    ('numpy', 'dtype'),
    ('numpy', 'ndarray'),
    ('numpy.core.multiarray', '_reconstruct'),
    ('numpy.core.multiarray', 'scalar'),
    ('torch', 'Size'),
    ('torch', 'device'),
    ('torch._utils', '_rebuild_parameter'),
    ('torch._utils', '_rebuild_tensor'),
    ('torch._utils', '_rebuild_tensor_v2'),
} | {('torch', name)
     for name, value in vars(torch).items()
     if isinstance(value, torch.dtype) or name.endswith('Storage')}

_STATISTICS = 'min', 'max', 'current', 'mean'


class _Refused(pickle.UnpicklingError):
    """The file asks for something that no checkpoint needs."""


def _history_statistic(owner: Any, name: str) -> Any:
    """The one use of getattr in a checkpoint: MMEngine's logs refer to their own methods."""
    if owner is HistoryBuffer and name in _STATISTICS:
        return getattr(owner, name)
    raise _Refused(f'getattr({owner!r}, {name!r})')


class _Unpickler(pickle.Unpickler):

    def find_class(self, module: str, name: str) -> Any:
        module = 'builtins' if module == '__builtin__' else module
        if (module, name) == ('builtins', 'getattr'):
            return _history_statistic
        if (module, name) in _ALLOWED:
            return super().find_class(module, name)
        raise _Refused(f'{module}.{name}')


class _SafePickle:
    """Stands in for the module ``pickle`` in :func:`torch.load`."""
    Unpickler = _Unpickler

    @staticmethod
    def load(file: Any, **kwargs: Any) -> Any:
        return _Unpickler(file, **kwargs).load()


def load_checkpoint_file(path: Union[str, Path], map_location: Any = 'cpu') -> Any:
    """Like :func:`torch.load`, but only of tensors, containers, numbers and MMEngine's logs.

    ``weights_only=True`` of torch would be stricter still, and refuses what MMEngine saves
    beside the weights to resume a training.

    Args:
        path: file.
        map_location: as for :func:`torch.load`.

    Raises:
        UserError: if the file is missing, unreadable, cut off, no checkpoint, or would run code.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise UserError(f'checkpoint {path} does not exist'
                        if not path.exists() else f'checkpoint {path} is not a file')
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                if any(name.endswith('constants.pkl') for name in archive.namelist()):
                    raise UserError(f'{path} is a TorchScript program, not a checkpoint')
        return torch.load(path, map_location=map_location, pickle_module=_SafePickle)
    except _Refused as error:
        raise UserError(f'{path} is refused: it would run {error} when it is loaded, which no '
                        'checkpoint needs') from error
    except OSError as error:
        if error.errno == errno.EINVAL:  # torch seeks what lies before a short file's beginning
            raise UserError(f'{path} is cut off or not a checkpoint') from error
        raise UserError(f'cannot read {path}: {error.strerror or error}') from error
    except UserError:
        raise
    except Exception as error:  # whatever torch makes of bytes that are no checkpoint
        raise UserError(
            f'{path} is cut off or not a checkpoint ({type(error).__name__}: {error})') from error


def use_safe_loading() -> None:
    """Have MMEngine read local checkpoints (load_from, resume) by :func:`load_checkpoint_file`."""
    from mmengine.runner.checkpoint import CheckpointLoader

    def load_from_local(filename: str, map_location: Any = None) -> Any:
        return load_checkpoint_file(filename, map_location)

    CheckpointLoader.register_scheme('', load_from_local, force=True)
