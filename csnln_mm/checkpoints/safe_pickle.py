"""Pickles of plain data: an unpickler that can build what checkpoints hold, and nothing else.

Every name that a pickle may mention leads to a class of plain data or to a function of this
module, which checks its arguments. A list of allowed names would not be enough: pickles can also
change attributes of anything they can name, and some of the original functions trust any size.

Time is bounded as well. A few bytes make a tuple that contains another twice, and so on forty
times: hashing or printing it would take years. Therefore keys are plain numbers and strings, and
messages show nothing else.
"""

import pickle
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from csnln_mm.limits import PICKLE_DIMENSIONS, PICKLE_KEY, PICKLE_NUMBER

_KEYS = (str, bytes, int, float, bool, type(None))


class UnsafeCheckpoint(pickle.UnpicklingError):
    """The pickle would do something that no checkpoint needs."""


class Storage(NamedTuple):
    """The memory that tensors are views of: bytes, and the type of their numbers."""

    content: torch.UntypedStorage
    dtype: torch.dtype


class TrainingLog:
    """The values of a quantity during a training run: MMEngine's ``HistoryBuffer``, inert.

    Attributes:
        values: array, one per step.
        counts: array, the number of samples that each value is the mean of.
        max_length: the number of values that MMEngine keeps.
    """

    values: Any = ()
    counts: Any = ()
    max_length: Any = 1000000


# The pure Python class: that in C cannot restrict which attributes a pickle sets, and allocates as
# much memory as an index in the file says.
# The stubs of the standard library lack most of its members.
_PythonUnpickler: Any = pickle._Unpickler


class SafeUnpickler(_PythonUnpickler):
    """Reads the types that make up state dicts, optimizers and MMEngine's logs.

    Args:
        file: binary file.
        load_storage: called with (dtype, key, number of elements) of each storage that a tensor
            refers to; by default there are none.

    Raises:
        UnsafeCheckpoint: when it meets anything else.
    """

    dispatch = dict(_PythonUnpickler.dispatch)

    def __init__(
        self, file: Any, load_storage: Callable[[torch.dtype, str, int], Storage] | None = None
    ) -> None:
        super().__init__(file, encoding='utf-8')
        self.load_storage = load_storage

    def find_class(self, module: str, name: str) -> Any:
        module = 'builtins' if module == '__builtin__' else module
        try:
            return _NAMES[module, name]
        except KeyError:
            raise UnsafeCheckpoint(f'run {module}.{name}') from None

    def persistent_load(self, pid: Any) -> Any:
        """A storage: ('storage', dtype, key, device, number of elements[, None])."""
        if (
            not isinstance(pid, tuple)
            or len(pid) < 5
            or pid[0] != 'storage'
            or not isinstance(pid[1], torch.dtype)
            or not isinstance(pid[2], str)
            or not isinstance(pid[4], int)
            or any(pid[5:])
            or not self.load_storage
        ):
            raise UnsafeCheckpoint('refer to something that is no storage')
        return self.load_storage(pid[1], pid[2], pid[4])

    def load_build(self) -> None:
        """Set the state of an object; of a class or function it would change the program."""
        state = self.stack.pop()
        target = self.stack[-1]
        if type(target) is np.ndarray:
            _fill_array(target, state)
        elif isinstance(target, np.dtype):
            if not isinstance(state, tuple) or state[1:2] not in (('<',), ('|',), ('=',)):
                raise UnsafeCheckpoint('change a numpy.dtype')
        elif type(target) in _ATTRIBUTES:
            attributes = _ATTRIBUTES[type(target)]
            if not isinstance(state, dict) or state.keys() - attributes.keys():
                raise UnsafeCheckpoint(f'change the methods of a {type(target).__name__}')
            for key in state:
                if attributes[key]:
                    vars(target)[attributes[key]] = state[key]
        else:
            raise UnsafeCheckpoint(f'change {_name(target)}')

    def load_reduce(self) -> None:
        """Call a function of this module, or make a container."""
        args = self.stack.pop()
        self.stack[-1] = _call(self.stack[-1], args)

    def _instantiate(self, klass: Any, args: Sequence[Any]) -> None:
        self.append(_call(klass, args))

    def load_dict(self) -> None:
        _check_keys(self.stack[::2])
        super().load_dict()

    def load_setitem(self) -> None:
        _check_keys(self.stack[-2:-1])
        super().load_setitem()

    def load_setitems(self) -> None:
        _check_keys(self.stack[::2])
        super().load_setitems()

    def load_additems(self) -> None:
        _check_keys(self.stack)
        super().load_additems()

    def load_frozenset(self) -> None:
        _check_keys(self.stack)
        super().load_frozenset()

    def load_long4(self) -> None:
        """An integer of more than 255 bytes."""
        raise UnsafeCheckpoint('compute with integers of thousands of digits')

    def load_bytearray8(self) -> None:
        """Python takes the memory that this claims before it reads."""
        raise UnsafeCheckpoint('make a bytearray')

    dispatch[pickle.BUILD[0]] = load_build
    dispatch[pickle.REDUCE[0]] = load_reduce
    dispatch[pickle.DICT[0]] = load_dict
    dispatch[pickle.SETITEM[0]] = load_setitem
    dispatch[pickle.SETITEMS[0]] = load_setitems
    dispatch[pickle.ADDITEMS[0]] = load_additems
    dispatch[pickle.FROZENSET[0]] = load_frozenset
    dispatch[pickle.LONG4[0]] = load_long4
    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8


