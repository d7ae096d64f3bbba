"""Parquet files, whole or some rows at a time; texts of a large one stay on disk."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from multimodal.core.errors import DataError, first_line
from multimodal.data.photos.embedded import PHOTO_FIELDS
from multimodal.data.read.formats import from_frame, numbered
from multimodal.data.read.header import check_names
from multimodal.data.read.lazy_text import DiskText, TextFile
from multimodal.data.read.packed import DAMAGED, Content, whole
from multimodal.data.read.table import Parsed

NOT_READ = {"record": "not read"}  # a cell of a column of records
LARGE = 2**29  # bytes in memory above which a file's texts stay on disk
_INDEX = re.compile(r"__index_level_\d+__")  # pandas' name for an index without one
_CELL = 50  # bytes of a text in memory beside its characters
_BATCH = 4096


class ParquetTable(NamedTuple):
    """An open Parquet file: names of its columns, and those that hold records or texts."""

    path: Path
    file: pq.ParquetFile
    names: list[str]
    records: list[str]
    texts: list[str]

    def parsed(self, cells: pd.DataFrame, start: int, stored: Mapping[str, Any]) -> Parsed:
        """Return rows from number `start` on: `cells` as they were read, and columns on disk.

        `cells` lack the columns of records, each cell of which is `NOT_READ`, and `stored` ones.
        """
        rows = len(cells)
        ranges = _named_ranges(self.file, self.names)
        for name, steps in ranges.items():
            cells.insert(0, name, steps[start : start + rows])
        found = from_frame(cells, str(self.path))
        unread = {name: pd.Series([NOT_READ] * rows, dtype=object) for name in self.records}
        notes = [f"column '{name}' holds records: it is not read" for name in self.records]
        columns = {name.strip(): {**stored, **unread}.get(name) for name in [*ranges, *self.names]}
        complete = {n: found.frame[n] if c is None else c for n, c in columns.items()}
        table = numbered(complete, rows)
        return table._replace(
            rows=table.rows + start,
            lines=table.lines + start,
            notes=[*notes, *found.notes],
            faults=found.faults,
        )

    def no_rows(self) -> Parsed:
        """Return the table without its rows."""
        read = [name for name in self.names if name not in self.records]
        return self.parsed(_as_cells(self.file.schema_arrow.empty_table().select(read)), 0, {})


def open_parquet(content: Content) -> ParquetTable:
    """Open a Parquet file; raise DataError where it is damaged or none."""
    path = content.path
    with _whole_parquet(path):
        # Column chunks are read in pieces: pre-buffering would hold whole row groups in memory.
        file = pq.ParquetFile(
            path if content.suffix == path.suffix.lower() else whole(content),
            pre_buffer=False,
            buffer_size=2**20,
            page_checksum_verification=True,  # of the pages that have one
        )
        fields = [each for each in file.schema_arrow if not _INDEX.fullmatch(each.name)]
        names = check_names([each.name for each in fields], str(path))
        records = [each.name for each in fields if _holds_records(each.type)]
        texts = [each.name for each in fields if _is_text(each.type) and each.name not in records]
    return ParquetTable(path, file, names, records, texts)


@contextmanager
def _whole_parquet(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, *DAMAGED, OSError) as error:
        raise DataError(
            f"{path}: damaged, or not a complete Parquet file ({first_line(error)}). Copy or write "
            "it again."
        ) from None


def read_parquet(content: Content) -> Parsed:
    """Read a Parquet file; integers beside missing values stay exact.

    Where its content would take more than half a gigabyte of memory, texts and lists stay on disk,
    see `lazy_text`. A column of records is not read: each of its cells is `NOT_READ`.

    Raises:
        DataError: the file is damaged or no Parquet file.
    """
    table = open_parquet(content)
    file, texts = table.file, table.texts
    with _whole_parquet(table.path):
        stored = _on_disk(file, texts) if _memory(file, len(texts)) > LARGE else {}
        read = [name for name in table.names if name not in {*stored, *table.records}]
        cells = _as_cells(file.read(read))
    return table.parsed(cells, 0, stored)


def read_parquet_rows(
    table: ParquetTable, start: int, size: int, columns: Collection[str] | None = None
) -> Iterator[Parsed]:
    """Yield the rows of a Parquet file from number `start` on, `size` at a time.

    Args:
        table: the open file.
        start: the first row.
        size: rows of each part; the last one has fewer.
        columns: those to read; all by default.
    """
    file = table.file
    sizes = [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
    ends = np.cumsum(sizes, dtype=np.int64)
    group = int(np.searchsorted(ends, start, side="right"))  # the first one that is not skipped
    skipped = start - int(ends[group - 1] if group else 0)
    wanted = [
        n for n in table.names if n not in table.records and (columns is None or n in columns)
    ]
    kept = table if columns is None else table._replace(names=wanted, records=[])
    waiting: list[pa.Table] = []
    with _whole_parquet(table.path):
        groups = list(range(group, len(sizes)))
        for batch in file.iter_batches(size, row_groups=groups, columns=wanted):
            part = pa.Table.from_batches([batch]).slice(skipped)
            skipped = max(skipped - batch.num_rows, 0)
            waiting.append(part)
            while sum(map(len, waiting)) >= size:
                joined = pa.concat_tables(waiting)
                waiting = [joined.slice(size)]
                yield kept.parsed(_as_cells(joined.slice(0, size)), start, {})
                start += size
    if sum(map(len, waiting)):
        yield kept.parsed(_as_cells(pa.concat_tables(waiting)), start, {})


def _as_cells(table: pa.Table) -> pd.DataFrame:
    # Without integer_object_nulls a null makes int64 float64, which loses digits above 2**53;
    # the metadata of pandas would turn a column into the index.
    cells: pd.DataFrame = table.to_pandas(integer_object_nulls=True, ignore_metadata=True)
    return cells


def _named_ranges(file: pq.ParquetFile, names: Sequence[str]) -> dict[str, range]:
    """Return the numbers of an index with a name, of which pandas writes only start and end."""
    try:
        index = (file.schema_arrow.pandas_metadata or {})["index_columns"]
        found = [each for each in index if isinstance(each, dict) and each["kind"] == "range"]
        ranges = {
            str(each["name"]): range(each["start"], each["stop"], each["step"])
            for each in found
            if each["name"] and each["name"] not in names
        }
    except (KeyError, TypeError, ValueError):  # of another version
        return {}
    return {name: r for name, r in ranges.items() if len(r) == file.metadata.num_rows}


def _memory(file: pq.ParquetFile, texts: int) -> int:
    """Return about how many bytes the file's cells would take in memory, `texts` columns of it."""
    groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
    size = sum(group.total_byte_size for group in groups)
    return int(size + _CELL * texts * file.metadata.num_rows)


def _on_disk(file: pq.ParquetFile, names: Sequence[str]) -> dict[str, DiskText]:
    """Copy the columns `names` to files of their own, some rows at a time."""
    kinds = {name: file.schema_arrow.field(name).type for name in names}
    files = {name: TextFile(lists=_is_list(kind)) for name, kind in kinds.items()}
    for batch in file.iter_batches(_BATCH, columns=list(names)) if names else ():
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            files[name].append(column)
    rows = np.arange(file.metadata.num_rows, dtype=np.int64)
    return {name: DiskText(file, rows) for name, file in files.items()}


def _is_text(kind: Any) -> bool:
    types = pa.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    return bool(types.is_string(kind) or types.is_large_string(kind) or _is_list(kind))


def _holds_records(kind: Any) -> bool:
    """Whether a type is one of records or maps, or of lists of them; photos are no records."""
    while _is_list(kind):
        kind = kind.value_type
    if pa.types.is_struct(kind) and {each.name for each in kind} <= PHOTO_FIELDS:
        return False
    return bool(pa.types.is_struct(kind) or pa.types.is_map(kind) or pa.types.is_union(kind))


def _is_list(kind: Any) -> bool:
    types = pa.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))
