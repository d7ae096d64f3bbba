"""How well a model predicts where one modality is missing: errors with each withheld in turn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multimodal.runs.comparison import INPUT_NAMES
from multimodal.core.config import Modality
from multimodal.data.photos.read import PhotoPaths
from multimodal.data.features.preprocess import Arrays
from multimodal.evaluation.task import measure
from multimodal.runs.run import Run
from multimodal.core.spec import MISSING, PADDING, FittedSpec
from multimodal.report.withheld_view import FULL

MOST_ROWS = 5000
"""Rows that are predicted anew with each modality withheld."""

Scores = dict[str, dict[str, dict[str, float]]]
_EMPTY: dict[str, Any] = {
    "numeric": np.nan, "categorical": MISSING, "tokens": PADDING, "series": np.nan,
    "present": False,
}  # fmt: skip


def withhold(arrays: Arrays, spec: FittedSpec, modality: Modality) -> Arrays:
    """Return arrays in which every group of a modality is as it is in a row that lacks it.

    Terms stay; those without it are learned from the raw rows, by `Preprocessor.terms_without`.

    Args:
        arrays: Rows as the model takes them; they stay as they are.
        spec: The fitted spec.
        modality: What to withhold.

    Example:
    >>> group = {"name": "t", "modality": "text", "columns": ["t"], "lengths": [8]}
    >>> spec = FittedSpec.model_validate({"groups": [group], "heads": []})
    >>> withhold(Arrays({"t_tokens": np.array([[7, 8]])}), spec, "text").inputs["t_tokens"].tolist()
    [[0, 0]]
    """
    inputs, photos = dict(arrays.inputs), dict(arrays.photos)
    for group in (group for group in spec.groups if group.modality == modality):
        for key in group.input_keys:
            if key in inputs:
                empty = _EMPTY[key.removeprefix(f"{group.name}_")]
                inputs[key] = np.full_like(inputs[key], empty)
        if group.name in photos:
            paths = photos[group.name].paths
            none = [[None] * len(row) for row in paths]
            photos[group.name] = PhotoPaths(none, photos[group.name].size)
    return replace(arrays, inputs=inputs, photos=photos)


def withheld_scores(
    run: Run,
    rows: pd.DataFrame,
    root: Path,
    truths: Mapping[str, NDArray[Any]],
    weights: Mapping[str, NDArray[Any]],
) -> Scores:
    """Return the metrics of each head with everything there, and with each modality withheld.

    A model of one modality has nothing to withhold. Of more than `MOST_ROWS` rows the first ones
    are taken, in every case the same.

    Args:
        run: The model.
        rows: Raw rows whose photos can all be read.
        root: Folder that photo paths start from.
        truths: Labels by head, one per row, as `evaluation.measure` takes them.
        weights: Row weights by head.

    Returns:
        Dict of head -> what was withheld, in words (`text`; `nothing` where all was there) ->
        metrics.
    """
    modalities = list(dict.fromkeys(group.modality for group in run.spec.groups))
    if len(modalities) < 2:
        return {}
    rows = rows.iloc[:MOST_ROWS]
    arrays = run.preprocessor.arrays(rows, root)
    cases = {FULL: arrays}
    for each in modalities:
        case = withhold(arrays, run.spec, each)
        groups = [group.name for group in run.spec.groups if group.modality == each]
        case.inputs.update(run.preprocessor.terms_without(rows, groups))
        cases[INPUT_NAMES[each]] = case
    scores: Scores = {task.name: {} for task in run.tasks}
    for name, case in cases.items():
        outputs, _ = run.decoded(case)
        for task in run.tasks:
            truth, weight = (part[task.name][: case.rows] for part in (truths, weights))
            scores[task.name][name] = measure(task, truth, outputs[task.name], weight)
    return scores
