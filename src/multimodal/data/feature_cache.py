"""A cache on disk of what pretrained models make of photos and texts, for this and later trainings.

One file per extractor holds records of one length: a digest of the photo or text, its features, and
a checksum of both. Records are only added, under a lock, so two processes may share a file. What a
kill or a full disk cuts off, or a disk spoils, is no record, and is computed again.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import re
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from multimodal.core.arrays import Ints
from multimodal.core.errors import first_line
from multimodal.core.files import cache_folder

Features = NDArray[np.float32]
MOST_BYTES = 4 << 30  # of all files; the ones used longest ago go first
CHUNK = 64  # rows that are computed and then written at a time
_DIGEST, _SECONDS, _BLOCK = 16, 10.0, 1 << 24  # bytes; between lines of news; bytes read at a time

logger = logging.getLogger(__name__)


def cached_features(
    extractor_key: str,
    dim: int,
    keys: Sequence[bytes],
    compute: Callable[[Ints], Features],
    *,
    name: str = "features",
    chunk: int = CHUNK,
) -> Features:
    """Return the features of photos or texts, computing only those that were never computed.

    They lie below `features` in the cache folder (`MULTIMODAL_CACHE`, else the user's), at most
    4 GiB in all. How far it has come goes to the log every ten seconds. Where nothing can be
    written there, the features are computed all the same, and a warning says so.

    Args:
        extractor_key: What features depend on besides the photo or text: letters and digits.
        dim: Numbers of a row's features.
        keys: The content of each row's photo or text, or a digest of it; equal ones are computed
            once.
        compute: Gets positions among `keys`, int64 (B,), and returns their features, (B, dim).
        name: What is computed, for the log.
        chunk: Rows that are computed and kept at a time: 64, so a kill loses little.

    Returns:
        float32 (N, dim).

    Raises:
        ValueError: `extractor_key` has other characters, or `compute` returns another shape.

    Example:
    >>> import os, tempfile
    >>> os.environ["MULTIMODAL_CACHE"] = tempfile.mkdtemp()
    >>> def lengths(rows):
    ...     print("computed:", rows.tolist())
    ...     return np.array([[len(texts[row])] for row in rows], np.float32)
    >>> texts = [b"red", b"green", b"red"]
    >>> cached_features("lengths", 1, texts, lengths).tolist()
    computed: [0, 1]
    [[3.0], [5.0], [3.0]]
    >>> cached_features("lengths", 1, texts, lengths).tolist()
    [[3.0], [5.0], [3.0]]
    >>> del os.environ["MULTIMODAL_CACHE"]
    """
    if not re.fullmatch(r"\w{1,100}", extractor_key, re.ASCII):
        raise ValueError(f"`extractor_key` must be letters and digits. Received: {extractor_key!r}")
    store = _Store(cache_folder() / "features" / f"{extractor_key}-{dim}.bin", dim)
    digests = [hashlib.blake2b(key, digest_size=_DIGEST).digest() for key in keys]
    first = {digest: row for row, digest in reversed(list(enumerate(digests)))}
    found = np.zeros((len(keys), dim), np.float32)
    known = store.read(first, found)
    missing = np.array(
        sorted(row for digest, row in first.items() if digest not in known), np.int64
    )
    for rows in _told(missing, name, chunk):
        values = np.asarray(compute(rows), np.float32)
        if values.shape != (len(rows), dim):
            raise ValueError(f"`compute` must return {(len(rows), dim)}. Received: {values.shape}")
        found[rows] = values
        store.add([digests[row] for row in rows], values)
    store.trim()
    return found[[first[digest] for digest in digests]]


def _told(missing: Ints, name: str, chunk: int) -> Iterator[Ints]:
    """Yield the missing rows in chunks; say now and then how far it has come."""
    start = told = time.monotonic()
    for done in range(0, len(missing), chunk):
        yield missing[done : done + chunk]
        now, count = time.monotonic(), min(done + chunk, len(missing))
        if now - told > _SECONDS or (count == len(missing) and now - start > _SECONDS):
            told = now
            rest = (now - start) * (len(missing) - count) / count
            logger.info(f"{name}: {count:,} of {len(missing):,}, about {rest:,.0f} s to go")


class _Store:
    """The file of one extractor."""

    def __init__(self, path: Path, dim: int) -> None:
        self._path = path
        self._record = np.dtype(
            [("digest", f"V{_DIGEST}"), ("values", "<f4", (dim,)), ("check", "<u4")]
        )
        self._failed = False

    def read(self, wanted: dict[bytes, int], into: Features) -> set[bytes]:
        """Lay the features of wanted digests into their rows; return which are there."""
        there = set()
        with suppress(OSError), self._path.open("rb") as file:
            os.utime(self._path)  # used now: the files used longest ago go first
            for records in self._whole(file):
                for record in records:
                    digest = record["digest"].tobytes()
                    if digest in wanted and record["check"] == _check(record):
                        into[wanted[digest]] = record["values"]
                        there.add(digest)
        return there

    def _whole(self, file: BinaryIO) -> Iterator[NDArray[np.void]]:
        """Yield the records of a file, some at a time; a part of one at the end is none."""
        size = self._record.itemsize
        while content := file.read(max(_BLOCK // size, 1) * size):
            yield np.frombuffer(content[: len(content) // size * size], self._record)

    def add(self, digests: Sequence[bytes], values: Features) -> None:
        """Add records at the end of the file; where there is no room, say so once and go on."""
        if self._failed:
            return
        records = np.zeros(len(digests), self._record)
        records["digest"] = np.frombuffer(b"".join(digests), f"V{_DIGEST}")
        records["values"] = values
        records["check"] = [_check(record) for record in records]
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with _locked(self._path) as file:
                whole = file.seek(0, os.SEEK_END) // self._record.itemsize * self._record.itemsize
                file.truncate(whole)  # what a killed process left of a record
                if file.seek(whole) + records.nbytes > MOST_BYTES:
                    raise OSError(f"it would have more than {MOST_BYTES:,} bytes")
                file.write(records.tobytes())
        except OSError as error:
            self._failed = True
            logger.warning(
                f"{self._path}: cannot be written ({error.strerror or first_line(error)}); features"
                " are computed anew each time. Set MULTIMODAL_CACHE to a folder with room."
            )

    def trim(self) -> None:
        """Remove the files used longest ago until all of them fit; this one goes last."""
        with suppress(OSError):  # another process may be at it, too
            files = [
                (p.stat().st_mtime, p.stat().st_size, p) for p in self._path.parent.glob("*.bin")
            ]
            files.sort(key=lambda file: (file[2] == self._path, file[0]))
            surplus = sum(size for _, size, _ in files) - MOST_BYTES
            for _, size, path in files:
                if surplus <= 0:
                    break
                path.unlink()
                surplus -= size


def _check(record: np.void) -> int:
    return zlib.crc32(record.tobytes()[:-4])


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    """Open a file to add to, held against other processes; close it whole."""
    with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
        file.flush()
