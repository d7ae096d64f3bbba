"""One page that says what a run found, from the files in its directory.

The page is self-contained: pictures are inlined, nothing is fetched, no script runs, and every
word that comes from the user's data is escaped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from multimodal.core.arrays import Ints
from multimodal.core.errors import DataError
from multimodal.core.files import sha256_of, write_text
from multimodal.core.formatting import joined, shortened, template
from multimodal.core.spec import unique_slugs
from multimodal.data.audit.findings import AUDIT_FILE, Audit
from multimodal.data.photos.locate import Images, PhotoRoot, locate
from multimodal.data.photos.names import Photo, cell_photos
from multimodal.data.read.readers import Source, open_table
from multimodal.data.read.table import Dialect, Table
from multimodal.report import alt_text, plots
from multimodal.report.audit_view import audit_section
from multimodal.report.examples import cell_text
from multimodal.report.heads import Section
from multimodal.report.model_card import CARD_FILE, model_card
from multimodal.report.plots import Picture, picture
from multimodal.report.run_files import (
    RunFiles,
    changed_options,
    declared_head_rows,
    group_rows,
    parsed_config,
    provenance_rows,
    read_files,
    seconds,
)
from multimodal.report.sections import section

REPORT_FILE = "report.html"
RESERVED = ("data", "audit", "training", "again", "main")
"""Anchors of the page that no head may take."""
MOST_HEADS, MOST_LETTERS = 6, 60


def write_report(
    run: Path,
    *,
    photos: Mapping[int, Sequence[Photo | Path]] | None = None,
    rows: pd.DataFrame | None = None,
) -> Path:
    """Write `run/report.html`, `run/model_card.md` and `run/plots`; return the path of the first.

    Reads `config.json`, `schema.json`, `metrics.json`, `predictions.csv`, `training_log.csv`,
    `baseline_predictions.csv` and `audit.json`; each may be absent, as in an interrupted or an
    older run, and its part is then left out.

    Args:
        run: the run directory.
        photos: the photos of a test row, by its position in `predictions.csv`.
        rows: the raw table of the test rows, one per row of `predictions.csv`, in its order.

    Raises:
        RunError: the directory is missing, or one of its files is damaged.
        DataError: `rows` has not one row per prediction.

    Example:
        write_report(Path("run"), photos={0: ["images/17.jpg"]}, rows=test_rows)
    """
    content = read_files(run, photos or {}, rows)
    names = content.heads
    # The reserved ones first: they keep their anchors, and a head called "data" becomes `data_2`.
    slugs = unique_slugs([*RESERVED, *names])[len(RESERVED) :]
    heads = [section(content, name, slug) for name, slug in zip(names, slugs, strict=True)]
    audit = Audit.read_file(run / AUDIT_FILE)
    write_text(run / REPORT_FILE, _page(content, heads, audit))
    write_text(run / CARD_FILE, model_card(content, heads, audit))
    return run / REPORT_FILE


def _page(run: RunFiles, heads: list[Section], audit: Audit | None) -> str:
    from markupsafe import Markup

    keys = _schema_keys(run.schema)
    page: str = template("report.html.j2").render(
        title=f"Predicting {_joined(run.heads) or 'nothing yet'}",
        heads=heads,
        metrics=run.metrics,
        schema=[_schema_row(column) for column in run.schema],
        schema_keys=keys,
        schema_titles=[(key, key in ("missing", "distinct")) for key in keys],
        curves=_curves(run),
        config=json.dumps(run.config, indent=2, ensure_ascii=False) if run.config else "",
        changes=changed_options(run.config),
        groups=group_rows(run.config),
        declared=declared_head_rows(run.config),
        provenance=provenance_rows(run.metrics),
        baseline_seconds=seconds(run.metrics)[1],
        audit="" if audit is None else Markup(audit_section(audit)),
    )
    return page


def _joined(names: Sequence[str]) -> str:
    return joined([shortened(name, MOST_LETTERS) for name in names], MOST_HEADS)


def _curves(run: RunFiles) -> Picture | None:
    if not len(run.log) or not {"epoch", "loss"} <= set(run.log.columns):
        return None
    words = alt_text.of_curves(run.log)
    return picture(run, plots.learning_curves(run.log), "learning_curves", words)


def _schema_keys(schema: Sequence[Mapping[str, Any]]) -> list[str]:
    """List what is shown of the columns: what any of them has a value for, in a fixed order."""
    wanted = ("name", "kind", "missing", "distinct", "example", "note")
    return [key for key in wanted if any(c.get(key) not in (None, "", []) for c in schema)]


def _schema_row(column: Mapping[str, Any]) -> dict[str, str]:
    """Write a column's cells; `missing` is a share of the rows if a float, a count if whole."""
    shown = {str(key): cell_text(value) for key, value in column.items()}
    missing, distinct = column.get("missing"), column.get("distinct")
    if isinstance(missing, float):
        shown["missing"] = "0%" if missing == 0 else f"{missing:.1%}"
    if isinstance(distinct, int):
        shown["distinct"] = f"{distinct:,}"
    return shown


