"""What a training leaves in its run for later explanations: vectors of training rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from multimodal.evaluation.predictions import CORNERS, truths
from multimodal.explain.attribution import cut
from multimodal.data.columns.cells import photo_paths
from multimodal.data.read.lazy_text import in_memory
from multimodal.data.features.cell_arrays import texts
from multimodal.data.prepare import Prepared
from multimodal.evaluation.measures import readable
from multimodal.explain.encoding import encode_rows, fused_vectors
from multimodal.explain.neighbours import MOST_ROWS, SHORT, NearRow, save

if TYPE_CHECKING:
    from multimodal.runs.run import Run

UNKNOWN = "–"


def keep_neighbours(run: Run, prepared: Prepared) -> None:
    """Write the vectors of up to 2,000 training rows, drawn at random, and what the rows are.

    Args:
        run: The run, which is on disk.
        prepared: What it was trained on.

    Raises:
        OSError: The disk is full or cannot be written.
    """
    rows = prepared.rows("train")
    random = np.random.default_rng(prepared.config.training.seed)
    rows = np.sort(random.permutation(rows)[:MOST_ROWS])
    frame = in_memory(prepared.table.frame.iloc[rows]).reset_index(drop=True)
    parts = cut(run.model, run.tasks[0].name, run.spec.groups)
    encoded, faults = encode_rows(parts, run.preprocessor.arrays(frame, prepared.photo_root))
    vectors = fused_vectors(parts, encoded)
    labels = {task.name: _labels(run, prepared, i, rows) for i, task in enumerate(run.tasks)}
    whole = np.setdiff1d(np.arange(len(rows)), list(faults))
    found = [_row(run, frame.iloc[[i]], labels, int(prepared.table.lines[rows[i]]), i)
             for i in whole.tolist()]  # fmt: skip
    if found:
        save(run.path, vectors[whole], found)


def _row(
    run: Run, frame: pd.DataFrame, labels: Mapping[str, list[str]], line: int, i: int
) -> NearRow:
    images = [c for g in run.spec.groups if g.modality == "image" for c in g.columns]
    worded = [c for g in run.spec.groups if g.modality == "text" for c in g.columns]
    others = [c for g in run.spec.groups for c in g.columns if c not in images]
    shown = texts(worded or others, frame) or [""]
    text = shown[0] if worded else ", ".join(shown[0].split("\n"))
    names = [name for column in images for name in photo_paths(frame[column].iloc[0])]
    return NearRow(
        line=line,
        labels={name[:SHORT]: each[i] for name, each in labels.items()},
        photos=[name for name in names if len(name) <= 1024][:4],
        text=" ".join(text.split())[:SHORT],
    )


def _labels(run: Run, prepared: Prepared, index: int, rows: Any) -> list[str]:
    """Return the labels of rows for one head, as shown."""
    task = run.tasks[index]
    sizes = None if prepared.photo_sizes is None else prepared.photo_sizes[rows]
    columns = truths(task, prepared.truths[task.name][rows], sizes)
    if task.kind == "box":
        boxes = np.stack([columns[f"{name}_true"] for name in CORNERS], axis=1)
        return [", ".join(f"{corner:,.0f}" for corner in box)[:SHORT] for box in boxes]
    return [_shown(value)[:SHORT] for value in columns["true"]]


def _shown(value: Any) -> str:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return UNKNOWN
    return readable(float(value)) if isinstance(value, float | np.floating) else str(value)
