"""Checkpoint files made to do harm: what they ask for is refused, and nothing of it happens."""

import _codecs
import io
import os
import pickle
import resource
import struct
import tarfile
import tracemalloc
import zipfile
from collections import Counter, OrderedDict
from typing import NamedTuple

import numpy as np
import pytest
import torch
from history_buffer import HistoryBuffer

from csnln_mm.checkpoints import load_checkpoint
from csnln_mm.checkpoints.safe_pickle import TrainingLog
from csnln_mm.errors import UserError


def write_zip(path, program, storages=None, compression=zipfile.ZIP_STORED):
    """A checkpoint of torch's zip format around a pickle."""
    with zipfile.ZipFile(path, 'w', compression) as archive:
        archive.writestr('archive/data.pkl', program)
        archive.writestr('archive/version', b'3\n')
        for key, content in (storages or {}).items():
            archive.writestr(f'archive/data/{key}', content)
    return path


def write_stream(path, *programs):
    """A checkpoint of the format before torch 1.6: three pickles as ever, and these."""
    head = 0x1950A86A20F9469CFC6C, 1001, dict(little_endian=True)
    path.write_bytes(b''.join(pickle.dumps(x, 2) for x in head) + b''.join(programs))
    return path


class Call:
    """Unpickling this calls a function, and sets a state."""

    def __init__(self, function, *arguments, state=None):
        self.reduced = (function, arguments) + ((state,) if state is not None else ())

    def __reduce__(self):
        return self.reduced


class Persistent(NamedTuple):
    """What is pickled as torch refers to storages."""

    id: object


class StoragePickler(pickle.Pickler):
    def persistent_id(self, obj):
        return obj.id if isinstance(obj, Persistent) else None


def dumps(content):
    file = io.BytesIO()
    StoragePickler(file, 2).dump(content)
    return file.getvalue()


def refuse(path, match=None):
    before = sorted(os.listdir(path.parent))
    with pytest.raises(UserError, match=match) as caught:
        load_checkpoint(path)
    assert str(path) in str(caught.value) and '\n' not in str(caught.value)
    assert sorted(os.listdir(path.parent)) == before


def refuse_program(folder, program, match=None, storages=None):
    refuse(write_zip(folder / 'a.pth', program, storages), match)


STATE_OF_A_CLASS = (
    b'\x80\x02cmmengine.logging.history_buffer\nHistoryBuffer\nN}X\x04\x00\x00\x00meanK\x01s\x86b.'
)


def test_the_program_itself_is_not_changed(tmp_path):
    """Setting the state of a class would replace its methods for whoever uses it later."""
    refuse_program(tmp_path, STATE_OF_A_CLASS, 'refused: it would change')
    assert not hasattr(TrainingLog, 'mean')
    for odd in Call(HistoryBuffer, state=dict(mean=1)), Call(OrderedDict, state=dict(items=1)):
        refuse_program(tmp_path, dumps(odd), 'change the methods')


def test_logs_are_inert(tmp_path):
    """MMEngine's logs carry a table of methods, which unpickling them there sets for all logs."""
    state = dict(
        max_length=1, _log_history=[], _count_history=[], statistics_methods={'mean': OrderedDict}
    )
    log = load_checkpoint(write_zip(tmp_path / 'a.pth', dumps(Call(HistoryBuffer, state=state))))
    assert type(log) is TrainingLog
    assert vars(log) == dict(max_length=1, values=[], counts=[])


def test_no_source_patch_is_written(tmp_path, monkeypatch):
    """torch.load would compare a function's source with the file's, and save the difference."""
    monkeypatch.chdir(tmp_path)
    function = b'ctorch._utils\n_rebuild_tensor_v2\n'
    rename = (
        b'N}(X\x0c\x00\x00\x00dump_patches\x88X\x08\x00\x00\x00__name__X\x03\x00\x00\x00ranu\x86b0'
    )
    compare = b'(X\x06\x00\x00\x00module' + function + b'X\x01\x00\x00\x00aX\x01\x00\x00\x00btQ.'
    path = write_stream(tmp_path / 'a.pth', b'\x80\x02' + function + rename + compare)
    refuse(path)
    refuse(write_zip(path, b'\x80\x02' + function + rename + compare), 'it would change <function')
    for write in write_stream, write_zip:
        refuse(write(path, b'\x80\x02' + compare))


