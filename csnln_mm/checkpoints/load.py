"""The two formats of ``torch.save``, read without trusting the file.

``torch.load`` believes what a file says of its storages: of a zip archive it reads beyond the end
of a record that is shorter than the pickle claims, it unpacks compressed records of any size, and
of a tar archive it extracts to the disk.
"""

import io
import pickle
import struct
import sys
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import torch

from csnln_mm.checkpoints.safe_pickle import SafeUnpickler, Storage, UnsafeCheckpoint
from csnln_mm.errors import UserError

__all__ = ['load_checkpoint']

# How the format before torch 1.6 begins, and its version.
_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001


def load_checkpoint(path: str | Path) -> Any:
    """Like :func:`torch.load` to the CPU, but only of tensors, containers, numbers and logs.

    ``weights_only=True`` of torch refuses the logs that MMEngine saves beside the weights to
    resume a training run, and believes what a file says of its sizes.

    Args:
        path: file, as ``torch.save`` writes it. Logs of MMEngine come back as
            :class:`~csnln_mm.checkpoints.safe_pickle.TrainingLog`.

    Raises:
        UserError: if the file is missing, unreadable, truncated, not a checkpoint, would run code,
            or claims more than it holds.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise UserError(
            f'checkpoint {path} does not exist'
            if not path.exists()
            else f'checkpoint {path} is not a file'
        )
    try:
        with open(path, 'rb') as file:
            if zipfile.is_zipfile(file):
                return _load_zip(file)
            file.seek(0)
            return _load_stream(file)
    except UnsafeCheckpoint as error:
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


def _load_zip(file: BinaryIO) -> Any:
    """A zip archive NAME/data.pkl, NAME/data/KEY ..., as torch writes it since 1.6."""
    with zipfile.ZipFile(file) as archive:
        records = {info.filename.partition('/')[2]: info for info in archive.infolist()}
        if 'constants.pkl' in records:
            raise UnsafeCheckpoint('run a TorchScript program')
        for name, record in records.items():
            if record.compress_type != zipfile.ZIP_STORED:
                raise UnsafeCheckpoint(f'unpack the compressed record {name!r:.100}')
        if 'byteorder' in records and archive.read(records['byteorder']).decode() != sys.byteorder:
            raise ValueError('numbers of another byte order')
        storages: dict[str, Storage] = {}

        def load_storage(dtype: torch.dtype, key: str, count: int) -> Storage:
            if key not in storages:
                record = records[f'data/{key}']
                if record.file_size != count * dtype.itemsize:
                    raise ValueError(
                        f'storage {key!r:.100} has {record.file_size} bytes, not '
                        f'{count} x {dtype.itemsize}'
                    )
                storages[key] = Storage(_storage(archive.read(record)), dtype)
            return storages[key]

        return SafeUnpickler(io.BytesIO(archive.read(records['data.pkl'])), load_storage).load()


def _load_stream(file: BinaryIO) -> Any:
    """Five pickles and then the storages one after another, as torch wrote it before 1.6."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = [SafeUnpickler(file).load() for _ in range(3)]
    if head[:2] != [_MAGIC, _VERSION]:
        raise pickle.UnpicklingError('it does not begin as a checkpoint does')
    if not head[2]['little_endian'] or sys.byteorder != 'little':
        raise ValueError('numbers of another byte order')
    storages: dict[str, Storage] = {}
    claimed = 0

    def load_storage(dtype: torch.dtype, key: str, count: int) -> Storage:
        nonlocal claimed
        if key not in storages:
            claimed += count * dtype.itemsize
            if count < 0 or claimed > size:
                raise ValueError(f'storages of {claimed} bytes in a file of {size}')
            storages[key] = Storage(torch.UntypedStorage(count * dtype.itemsize), dtype)
        return storages[key]

    content = SafeUnpickler(file, load_storage).load()
    keys = SafeUnpickler(file).load()
    if sorted(keys) != sorted(storages):
        raise ValueError('its storages are not those of its tensors')
    for key in keys:
        content_of, dtype = storages[key]
        (count,) = struct.unpack('<q', file.read(8))
        if count * dtype.itemsize != content_of.nbytes():
            raise ValueError(f'storage {key!r:.100} has {count} elements')
        if count:
            content_of.copy_(_storage(file.read(content_of.nbytes())))
    return content


def _storage(content: bytes) -> torch.UntypedStorage:
    if not content:
        return torch.UntypedStorage(0)
    # Of a bytearray, since tensors must be writable.
    return torch.frombuffer(bytearray(content), dtype=torch.uint8).untyped_storage()
