"""Whether an export predicts what its run predicts: asked of a fresh process, row by row."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from multimodal.core.arrays import Floats
from multimodal.core.errors import RunError
from multimodal.data.photos.locate import PhotoRoot
from multimodal.data.read.table import Table
from multimodal.evaluation.task import Task
from multimodal.runs.photos import without_missing_photos
from multimodal.runs.rows import check_level
from multimodal.runtime.batches import batches, cut_words, fixed_lengths
from multimodal.runtime.export_record import NETWORK

if TYPE_CHECKING:
    from multimodal.runs.run import Run

LEVEL = 0.8  # of the intervals that are compared
TOLERANCE = 1e-5
SECONDS = 1800  # that the fresh process may take
_PREDICT = """
import pickle, sys, multimodal
from pathlib import Path
given = pickle.loads(Path(sys.argv[2]).read_bytes())
frame = multimodal.load(sys.argv[1]).predict(given.pop("rows"), **given).frame
Path(sys.argv[3]).write_bytes(pickle.dumps(frame))
"""
_REPLAY = """
import sys
from multimodal.export.engines import replay
replay(*sys.argv[1:])
"""
_WRONG = "the export does not predict what the run predicts, and is not kept"
_IS_PREDICTION = re.compile(r"_(prediction|xmin|probability)$")
_IS_PROBABILITY = re.compile(r"_probability(_\w+)?$")


def difference_to_run(run: Run, folder: Path, table: Table, root: PhotoRoot) -> float:
    """Return the largest difference between a run and its export, which a fresh process predicts.

    Raises:
        RunError: It is too large, the export gives no numbers where the run does, or fails.
    """
    if (folder / NETWORK).exists():
        return _difference_of_rows(run, folder, table, root)
    return _difference_of_arrays(run, folder, table, root)


def _difference_of_rows(run: Run, folder: Path, table: Table, root: PhotoRoot) -> float:
    level = LEVEL if _has_intervals(run) else None
    predicted = run.predict(table, images=root, level=level).frame
    given = {"rows": table, "images": root, "level": level}
    return largest_difference(predicted, _in_a_fresh_process(_PREDICT, folder, given))


def _difference_of_arrays(run: Run, folder: Path, table: Table, root: PhotoRoot) -> float:
    """Compare what an engine makes of the arrays of rows, which it is given."""
    arrays = run.preprocessor.arrays(without_missing_photos(run.spec, table, root).frame, root)
    expected, _ = run.decoded(arrays)
    found = {name: np.zeros_like(values) for name, values in expected.items()}
    places, given = [], []
    for rows, (batch, _) in batches(arrays):
        places.append(rows)
        given.append(cut_words(batch, fixed_lengths(run.spec), any_shape=True))
    for rows, answer in zip(places, _in_a_fresh_process(_REPLAY, folder, given), strict=True):
        for name in found:
            found[name][rows] = answer[name]
    return largest_difference(_as_frame(run.tasks, expected), _as_frame(run.tasks, found))


def _as_frame(tasks: Sequence[Task], outputs: Mapping[str, Floats]) -> pd.DataFrame:
    """Return outputs by head as columns, named as `largest_difference` tells numbers apart."""
    ends = {"class": "probability", "labels": "probability"}
    columns = {
        f"{task.name}_{i}_{ends.get(task.kind, 'prediction')}": values
        for task in tasks
        for i, values in enumerate(outputs[task.name].T)
    }
    return pd.DataFrame(columns)


def _has_intervals(run: Run) -> bool:
    try:
        check_level(run.path, run.calibration, run.tasks, LEVEL)
    except RunError:  # there are none, or too few rows were calibrated on
        return False
    return True


def _in_a_fresh_process(code: str, folder: Path, given: Any) -> Any:
    """Return what the code leaves, which is called with an export, what is given, and its place."""
    with tempfile.TemporaryDirectory() as own:
        # pickles of this process and its child; the folder is open to nobody else
        question, answer = Path(own, "question"), Path(own, "answer")
        question.write_bytes(pickle.dumps(given))
        words = [sys.executable, "-c", code, str(folder), str(question), str(answer)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS)
        if done.returncode or not answer.exists():
            last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            raise RunError(f"the export does not predict in a fresh process: {last}")
        return pickle.loads(answer.read_bytes())


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
            raise RunError(_told(name, row, found.iloc[row], expected.iloc[row]))
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