@pytest.mark.parametrize('zip_format', [True, False])
@pytest.mark.parametrize(
    'evil',
    [
        Call(eval, 'open("ran", "w")'),
        Call(getattr, torch.Tensor, 'numpy'),
        Call(getattr, HistoryBuffer, '__init__'),
        Call(torch.hub.load, 'a', 'b'),
        Call(pickle.loads, b''),
    ],
)
def test_code_is_not_run(tmp_path, monkeypatch, evil, zip_format):
    monkeypatch.chdir(tmp_path)
    content, path = dict(weight=torch.zeros(1), evil=evil), tmp_path / 'evil.pth'
    torch.save(content, path, _use_new_zipfile_serialization=zip_format)
    refuse(path, 'evil.pth is refused: it would run ')


@pytest.mark.parametrize(
    'content, protocol, match',
    [
        (np.array([{}], dtype=object), 2, "make an array of 'O8'"),
        (np.zeros(1, dtype=[('a', 'O')]), 2, 'make an array of'),
        (np.zeros(1, dtype='U9'), 2, 'make an array of'),
        (Call(np.dtype, 'V8', state=(3, '|', None, None, None, 1, 1, 0)), 2, 'make an array of'),
        (Call(np.dtype, 'f8', state=(3, '>', None, None, None, -1, -1, 0)), 2, 'change a numpy'),
        (Call(_codecs.encode, 'a', 'rot13'), 2, "run the codec 'rot13'"),
        (1 << 9000, 2, 'integers of thousands of digits'),
        (bytearray(2**16), 5, 'make a bytearray'),
    ],
)
def test_what_checkpoints_do_not_need_is_not_made(tmp_path, content, protocol, match):
    refuse_program(tmp_path, pickle.dumps(content, protocol), match)


def test_an_array_has_the_bytes_of_its_shape(tmp_path):
    array = pickle.dumps(np.arange(3, dtype='u1'), 2)
    for shape in b'K\x04\x85', b'J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86':
        assert array.count(b'K\x03\x85') == 1
        refuse_program(tmp_path, array.replace(b'K\x03\x85', shape), 'does not have the bytes')


def tensor(size, stride=(1,), count=1, offset=0, key='0'):
    storage = Persistent(('storage', torch.FloatStorage, key, 'cpu', count))
    return Call(torch._utils._rebuild_tensor_v2, storage, offset, size, stride, False, {})


def test_a_storage_is_as_long_as_its_record(tmp_path):
    """torch 2.1 would read what lies behind it in memory."""
    program = dumps(tensor((100000,), count=100000))
    refuse_program(tmp_path, program, 'storage .0. has 4 bytes', {'0': b'1234'})
    path = write_zip(tmp_path / 'right.pth', dumps(tensor((1,))), {'0': bytes(4)})
    assert load_checkpoint(path) == 0


@pytest.mark.parametrize(
    'size, stride, offset',
    [
        ((10**6, 10**6), (0, 0), 0),
        ((2**40,), (1,), 0),
        ((1,), (1,), 1),
        ((1,), (1,), -1),
        ((2,), (-1,), 0),
        ((-1,), (1,), 0),
        ((2,), (2**62,), 0),
    ],
)
def test_a_tensor_is_no_larger_than_its_storage(tmp_path, size, stride, offset):
    program = dumps(tensor(size, stride, offset=offset))
    refuse_program(tmp_path, program, 'has only 1 elements', {'0': bytes(4)})
    storages = dumps(['0']), struct.pack('<q', 1), bytes(4)
    refuse(write_stream(tmp_path / 'b.pth', program, *storages))


