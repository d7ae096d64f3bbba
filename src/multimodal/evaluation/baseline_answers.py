"""What the baselines answer to each test row, kept so that models can be compared row by row.

`baseline_predictions.csv` has a line per head, model and test row: `head`, `model`, `row` (as in
`predictions.csv`), then the answer in the columns of
:func:`multimodal.evaluation.predictions.answers`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from numpy.typing import ArrayLike, NDArray

from multimodal.core.files import replace_file
from multimodal.evaluation.predictions import answers
from multimodal.evaluation.task import Task

ANSWERS_FILE = "baseline_predictions.csv"


def answers_of(
    task: Task, model: str, rows: NDArray[Any], outputs: ArrayLike, sizes: ArrayLike | None = None
) -> pd.DataFrame:
    """Return the answers of one model to one head, a line per row.

    Args:
        task: What the head is asked.
        model: The name of the model.
        rows: Positions (N,) of the rows in the source.
        outputs: Decoded outputs (N, width).
        sizes: Width and height (N, 2) of the photos that boxes lie on.

    Example:
    >>> import numpy as np
    >>> answers_of(Task("price"), "Median", np.array([4]), [[9.5]]).to_dict("records")
    [{'head': 'price', 'model': 'Median', 'row': 4, 'prediction': 9.5}]
    """
    known = {"head": task.name, "model": model, "row": rows}
    return pd.DataFrame({**known, **answers(task, outputs, sizes)})


def write_answers(run: Path, kept: Sequence[pd.DataFrame]) -> None:
    """Write the answers of all models into the run; without any, no file.

    Raises:
        OSError: The disk is full or cannot be written; no file is left in part.
    """
    if kept:
        with replace_file(run / ANSWERS_FILE) as beside:
            together = pd.concat(kept).sort_values(["head", "model", "row"])
            together.to_csv(beside, index=False)
