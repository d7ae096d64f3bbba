"""Raw rows to explanations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pandas as pd

from multimodal.core.arrays import Floats
from multimodal.core.errors import DataError, choices
from multimodal.core.formatting import short_number
from multimodal.data.features.preprocess import Arrays
from multimodal.data.photos.read import PhotoPaths, decode_rows
from multimodal.data.read.table import Table
from multimodal.evaluation.predictions import CORNERS, prediction_columns
from multimodal.evaluation.task import Task
from multimodal.explain.attribution import Row, floats, group_values
from multimodal.explain.columns import explain_columns
from multimodal.explain.linear import LinearScores
from multimodal.explain.neighbours import Neighbours
from multimodal.explain.photos import explain_photos
from multimodal.explain.records import Explanation, GroupScore
from multimodal.explain.submodels import Cut, Encoding, nothing
from multimodal.explain.targets import ExplanationTarget, ask
from multimodal.explain.words import explain_words
from multimodal.fusion.contributions import MAX_GROUPS
from multimodal.models.build import head_layer

if TYPE_CHECKING:
    from multimodal.models.fitted import FittedModel


def explain_rows(
    model: FittedModel,
    table: Table,
    root: Path,
    *,
    head: str | None = None,
    label: str | None = None,
    notes: Mapping[int, str] | None = None,
    known: Neighbours | None = None,
) -> Iterator[Explanation]:
    """Yield the explanation of each row of a table.

    Args:
        model: The fitted model.
        table: Raw rows; photos that they name and that are not there count as absent.
        root: Folder that photo paths start from.
        head: The head to explain; the first one by default.
        label: The class or label to explain; the predicted one by default.
        notes: Remarks by position in the table, such as photos that are not there.
        known: Training rows to find like ones among; none are named without.

    Raises:
        DataError: There is no such head or class, or a column is missing.
    """
    task = chosen_task(model, head)
    whole = Cut.of(model, task.name)
    empty: Encoding | None = None
    for i in range(len(table.frame)):
        frame = table.frame.iloc[[i]].reset_index(drop=True)
        remarks = [notes[i]] if notes and i in notes else []
        blank = Explanation(int(table.rows[i]), table.place(i), _identifier(model, frame), remarks)
        arrays = model.preprocessor.arrays(frame, root)
        if empty is None:
            empty = whole.encode(nothing(arrays, model.spec), frame, nothing=True)
        here = whole.encode(arrays, frame)
        found = _explain(model, whole, task, frame, arrays, here, empty, label, blank)
        if known is not None:
            found = replace(found, neighbours=known.nearest(whole.fused(here)))
        yield found


def chosen_task(model: FittedModel, head: str | None) -> Task:
    """Return the task of a head by its name or its only column, the first one where none is named.

    Raises:
        DataError: There is no such head.
    """
    for task, fitted in zip(model.tasks, model.spec.heads, strict=True):
        if head in (None, task.name) or [head] == fitted.columns:
            return task
    names = [task.name for task in model.tasks]
    raise DataError(f"the model has no head '{head}'. {choices(str(head), names)}")


def _explain(
    model: FittedModel,
    whole: Cut,
    task: Task,
    frame: pd.DataFrame,
    arrays: Arrays,
    here: Encoding,
    empty: Encoding,
    label: str | None,
    blank: Explanation,
) -> Explanation:
    layer = head_layer(model.model, task.name)
    raw, bare = whole.raw(here), whole.raw(empty)
    outputs = _decoded(model, task, layer, raw)
    question = _question(model, task, layer, outputs, label)
    row, linear = whole.scored(here, empty, question.direction)
    groups = _groups(model, row, linear, empty.networks)
    there = {group.name for group in groups if group.there}
    present = [group for group in model.spec.groups if group.name in there]
    faults = _faults(arrays)
    broken = [
        f"photo: {why}; it counts as absent" for each in faults.values() for why in each.values()
    ]
    return replace(
        blank,
        remarks=[*blank.remarks, *_unusual(arrays), *broken],
        question=question,
        answer=_answer(task, outputs),
        nothing=_answer(task, _decoded(model, task, layer, bare)),
        score=float(raw[0] @ np.array(question.direction)),
        start=float(bare[0] @ np.array(question.direction)),
        counted=whole.counted(question.direction),
        trees=_trees(model, task),
        groups=groups,
        words=[
            each
            for group in present
            if group.modality == "text"
            if (each := explain_words(row, group, frame, linear)) is not None
        ],
        columns=explain_columns(
            row, [g for g in present if g.modality == "tabular"], frame, linear
        ),
        photos=[
            each
            for group in model.spec.groups
            if group.modality == "image"
            for each in explain_photos(
                row, group, list(arrays.photos[group.name].paths[0]), faults[group.name]
            )
        ],
    )


def _question(
    model: FittedModel, task: Task, layer: Any, outputs: Floats, label: str | None
) -> ExplanationTarget:
    """Return what is explained; odds are those of probabilities as sure as they may be."""
    found = ask(task, layer, outputs, label)
    known = {} if model.calibration is None else model.calibration.temperatures
    return replace(found, scale=found.scale / known.get(task.name, 1.0))


def _groups(
    model: FittedModel, row: Row, linear: LinearScores | None, empty: Sequence[Any]
) -> list[GroupScore]:
    """Return the Shapley value of each group; of more than ten groups, those of the modalities."""
    groups = model.spec.groups
    players = {group.name: [group.name] for group in groups}
    if len(players) > MAX_GROUPS:
        modalities = dict.fromkeys(group.modality for group in groups)
        players = {m: [g.name for g in groups if g.modality == m] for m in modalities}
    values = group_values(row, empty, players)
    found = []
    for name, held in players.items():
        mine = [model.spec.group(each) for each in held]
        keys = [f"{group.name}_present" for group in mine]
        there = [bool(np.any(row.inputs[key])) if key in row.inputs else True for key in keys]
        columns = [column for group in mine for column in group.columns]
        score = float(floats(values[name])[0]) + (0.0 if linear is None else linear.groups(held))
        found.append(GroupScore(name, mine[0].modality, columns, score, any(there)))
    return found


def _decoded(model: FittedModel, task: Task, layer: Any, raw: Floats) -> Floats:
    """Return what `model.decoded` does for raw outputs of a head."""
    found = floats(layer.decode(keras.ops.convert_to_tensor(raw, dtype="float32")))
    if model.calibration is None:
        return found
    return model.calibration.tempered([task], {task.name: found})[task.name]


def _answer(task: Task, outputs: Floats) -> str:
    """Write the answer to one row."""
    found = {name: column[0] for name, column in prediction_columns(task, outputs).items()}
    if task.kind == "box":
        return ", ".join(f"{name} {found[name]:.0%}" for name in CORNERS)
    if task.kind == "class":
        return f"{found['prediction']} ({found['probability']:.0%})"
    if task.kind == "number":
        return short_number(float(found["prediction"]))
    return str(found["prediction"])


def _identifier(model: FittedModel, frame: pd.DataFrame) -> str:
    names = [name for name in model.schema.names("identifier")[:1] if name in frame]
    return str(frame[names[0]].iloc[0]) if names else ""


def _trees(model: FittedModel, task: Task) -> tuple[float, float, float] | None:
    """Return what Keras model, linear model beside it, and trees count in a run's predictions."""
    boosted_model = (
        model.boosted_models.heads.get(task.name) if model.boosted_models is not None else None
    )
    if boosted_model is None or not boosted_model.shares[2]:
        return None
    keras, linear, trees = (float(share) for share in boosted_model.shares)
    return keras, linear, trees


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