def test_compressed_records_are_not_unpacked(tmp_path):
    program = dumps(tensor((2**22,), count=2**22))
    path = write_zip(tmp_path / 'a.pth', program, {'0': bytes(2**24)}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 2**20
    refuse(path, 'unpack the compressed record')


def test_storages_claim_no_more_than_the_file_has(tmp_path):
    for count in 2**30, 2**36:
        program = dumps([tensor((1,), count=count)])
        storages = dumps(['0']), struct.pack('<q', count), bytes(4)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        refuse(write_stream(tmp_path / 'long.pth', program))
        refuse(write_stream(tmp_path / 'long.pth', program, *storages))
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100e3


def test_the_older_format_holds_plain_tensors_in_plain_containers(tmp_path):
    odd = Call(OrderedDict, state=dict(items=1))
    refuse(write_stream(tmp_path / 'dict.pth', dumps([odd]), dumps([])), 'change the methods')
    sparse = dict(a=[torch.eye(2).to_sparse()])
    torch.save(sparse, tmp_path / 'sparse.pth', _use_new_zipfile_serialization=False)
    refuse(tmp_path / 'sparse.pth')


def test_an_index_of_the_file_takes_no_memory(tmp_path):
    """The unpickler of C makes a table as long as the largest index: here 16 GB."""
    path = write_zip(tmp_path / 'index.pth', b'\x80\x02Nr\xff\xff\xff\x7f.')
    tracemalloc.start()
    assert load_checkpoint(path) is None
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


def test_tar_archives_are_not_extracted(tmp_path):
    with tarfile.open(tmp_path / 'old.pth', 'w') as archive:
        link = tarfile.TarInfo('storages')
        link.type, link.linkname = tarfile.SYMTYPE, '/etc/passwd'
        archive.addfile(link)
    refuse(tmp_path / 'old.pth', 'it does not begin as one does')
    # The same, with a first member whose name is how the older format begins.
    options = dict(format=tarfile.GNU_FORMAT, encoding='latin1')
    with tarfile.open(tmp_path / 'both.pth', 'w', **options) as archive:
        name = pickle.dumps(0x1950A86A20F9469CFC6C, 2).decode('latin1')
        archive.addfile(tarfile.TarInfo(name))
        archive.addfile(link)
    assert (tmp_path / 'both.pth').read_bytes()[:15].endswith(b'P\x19.')
    refuse(tmp_path / 'both.pth', 'it does not begin as one does')


@pytest.mark.parametrize(
    'header',
    [
        b'{"a":{"dtype":"F32","shape":[100000],"data_offsets":[0,400000]}}',
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,400000]}}',
        b'{"a":{"dtype":"F32","shape":[1000000,1000000],"data_offsets":[0,4]}}',
        b'{"a":' * 10000,
        b'{',
    ],
)
def test_safetensors_hold_what_their_header_says(tmp_path, header):
    path = tmp_path / 'a.safetensors'
    path.write_bytes(struct.pack('<Q', len(header)) + header + bytes(4))
    refuse(path, 'cut off or not a checkpoint')
    path.write_bytes(struct.pack('<Q', 2**40) + header + bytes(4))
    refuse(path, 'cut off or not a checkpoint')


def test_a_pipe_is_no_checkpoint(tmp_path):
    os.mkfifo(tmp_path / 'pipe.pth')
    refuse(tmp_path / 'pipe.pth', 'is not a file')


@pytest.mark.parametrize(
    'pid',
    [
        'text',
        ('storage',),
        ('storage', 1, '0', 'cpu', 1),
        ('storage', torch.FloatStorage, '0', 'cpu', 'x'),
        ('storage', torch.FloatStorage, '0', 'cpu', 1, ('1', 0, 1)),
    ],
)
def test_what_is_no_storage_is_refused(tmp_path, pid):
    refuse_program(tmp_path, dumps([Persistent(pid)]), 'no storage', {'0': bytes(4)})


def nested(depth):
    """A tuple of few bytes that is 2^depth tuples to whoever goes through it."""
    value = ()
    for _ in range(depth):
        value = value, value
    return value


@pytest.mark.parametrize(
    'content',
    [
        {nested(3): 1},
        [{nested(3): 1, 1: 2}],
        {nested(3)},
        frozenset([nested(3)]),
        Call(Counter, [nested(3)]),
        Call(OrderedDict, [(nested(3), 1)]),
        {2**61: 1},
    ],
)
@pytest.mark.parametrize('protocol', [0, 2, 4])
def test_keys_are_plain(tmp_path, content, protocol):
    """At depth 3 this is harmless; at 60 a look-up would take years."""
    program = pickle.dumps(content, protocol)
    for path in (
        write_zip(tmp_path / 'a.pth', program),
        write_stream(tmp_path / 'b.pth', program, dumps([])),
    ):
        refuse(path, 'as a key|run builtins.frozenset')


@pytest.mark.parametrize('state', [nested(60), [nested(60)]])
def test_messages_do_not_print_what_is_nested(tmp_path, state):
    refuse_program(tmp_path, dumps(Call(getattr, state, 'a')), 'run getattr')


@pytest.mark.parametrize('size', [([0], 2), ('a', 2), (2**64,), (1,) * 40])
def test_shapes_are_a_few_integers(tmp_path, size):
    """A list times an integer is a list as long: only integers are multiplied."""
    program = dumps(tensor(size, (1,) * len(size)))
    refuse_program(tmp_path, program, 'a shape that is none|40 dimensions', {'0': bytes(4)})
