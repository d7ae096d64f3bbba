"""The folder of a study: locked by one process, bound to its first request, and continued."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd

from multimodal.core.errors import RunError
from multimodal.core.files import replace_file, write_text
from multimodal.core.interrupted import LOCK, check_same, locked, read_record
from multimodal.data.prepare import Prepared
from multimodal.evaluation.predictions import label_columns, prediction_columns
from multimodal.evaluation.task import Task
from multimodal.studies.compare.results import OUT_OF_FOLD_FILE, OutOfFoldPredictions

REQUEST_FILE, FITS = "asked.json", "fits"
_BEGUN = {LOCK, f"partial-{REQUEST_FILE}"}


@contextmanager
def study_folder(out: Path, request: Mapping[str, Any]) -> Iterator[None]:
    """Make the folder `out`, lock it, and write down the request; fits in it stay, come what may.

    Args:
        out: The folder: new, empty, or of a study with the same request.
        request: Plain JSON: the config, the data, whatever makes a fit another fit.

    Raises:
        RunError: It cannot be made or written, another process has locked it, or it is of
            something else.

    Example:
    >>> import tempfile
    >>> out = Path(tempfile.mkdtemp(), "study")
    >>> with study_folder(out, {"config": 1}):
    ...     (out / FITS).mkdir()
    >>> with study_folder(out, {"config": 1}):
    ...     pass
    """
    _check(out)
    made = not out.exists()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{out}: cannot be made ({error.strerror}). Name another --out.") from None
    try:
        with locked(out):
            before = _check(out)
            if before is None:
                write_text(out / REQUEST_FILE, json.dumps(request, indent=2, ensure_ascii=False))
            else:
                check_same(out, before, request)
            yield
    except OSError as error:
        raise RunError(
            f"{out}: cannot be written ({error.strerror or error}). Make room, or name another "
            "--out; the same command goes on with what is there."
        ) from None
    finally:
        if not any((out / FITS).glob("*")):  # nothing to go on from
            _clear(out, made)


def _clear(out: Path, made: bool) -> None:
    with suppress(OSError):
        if {path.name for path in out.iterdir()} <= {REQUEST_FILE, *_BEGUN}:
            (out / REQUEST_FILE).unlink(missing_ok=True)
        if made:
            out.rmdir()


def _check(out: Path) -> dict[str, Any] | None:
    """Return the request of the study in `out`, None of a new one."""
    before = read_record(out, REQUEST_FILE)
    if before is not None:
        return before
    if out.exists() and not (out.is_dir() and {path.name for path in out.iterdir()} <= _BEGUN):
        raise RunError(
            f"{out}: already there and not empty. Name another --out, or remove it first."
        )
    return None


def write_out_of_fold(
    out: Path, prepared: Prepared, tasks: Sequence[Task], predictions: OutOfFoldPredictions
) -> None:
    """Write `out_of_fold.csv`: a line per model, seed and row, in the user's units.

    Columns are `model`, `seed`, `fold`, `row` (its position in the source), `id` where the table
    has an identifier, and for each head label and prediction as `predictions.csv` of a run names
    them; they are blank for a head that a model does not serve.

    Raises:
        OSError: The disk is full or cannot be written; no file is left in part.
    """
    with replace_file(out / OUT_OF_FOLD_FILE) as beside, beside.open("w", encoding="utf-8") as file:
        columns: list[str] = []
        for frame in _frames(prepared, tasks, predictions):
            columns = columns or list(map(str, frame))
            frame.reindex(columns=columns).to_csv(file, index=False, header=not file.tell())


def _frames(
    prepared: Prepared, tasks: Sequence[Task], predictions: OutOfFoldPredictions
) -> Iterator[pd.DataFrame]:
    """Return a frame per candidate and seed; the first one has the columns of all."""
    known: dict[str, Any] = {"row": prepared.table.rows}
    for name in prepared.schema.names("identifier")[:1]:
        known["id"] = prepared.table.frame[name].to_numpy()
    sizes, fits = prepared.photo_sizes, predictions.fits
    each = [(candidate, seed) for candidate in fits for seed in sorted(fits[candidate])]
    # Trees may not serve every head; the first frame names the columns of the file.
    each.sort(key=lambda key: -len(fits[key[0]][key[1]][0].outputs))
    for candidate, seed in each:
        found = {"model": candidate.name, "seed": seed, "fold": predictions.folds, **known}
        for task in tasks:
            columns = label_columns(task, prepared.labels[task.name], sizes)
            if task.name in fits[candidate][seed][0].outputs:
                outputs = predictions.outputs(candidate, seed, task.name)
                columns |= prediction_columns(task, outputs, sizes)
            found |= {f"{task.name}_{ending}": column for ending, column in columns.items()}
        yield pd.DataFrame(found)
