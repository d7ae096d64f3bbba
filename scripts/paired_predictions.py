"""Are the predictions of one model better than those of another, row by row?

    python scripts/paired_predictions.py runs/houses/answers.csv boosting-houses.csv

The first file is of `cross_validate.py`, the second of one of `scripts/peers`. Printed is by how
much the first one's RMSE of logarithms differs (for classes: the share that is right), of the Keras
model alone and of the whole run, with the 95 % interval over resampled rows. A row that
several seeds predicted is drawn as one.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from multimodal.cli import report_errors


def paired(ours: pd.DataFrame, theirs: pd.DataFrame, column: str) -> Any:
    """Return the change of the error, or of the share that is right, with its interval.

    Args:
        ours: `y_true` and a column of predictions; a row of the table has one line per seed.
        theirs: `prediction`; the index is that of `ours`.
        column: Name of the column of predictions.
    """
    from multimodal.evaluation.bootstrap import confidence_interval, mean_of, resample, root_mean_of

    both = ours.join(theirs[["prediction"]], how="inner")
    numbers = pd.api.types.is_numeric_dtype(both["truth"])
    wrong = pd.DataFrame(
        {key: _error(both[key], both["truth"], numbers) for key in (column, "prediction")}
    )
    rows = wrong.groupby(level=0)
    statistic = root_mean_of if numbers else mean_of
    means = resample([statistic(each) for each in rows.mean().to_numpy().T], rows.size()).T
    return confidence_interval(means[0] / means[1] - 1 if numbers else means[1] - means[0])


def _error(y_pred: pd.Series, y_true: pd.Series, numbers: bool) -> pd.Series:
    if not numbers:
        return (y_pred != y_true).astype(float)
    return (np.log1p(y_pred.clip(lower=0)) - np.log1p(y_true)) ** 2


def main() -> None:
    """Read both files, compare and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("ours", type=Path)
    parser.add_argument("theirs", type=Path)
    arguments = parser.parse_args()
    ours = pd.read_csv(arguments.ours, index_col=0)
    theirs = pd.read_csv(arguments.theirs, index_col=0)
    for column, name in (("keras", "Keras alone"), ("whole", "whole run")):
        found = paired(ours, theirs, column)
        print(f"{name:12} {found.value:+.1%} ({found.low:+.1%} to {found.high:+.1%})")


if __name__ == "__main__":
    with report_errors():
        main()
