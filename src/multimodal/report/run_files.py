"""What a run directory holds, read for its report; whatever is absent is empty."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from multimodal.core.config import LabelKind, current_keys
from multimodal.core.errors import DataError, RunError
from multimodal.core.files import read_text
from multimodal.evaluation.predictions import BASELINE_PREDICTIONS_FILE
from multimodal.evaluation.records import ExplainedRows, Importance, RunMetrics

BLANK = ["", "nan"]
MOST_UNIT = 24  # letters
MOST_JSON, MOST_CSV = 1 << 26, 1 << 31  # bytes that are read


@dataclass(frozen=True)
class RunFiles:
    """The files of a run, with the raw test rows and their photos.

    `config` is what `config.json` holds, `baselines` the lines of `baseline_predictions.csv`.
    """

    path: Path
    metrics: RunMetrics
    config: dict[str, Any]
    schema: list[dict[str, Any]]
    predictions: pd.DataFrame
    log: pd.DataFrame
    rows: pd.DataFrame | None
    photos: Mapping[int, list[Path]]
    baselines: pd.DataFrame
    importance: Importance = Importance()
    explained: ExplainedRows = ExplainedRows()

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

    def classes(self, head: str) -> list[str]:
        """The names of classes or labels, in their order; none for other kinds."""
        return self.metrics.heads[head].classes if head in self.metrics.heads else []

    def number_format(self, head: str) -> str:
        """What stands around a number of this head, `#` being the number: `$#`, `# EUR`, or `#`."""
        known = self.metrics.heads.get(head)
        if known is not None and known.unit:
            return f"# {known.unit}"
        column = known.column if known is not None else head
        units = [each.get("unit") for each in self.schema if each.get("name") == column]
        found = next((unit for unit in units if isinstance(unit, str) and "#" in unit), "#")
        return found if self.kind(head) == "number" else "#"

    def unit(self, head: str) -> str:
        """The unit of a head's numbers for labels, such as `$`, empty where none is known."""
        return " ".join(self.number_format(head).replace("#", " ").split())[:MOST_UNIT]


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
    return RunFiles(
        path=run,
        metrics=metrics,
        config=current_keys(_json(run / "config.json")),
        schema=[column for column in schema if isinstance(column, dict)],
        predictions=predictions,
        log=_table(run / "training_log.csv", []),
        rows=rows,
        photos=photos,
        baselines=_baselines(run / BASELINE_PREDICTIONS_FILE),
        importance=Importance.read(run),
        explained=ExplainedRows.read(run),
    )


def _baselines(path: Path) -> pd.DataFrame:
    found = _table(path, [], text=True)
    if not len(found):
        return pd.DataFrame()
    lacking = {"head", "model", "row"} - set(found)
    if lacking:
        raise RunError(f"{path}: column '{min(lacking)}' is missing; expected head, model and row.")
    found["row"] = pd.to_numeric(found["row"], errors="coerce")
    return found.dropna(subset=["head", "model", "row"])


def _json(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        values = json.loads(read_text(path, most=MOST_JSON))
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{path}: not valid JSON. {error}") from None
    if not isinstance(values, dict):
        raise RunError(f"{path}: expected a mapping. Received: {type(values).__name__}")
    return values


def _table(path: Path, words: list[str], *, text: bool = False) -> pd.DataFrame:
    """Read a CSV whose columns `id` and `words` (all, with `text`) stay text.

    An absent or empty file has no rows.
    """
    if not path.exists():
        return pd.DataFrame()
    if not path.is_file() or path.stat().st_size > MOST_CSV:
        raise RunError(f"{path}: expected a plain file of at most {MOST_CSV:,} bytes.")
    types: Any = str if text else dict.fromkeys(["id", *words], str)
    try:
        return pd.read_csv(path, dtype=types, keep_default_na=False, na_values=BLANK)
    except pd.errors.EmptyDataError:
        return pd.DataFrame()
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: not a table. {error}") from None