def _call(function: Any, args: Sequence[Any]) -> Any:
    if function is set or function is Counter:
        for source in args:
            _check_keys(source)
    elif function is OrderedDict or function is defaultdict:
        for source in args:
            if isinstance(source, (list, tuple)):
                _check_keys(pair[0] for pair in source)
    return function(*args)


def _check_keys(keys: Iterable[Any]) -> None:
    for key in keys:
        # Larger integers can have equal hashes, of which a dict compares each with each.
        if type(key) not in _KEYS or (type(key) is int and abs(key) >= PICKLE_KEY):
            raise UnsafeCheckpoint(f'use {type(key).__name__} as a key')


def _name(value: Any) -> str:
    """Name a value in a message; containers by their type alone."""
    is_short = isinstance(value, (str, bytes, type)) or callable(value)
    return f'{value!r:.100}' if is_short else f'a {type(value).__name__}'


def _size(shape: Sequence[int]) -> int:
    """The number of elements."""
    _check_integers(shape)
    return prod(shape)


def _check_integers(numbers: Sequence[int]) -> None:
    """Check numbers before they are multiplied: a list times an integer is as long a list."""
    if len(numbers) > PICKLE_DIMENSIONS:
        raise ValueError(f'an array of {len(numbers)} dimensions')
    if not all(type(n) is int and abs(n) < PICKLE_NUMBER for n in numbers):
        raise ValueError('a shape that is none')


# The attributes that a pickle may set, and the name each gets; '' is ignored, such as the table of
# their own methods that MMEngine's logs carry.
_ATTRIBUTES = {
    OrderedDict: dict(_metadata='_metadata'),
    TrainingLog: dict(
        _log_history='values',
        _count_history='counts',
        max_length='max_length',
        statistics_methods='',
    ),
}


def _latin1(text: str, encoding: str) -> bytes:
    """Decode bytes as older protocols of pickle write them."""
    if encoding != 'latin1':
        raise UnsafeCheckpoint(f'run the codec {_name(encoding)}')
    return text.encode('latin1')


def _no_bytes() -> bytes:
    return b''


def _log_method(owner: Any, name: str) -> str:
    """The one use of getattr in a checkpoint: MMEngine's logs refer to their own methods."""
    if owner is TrainingLog and name in ('min', 'max', 'current', 'mean'):
        return name
    raise UnsafeCheckpoint(f'run getattr({_name(owner)}, {_name(name)})')


def _dtype(name: str, *_: Any) -> np.dtype:
    """Make a dtype of numbers or booleans; NumPy trusts a pickle's layout of others."""
    dtype = np.dtype(name) if isinstance(name, str) else None
    if dtype is None or dtype.kind not in 'biufc' or dtype.fields or dtype.subdtype:
        raise UnsafeCheckpoint(f'make an array of {_name(name)}')
    return dtype