_OTHER = "Give the file that the run was made from, or none: the page then shows no single rows."


def rewrite_report(run: str | Path, data: Source | None = None, *, images: Images = None) -> Path:
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
    content = read_files(folder, {}, None)
    table, root = open_table(data, images, Dialect.of(parsed_config(content.config).data))
    rows = table.frame.iloc[_places(table, content)].reset_index(drop=True)
    if "id" in content.predictions:
        _check_ids(table, content, rows)
    columns = [str(c.get("name")) for c in content.schema if c.get("kind") == "image"]
    return write_report(folder, photos=photos_of(rows, columns, root), rows=rows)


def photos_of(
    rows: pd.DataFrame, columns: Sequence[str], root: PhotoRoot
) -> dict[int, list[Photo]]:
    """Return the photos of each row, by its position, from all columns that name photos.

    Raises:
        DataError: A path leads out of the folder.

    Example:
    >>> found = photos_of(pd.DataFrame({"photo": ["a.jpg|b.jpg"]}), ["photo"], Path("/data"))
    >>> found[0]
    ['/data/a.jpg', '/data/b.jpg']
    """
    there = [column for column in columns if column in rows]
    return {
        i: [locate(name, root) for c in there for name in cell_photos(rows[c].iloc[i])]
        for i in range(len(rows))
    }


def _places(table: Table, content: RunFiles) -> Ints:
    """Return where in the table the rows of the predictions are."""
    known = content.metrics.data.sha256
    if known and table.source is not None and sha256_of(table.source) != known:
        raise DataError(
            f"{table.name}: changed since the run was made; its SHA-256 is another. {_OTHER}"
        )
    if "row" not in content.predictions:
        return np.arange(0)
    wanted = pd.to_numeric(content.predictions["row"], errors="coerce").to_numpy(float)
    places = np.minimum(np.searchsorted(table.rows, wanted), max(len(table.rows) - 1, 0))
    absent = wanted[table.rows[places] != wanted] if len(table.rows) else wanted
    if len(absent):
        raise DataError(
            f"{table.name}: has no row {absent[0]:g}, which the run was tested on. {_OTHER}"
        )
    return np.asarray(places, np.int64)


def _check_ids(table: Table, content: RunFiles, rows: pd.DataFrame) -> None:
    names = [str(c.get("name")) for c in content.schema if c.get("kind") == "identifier"][:1]
    for name in (name for name in names if name in rows):
        # as text, since `predictions.csv` does not tell 7 from "7"
        same = rows[name].astype(str).to_numpy() == content.predictions["id"].astype(str).to_numpy()
        if not same.all():
            first = int(np.flatnonzero(~same)[0])
            raise DataError(
                f"{table.name}: '{name}' of a test row is {rows[name].iloc[first]!r:.60}; the run "
                f"has {content.predictions['id'].iloc[first]!r:.60} there. {_OTHER}"
            )
