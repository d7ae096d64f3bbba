"""Flat records of a row, as written to files, and the error that no model can undercut."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from .factors import Factors, Table
from .prices import Price
from .rows import Row

TABLE_COLUMNS: tuple[str, ...] = tuple(field.name for field in dataclasses.fields(Table))
PART_COLUMNS: tuple[str, ...] = tuple(
    field.name for field in dataclasses.fields(Price) if field.name != "price"
)
FACTOR_COLUMNS: tuple[str, ...] = tuple(
    field.name for field in dataclasses.fields(Factors) if field.name not in TABLE_COLUMNS
)
CATALOGUE_COLUMNS: tuple[str, ...] = (
    "id",
    "split",
    *TABLE_COLUMNS,
    "description",
    "image",
    "price",
)
TRUTH_COLUMNS: tuple[str, ...] = ("id", *PART_COLUMNS, *FACTOR_COLUMNS)
"""Columns of the truth: the parts of log price, then the latent factors a user never sees."""


def catalogue_record(row: Row) -> dict[str, Any]:
    """What a user sees of `row`, keyed by `CATALOGUE_COLUMNS`; None is an empty cell."""
    return {
        "id": row.id,
        "split": row.split,
        **dataclasses.asdict(row.table),
        "description": row.description,
        "image": photo_path(row),
        "price": row.price,
    }


def truth_record(row: Row) -> dict[str, Any]:
    """What is behind the price of `row`, keyed by `TRUTH_COLUMNS`."""
    known = {**dataclasses.asdict(row.y_true), **dataclasses.asdict(row.factors)}
    return {"id": row.id, **{name: known[name] for name in (*PART_COLUMNS, *FACTOR_COLUMNS)}}


def photo_path(row: Row) -> str:
    """Path of the photo relative to the catalogue, at most 1,000 photos to a folder."""
    return f"photos/{row.id[1:-3]}/{row.id}.jpg"


def limit(y_true: Mapping[str, Any]) -> dict[str, float]:
    """Error of the best possible prediction, exp(`expected_log_price`), on the given rows.

    Args:
        y_true: Columns `noise`, `noise_sd` and `expected_log_price`, as arrays or as a data frame
            read from `y_true.csv`; choose the rows first.

    Returns:
        `rmse_log` and `mae_log`: root mean square and mean absolute noise drawn on these rows, in
        log price; `rmse_log_expected`: the root mean square of `noise_sd`, which `rmse_log`
        scatters around; `r2_log`: the coefficient of determination of the best prediction.

    Raises:
        ValueError: If there are no rows.

    Example:
        >>> limit({"noise": [0.1, -0.1], "noise_sd": [0.1, 0.1],
        ...        "expected_log_price": [3.9, 6.1]})["r2_log"]
        0.99
    """
    noise = np.asarray(y_true["noise"], np.float64)
    noise_sd = np.asarray(y_true["noise_sd"], np.float64)
    log_price = np.asarray(y_true["expected_log_price"], np.float64) + noise
    if not len(noise):
        raise ValueError("`truth` must hold at least one row. Received: 0 rows")
    variance = float(np.var(log_price))
    mean_square = float(np.mean(noise**2))
    return {
        "rmse_log": math.sqrt(mean_square),
        "mae_log": float(np.mean(np.abs(noise))),
        "rmse_log_expected": math.sqrt(float(np.mean(noise_sd**2))),
        "r2_log": 1.0 - mean_square / variance if variance else math.nan,
    }
