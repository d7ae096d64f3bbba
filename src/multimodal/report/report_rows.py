"""The raw test rows of a run and their photos, found again in the file that it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multimodal.core.errors import DataError
from multimodal.core.files import sha256_of
from multimodal.data.columns.parse import photo_paths
from multimodal.data.photos.read import locate
from multimodal.data.read.readers import Source, open_table
from multimodal.data.read.table import Table
from multimodal.report.report import write_report
from multimodal.report.run_files import RunFiles, read_files

_OTHER = "Give the file that the run was made from, or none: the page then shows no single rows."


def rewrite_report(
    run: str | Path, data: Source | None = None, *, images: str | Path | None = None
) -> Path:
    """Write the report and the model card of a run anew, and return the path of the report.

    Args:
        run: The run directory; one of an older version will do.
        data: What the run was trained on, for the texts, photos and categories of the test rows.
        images: Folder that photo paths are relative to; the file's own folder by default.

    Raises:
        RunError: The directory is missing, or one of its files is damaged.
        DataError: The rows are not those that the run was made from, or cannot be read.

    Example:
        rewrite_report("run", "products.csv")
    """
    folder = Path(run)
    if data is None:
        return write_report(folder)
    table, root = open_table(data, images)
    content = read_files(folder, {}, None)
    rows = table.frame.iloc[_places(table, content)].reset_index(drop=True)
    if "id" in content.predictions:
        _check_ids(table, content, rows)
    columns = [str(c.get("name")) for c in content.schema if c.get("kind") == "image"]
    return write_report(folder, photos=photos_of(rows, columns, root), rows=rows)


def photos_of(rows: pd.DataFrame, columns: Sequence[str], root: Path) -> dict[int, list[Path]]:
    """Return the photos of each row, by its position, from all columns that name photos.

    Raises:
        DataError: A path leads out of the folder.

    Example:
    >>> found = photos_of(pd.DataFrame({"photo": ["a.jpg|b.jpg"]}), ["photo"], Path("/data"))
    >>> [path.name for path in found[0]]
    ['a.jpg', 'b.jpg']
    """
    there = [column for column in columns if column in rows]
    return {
        i: [locate(name, root) for c in there for name in photo_paths(rows[c].iloc[i])]
        for i in range(len(rows))
    }


def _places(table: Table, content: RunFiles) -> NDArray[np.int64]:
    """Return where in the table the rows of the predictions are."""
    known = content.metrics.data.sha256
    if known and table.source is not None and sha256_of(table.source) != known:
        raise DataError(f"{table.name}: changed since the run was made; its SHA-256 is another. "
                        f"{_OTHER}")  # fmt: skip
    if "row" not in content.predictions:
        return np.arange(0)
    wanted = pd.to_numeric(content.predictions["row"], errors="coerce").to_numpy(float)
    places = np.minimum(np.searchsorted(table.rows, wanted), max(len(table.rows) - 1, 0))
    absent = wanted[table.rows[places] != wanted] if len(table.rows) else wanted
    if len(absent):
        raise DataError(f"{table.name}: has no row {absent[0]:g}, which the run was tested on. "
                        f"{_OTHER}")  # fmt: skip
    return np.asarray(places, np.int64)


def _check_ids(table: Table, content: RunFiles, rows: pd.DataFrame) -> None:
    names = [str(c.get("name")) for c in content.schema if c.get("kind") == "identifier"][:1]
    for name in (name for name in names if name in rows):
        same = rows[name].astype(str).to_numpy() == content.predictions["id"].astype(str).to_numpy()
        if not same.all():
            first = int(np.flatnonzero(~same)[0])
            raise DataError(
                f"{table.name}: '{name}' of a test row is {rows[name].iloc[first]!r:.60}; the run "
                f"has {content.predictions['id'].iloc[first]!r:.60} there. {_OTHER}"
            )
