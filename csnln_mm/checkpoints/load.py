"""Read checkpoint files without trusting them.

``torch.load`` unpacks compressed records and makes expanded tensors of any size, reads records
without checking their checksums, and extracts a tar archive to the disk. Older versions, down to
the lowest that this package supports, also read beyond the end of a record that is shorter than the
pickle claims; torch 2.14 refuses it. ``weights_only=True`` changes nothing of that, and refuses the
logs that MMEngine saves beside the weights; of the format before torch 1.6 it believes keys that
take years to look up. Therefore this module reads both formats itself.
"""

import io
import os
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import torch

from csnln_mm.checkpoints.pretrained import checkpoint_path
from csnln_mm.checkpoints.safe_pickle import SafeUnpickler, Storage, UnsafeCheckpoint
from csnln_mm.errors import UserError

FILE_IN_FOLDER = 'model.safetensors'

# How a file of the format before torch 1.6 begins: with a pickle of this number.
_MAGIC = (0x1950A86A20F9469CFC6C).to_bytes(10, 'little')


def load_checkpoint(path: str | Path) -> Any:
    """Read tensors, containers, numbers and logs from a file of ``torch.save`` or safetensors.

    Args:
        path: a file, recognised by its content; the name of a model that comes with the
            package; or a folder with a ``model.safetensors``, as ``csnln export --hub`` and the
            Hugging Face hub have it.

    Returns:
        What was saved, tensors on the CPU, logs of MMEngine as
        :class:`~csnln_mm.checkpoints.safe_pickle.TrainingLog`. Of safetensors a dict of
        ``state_dict`` and ``meta``, the file's metadata.

    Raises:
        UserError: if the file is missing, unreadable, cut off or no checkpoint, if loading it
            would run code, or if it claims more than it holds.
    """
    path = checkpoint_path(path)
    if (path / FILE_IN_FOLDER).is_file():
        path = path / FILE_IN_FOLDER
    if not path.is_file():
        problem = 'is not a file' if path.exists() else 'does not exist'
        raise UserError(f'checkpoint {path} {problem}')
    try:
        return _load(path)
    except UnsafeCheckpoint as error:
        raise UserError(
            f'{path} is refused: it would {error}, which no checkpoint needs'
        ) from error
    except UserError:
        raise
    except OSError as error:
        raise UserError(f'cannot read {path}: {error.strerror or error}') from error
    except Exception as error:  # bytes that are no checkpoint can raise anything
        if isinstance(error, zipfile.BadZipFile) and 'CRC' in str(error):
            raise UserError(f'{path} is damaged: its content does not fit its checksums') from error
        reason = ' '.join(f'{type(error).__name__} {error}'.split())
        raise UserError(f'{path} is cut off or not a checkpoint ({reason:.200})') from error


def _load(path: Path) -> Any:
    with path.open('rb') as file:
        if zipfile.is_zipfile(file):
            return _load_zip(file)
        file.seek(0)
        head = file.read(32)
        if head[8:9] == b'{':
            return _load_safetensors(path)
        if not head or head.startswith(b'PK'):  # a zip archive without its end
            raise UserError(f'{path} is cut off or not a checkpoint')
        # Other formats that torch would read are refused here.
        if head[:1] != b'\x80' or _MAGIC not in head or _is_tar(file):
            raise UserError(f'{path} is not a checkpoint: it does not begin as one does')
        file.seek(0)
        return _load_stream(file)


def _load_zip(file: BinaryIO) -> Any:
    """Load a zip archive NAME/data.pkl, NAME/data/KEY ..., as torch writes it since 1.6."""
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


def _storage(content: bytes) -> torch.UntypedStorage:
    if not content:
        return torch.UntypedStorage(0)
    # From a bytearray, since tensors must be writable.
    return torch.frombuffer(bytearray(content), dtype=torch.uint8).untyped_storage()


def _load_safetensors(path: Path) -> dict:
    from safetensors import safe_open

    with safe_open(path, 'pt') as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        return dict(meta=file.metadata() or {}, state_dict=tensors)


def _is_tar(file: BinaryIO) -> bool:
    """Whether torch would extract the file as a tar archive."""
    file.seek(0)
    try:
        tarfile.open(fileobj=file, mode='r:').close()
    except tarfile.TarError:
        return False
    return True


def _load_stream(file: BinaryIO) -> Any:
    """Load five pickles and then the storages, as torch wrote them before 1.6."""
    left = os.fstat(file.fileno()).st_size
    storages: dict[str, Storage] = {}

    def load_storage(dtype: torch.dtype, key: str, count: int) -> Storage:
        nonlocal left
        if key not in storages:
            left -= count * dtype.itemsize
            if not 0 <= count * dtype.itemsize <= left:
                raise ValueError(f'storage {key!r:.100} claims more than the file has')
            content = torch.UntypedStorage(count * dtype.itemsize)
            storages[key] = Storage(content, dtype)
        if storages[key].dtype != dtype or storages[key].content.nbytes() != count * dtype.itemsize:
            raise ValueError(f'storage {key!r:.100} is of two kinds')
        return storages[key]

    magic, version, system = (SafeUnpickler(file).load() for _ in range(3))
    if (magic, version) != (int.from_bytes(_MAGIC, 'little'), 1001):
        raise ValueError('another format')
    if system['little_endian'] != (sys.byteorder == 'little'):
        raise ValueError('numbers of another byte order')
    content = SafeUnpickler(file, load_storage).load()
    keys = SafeUnpickler(file).load()
    if not all(type(key) is str for key in keys) or sorted(keys) != sorted(storages):
        raise ValueError('other storages than the tensors have')
    for key in keys:
        storage, dtype = storages[key]
        count = int.from_bytes(file.read(8), 'little')
        numbers = file.read(storage.nbytes())
        if count * dtype.itemsize != len(numbers) or len(numbers) != storage.nbytes():
            raise ValueError(f'storage {key!r:.100} does not have its {storage.nbytes()} bytes')
        if numbers:
            storage.copy_(_storage(numbers))
    return content
