"""Modality ablation: how well a model predicts where each modality is missing in turn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from multimodal.data.features.preprocess import ablate
from multimodal.evaluation.task import measure
from multimodal.report.sections import FULL
from multimodal.runs.comparison import INPUT_NAMES
from multimodal.runs.run import Run

MOST_ROWS = 5000  # that are predicted anew without each modality

Scores = dict[str, dict[str, dict[str, float]]]


def ablation_scores(
    run: Run,
    rows: pd.DataFrame,
    root: Path,
    labels: Mapping[str, NDArray[Any]],
    weights: Mapping[str, NDArray[Any]],
) -> Scores:
    """Return the metrics of each head with everything there, and with each modality ablated.

    A model of one modality has nothing to ablate. Of more than `MOST_ROWS` rows the first ones
    are taken, in every case the same.

    Args:
        run: The model.
        rows: Raw rows whose photos can all be read.
        root: Folder that photo paths start from.
        labels: Labels by head, one per row, as `evaluation.measure` takes them.
        weights: Row weights by head.

    Returns:
        Dict of head -> what was ablated, in words (`text`; `nothing` where all was there) ->
        metrics: the key `withheld` of `metrics.json`.
    """
    modalities = list(dict.fromkeys(group.modality for group in run.spec.groups))
    if len(modalities) < 2:
        return {}
    rows = rows.iloc[:MOST_ROWS]
    arrays = run.preprocessor.arrays(rows, root)
    cases = {FULL: arrays}
    for each in modalities:
        case = ablate(arrays, run.spec, each)
        groups = [group.name for group in run.spec.groups if group.modality == each]
        case.inputs.update(run.preprocessor.sparse_inputs_without(rows, groups))
        cases[INPUT_NAMES[each]] = case
    scores: Scores = {task.name: {} for task in run.tasks}
    for name, case in cases.items():
        outputs, _ = run.decoded(case)
        for task in run.tasks:
            y_true, weight = (part[task.name][: case.rows] for part in (labels, weights))
            scores[task.name][name] = measure(task, y_true, outputs[task.name], weight)
    return scores
