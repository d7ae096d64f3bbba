"""What every compared model answers to every row out of fold, for others to check."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from multimodal.core.files import replace_file
from multimodal.data.prepare import Prepared
from multimodal.evaluation.predictions import answers, truths
from multimodal.evaluation.task import Task
from multimodal.studies.compare.records import ANSWERS_FILE, Arm
from multimodal.studies.compare.results import Answered
from multimodal.studies.fit_files import Fit


def write_answers(out: Path, prepared: Prepared, tasks: Sequence[Task], answered: Answered) -> None:
    """Write `out_of_fold.csv`: a line per model, seed and row, in the user's units.

    Columns are `model`, `seed`, `fold`, `row` (its position in the source), `id` where the table
    has an identifier, and for each head truth and answer as `predictions.csv` of a run names them;
    they are blank for a head that a model does not serve.

    Raises:
        OSError: The disk is full or cannot be written; no file is left in part.
    """
    with replace_file(out / ANSWERS_FILE) as beside, beside.open("w", encoding="utf-8") as file:
        columns: list[str] = []
        for frame in _frames(prepared, tasks, answered):
            columns = columns or list(map(str, frame))
            frame.reindex(columns=columns).to_csv(file, index=False, header=not file.tell())


def _frames(
    prepared: Prepared, tasks: Sequence[Task], answered: Answered
) -> Iterator[pd.DataFrame]:
    known: dict[str, Any] = {"row": prepared.table.rows}
    for name in prepared.schema.names("identifier")[:1]:
        known["id"] = prepared.table.frame[name].to_numpy()
    sizes = prepared.photo_sizes
    for arm, seed in _served_by(answered.fits):
        found = {"model": arm.name, "seed": seed, "fold": answered.folds, **known}
        for task in tasks:
            columns = truths(task, prepared.truths[task.name], sizes)
            if task.name in answered.fits[arm][seed][0].outputs:
                columns |= answers(task, answered.outputs(arm, seed, task.name), sizes)
            found |= {f"{task.name}_{ending}": column for ending, column in columns.items()}
        yield pd.DataFrame(found)


def _served_by(fits: Mapping[Arm, Mapping[int, Sequence[Fit]]]) -> list[tuple[Arm, int]]:
    """Return arms and seeds, first those that serve most heads, which tell the columns."""
    each = [(arm, seed) for arm, seeds in fits.items() for seed in sorted(seeds)]
    heads = np.array([-len(fits[arm][seed][0].outputs) for arm, seed in each])
    return [each[i] for i in np.argsort(heads, kind="stable")]
