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

from csnln_mm.checkpoints.safe_pickle import Refused, RestrictedUnpickler, Storage

__all__ = ['load_torch_file']

# How the format before torch 1.6 begins, and its version.
_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001


def load_torch_file(path: Path) -> Any:
    """The object that ``torch.save`` wrote, its tensors on the CPU.

    Args:
        path: file.

    Raises:
        Refused: if the file asks for more than plain data and tensors.
        OSError: if it cannot be read.
        Exception: of many kinds, if it is cut off or something else.
    """
    with open(path, 'rb') as file:
        if zipfile.is_zipfile(file):
            return _load_zip(file)
        file.seek(0)
        return _load_stream(file)


def _load_zip(file: BinaryIO) -> Any:
    """A zip archive NAME/data.pkl, NAME/data/KEY ..., as torch writes it since 1.6."""
    with zipfile.ZipFile(file) as archive:
        records = {info.filename.partition('/')[2]: info for info in archive.infolist()}
        if 'constants.pkl' in records:
            raise Refused('run a TorchScript program')
        for name, record in records.items():
            if record.compress_type != zipfile.ZIP_STORED:
                raise Refused(f'unpack the compressed record {name!r:.100}')
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

        return RestrictedUnpickler(
            io.BytesIO(archive.read(records['data.pkl'])), load_storage
        ).load()


def _load_stream(file: BinaryIO) -> Any:
    """Five pickles and then the storages one after another, as torch wrote it before 1.6."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = [RestrictedUnpickler(file).load() for _ in range(3)]
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

    content = RestrictedUnpickler(file, load_storage).load()
    keys = RestrictedUnpickler(file).load()
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
