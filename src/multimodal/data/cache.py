"""Decoded photos, kept: in memory where they fit the budget, else in a file.

Photos are decoded the first time they are asked for. The file has no name, so it is gone with the
process, however that ends; it is read with positioned reads, so it adds nothing to the process's
own memory.
"""

from __future__ import annotations

import os
import tempfile
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from multimodal.data.photos import PhotoPaths, Pixels, decode
from multimodal.errors import DataError

_EMPTY, _KEPT, _UNREADABLE = 0, 1, 2


class _Store(Protocol):
    def read(self, slot: int, into: Pixels) -> None: ...
    def write(self, slot: int, pixels: Pixels) -> None: ...


class _Memory:
    def __init__(self, slots: int, shape: tuple[int, ...]) -> None:
        self._pixels = np.empty((slots, *shape), np.uint8)

    def read(self, slot: int, into: Pixels) -> None:
        into[...] = self._pixels[slot]

    def write(self, slot: int, pixels: Pixels) -> None:
        self._pixels[slot] = pixels


class _File:
    def __init__(self, shape: tuple[int, ...]) -> None:
        self._file = tempfile.TemporaryFile(prefix="multimodal-photos-")
        self._bytes = int(np.prod(shape))

    def read(self, slot: int, into: Pixels) -> None:
        os.preadv(self._file.fileno(), [memoryview(into).cast("B")], slot * self._bytes)

    def write(self, slot: int, pixels: Pixels) -> None:
        os.pwrite(self._file.fileno(), np.ascontiguousarray(pixels).data, slot * self._bytes)


class PhotoCache:
    """Decoded photos of one group by row, decoded on first use.

    Args:
        photos: The photos' paths and size.
        budget: Bytes that may lie in memory; above it, pixels go to an unnamed temporary file.

    Example:
    >>> cache = PhotoCache(PhotoPaths([[None]], size=8), budget=0)
    >>> pixels, present = cache.get(np.array([0, 0]))
    >>> pixels.shape, present.tolist()
    ((2, 1, 8, 8, 3), [[False], [False]])
    """

    def __init__(self, photos: PhotoPaths, *, budget: int) -> None:
        self.photos = photos
        self.in_memory = photos.nbytes <= budget
        rows, slots, *shape = photos.shape
        self._state = np.zeros((rows, slots), np.uint8)
        self._store: _Store = (
            _Memory(rows * slots, tuple(shape)) if self.in_memory else _File(tuple(shape))
        )
        self.unreadable: dict[int, str] = {}

    def get(self, rows: NDArray[np.integer]) -> tuple[Pixels, NDArray[np.bool_]]:
        """Return pixels uint8 (B, K, size, size, 3) and presence bool (B, K) of `rows`.

        A photo that turns out to be unreadable counts as absent and is noted in `unreadable`.
        """
        _, slots, *shape = self.photos.shape
        pixels = np.zeros((len(rows), slots, *shape), np.uint8)
        present = np.zeros((len(rows), slots), bool)
        for i, row in enumerate(rows):
            for slot, path in enumerate(self.photos.paths[row]):
                if path is not None:
                    present[i, slot] = self._fill(int(row), slot, path, pixels[i, slot])
        return pixels, present

    def _fill(self, row: int, slot: int, path: str, into: Pixels) -> bool:
        where = row * self.photos.shape[1] + slot
        if self._state[row, slot] == _EMPTY:
            try:
                into[...] = decode(path, self.photos.size)
            except DataError as error:
                self._state[row, slot] = _UNREADABLE
                self.unreadable[row] = str(error)
                return False
            self._store.write(where, into)
            self._state[row, slot] = _KEPT
            return True
        if self._state[row, slot] == _KEPT:
            self._store.read(where, into)
            return True
        return False
