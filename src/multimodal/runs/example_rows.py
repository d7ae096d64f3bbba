"""What a training leaves in its run for explanations: example rows, and neighbours to point to.

Example rows are the worst and the best predicted test rows, explained in `explanations/`;
`neighbours.npz` and `neighbours.json` hold training rows for later explanations.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import zip_longest
from typing import Any

import keras
import numpy as np
import pandas as pd

from multimodal.core.arrays import Ints
from multimodal.core.files import write_text
from multimodal.core.formatting import short_number
from multimodal.data.features.cell_arrays import texts
from multimodal.data.labels.boxes import CORNERS
from multimodal.data.photos.names import cell_photos
from multimodal.data.prepare import Prepared
from multimodal.data.read.lazy_text import in_memory
from multimodal.evaluation.predictions import label_columns
from multimodal.evaluation.records import (
    EXPLANATIONS,
    EXPLANATIONS_FILE,
    ExplainedRow,
    ExplainedRows,
    GroupEffect,
)
from multimodal.explain.neighbours import SHORT, NearRow, load, save
from multimodal.explain.page import page
from multimodal.explain.records import Explanation
from multimodal.explain.rows import explain_rows
from multimodal.explain.submodels import (
    HeadSubmodels,
    contribution_vectors,
    encode_rows,
    fused_vectors,
)
from multimodal.report.head_rows import head_rows, rank_rows
from multimodal.report.run_files import read_files
from multimodal.runs.run import Run

EACH = 2  # worst rows, and best ones, of a run with one head; of several heads fewer each
SECONDS = 20.0  # after which no further row is begun
NEIGHBOURS = 1000  # training rows that are encoded and kept
MOST_LETTERS = 200
UNKNOWN = "–"


def explain_example_rows(run: Run, prepared: Prepared, tested: Ints) -> None:
    """Explain up to two of the worst and two of the best predicted test rows, a page each.

    Reads the run's `metrics.json` and `predictions.csv`; writes `explanations/*.html` and
    `explanations.json`. On other backends than TensorFlow, where single rows take long, nothing is
    written.

    Args:
        run: The run, which is on disk, with its manifest.
        prepared: What it was trained on.
        tested: Positions in the table of the rows of `predictions.csv`.

    Raises:
        OSError: The disk is full or cannot be written.
    """
    if keras.backend.backend() != "tensorflow" or not len(tested):
        return
    end, found = time.monotonic() + SECONDS, []
    (run.path / EXPLANATIONS).mkdir(exist_ok=True)
    for head, each in _explained(run, prepared, tested):
        file = f"{EXPLANATIONS}/{head}-{each.row}.html"
        write_text(run.path / file, page(each, prepared.photo_root))
        found.append(_short(each, head, file))
        if time.monotonic() > end:
            break
    write_text(run.path / EXPLANATIONS_FILE, ExplainedRows(rows=found).model_dump_json(indent=2))


def _explained(run: Run, prepared: Prepared, tested: Ints) -> Iterator[tuple[str, Explanation]]:
    """Yield the rows by head, the worst and the best in turn."""
    content, table = read_files(run.path, {}, None), prepared.table
    names, known = [task.name for task in run.tasks][:EACH], load(run.path)
    each = EACH // len(names)
    for name in names:
        rows = head_rows(content, name)
        wrong, right = rank_rows(content.kind(name), rows, content.classes(name))
        pairs = zip_longest(wrong[:each], right[:each])
        places = tested[[int(i) for pair in pairs for i in pair if i is not None]]
        frame = in_memory(table.frame.iloc[places]).reset_index(drop=True)
        few = replace(table, frame=frame, rows=table.rows[places], lines=table.lines[places])
        for found in explain_rows(run, few, prepared.photo_root, head=name, known=known):
            yield name, found


def _short(found: Explanation, head: str, file: str) -> ExplainedRow:
    target = found.target
    ranked = sorted(found.groups, key=lambda group: -abs(group.score))
    return ExplainedRow(
        head=head,
        row=found.row,
        page=file,
        question=target.name[:MOST_LETTERS] if target else "",
        nothing=found.baseline_prediction[:MOST_LETTERS],
        groups=[
            GroupEffect(name=g.name[:MOST_LETTERS], effect=target.effect(g.score), up=g.score > 0)
            for g in ranked
            if target
        ],
    )


def save_neighbours(run: Run, prepared: Prepared) -> None:
    """Write the vectors of up to 1,000 training rows, drawn at random, and what the rows are.

    The vectors are those of the networks where these decide the first head, else what each part of
    its stacked model adds to its raw outputs.

    Args:
        run: The run, which is on disk.
        prepared: What it was trained on.

    Raises:
        OSError: The disk is full or cannot be written.
    """
    rows = prepared.rows("train")
    random = np.random.default_rng(prepared.config.training.seed)
    rows = np.sort(random.permutation(rows)[:NEIGHBOURS])
    frame = in_memory(prepared.table.frame.iloc[rows]).reset_index(drop=True)
    head, arrays = run.tasks[0].name, run.preprocessor.arrays(frame, prepared.photo_root)
    submodels = HeadSubmodels.of(run, head)
    encoded, faults = encode_rows(submodels.networks, arrays)
    if submodels.networks_decide:
        vectors, head = fused_vectors(submodels.networks, encoded), ""
    else:
        vectors = contribution_vectors(submodels, encoded, arrays.inputs, frame)
    labels = {task.name: _labels(run, prepared, i, rows) for i, task in enumerate(run.tasks)}
    undamaged = np.setdiff1d(np.arange(len(rows)), list(faults))
    found = [
        _row(run, frame.iloc[[i]], labels, int(prepared.table.lines[rows[i]]), i)
        for i in undamaged.tolist()
    ]
    if found:
        save(run.path, vectors[undamaged], found, head)


def _row(
    run: Run, frame: pd.DataFrame, labels: Mapping[str, list[str]], line: int, i: int
) -> NearRow:
    images = [c for g in run.spec.groups if g.modality == "image" for c in g.columns]
    worded = [c for g in run.spec.groups if g.modality == "text" for c in g.columns]
    others = [c for g in run.spec.groups for c in g.columns if c not in images]
    shown = texts(worded or others, frame, run.schema.readings) or [""]
    text = shown[0] if worded else ", ".join(shown[0].split("\n"))
    names = [name for column in images for name in cell_photos(frame[column].iloc[0])]
    return NearRow(
        line=line,
        labels={name[:SHORT]: each[i] for name, each in labels.items()},
        photos=[name for name in names if isinstance(name, str) and len(name) <= 1024][:4],
        text=" ".join(text.split())[:SHORT],
    )


def _labels(run: Run, prepared: Prepared, index: int, rows: Any) -> list[str]:
    """Return the labels of rows for one head, as shown."""
    task = run.tasks[index]
    sizes = None if prepared.photo_sizes is None else prepared.photo_sizes[rows]
    columns = label_columns(task, prepared.labels[task.name][rows], sizes)
    if task.kind == "box":
        boxes = np.stack([columns[f"{name}_true"] for name in CORNERS], axis=1)
        return [", ".join(f"{corner:,.0f}" for corner in box)[:SHORT] for box in boxes]
    return [_shown(value)[:SHORT] for value in columns["true"]]


def _shown(value: Any) -> str:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return UNKNOWN
    return short_number(float(value)) if isinstance(value, float | np.floating) else str(value)
