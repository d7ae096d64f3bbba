"""Predictions as columns of a table: numbers, class names, probabilities, pixels.

A column is named after its head: `price_prediction`, `mood_probability_glad`, `cell_xmin`. The
predictions of baselines are kept in `baseline_predictions.csv`, so that models can be compared row
by row: `head`, `model`, `row` (as in `predictions.csv`), then the columns of the prediction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from multimodal.core.arrays import Bools, Floats
from multimodal.core.files import replace_file
from multimodal.core.spec import LabelType, unique_slugs
from multimodal.data.labels.boxes import CORNERS, to_pixels
from multimodal.evaluation.metrics import best_class
from multimodal.evaluation.task import Task, has_label, has_prediction

MOST_COLUMNS = 20  # probabilities of more classes are not written
SEPARATOR, NO_LABEL = "|", "[]"  # an empty cell is a missing prediction, not that of no label
BASELINE_PREDICTIONS_FILE = "baseline_predictions.csv"
Columns = dict[str, NDArray[Any]]
_TYPES: dict[LabelType, Callable[[str], Any]] = {
    "integer": int,
    "float": float,
    "flag": lambda name: name.lower() in ("true", "1"),
}


def prediction_columns(task: Task, outputs: ArrayLike, sizes: ArrayLike | None = None) -> Columns:
    """Return the predictions (N,) of a head by the ending of their column.

    A number has `prediction`; one with quantiles also `q05`, `q95` and the like, and its
    prediction is the one nearest to the median. A class has `prediction` (its name),
    `probability`, and `probability_<class>` of up to 20 classes; labels have `prediction` (names
    joined by `|`, or `[]`) and `probability_<label>`; a box has `xmin`, `ymin`, `xmax` and `ymax`.

    Args:
        task: What the head is asked.
        outputs: What `decode` returned, (N, width); NaN in rows without a prediction.
        sizes: Width and height (N, 2) of the photos that boxes lie on; without, boxes stay
            fractions of them.

    Example:
    >>> task = Task("mood", "class", ["sad", "glad"])
    >>> prediction_columns(task, [[0.2, 0.8]])["prediction"].tolist()
    ['glad']
    """
    values = np.asarray(outputs, np.float64)
    if task.kind == "box":
        return dict(zip(CORNERS, _scaled(values, sizes).T, strict=True))
    if task.kind == "class":
        return _class(task, values)
    if task.kind == "labels":
        return {"prediction": _joined(task, values), **_probabilities(task, values)}
    quantiles = {_quantile(q): values[:, i] for i, q in enumerate(task.quantiles)}
    return {"prediction": values[:, task.middle], **quantiles}


def label_columns(task: Task, y_true: ArrayLike, sizes: ArrayLike | None = None) -> Columns:
    """Return the labels of a head by the ending of their column: `true`, `xmin_true` and so on.

    Args:
        task: What the head is asked.
        y_true: As :func:`multimodal.evaluation.task.measure` takes it.
        sizes: As for `prediction_columns`.

    Example:
    >>> label_columns(Task("mood", "class", ["sad", "glad"]), [1, -1])["true"].tolist()
    ['glad', None]
    """
    values = np.asarray(y_true)
    if task.kind == "box":
        corners = _scaled(values, sizes).T
        return {f"{name}_true": column for name, column in zip(CORNERS, corners, strict=True)}
    if task.kind == "class":
        return {"true": _names(task, values, has_label(task, values))}
    return {"true": _joined(task, values) if task.kind == "labels" else values}


def one_prediction(task: Task, outputs: ArrayLike, sizes: ArrayLike | None = None) -> Any:
    """Return the prediction of one row (1, width): a plain number, else a dict of its columns.

    Example:
    >>> one_prediction(Task("price"), [[9.5]]), one_prediction(Task("p", quantiles=[0.5]), [[9.5]])
    (9.5, {'prediction': 9.5, 'q50': 9.5})
    """
    columns = prediction_columns(task, outputs, sizes)
    if task.kind == "class":
        columns["prediction"] = typed_classes(task, columns["prediction"])
    found: Mapping[str, Any] = {
        name: column[0].item() if isinstance(column[0], np.generic) else column[0]
        for name, column in columns.items()
    }
    return found["prediction"] if task.kind == "number" and not task.quantiles else dict(found)


def typed_classes(task: Task, names: NDArray[Any]) -> NDArray[Any]:
    """Return class names object (N,) as what the classes were in the table, None as None.

    Example:
    >>> typed_classes(Task("y", "class", ["0", "1"], label_type="integer"), np.array(["1", "0"]))
    array([1, 0])
    """
    if task.label_type == "text":
        return names
    values = {name: _TYPES[task.label_type](name) for name in task.classes} | {None: None}
    found = np.empty(len(names), object)
    found[:] = [values[name] for name in names]
    return found if None in names else np.array(found.tolist())


def _class(task: Task, values: Floats) -> Columns:
    there, best = has_prediction(values), best_class(values, ordered=task.ordered)
    best = np.minimum(best, values.shape[1] - 1)  # a row of NaN has no median class
    chosen = np.where(there, values[np.arange(len(values)), best], np.nan)
    each = _probabilities(task, values) if len(task.classes) <= MOST_COLUMNS else {}
    return {"prediction": _names(task, best, there), "probability": chosen, **each}


def _names(task: Task, codes: NDArray[Any], there: Bools) -> NDArray[Any]:
    result = np.full(len(codes), None, dtype=object)
    result[there] = np.array(task.classes, dtype=object)[codes[there].astype(int)]
    return result


def _joined(task: Task, values: Floats) -> NDArray[Any]:
    """Join the names of the labels from 0.5 on; None where the row has no prediction."""
    result = np.full(len(values), None, dtype=object)
    for row in np.flatnonzero(has_prediction(values)):
        chosen = np.flatnonzero(values[row] >= 0.5)
        result[row] = SEPARATOR.join(task.classes[i] for i in chosen) or NO_LABEL
    return result


def _probabilities(task: Task, values: Floats) -> Columns:
    """Return one column per class, such as `probability_glad` or `probability_10_19`."""
    # Classes that differ in marks alone, "<10" and "10", would share a column.
    names = unique_slugs([f"probability {name}" for name in task.classes])
    return {name: values[:, i] for i, name in enumerate(names)}


def _scaled(values: Floats, sizes: ArrayLike | None) -> Floats:
    return values if sizes is None else to_pixels(values, sizes)


def _quantile(q: float) -> str:
    """Name a quantile in per cent: `q05`, `q97_5`."""
    whole, _, rest = f"{100 * q:g}".partition(".")
    return f"q{whole.zfill(2)}" + (f"_{rest}" if rest else "")


def baseline_predictions(
    task: Task, model: str, rows: NDArray[Any], outputs: ArrayLike, sizes: ArrayLike | None = None
) -> pd.DataFrame:
    """Return the predictions of one model for one head, a line per row.

    Args:
        task: What the head is asked.
        model: The name of the model.
        rows: Positions (N,) of the rows in the source.
        outputs: Decoded outputs (N, width).
        sizes: Width and height (N, 2) of the photos that boxes lie on.

    Example:
    >>> import numpy as np
    >>> baseline_predictions(Task("price"), "Median", np.array([4]), [[9.5]]).to_dict("records")
    [{'head': 'price', 'model': 'Median', 'row': 4, 'prediction': 9.5}]
    """
    known = {"head": task.name, "model": model, "row": rows}
    return pd.DataFrame({**known, **prediction_columns(task, outputs, sizes)})


def write_baseline_predictions(run: Path, kept: Sequence[pd.DataFrame]) -> None:
    """Write the predictions of all baselines into the run; without any, no file.

    Raises:
        OSError: The disk is full or cannot be written; no file is left in part.
    """
    if kept:
        with replace_file(run / BASELINE_PREDICTIONS_FILE) as beside:
            together = pd.concat(kept).sort_values(["head", "model", "row"])
            together.to_csv(beside, index=False)
