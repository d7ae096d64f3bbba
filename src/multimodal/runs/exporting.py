"""Export a run: written whole or not at all, and compared with the run in a fresh process."""

from __future__ import annotations

import logging
import pickle
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

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
from multimodal.runs.provenance import versions
from multimodal.runs.raw_rows import opened
from multimodal.runs.rows import check_level
from multimodal.runtime.export_record import Comparison, ExportRecord

if TYPE_CHECKING:
    from multimodal.runs.run import Run

logger = logging.getLogger(__name__)

ROWS = 64  # that are compared
LEVEL = 0.8  # of the intervals that are compared
TOLERANCE = 1e-5
SECONDS = 1800  # that the fresh process may take
_WRONG = "the export does not predict what the run predicts, and is not kept"
_IS_PREDICTION = re.compile(r"_(prediction|xmin)$")
_IS_PROBABILITY = re.compile(r"_probability(_\w+)?$")


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
            rows=len(table.frame), source=source, difference=_compared(run, inside, table, root)
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
    return sampled(table, places), root, table.name


def _trained_on(run: Run) -> Path | None:
    """Return the file that a run was trained on, if it is still there and the same."""
    data = RunMetrics.read(run.path).data
    try:
        file = Path(data.source) if data.source and data.sha256 else None
        return file if file and file.is_file() and sha256_of(file) == data.sha256 else None
    except OSError:
        return None


def _compared(run: Run, folder: Path, table: Table, root: PhotoRoot) -> float:
    """Return the largest difference between a run and its export, which a fresh process predicts.

    Raises:
        RunError: It is too large, the export gives no numbers where the run does, or fails.
    """
    level = LEVEL if _has_intervals(run) else None
    expected = run.predict(table, images=root, level=level).frame
    found = _in_a_fresh_process(folder, {"rows": table, "images": root, "level": level})
    return largest_difference(expected, found)


def _has_intervals(run: Run) -> bool:
    try:
        check_level(run.path, run.calibration, run.tasks, LEVEL)
    except RunError:  # there are none, or too few rows were calibrated on
        return False
    return True


def _in_a_fresh_process(folder: Path, given: dict[str, Any]) -> pd.DataFrame:
    code = (
        "import pickle, sys, multimodal\n"
        "from pathlib import Path\n"
        "given = pickle.loads(Path(sys.argv[2]).read_bytes())\n"
        "frame = multimodal.load(sys.argv[1]).predict(given.pop('rows'), **given).frame\n"
        "Path(sys.argv[3]).write_bytes(pickle.dumps(frame))\n"
    )
    with tempfile.TemporaryDirectory() as own:
        # a pickle of this process for its child; the folder is readable to nobody else
        rows, answer = Path(own, "rows"), Path(own, "answer")
        rows.write_bytes(pickle.dumps(given))
        words = [sys.executable, "-c", code, str(folder), str(rows), str(answer)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS)
        if done.returncode or not answer.exists():
            last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            raise RunError(f"the export does not predict in a fresh process: {last}")
        frame: pd.DataFrame = pickle.loads(answer.read_bytes())
    return frame


def largest_difference(expected: pd.DataFrame, found: pd.DataFrame) -> float:
    """Return by how much predictions differ at most, relative to a number or the median one.

    That of probabilities is absolute.

    Raises:
        RunError: Columns, words or missing predictions differ, nothing is predicted, or a number
            differs by more than 1e-5.

    Example:
    >>> rows = pd.DataFrame({"price_prediction": [100.0, 3.0]})
    >>> largest_difference(rows, rows * (1 + 1e-6)) < 2e-6
    True
    """
    if list(expected) != list(found) or len(expected) != len(found):
        raise RunError(f"{_WRONG}: its columns are {list(found)}, expected {list(expected)}.")
    if not any(_is_predicted(expected[name]) for name in map(str, expected)):
        raise RunError(f"{_WRONG}: the run predicts none of the rows; give others to compare on.")
    return max(_difference(str(name), expected[name], found[name]) for name in expected)


def _is_predicted(column: pd.Series[Any]) -> bool:
    return bool(_IS_PREDICTION.search(str(column.name))) and bool(column.notna().any())


def _difference(name: str, expected: pd.Series[Any], found: pd.Series[Any]) -> float:
    if expected.dtype.kind != "f" or found.dtype.kind != "f":
        if not expected.equals(found):
            row = int(np.flatnonzero((expected.astype(str) != found.astype(str)).to_numpy())[0])
            raise RunError(_told(name, row, found[row], expected[row]))
        return 0.0
    a, b = expected.to_numpy(float), found.to_numpy(float)
    if (wrong := np.isfinite(a) != np.isfinite(b)).any():
        row = int(np.flatnonzero(wrong)[0])
        raise RunError(_told(name, row, b[row], a[row]))
    known = np.isfinite(a)
    if not known.any():
        return 0.0
    size = np.maximum(np.abs(a), np.median(np.abs(a[known])))
    if _IS_PROBABILITY.search(name) or not size[known].all():
        size = np.ones_like(a)
    differences = np.where(known, np.abs(a - b) / size, 0.0)
    if differences.max() > TOLERANCE:
        row = int(differences.argmax())
        raise RunError(_told(name, row, b[row], a[row]))
    return float(differences.max())


def _told(name: str, row: int, found: Any, expected: Any) -> str:
    shown = [f"{v:.9g}" if isinstance(v, float) else f"{v!r:.60}" for v in (found, expected)]
    return f"{_WRONG}: {name} of row {row} is {shown[0]}, expected {shown[1]}."
