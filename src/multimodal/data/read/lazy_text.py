"""Columns of text that stay on disk: what a table too large for memory keeps of its sentences.

The texts lie one after the other in a file without a name, so it is gone with the process, however
that ends. Only where each begins and how long it is lies in memory, 16 bytes a cell. Rows are
picked without reading a text, and texts are read when their turn comes, some at a time.
"""

from __future__ import annotations

import builtins
import json
import os
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pandas.api.extensions import ExtensionArray, ExtensionDtype

from multimodal.core.arrays import Bools, Ints
from multimodal.core.errors import DataError

_BLOCK = 1024  # cells read at a time
_NEAR = 2**16  # bytes between two texts that are read along rather than passed over
_GONE = -1


class DiskTextDtype(ExtensionDtype):
    """The dtype of `DiskText`: a cell is a string, a list, or None."""

    name = "disk_text"
    type = object
    na_value = None

    @classmethod
    def construct_array_type(cls) -> builtins.type[DiskText]:
        """Return the array that has this dtype."""
        return DiskText


class TextFile:
    """Texts in an unnamed temporary file, in the order they were appended.

    Args:
        lists: whether cells are lists, kept as JSON.

    Example:
    >>> file = TextFile()
    >>> file.append(pa.array(["red", None, "blue"]))
    >>> file.read(np.array([2, 1]))
    ['blue', None]
    """

    def __init__(self, *, lists: bool = False) -> None:
        self._lists = lists
        self._file = tempfile.TemporaryFile(prefix="multimodal-text-", buffering=0)
        weakref.finalize(self, self._file.close)
        self._starts: list[Ints] = []
        self._sizes: list[Ints] = []
        self.nbytes = 0

    def append(self, cells: pa.Array) -> None:
        """Add strings, or lists, at the end.

        Raises:
            DataError: The disk has no room.
        """
        if self._lists:
            cells = pa.array(
                [None if c is None else json.dumps(c, default=str) for c in cells.to_pylist()]
            )
        cells = cells.cast(pa.large_string())
        _, offsets, content = cells.buffers()
        ends = np.frombuffer(offsets, np.int64)[cells.offset : cells.offset + len(cells) + 1]
        sizes = np.diff(ends)
        sizes[~cells.is_valid().to_numpy(zero_copy_only=False)] = _GONE
        self._starts.append(ends[:-1] - ends[0] + self.nbytes)
        self._sizes.append(sizes)
        rest = memoryview(content or b"")[ends[0] : ends[-1]]
        self.nbytes += len(rest)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise DataError(
                f"{tempfile.gettempdir()}: no room for the texts of a large table "
                f"({error.strerror}). Make room, or let TMPDIR name another folder."
            ) from None

    def sizes(self, rows: Ints) -> Ints:
        """Return the bytes of each cell, -1 where it is missing; row -1 is missing."""
        self._starts, self._sizes = _joined(self._starts), _joined(self._sizes)
        return np.where(rows < 0, _GONE, self._sizes[0][rows])

    def read(self, rows: Ints) -> list[Any]:
        """Return the cells of `rows` (B,), None where missing."""
        sizes = self.sizes(rows)
        starts = self._starts[0][rows]
        known = np.flatnonzero(sizes >= 0)
        found: list[Any] = [None] * len(rows)
        for run in _runs(known, starts, sizes):
            first = int(starts[run].min())
            content = self._bytes(first, int((starts[run] + sizes[run]).max()))
            for i in run.tolist():
                begin = starts[i] - first
                text = content[begin : begin + sizes[i]].decode("utf-8", "replace")
                found[i] = json.loads(text) if self._lists else text
        return found

    def _bytes(self, start: int, stop: int) -> bytes:
        pieces = []
        while start < stop:
            pieces.append(os.pread(self._file.fileno(), stop - start, start))
            start += len(pieces[-1])
        return b"".join(pieces)


def _joined(parts: list[Ints]) -> list[Ints]:
    return parts if len(parts) == 1 else [np.concatenate([np.empty(0, np.int64), *parts])]


def _runs(known: Ints, starts: Ints, sizes: Ints) -> list[Ints]:
    """Cut the cells into runs that rise and lie near each other in the file, each read at once."""
    if not len(known):
        return []
    gaps = starts[known[1:]] - (starts[known[:-1]] + sizes[known[:-1]])
    return np.split(known, np.flatnonzero((gaps < 0) | (gaps > _NEAR)) + 1)


class DiskText(ExtensionArray):
    """A column of a DataFrame whose cells lie in a `TextFile`.

    Args:
        file: the texts.
        rows: int64 (N,), the text of each cell; -1 is missing.

    Example:
    >>> file = TextFile()
    >>> file.append(pa.array(["red", None, "blue"]))
    >>> frame = pd.DataFrame({"colour": DiskText(file, np.arange(3))})
    >>> frame.iloc[[2, 0]]["colour"].tolist()
    ['blue', 'red']
    """

    def __init__(self, file: TextFile, rows: Ints) -> None:
        self._file = file
        self._rows = np.asarray(rows, np.int64)

    @property
    def dtype(self) -> DiskTextDtype:
        """The dtype of the column."""
        return DiskTextDtype()

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return int(self._rows.nbytes)

    @property
    def content_bytes(self) -> int:
        """Bytes of the texts on disk."""
        return int(self._file.sizes(self._rows).clip(0).sum())

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, item: Any) -> Any:
        if isinstance(item, int | np.integer):
            return self._file.read(self._rows[[int(item)]])[0]
        return DiskText(self._file, self._rows[pd.api.indexers.check_array_indexer(self, item)])

    def __iter__(self) -> Iterator[Any]:
        for start in range(0, len(self._rows), _BLOCK):
            yield from self._file.read(self._rows[start : start + _BLOCK])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[np.object_]:
        cells = np.empty(len(self), object)
        cells[:] = list(self)
        return cells

    def isna(self) -> Bools:
        """Return bool (N,): the cell is missing."""
        return np.asarray(self._file.sizes(self._rows) < 0)

    def take(self, indices: Any, *, allow_fill: bool = False, fill_value: Any = None) -> DiskText:
        """Return the cells at `indices`; with `allow_fill`, -1 gives a missing one."""
        chosen = np.asarray(indices, np.int64)
        rows = self._rows[chosen] if len(self._rows) else np.full(len(chosen), _GONE)
        return DiskText(self._file, np.where(chosen < 0, _GONE, rows) if allow_fill else rows)

    def copy(self) -> DiskText:
        """Return the same cells; texts cannot be changed."""
        return DiskText(self._file, self._rows)

    @classmethod
    def _concat_same_type(cls, to_concat: Sequence[DiskText]) -> DiskText:
        files = {id(each._file) for each in to_concat}
        if len(files) > 1:
            raise NotImplementedError("columns of different files cannot be joined.")
        return cls(to_concat[0]._file, np.concatenate([each._rows for each in to_concat]))


def on_disk(frame: pd.DataFrame) -> list[str]:
    """Return the columns of a frame whose texts stay on disk."""
    return [str(n) for n, dtype in frame.dtypes.items() if isinstance(dtype, DiskTextDtype)]


def in_memory(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with all its texts read."""
    return frame.astype(dict.fromkeys(on_disk(frame), object))
