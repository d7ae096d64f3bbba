"""Explanations of raw rows: every method on each row, compared with a baseline input."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import keras
import numpy as np
import pandas as pd

from multimodal.core.arrays import Floats
from multimodal.core.errors import DataError, choices
from multimodal.core.formatting import short_number
from multimodal.core.spec import FittedGroup
from multimodal.data.features.cell_arrays import texts as row_texts
from multimodal.data.features.preprocess import Arrays
from multimodal.data.labels.boxes import CORNERS
from multimodal.data.photos.locate import PhotoRoot
from multimodal.data.photos.read import PhotoPaths, Pixels, decode_rows
from multimodal.data.read.table import Table
from multimodal.evaluation.predictions import prediction_columns
from multimodal.evaluation.task import Task
from multimodal.explain.attribution import ScoredRow, floats, group_values
from multimodal.explain.columns import UNKNOWN, explain_columns
from multimodal.explain.linear import LinearScores
from multimodal.explain.neighbours import Neighbours, near_rows
from multimodal.explain.photos import ScoresOfPhotos, explain_photos
from multimodal.explain.records import Explanation, GroupScore
from multimodal.explain.submodels import EncodedRow, HeadSubmodels, baseline_input
from multimodal.explain.targets import ExplanationTarget, explanation_target
from multimodal.explain.words import explain_words
from multimodal.fusion.contributions import MAX_GROUPS
from multimodal.models.build import head_layer
from multimodal.models.fitted import FittedModel


def explain_rows(
    model: FittedModel,
    table: Table,
    root: PhotoRoot,
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
    explainer = _Explainer(model, chosen_task(model, head), label)
    baseline: EncodedRow | None = None
    for i in range(len(table.frame)):
        frame = table.frame.iloc[[i]].reset_index(drop=True)
        remarks = [notes[i]] if notes and i in notes else []
        blank = Explanation(int(table.rows[i]), table.place(i), _identifier(model, frame), remarks)
        arrays = model.preprocessor.arrays(frame, root)
        if baseline is None:  # the same for every row
            absent = baseline_input(arrays, model.spec)
            baseline = explainer.submodels.encode(absent, frame, baseline=True)
        encoded = explainer.submodels.encode(arrays, frame)
        found = explainer.explain(blank, frame, arrays, encoded, baseline)
        if known is not None:
            near, how = near_rows(known, explainer.submodels, explainer.task.name, encoded)
            found = replace(found, neighbours=near, nearness=how)
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


@dataclass(frozen=True)
class _Explainer:
    """Explain one head of a model: its predicted class or label, or the one that is asked for."""

    model: FittedModel
    task: Task
    label: str | None

    @cached_property
    def submodels(self) -> HeadSubmodels:
        return HeadSubmodels.of(self.model, self.task.name)

    @cached_property
    def layer(self) -> Any:
        return head_layer(self.model.model, self.task.name)

    def explain(
        self,
        blank: Explanation,
        frame: pd.DataFrame,
        arrays: Arrays,
        encoded: EncodedRow,
        baseline: EncodedRow,
    ) -> Explanation:
        """Fill in the explanation of one row."""
        spec, raw, raw_baseline = self.model.spec, *map(self.submodels.raw, (encoded, baseline))
        outputs = self._decoded(raw)
        target = self._target(outputs)
        direction = np.array(target.direction)
        row, linear = self.submodels.scored(encoded, baseline, target.direction)
        groups = self._groups(row, linear, baseline, target.direction)
        there = {group.name for group in groups if group.there}
        present = [group for group in spec.groups if group.name in there]
        tables = [group for group in present if group.modality == "tabular"]
        texts = [group for group in present if group.modality == "text"]
        readings = self.model.preprocessor.readings
        read = [(group, row_texts(group.columns, frame, readings)[0]) for group in texts]
        words = [explain_words(row, group, text, linear) for group, text in read]
        faults = _faults(arrays)
        photos = [
            explain_photos(
                row,
                group,
                list(arrays.photos[group.name].paths[0]),
                faults[group.name],
                self._scores_of_photos(row, group, target.direction),
            )
            for group in spec.groups
            if group.modality == "image"
        ]
        return replace(
            blank,
            remarks=[*blank.remarks, *_remarks(arrays, faults)],
            target=target,
            prediction=_written(self.task, outputs),
            baseline_prediction=_written(self.task, self._decoded(raw_baseline)),
            score=float(raw[0] @ direction),
            start=float(raw_baseline[0] @ direction),
            stacking_weights=self.submodels.stacking_weights(target.direction),
            trees=self._trees(),
            groups=groups,
            words=[each for each in words if each is not None],
            columns=explain_columns(row, tables, frame, linear),
            photos=[each for of_group in photos for each in of_group],
        )

    def _target(self, outputs: Floats) -> ExplanationTarget:
        """Return what is explained; odds are those of calibrated probabilities."""
        found = explanation_target(self.task, self.layer, outputs, self.label)
        calibration = self.model.calibration
        known = {} if calibration is None else calibration.temperatures
        return replace(found, scale=found.scale / known.get(self.task.name, 1.0))

    def _groups(
        self,
        row: ScoredRow,
        linear: LinearScores | None,
        baseline: EncodedRow,
        direction: Sequence[float],
    ) -> list[GroupScore]:
        """Return the Shapley value of each group; of more than ten, of each modality's groups."""
        groups = self.model.spec.groups
        players = {group.name: [group] for group in groups}
        if len(players) > MAX_GROUPS:
            modalities = dict.fromkeys(group.modality for group in groups)
            players = {m: [group for group in groups if group.modality == m] for m in modalities}
        names = {player: [group.name for group in held] for player, held in players.items()}
        values = group_values(row, baseline.networks, names)
        frozen = [
            kernel.group_scores(row.inputs, direction, names) for kernel in self.submodels.kernels
        ]
        found = []
        for player, held in players.items():
            keys = [f"{group.name}_present" for group in held]
            there = [bool(np.any(row.inputs[key])) if key in row.inputs else True for key in keys]
            columns = [column for group in held for column in group.columns]
            score = float(floats(values[player])[0])
            score += 0.0 if linear is None else linear.groups(names[player])
            score += sum(each.get(player, 0.0) for each in frozen)
            found.append(GroupScore(player, held[0].modality, columns, score, any(there)))
        return found

    def _scores_of_photos(
        self, row: ScoredRow, group: FittedGroup, direction: Sequence[float]
    ) -> ScoresOfPhotos | None:
        """Return what scores other photos of a row; None where the networks read pixels."""
        if group.pretrained is None:
            return None
        frozen, key = self.model.preprocessor.extractors[group.name], f"{group.name}_features"
        cells = group.pretrained.cells

        def scores(pixels: Pixels, slot: int) -> Floats:
            features = np.repeat(np.asarray(row.inputs[key]), len(pixels), axis=0)
            found = frozen.of_pixels(pixels, cells).reshape(len(pixels), cells, -1)
            features[:, slot * cells : (slot + 1) * cells] = found
            present = f"{group.name}_present"
            there = np.repeat(np.asarray(row.inputs[present]), len(pixels), axis=0)
            same = {name: np.repeat(each, len(pixels), 0) for name, each in row.inputs.items()}
            networks = floats(row.scores({key: features, present: there}, [group.name]))
            raw = np.asarray(self.submodels.of_kernels(same | {key: features}))
            return np.asarray(networks + (raw @ np.array(direction) if raw.ndim else 0.0))

        return scores

    def _decoded(self, raw: Floats) -> Floats:
        """Return what `model.decoded` does for raw outputs of the head."""
        found = floats(self.layer.decode(keras.ops.convert_to_tensor(raw, dtype="float32")))
        if self.model.calibration is None:
            return found
        name = self.task.name
        return self.model.calibration.tempered([self.task], {name: found})[name]

    def _trees(self) -> tuple[float, float, float] | None:
        """Return the weights of Keras model, linear model beside it, and trees, if any."""
        boosted = self.model.boosted_models
        head = None if boosted is None else boosted.heads.get(self.task.name)
        if head is None or not head.weights[2]:
            return None
        network, linear, trees = (float(weight) for weight in head.weights)
        return network, linear, trees


def _written(task: Task, outputs: Floats) -> str:
    """Write the prediction of one row."""
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


def _remarks(arrays: Arrays, faults: Mapping[str, Mapping[int, str]]) -> list[str]:
    """Say which cells the model does not know or cannot read, and which photos."""
    return [
        *(
            f"'{name}': a category that the model does not know; it counts as {UNKNOWN}"
            for name in arrays.unseen
        ),
        *(f"'{name}': no number or date; it counts as missing" for name in arrays.unreadable),
        *(
            f"photo: {why}; it counts as absent"
            for each in faults.values()
            for why in each.values()
        ),
    ]


def _faults(arrays: Arrays) -> dict[str, dict[int, str]]:
    """Return what is wrong with the photos of one row, by group and slot."""
    found = {}
    for name, photos in arrays.photos.items():
        slots = PhotoPaths([[path] for path in photos.paths[0]], photos.size)
        found[name] = decode_rows(slots)[2]
    return found