def _empty_array(*_: Any) -> np.ndarray:
    """The array that NumPy makes first and then fills; the size asked for is ignored."""
    return np.empty(0, np.int8)


def _fill_array(array: np.ndarray, state: Any) -> None:
    _, shape, dtype, _, content = state
    if (
        not isinstance(dtype, np.dtype)
        or not isinstance(content, bytes)
        or min(shape, default=0) < 0
        or _size(shape) * dtype.itemsize != len(content)
    ):
        raise ValueError('an array does not have the bytes that its shape needs')
    array.__setstate__(state)


def _scalar(dtype: np.dtype, content: bytes) -> np.generic:
    return np.frombuffer(content, dtype, count=1)[0]


def _tensor(
    storage: Storage,
    offset: int,
    size: Sequence[int],
    stride: Sequence[int],
    requires_grad: bool = False,
    backward_hooks: Any = None,
    metadata: Any = None,
) -> Tensor:
    """A view of a storage, no larger than what the file holds of it."""
    if not isinstance(storage, Storage) or metadata:
        raise UnsafeCheckpoint('make a tensor of something that is no storage')
    size, stride = tuple(size), tuple(stride)
    count = _size(size)
    _check_integers((offset, *stride))
    last = sum((n - 1) * step for n, step in zip(size, stride)) if count else -1
    available = storage.content.nbytes() // storage.dtype.itemsize
    if min((offset, *size, *stride)) < 0 or max(count, offset + last + 1) > available:
        raise ValueError(f'a tensor of shape {size} has only {available} elements')
    tensor = torch.empty(0, dtype=storage.dtype).set_(storage.content, offset, size, stride)
    return tensor.requires_grad_(bool(requires_grad))


def _parameter(data: Tensor, requires_grad: bool, backward_hooks: Any = None) -> Tensor:
    return torch.nn.Parameter(data, bool(requires_grad))


# What a checkpoint names to say how a storage's bytes are to be read.
_STORAGE_TYPES = {
    'BFloat16Storage': torch.bfloat16,
    'BoolStorage': torch.bool,
    'ByteStorage': torch.uint8,
    'CharStorage': torch.int8,
    'ComplexDoubleStorage': torch.complex128,
    'ComplexFloatStorage': torch.complex64,
    'DoubleStorage': torch.float64,
    'FloatStorage': torch.float32,
    'HalfStorage': torch.float16,
    'IntStorage': torch.int32,
    'LongStorage': torch.int64,
    'ShortStorage': torch.int16,
    'UntypedStorage': torch.uint8,
}

_NAMES: dict[tuple[str, str], Any] = {
    ('builtins', 'bytes'): _no_bytes,
    ('builtins', 'getattr'): _log_method,
    ('builtins', 'set'): set,
    ('collections', 'Counter'): Counter,
    ('collections', 'OrderedDict'): OrderedDict,
    ('collections', 'defaultdict'): defaultdict,
    ('_codecs', 'encode'): _latin1,
    ('mmengine.logging.history_buffer', 'HistoryBuffer'): TrainingLog,
    ('numpy', 'dtype'): _dtype,
    ('numpy', 'ndarray'): np.ndarray,
    ('numpy.core.multiarray', '_reconstruct'): _empty_array,
    ('numpy.core.multiarray', 'scalar'): _scalar,
    ('numpy._core.multiarray', '_reconstruct'): _empty_array,
    ('numpy._core.multiarray', 'scalar'): _scalar,
    ('torch', 'Size'): torch.Size,
    ('torch', 'device'): torch.device,
    ('torch._utils', '_rebuild_parameter'): _parameter,
    ('torch._utils', '_rebuild_tensor'): _tensor,
    ('torch._utils', '_rebuild_tensor_v2'): _tensor,
    **{('torch', name): dtype for name, dtype in _STORAGE_TYPES.items()},
    **{
        ('torch', name): value
        for name, value in vars(torch).items()
        if isinstance(value, torch.dtype)
    },
}
