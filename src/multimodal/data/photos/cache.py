"""A cache of decoded photos: in memory where they fit the budget, else in a file.

A photo is decoded the first time it is asked for, once for all rows that name it. The file has no
name, so it is gone with the process, however that ends; it is read piece by piece, so it adds
nothing to the process's own memory. Photos that were decoded beforehand are read from their shards.
"""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.core.arrays import Bools, Ints
from multimodal.core.errors import DataError
from multimodal.data.photos.names import Photo
from multimodal.data.photos.read import PhotoPaths, Pixels, aligned_pixels, decode
from multimodal.data.shards import ShardedArray

_EMPTY, _KEPT, _NONE = 0, 1, 2
_THREADS = os.cpu_count() or 1


class _Memory:
    def __init__(self, photos: int, shape: tuple[int, ...]) -> None:
        self._pixels = np.empty((max(photos, 1), *shape), np.uint8)

    def read(self, photos: Ints, into: Pixels) -> None:
        # With "raise", NumPy copies by way of a buffer. The place of no photo, -1, is clipped to 0,
        # and blanked in `get`.
        np.take(self._pixels, photos, axis=0, out=into, mode="clip")

    def write(self, photo: int, pixels: Pixels) -> None:
        self._pixels[photo] = pixels


class _File:
    # Not mapped: writing to a page for which the disk has no room kills the process by SIGBUS.
    def __init__(self, shape: tuple[int, ...]) -> None:
        self._file = tempfile.TemporaryFile(prefix="multimodal-photos-", buffering=0)
        self._bytes = int(np.prod(shape))
        weakref.finalize(self, self._file.close)

    # At a place, not from where the file stands: threads need not wait for each other.
    def read(self, photos: Ints, into: Pixels) -> None:
        for photo, pixels in zip(photos.tolist(), into, strict=True):
            if photo >= 0:
                os.preadv(self._file.fileno(), [pixels], photo * self._bytes)

    def write(self, photo: int, pixels: Pixels) -> None:
        content = pixels.tobytes()
        if os.pwrite(self._file.fileno(), content, photo * self._bytes) != len(content):
            raise OSError("the disk is full")


class _Shards:
    def __init__(self, pixels: ShardedArray) -> None:
        self._pixels = pixels

    def read(self, photos: Ints, into: Pixels) -> None:
        there = photos >= 0
        into[there] = self._pixels[photos[there]]

    def write(self, photo: int, pixels: Pixels) -> None:
        raise OSError("shards are not written to")


class PhotoCache:
    """Decoded photos of one group by row, decoded on first use.

    Args:
        photos: The photos' paths and size.
        budget: Bytes that may lie in memory; above it, pixels go to an unnamed temporary file.
        shards: What `decode_shard` made of all photos, to read instead of decoding them.

    Example:
    >>> cache = PhotoCache(PhotoPaths([[None]], size=8), budget=0)
    >>> pixels, present = cache.get(np.array([0, 0]))
    >>> pixels.shape, present.tolist()
    ((2, 1, 8, 8, 3), [[False], [False]])
    """

    def __init__(
        self, photos: PhotoPaths, *, budget: int, shards: Mapping[str, ShardedArray] | None = None
    ) -> None:
        self.photos = photos
        self._paths, self._index = unique_paths(photos)
        shape = photos.shape[2:]
        self.nbytes = len(self._paths) * int(np.prod(shape))
        self.in_memory = shards is None and self.nbytes <= budget
        self._state = np.full(len(self._paths) + 1, _EMPTY, np.uint8)
        self._state[-1] = _NONE  # where index -1, no photo, points
        self._faults: dict[int, str] = {}
        self._store: _Memory | _File | _Shards
        if shards is not None:
            self._store = _Shards(shards["pixels"])
            self._state[:-1] = np.where(np.asarray(shards["readable"]), _KEPT, _EMPTY)
        else:
            self._store = _Memory(len(self._paths), shape) if self.in_memory else _File(shape)

    def get(self, rows: NDArray[np.integer]) -> tuple[Pixels, Bools]:
        """Return pixels uint8 (B, K, size, size, 3) and presence bool (B, K) of `rows`.

        A photo that turns out to be unreadable counts as absent and is noted in `unreadable`.
        """
        wanted = self._index[rows]
        flat = wanted.ravel()
        new = dict.fromkeys(flat[self._state[flat] == _EMPTY].tolist())
        loose = {photo: pixels for photo in new if (pixels := self._decode(photo)) is not None}
        pixels = aligned_pixels((len(flat), *self.photos.shape[2:]))
        self._store.read(flat, pixels)
        present = self._state[flat] == _KEPT
        if not present.all():
            pixels[~present] = 0
        for photo, square in loose.items():
            pixels[flat == photo], present[flat == photo] = square, True
        return pixels.reshape(*wanted.shape, *pixels.shape[1:]), present.reshape(wanted.shape)

    @property
    def unreadable(self) -> dict[int, str]:
        """What is wrong with photos that could not be decoded so far, by row."""
        faults = self._faults.copy()
        rows = {photo: np.flatnonzero((self._index == photo).any(axis=1)) for photo in faults}
        return {int(row): faults[photo] for photo in faults for row in rows[photo]}

    def _decode(self, photo: int) -> Pixels | None:
        """Decode and keep a photo; return its pixels only where the disk has no room for them."""
        try:
            pixels = decode(self._paths[photo], self.photos.size, examined=True)
        except DataError as error:
            self._faults[photo] = str(error)
            self._state[photo] = _NONE
            return None
        try:
            self._store.write(photo, pixels)
        except OSError:
            return pixels
        self._state[photo] = _KEPT
        return None


def decode_shard(paths: Sequence[Photo], size: int) -> dict[str, NDArray[Any]]:
    """Decode photos, a thread per core: `pixels` (N, size, size, 3), and whether `readable`."""
    pixels, readable = np.zeros((len(paths), size, size, 3), np.uint8), np.zeros(len(paths), bool)

    def fill(photo: int) -> None:
        with suppress(DataError):
            pixels[photo] = decode(paths[photo], size, examined=True)
            readable[photo] = True

    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(fill, range(len(paths))))
    return {"pixels": pixels, "readable": readable}


def unique_paths(photos: PhotoPaths) -> tuple[list[Photo], Ints]:
    """Return the different paths, and each row's positions among them, (rows, K), -1 for none."""
    found: dict[Photo, int] = {}
    index = [
        -1 if path is None else found.setdefault(path, len(found))
        for row in photos.paths
        for path in row
    ]
    return list(found), np.array(index, np.int64).reshape(photos.shape[:2])
