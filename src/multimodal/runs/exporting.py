"""Export a run: written whole or not at all, and compared with the run in a fresh process."""

from __future__ import annotations

import logging
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from multimodal.core.errors import RunError
from multimodal.core.files import force, sha256_of
from multimodal.core.manifest import write_manifest
from multimodal.data.photos.locate import Images, PhotoRoot
from multimodal.data.read.readers import Source
from multimodal.data.read.sampling import sampled
from multimodal.data.read.table import Table
from multimodal.evaluation.records import RunMetrics
from multimodal.export.write import check_format, write_folder, write_record
from multimodal.runs.drawn_rows import drawn_table
from multimodal.runs.export_check import difference_to_run
from multimodal.runs.provenance import versions
from multimodal.runs.raw_rows import opened
from multimodal.runtime.export_record import Comparison, ExportRecord

if TYPE_CHECKING:
    from multimodal.runs.run import Run

logger = logging.getLogger(__name__)

ROWS = 64  # that are compared


def export(
    run: Run,
    out: str | Path,
    wanted: str = "onnx",
    *,
    rows: Source | None = None,
    images: Images = None,
) -> Path:
    """Write a run for other engines into a new folder; see `Run.export`."""
    check_format(wanted)
    folder = _checked(run, Path(out))
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder.parent) as beside:
        inside = Path(beside, folder.name)
        inside.mkdir()
        record = write_folder(run, run.path, inside, wanted, versions())
        write_manifest(inside)
        table, root, source = _rows_to_compare(run, rows, images)
        found = Comparison(
            rows=len(table.frame),
            source=source,
            difference=difference_to_run(run, inside, table, root),
        )
        _finish(inside, record.model_copy(update={"comparison": found}))
        inside.rename(folder)
    force(folder.parent)
    logger.info(
        f"{folder}: {found.rows} rows of {source} are predicted as by the run in a fresh process "
        f"(largest difference {found.difference:.1e})"
    )
    return folder


def _finish(folder: Path, record: ExportRecord) -> None:
    write_record(folder, record)
    write_manifest(folder)
    for path in folder.rglob("*"):
        force(path)


def _checked(run: Run, folder: Path) -> Path:
    """Return the folder to write; raise RunError where something is, or where the run lies."""
    if folder.exists() or folder.is_symlink():
        raise RunError(
            f"{folder}: is there already, and an export replaces nothing. Name another folder."
        )
    if run.path.resolve() in folder.resolve().parents:
        raise RunError(f"{folder}: lies in the run, which stays as it is. Name another folder.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    return folder


def _rows_to_compare(run: Run, rows: Source | None, images: Images) -> tuple[Table, PhotoRoot, str]:
    """Return rows to compare the export on, the folder of their photos, and what they are."""
    if rows is None and (file := _trained_on(run)) is not None:
        rows = file
    if rows is None:
        logger.warning(
            "the table that the run was trained on is not here, so the export is compared on rows "
            "that are drawn from what the run knows of its columns; name a table by `rows` (--rows)"
        )
        table, root = drawn_table(run, ROWS)
        return table, root, "drawn values"
    table, root = opened(run, rows, images)
    places = np.unique(np.linspace(0, len(table.frame) - 1, ROWS).astype(np.int64))
    # as a table of its own, whose rows are counted from 0
    some = replace(sampled(table, places), rows=np.arange(len(places)))
    return some, root, table.name


def _trained_on(run: Run) -> Path | None:
    """Return the file that a run was trained on, if it is still there and the same."""
    data = RunMetrics.read(run.path).data
    try:
        file = Path(data.source) if data.source and data.sha256 else None
        return file if file and file.is_file() and sha256_of(file) == data.sha256 else None
    except OSError:
        return None
