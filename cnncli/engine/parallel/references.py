"""Sends objects to another process without copying the arrays that both can see.

An array in shared memory or in a mapped file is sent as its place. Another large array is copied once into shared
memory, whatever the number of workers. All else is pickled. What the user's main script defines cannot be sent,
because a worker does not run that script.
"""

import io
import mmap
import os
import pickle
from collections.abc import Sequence
from types import FunctionType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cnncli.engine.parallel.segments import Place, Segment, SegmentMemory
from cnncli.nn.parameters import FlatParameters

_LARGE = 1 << 16  # bytes from which on an array is not pickled


class SharedArray(NamedTuple):
    """An array in shared memory."""

    place: Place
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: np.dtype[Any]
    writeable: bool


class MappedArray(NamedTuple):
    """An array in a file that is mapped read-only."""

    path: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: np.dtype[Any]


class Sender(pickle.Pickler):
    """Pickles for a process that maps the same segments; what it dumps one after another, one `Receiver` loads.

    Args:
        file: to write to.
        memories: whose segments the other process maps, in this order.
        copies: takes the large arrays that are in none of them; one of `memories`, the last.
    """

    def __init__(self, file: io.BytesIO, memories: Sequence[SegmentMemory], copies: SegmentMemory) -> None:
        super().__init__(file, protocol=5)
        assert memories[-1] is copies
        self._memories, self._copies = memories, copies
        self._sent: dict[int, tuple[Any, SharedArray | MappedArray]] = {}

    def persistent_id(self, obj: Any) -> SharedArray | MappedArray | None:
        """Return the place of an array, or None for what is pickled."""
        if not isinstance(obj, np.ndarray) or obj.dtype.hasobject or not obj.size:
            return None
        if id(obj) not in self._sent:
            reference = self._shared(obj) or _mapped(obj)
            if reference is None and obj.nbytes >= _LARGE:
                copy = self._copies.empty(*obj.shape, dtype=obj.dtype)
                copy[...] = obj
                copy.flags.writeable = obj.flags.writeable
                reference = self._shared(copy)
            if reference is None:
                return None
            self._sent[id(obj)] = obj, reference  # the array is kept, so that its id stays its own
        return self._sent[id(obj)][1]

    def reducer_override(self, obj: Any) -> Any:
        """Send the views of a network's parameters as they are, and refuse what only the main script has."""
        if isinstance(obj, FlatParameters):
            return _restore, (type(obj), vars(obj))
        if isinstance(obj, type | FunctionType) and obj.__module__ == "__main__":
            raise pickle.PicklingError(f"{obj.__qualname__} is defined in the main script, not in a module")
        return NotImplemented

    def _shared(self, array: npt.NDArray[Any]) -> SharedArray | None:
        before = 0
        for memory in self._memories:
            if (place := memory.find(array)) is not None:
                place = Place(before + place.segment, place.offset)
                return SharedArray(place, array.shape, array.strides, array.dtype, array.flags.writeable)
            before += len(memory.segments)
        return None


class Receiver(pickle.Unpickler):
    """Unpickles what a `Sender` wrote.

    Args:
        data: one or more pickles.
        segments: of all memories of the sender.
    """

    def __init__(self, data: bytes, segments: Sequence[Segment]) -> None:
        super().__init__(io.BytesIO(data))
        self._segments = segments
        self._files: dict[str, np.memmap[Any, Any]] = {}

    def persistent_load(self, pid: Any) -> npt.NDArray[Any]:
        """Return the array at a place."""
        if isinstance(pid, MappedArray):
            if pid.path not in self._files:
                self._files[pid.path] = np.memmap(pid.path, np.uint8, "r")
            file = self._files[pid.path]
            mapped: npt.NDArray[Any] = np.ndarray(pid.shape, pid.dtype, file.data, pid.offset, pid.strides)
            if mapped.flags.c_contiguous:  # a view, which knows its file
                return file[pid.offset : pid.offset + mapped.nbytes].view(pid.dtype).reshape(pid.shape)
            return mapped
        number, offset = pid.place
        array: npt.NDArray[Any] = self._segments[number].array(pid.shape, pid.dtype, offset, pid.strides)
        array.flags.writeable = pid.writeable
        return array


def _mapped(array: npt.NDArray[Any]) -> MappedArray | None:
    """Return where in a file a read-only array lies, or None if it is not part of an `np.memmap`."""
    outer: Any = array
    while isinstance(outer, np.ndarray) and not isinstance(outer.base, mmap.mmap):
        outer = outer.base
    if not isinstance(outer, np.memmap) or outer.mode != "r" or outer.filename is None:
        return None
    start = outer.__array_interface__["data"][0]
    offset = array.__array_interface__["data"][0] - start + outer.offset
    path = os.path.abspath(os.fspath(outer.filename))
    return MappedArray(path, offset, array.shape, array.strides, array.dtype)


def _restore(cls: type[FlatParameters], attributes: dict[str, Any]) -> FlatParameters:
    """Return parameters whose views are those that were sent; unpickling them would pack them again."""
    parameters = cls.__new__(cls)
    vars(parameters).update(attributes)
    return parameters
