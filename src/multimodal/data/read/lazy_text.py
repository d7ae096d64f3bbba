"""Columns of text that stay on disk: an Arrow array over a mapped file, for tables beyond memory.

The bytes of the texts lie one after the other in a temporary file without a name, so it is gone
with the process, however that ends. Where each text ends lies in memory, 8 bytes a cell. Rows are
picked without reading a text, and texts are read when their turn comes, some at a time.
"""

from __future__ import annotations

import builtins
import json
import mmap
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pandas.api.extensions import ExtensionArray, ExtensionDtype

from multimodal.core.arrays import Bools, Ints
from multimodal.core.errors import DataError

_BLOCK = 1024  # cells read at a time
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
    """Texts in an unnamed temporary file: all are appended, then they are read.

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
        # unbuffered, as it is read by `mmap`, which sees only what has left Python's buffer
        self._file = tempfile.TemporaryFile(prefix="multimodal-text-", buffering=0)
        weakref.finalize(self, self._file.close)
        self._ends: list[Ints] = [np.zeros(1, np.int64)]
        self._known: list[Bools] = [np.zeros(0, bool)]

    def append(self, cells: pa.Array) -> None:
        """Add strings, or lists, at the end.

        Raises:
            DataError: The disk has no room.
        """
        if self._lists:
            # lists as JSON: their offsets would be a second level, which one file of texts does not
            # hold
            cells = pa.array(
                [None if c is None else json.dumps(c, default=str) for c in cells.to_pylist()]
            )
        cells = cells.cast(pa.large_string())
        _, offsets, content = cells.buffers()
        ends = np.frombuffer(offsets, np.int64)[cells.offset : cells.offset + len(cells) + 1]
        self._ends.append(ends[1:] - ends[0] + self._ends[-1][-1])
        self._known.append(cells.is_valid().to_numpy(zero_copy_only=False))
        rest = memoryview(content or b"")[ends[0] : ends[-1]]
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise DataError(
                f"{tempfile.gettempdir()}: no room for the texts of a large table "
                f"({error.strerror}). Make room, or let TMPDIR name another folder."
            ) from None

    @cached_property
    def _places(self) -> tuple[Ints, Bools, pa.Buffer]:
        """Where each cell ends, whether it is known, and the latter as Arrow's bits."""
        ends, known = np.concatenate(self._ends), np.concatenate(self._known)
        self._ends, self._known = [ends], [known]
        return ends, known, pa.array(known).buffers()[1]

    def missing(self, rows: Ints) -> Bools:
        """Return bool (B,): the cells of `rows` are missing; row -1 is."""
        return np.asarray((rows < 0) | ~self._places[1][rows])

    def sizes(self, rows: Ints) -> Ints:
        """Return the bytes of the cells of `rows`, 0 where they are missing."""
        return np.where(rows < 0, 0, np.diff(self._places[0])[rows])

    def read(self, rows: Ints) -> list[Any]:
        """Return the cells of `rows` (B,), None where missing."""
        ends, known, bits = self._places
        # Mapped anew for each block of cells, so that the pages read do not add up in the process.
        content = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ) if ends[-1] else b""
        buffers = [bits, pa.py_buffer(ends), pa.py_buffer(content)]
        # As bytes: Parquet does not check that its strings are UTF-8, and Arrow raises where a
        # string that is not one is read.
        cells = pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(known), buffers)
        found = cells.take(pa.array(rows, pa.int64(), mask=rows < 0)).to_pylist()
        texts = [None if cell is None else cell.decode("utf-8", "replace") for cell in found]
        return [c and json.loads(c) for c in texts] if self._lists else texts


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
        return int(self._file.sizes(self._rows).sum())

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
        # by assignment: NumPy would stack lists of equal length into two axes
        cells[:] = list(self)
        return cells

    def isna(self) -> Bools:
        """Return bool (N,): the cell is missing."""
        return self._file.missing(self._rows)

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
