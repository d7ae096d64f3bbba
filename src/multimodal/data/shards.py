"""Arrays on disk in shards of some rows, each written atomically and checked by its digest.

A set of shards is a folder named after its fingerprint. Each shard is one `.npy` file per array,
not a file of records to be read one after the other: training draws rows in an order of its own, so
any row must be reached at once, through a memory map. A shard is written beside, forced to the disk
and renamed, and its checksums are written after it; the index is written last, when all shards
are there. So nothing that was cut off is ever taken for complete, and work goes on where it ended.
Several processes can write one set: number i of n writes every n-th shard.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from multimodal.core.errors import ConfigError, DataError
from multimodal.core.files import replace_file

INDEX = "index.json"
SHARD_BYTES = 64 * 2**20
KEPT = 8  # sets in one folder; of more, the least recently used go
_NAME = 32  # hexadecimal digits of a set's name

Make = Callable[[int, int], Mapping[str, NDArray[Any]]]
_blake2b = partial(hashlib.blake2b, digest_size=_NAME // 2)


class Worker(NamedTuple):
    """Number `number` of `of` processes that write one set, counted from 0.

    Example:
    >>> Worker(1, 3).share(7)
    [1, 4]
    """

    number: int = 0
    of: int = 1

    @classmethod
    def parse(cls, text: str) -> Worker:
        """Read `2/4`, the second of four.

        Raises:
            ConfigError: It is not of this form.
        """
        number, _, of = text.partition("/")
        if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
            raise ConfigError(f"worker: expected a share such as 2/4, got '{text}'.")
        return cls(int(number) - 1, int(of))

    def share(self, shards: int) -> list[int]:
        """Return the shards that this process writes."""
        return list(range(self.number, shards, self.of))


ALONE = Worker()


def fingerprint(*parts: str | bytes | NDArray[Any]) -> str:
    """Return the name of the set that is made from `parts`.

    Arrays count by their content alone.

    Example:
    >>> fingerprint("a", b"b") != fingerprint("ab"), len(fingerprint())
    (True, 32)
    """
    found = _blake2b()
    for part in parts:
        content = part.encode() if isinstance(part, str) else bytes(part)
        # With its length: "ab" and "c" must not give the name that "a" and "bc" give.
        found.update(len(content).to_bytes(8, "little"))
        found.update(content)
    return found.hexdigest()


def write_shards(
    folder: Path, make: Make, rows: int, row_bytes: int, worker: Worker = ALONE
) -> bool:
    """Write what is missing of this worker's shards; return whether the set is complete now.

    Args:
        folder: The set's folder; its name is the fingerprint.
        make: Called with the first row and the one to stop before; returns arrays whose first axis
            is the row.
        rows: Rows of all shards.
        row_bytes: Most bytes of a row, from which follows how many rows a shard has.
        worker: This process.

    Raises:
        DataError: The folder cannot be written, or the disk has no room.
    """
    size = max(1, min(rows, SHARD_BYTES // max(row_bytes, 1)))
    starts = range(0, rows, size)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        todo = [i for i in worker.share(len(starts)) if _record(folder, i) is None]
        # Asked first: hours of decoding should not end at a full disk.
        _check_room(folder, len(todo) * size * row_bytes)
        for i in todo:
            with _claimed(folder, i):
                if _record(folder, i) is None:
                    _write_shard(folder, i, make(starts[i], min(starts[i] + size, rows)))
        records = [_record(folder, i) for i in range(len(starts))]
        if None not in records:
            index = json.dumps({"name": folder.name, "shards": records}).encode()
            with _claimed(folder, len(starts)):
                _write(folder / INDEX, index)
    except OSError as error:
        raise DataError(
            f"{folder.parent}: prepared data cannot be written there ({error.strerror or error}). "
            "Make room, or name another folder as `data.prepared`."
        ) from None
    return None not in records


def open_shards(folder: Path) -> dict[str, ShardedArray] | None:
    """Return the arrays of a set by name, or None where it is not complete.

    Every file is read once and held against its checksum.

    Example:
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp(), fingerprint("squares"))
    >>> write_shards(folder, lambda a, b: {"squares": np.arange(a, b) ** 2}, rows=9, row_bytes=8)
    True
    >>> open_shards(folder)["squares"][np.array([8, 2])].tolist()
    [64, 4]
    """
    try:
        index = json.loads((folder / INDEX).read_bytes())
        shards = [_opened(folder, i, record) for i, record in enumerate(index["shards"])]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if index["name"] != folder.name or not shards or None in shards:
        return None
    with suppress(OSError):  # a folder that may only be read
        os.utime(folder)  # used now
    return {
        name: ShardedArray([shard[name] for shard in shards if shard is not None])
        for name in shards[0] or ()
    }


def drop_unused(folder: Path) -> list[Path]:
    """Remove the sets in `folder` that were not used for longest, all but eight; return those.

    Whatever else lies in the folder is left alone. A process that uses a set keeps its files.
    """
    sets = [entry for entry in folder.glob("[0-9a-f]" * _NAME) if entry.is_dir()]
    gone = sorted(sets, key=lambda entry: entry.stat().st_mtime)[:-KEPT]
    for entry in gone:
        shutil.rmtree(entry, ignore_errors=True)
    return gone


class ShardedArray:
    """An array on disk, one memory-mapped file for each shard; the first axis is the row.

    Args:
        shards: The parts, of the same number of rows all but the last.

    Example:
    >>> ShardedArray([np.arange(3), np.arange(3, 5)])[np.array([4, 0])].tolist()
    [4, 0]
    """

    def __init__(self, shards: Sequence[NDArray[Any]]) -> None:
        self._shards = shards
        self._size = len(shards[0])
        self.dtype = shards[0].dtype
        self.shape = (sum(map(len, shards)), *shards[0].shape[1:])

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, rows: slice | NDArray[Any]) -> NDArray[Any]:
        """Return the rows at int positions, where a mask is true, or of a slice, in memory."""
        positions = np.arange(len(self))[rows] if _selects(rows) else np.asarray(rows)
        found = np.empty((len(positions), *self.shape[1:]), self.dtype)
        places = positions // self._size
        for i in np.unique(places).tolist():
            here = places == i
            found[here] = self._shards[i][positions[here] - i * self._size]
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        found = np.concatenate(self._shards)
        return found if dtype is None else found.astype(dtype)


def _selects(rows: Any) -> bool:
    return isinstance(rows, slice) or np.asarray(rows).dtype == bool


def _record(folder: Path, shard: int) -> dict[str, Any] | None:
    """Return the checksums of a complete shard, by array; None where it is not complete."""
    try:
        record = json.loads((folder / f"shard-{shard:05d}.json").read_bytes())
        complete = all((folder / f["name"]).stat().st_size == f["bytes"] for f in record.values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return dict(record) if complete else None


def _write_shard(folder: Path, shard: int, arrays: Mapping[str, NDArray[Any]]) -> None:
    record = {}
    for name, array in arrays.items():
        file = io.BytesIO()  # in memory first: the digest is of what should be on the disk
        np.save(file, np.ascontiguousarray(array), allow_pickle=False)
        path = folder / f"{name}-{shard:05d}.npy"
        _write(path, file.getbuffer())
        record[name] = {
            "name": path.name,
            "bytes": file.tell(),
            "digest": _blake2b(file.getbuffer()).hexdigest(),
        }
    _write(folder / f"shard-{shard:05d}.json", json.dumps(record).encode())


def _opened(folder: Path, shard: int, record: Mapping[str, Any]) -> dict[str, NDArray[Any]] | None:
    """Return the arrays of a shard; None where a file is not what was written."""
    found = {}
    for name, file in record.items():
        path = folder / f"{name}-{shard:05d}.npy"
        with path.open("rb") as content:
            digest = hashlib.file_digest(content, _blake2b).hexdigest()
        if digest != file["digest"]:
            for gone in (INDEX, f"shard-{shard:05d}.json"):  # so that it is written anew
                (folder / gone).unlink(missing_ok=True)
            return None
        found[name] = np.load(path, mmap_mode="r", allow_pickle=False)
    return found


def _write(path: Path, content: Any) -> None:
    """Write a file beside, force it to the disk and rename it."""
    with replace_file(path) as beside:
        beside.write_bytes(content)


@contextmanager
def _claimed(folder: Path, number: int) -> Iterator[None]:
    """Wait until no other process writes this shard, or the index.

    The lock is on one byte of a file: it ends with the process, however that ends.
    """
    with (folder / ".lock").open("ab") as file:
        fcntl.lockf(file, fcntl.LOCK_EX, 1, number)
        yield


def _check_room(folder: Path, wanted: int) -> None:
    free = shutil.disk_usage(folder).free
    if wanted > free:
        raise DataError(
            f"{folder.parent}: prepared data need {wanted / 1e9:.1f} GB there, {free / 1e9:.1f} GB "
            "are free. Make room, or name another folder as `data.prepared`."
        )
