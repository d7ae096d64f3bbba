"""Raw rows to explanations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multimodal import attribution
from multimodal.answers import CORNERS, answers
from multimodal.data.photos import PhotoPaths, decode_rows
from multimodal.data.preprocessing import Arrays
from multimodal.data.table import Table
from multimodal.errors import DataError, choices
from multimodal.evaluation import Task
from multimodal.evaluation.measures import readable
from multimodal.explain import neighbours
from multimodal.explain.columns import explain_columns
from multimodal.explain.encoding import floats, nothing, whole_inputs
from multimodal.explain.photos import explain_photos
from multimodal.explain.question import ask
from multimodal.explain.records import Explanation, GroupScore
from multimodal.explain.words import explain_words
from multimodal.fusion.shapley import MAX_GROUPS
from multimodal.members import head_layer

if TYPE_CHECKING:
    from multimodal.run import Run


def explain_rows(
    run: Run,
    table: Table,
    root: Path,
    *,
    head: str | None = None,
    label: str | None = None,
    notes: Mapping[int, str] | None = None,
) -> Iterator[Explanation]:
    """Yield the explanation of each row of a table.

    Args:
        run: The run.
        table: Raw rows; photos that they name and that are not there count as absent.
        root: Folder that photo paths start from.
        head: The head to explain; the first one by default.
        label: The class or label to explain; the predicted one by default.
        notes: Remarks by position in the table, such as photos that are not there.

    Raises:
        DataError: There is no such head or class, or a column is missing.
    """
    task = chosen_task(run, head)
    parts = attribution.cut(run.model, task.name, run.spec.groups)
    known = neighbours.load(run.path) if run.path.is_dir() else None
    empty: list[Any] = []
    for i in range(len(table.frame)):
        frame = table.frame.iloc[[i]].reset_index(drop=True)
        remarks = [notes[i]] if notes and i in notes else []
        blank = Explanation(int(table.rows[i]), table.place(i), _identifier(run, frame), remarks)
        arrays = run.preprocessor.arrays(frame, root)
        if not empty:
            bare, _ = whole_inputs(nothing(arrays, run.spec))
            empty = [part.encode(bare) for part in parts]
        found = _explain(run, parts, task, frame, arrays, empty, label, blank)
        if known is not None:
            each = [floats(part.fused(rows)) for part, rows in zip(parts, found[1], strict=True)]
            vector = np.concatenate(each, axis=1)[0]
            yield replace(found[0], neighbours=known.nearest(vector))
        else:
            yield found[0]


def chosen_task(run: Run, head: str | None) -> Task:
    """Return the task of a head by its name or its only column, the first one where none is named.

    Raises:
        DataError: There is no such head.
    """
    for task, fitted in zip(run.tasks, run.spec.heads, strict=True):
        if head in (None, task.name) or [head] == fitted.columns:
            return task
    names = [task.name for task in run.tasks]
    raise DataError(f"the run has no head '{head}'. {choices(str(head), names)}")


def _explain(
    run: Run,
    parts: list[attribution.Part],
    task: Task,
    frame: pd.DataFrame,
    arrays: Arrays,
    empty: list[Any],
    label: str | None,
    blank: Explanation,
) -> tuple[Explanation, Any]:
    remarks = [*blank.remarks, *_unusual(arrays)]
    inputs, _ = whole_inputs(arrays)
    encoded = [part.encode(inputs) for part in parts]
    layer = head_layer(run.model, task.name)
    raw, bare = (floats(attribution.raw_outputs(parts, each)) for each in (encoded, empty))
    outputs = _decoded(layer, raw)
    question = ask(task, layer, outputs, label)
    row = attribution.Row(parts, inputs, encoded, question.direction)
    groups = _groups(run, row, empty)
    there = {group.name for group in groups if group.there}
    present = [group for group in run.spec.groups if group.name in there]
    faults = _faults(arrays)
    return replace(
        blank,
        remarks=[*remarks, *(f"photo: {why}; it counts as absent" for each in faults.values()
                             for why in each.values())],
        question=question,
        answer=_answer(task, outputs),
        nothing=_answer(task, _decoded(layer, bare)),
        score=float(raw[0] @ np.array(question.direction)),
        start=float(bare[0] @ np.array(question.direction)),
        groups=groups,
        words=[each for group in present if group.modality == "text"
               if (each := explain_words(row, group, frame)) is not None],
        columns=explain_columns(row, [g for g in present if g.modality == "tabular"], frame),
        photos=[each for group in run.spec.groups if group.modality == "image"
                for each in explain_photos(
                    row, group, list(arrays.photos[group.name].paths[0]), faults[group.name])],
    ), row.encoded  # fmt: skip


def _groups(run: Run, row: attribution.Row, empty: list[Any]) -> list[GroupScore]:
    """Return the Shapley value of each group; of more than ten groups, those of the modalities."""
    groups = run.spec.groups
    players = {group.name: [group.name] for group in groups}
    if len(players) > MAX_GROUPS:
        modalities = dict.fromkeys(group.modality for group in groups)
        players = {m: [g.name for g in groups if g.modality == m] for m in modalities}
    values = attribution.group_values(row, empty, players)
    found = []
    for name, held in players.items():
        mine = [run.spec.group(each) for each in held]
        keys = [f"{group.name}_present" for group in mine]
        there = [bool(np.any(row.inputs[key])) if key in row.inputs else True for key in keys]
        columns = [column for group in mine for column in group.columns]
        score = float(floats(values[name])[0])
        found.append(GroupScore(name, mine[0].modality, columns, score, any(there)))
    return found


def _decoded(layer: Any, raw: NDArray[np.float64]) -> NDArray[np.float64]:
    found = layer.decode(keras.ops.convert_to_tensor(raw, dtype="float32"))
    return np.asarray(keras.ops.convert_to_numpy(found), np.float64)


def _answer(task: Task, outputs: NDArray[np.float64]) -> str:
    """Write the answer to one row."""
    found = {name: column[0] for name, column in answers(task, outputs).items()}
    if task.kind == "box":
        return ", ".join(f"{name} {found[name]:.0%}" for name in CORNERS)
    if task.kind == "class":
        return f"{found['prediction']} ({found['probability']:.0%})"
    if task.kind == "number":
        return readable(float(found["prediction"]))
    return str(found["prediction"])


def _identifier(run: Run, frame: pd.DataFrame) -> str:
    names = [name for name in run.schema.names("identifier")[:1] if name in frame]
    return str(frame[names[0]].iloc[0]) if names else ""


def _unusual(arrays: Arrays) -> list[str]:
    """Say which cells the model does not know or cannot read."""
    unseen = [f"'{name}': a category that the model does not know" for name in arrays.unseen]
    return unseen + [
        f"'{name}': no number or date; it counts as missing" for name in arrays.unreadable
    ]


def _faults(arrays: Arrays) -> dict[str, dict[int, str]]:
    """Return what is wrong with the photos of one row, by group and slot."""
    found = {}
    for name, photos in arrays.photos.items():
        slots = PhotoPaths([[path] for path in photos.paths[0]], photos.size)
        found[name] = decode_rows(slots)[2]
    return found
