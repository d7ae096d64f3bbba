"""What a run directory holds, read for its report; whatever is absent is empty."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from multimodal.config import LabelKind
from multimodal.errors import DataError, RunError
from multimodal.evaluation import RunMetrics
from multimodal.importance import Importance

BLANK = ["", "nan"]


@dataclass(frozen=True)
class RunFiles:
    """The files of a run, with the raw test rows and their photos."""

    path: Path
    metrics: RunMetrics
    config: str
    schema: list[dict[str, Any]]
    predictions: pd.DataFrame
    log: pd.DataFrame
    rows: pd.DataFrame | None
    photos: Mapping[int, list[Path]]
    importance: Importance = Importance()

    @property
    def heads(self) -> list[str]:
        """The heads of the run, whichever file mentions them first."""
        ends = "_prediction"
        columns = [str(c) for c in self.predictions.columns if str(c).endswith(ends)]
        found = [column.removesuffix(ends) for column in columns]
        return list(dict.fromkeys([*self.metrics.heads, *self.metrics.comparison, *found]))

    def kind(self, head: str) -> LabelKind:
        """What a head predicts; a number where the run does not say."""
        return self.metrics.heads[head].kind if head in self.metrics.heads else "number"


def read_files(run: Path, photos: Mapping[int, list[Path]], rows: pd.DataFrame | None) -> RunFiles:
    """Read a run directory.

    Raises:
        RunError: The directory is missing, or one of its files is damaged.
        DataError: `rows` has not one row per prediction.
    """
    if not run.is_dir():
        raise RunError(f"{run}: no such run directory.")
    metrics = RunMetrics.read(run)
    names = [name for name, head in metrics.heads.items() if head.kind in ("class", "labels")]
    words = [f"{name}_{ending}" for name in names for ending in ("true", "prediction")]
    predictions = _table(run / "predictions.csv", words)
    if rows is not None and len(rows) != len(predictions):
        raise DataError(
            f"`rows` must hold one row per prediction. Received: {len(rows)} rows for "
            f"{len(predictions)} predictions"
        )
    schema = _json(run / "schema.json").get("columns", [])
    config = _json(run / "config.json")
    return RunFiles(
        path=run,
        metrics=metrics,
        config=json.dumps(config, indent=2, ensure_ascii=False) if config else "",
        schema=[column for column in schema if isinstance(column, dict)],
        predictions=predictions,
        log=_table(run / "training_log.csv", []),
        rows=rows,
        photos=photos,
        importance=Importance.read(run),
    )


def _json(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: not valid JSON. {error}") from None
    if not isinstance(values, dict):
        raise RunError(f"{path}: expected a mapping. Received: {type(values).__name__}")
    return values


def _table(path: Path, words: list[str]) -> pd.DataFrame:
    """Read a CSV whose columns `id` and `words` stay text; an absent or empty file has no rows."""
    if not path.exists():
        return pd.DataFrame()
    types = dict.fromkeys(["id", *words], str)
    try:
        return pd.read_csv(path, dtype=types, keep_default_na=False, na_values=BLANK)
    except pd.errors.EmptyDataError:
        return pd.DataFrame()
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: not a table. {error}") from None
