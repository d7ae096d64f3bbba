"""One page that says what a run found, from the files in its directory.

The page is self-contained: pictures are inlined, nothing is fetched, no script runs, and every
word that comes from the user's data is escaped.
"""

from __future__ import annotations

import base64
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from multimodal import plots
from multimodal.errors import DataError, RunError
from multimodal.evaluation import ModelScore, RunMetrics, by_decile, main_metric, worst_rows
from multimodal.gallery import as_text, cells, off_by, thumbnail
from multimodal.plots import readable
from multimodal.spec import unique_slugs
from multimodal.verdict import verdict

REPORT_FILE = "report.html"
PHOTOS_PER_ROW = 4
WORST = 20


@dataclass(frozen=True)
class _Run:
    """What a run directory holds; whatever is absent is empty."""

    path: Path
    metrics: RunMetrics
    config: str
    schema: list[dict[str, Any]]
    predictions: pd.DataFrame
    log: pd.DataFrame
    rows: pd.DataFrame | None
    photos: Mapping[int, list[Path]]


def write_report(
    run: Path,
    *,
    photos: Mapping[int, list[Path]] | None = None,
    rows: pd.DataFrame | None = None,
) -> Path:
    """Draw the pictures of a run into `run/plots`, write `run/report.html` and return its path.

    Reads `config.json`, `schema.json`, `metrics.json`, `predictions.csv` and `training_log.csv`;
    each may be absent, as in an interrupted run, and its part is then left out.

    Args:
        run: the run directory.
        photos: the photos of a test row, by its position in `predictions.csv`.
        rows: the raw table of the test rows, one per row of `predictions.csv`, in its order.

    Raises:
        RunError: the directory is missing, or one of its files is damaged.
        DataError: `rows` has not one row per prediction.

    Example:
        write_report(Path("run"), photos={0: [Path("images/17.jpg")]}, rows=test_rows)
    """
    content = _read(run, photos or {}, rows)
    page = _template().render(
        title=f"Predicting {', '.join(_heads(content)) or 'nothing yet'}",
        heads=[_head(content, name, slug) for name, slug in _named(content)],
        metrics=content.metrics,
        schema=[_schema_row(column) for column in content.schema],
        schema_keys=_schema_keys(content.schema),
        curves=_curves(content),
        config=content.config,
    )
    target = run / REPORT_FILE
    draft = target.with_suffix(".html.tmp")
    draft.write_text(page, encoding="utf-8")
    os.replace(draft, target)
    return target


def _read(run: Path, photos: Mapping[int, list[Path]], rows: pd.DataFrame | None) -> _Run:
    if not run.is_dir():
        raise RunError(f"{run}: no such run directory.")
    predictions = _table(run / "predictions.csv")
    if rows is not None and len(rows) != len(predictions):
        raise DataError(
            f"`rows` must hold one row per prediction. Received: {len(rows)} rows for "
            f"{len(predictions)} predictions"
        )
    schema = _json(run / "schema.json").get("columns", [])
    config = _json(run / "config.json")
    return _Run(
        path=run,
        metrics=RunMetrics.read(run),
        config=json.dumps(config, indent=2, ensure_ascii=False) if config else "",
        schema=[column for column in schema if isinstance(column, dict)],
        predictions=predictions,
        log=_table(run / "training_log.csv"),
        rows=rows,
        photos=photos,
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


def _table(path: Path) -> pd.DataFrame:
    """Read a CSV whose column `id` stays text; an absent or empty file is an empty table."""
    if not path.exists():
        return pd.DataFrame()
    try:
        return pd.read_csv(path, dtype={"id": str}, keep_default_na=False, na_values=["", "nan"])
    except pd.errors.EmptyDataError:
        return pd.DataFrame()
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: not a table. {error}") from None


def _heads(run: _Run) -> list[str]:
    """Name the heads of the run, whichever file mentions them first."""
    ends = "_prediction"
    columns = [str(column) for column in run.predictions.columns if str(column).endswith(ends)]
    names = [*run.metrics.heads, *run.metrics.comparison, *(c.removesuffix(ends) for c in columns)]
    return list(dict.fromkeys(names))


def _named(run: _Run) -> Iterator[tuple[str, str]]:
    names = _heads(run)
    return zip(names, unique_slugs(names), strict=True)


def _head(run: _Run, name: str, slug: str) -> dict[str, Any]:
    """Collect everything the page shows about one head."""
    record = run.metrics.heads.get(name)
    unit = record.unit if record else ""
    answers = _answers(run, name)
    truth, prediction = answers["truth"], answers["prediction"]
    scores = run.metrics.comparison.get(name, [])
    metric = main_metric(scores)
    limit = run.metrics.limit.get(name, {}).get(metric)
    ranked = sorted(scores, key=lambda score: score.metrics.get(metric, math.inf))
    pictures: dict[str, str] = {}
    if scores:
        figure = plots.comparison(scores, metric, limit, name=name, unit=unit)
        pictures["comparison"] = _picture(run, figure, f"comparison_{slug}")
    if len(answers):
        for kind, draw in _DRAWINGS.items():
            figure = draw(truth, prediction, name, unit=unit)
            pictures[kind] = _picture(run, figure, f"{kind}_{slug}")
    return {
        "name": name,
        "slug": slug,
        "unit": unit,
        "verdict": verdict(run.metrics, name),
        "scores": [_score_row(score, metric) for score in ranked],
        "metric": plots.metric_label(metric, unit),
        "limit": limit,
        "pictures": pictures,
        "results": _results(record.test, record.validation) if record else [],
        "deciles": by_decile(truth, prediction) if len(answers) else [],
        "relative": bool((truth > 0).all()),
        "any_photos": bool(run.photos),
        "worst": list(_worst(run, answers)) if len(answers) else [],
    }


_DRAWINGS = {
    "predicted": plots.predicted_against_true,
    "residuals": plots.residuals_by_decile,
}


def _answers(run: _Run, name: str) -> pd.DataFrame:
    """Return position, truth and prediction of the rows that have both."""
    table = run.predictions
    wanted = [f"{name}_true", f"{name}_prediction"]
    if not set(wanted) <= set(table.columns):
        return pd.DataFrame({"position": [], "truth": [], "prediction": []}, dtype=float)
    truth, prediction = (pd.to_numeric(table[column], errors="coerce") for column in wanted)
    answers = pd.DataFrame({"truth": truth, "prediction": prediction})
    answers.insert(0, "position", range(len(answers)))
    return answers[answers.abs().lt(math.inf).all(axis=1)].reset_index(drop=True)


def _score_row(score: ModelScore, metric: str) -> dict[str, Any]:
    metrics = score.metrics
    return {
        "name": score.name,
        "kind": score.kind,
        "inputs": score.inputs,
        "error": _short(metrics.get(metric)),
        "mae": _short(metrics.get("mae")),
        "median_ape": _percent(metrics.get("median_ape")),
        "r2": _short(metrics.get("log_r2" if metric == "log_rmse" else "r2")),
        "parameters": f"{score.parameters:,}" if score.parameters else "–",
        "seconds": duration(score.seconds),
    }


def _results(test: Mapping[str, float], validation: Mapping[str, float]) -> list[dict[str, str]]:
    rows = []
    for key, label in _RESULT_NAMES.items():
        if key in test or key in validation:
            show = _percent if key in ("mape", "median_ape") else _short
            values = {"test": show(test.get(key)), "validation": show(validation.get(key))}
            rows.append({"label": label, **values})
    return rows


_RESULT_NAMES = {
    "n": "rows",
    **plots.METRIC_NAMES,
    "r2": "share of variance explained (R²)",
    "log_r2": "R² of the logarithm",
}


def _worst(run: _Run, answers: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Describe the worst rows of one head, worst first."""
    table = run.predictions
    for index in worst_rows(answers["truth"], answers["prediction"], WORST):
        position = int(answers["position"].iloc[index])
        truth, prediction = (float(answers[key].iloc[index]) for key in ("truth", "prediction"))
        row = run.rows.iloc[position] if run.rows is not None else None
        files = run.photos.get(position, [])
        yield {
            "row": table["row"].iloc[position] if "row" in table else position,
            "id": as_text(table["id"].iloc[position]) if "id" in table else "",
            "truth": readable(truth),
            "prediction": readable(prediction),
            "error": off_by(truth, prediction),
            "photos": [thumbnail(path) for path in files[:PHOTOS_PER_ROW]],
            "more_photos": max(len(files) - PHOTOS_PER_ROW, 0),
            "cells": cells(row, run.schema, photos_shown=bool(files)),
        }


def _picture(run: _Run, figure: Any, name: str) -> str:
    path = plots.save(figure, run.path / "plots" / f"{name}.png")
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"


def _curves(run: _Run) -> str:
    if not len(run.log) or not {"epoch", "loss"} <= set(run.log.columns):
        return ""
    return _picture(run, plots.learning_curves(run.log), "learning_curves")


def _schema_keys(schema: Sequence[Mapping[str, Any]]) -> list[str]:
    """List what is shown of the columns: what any of them has a value for, in a fixed order."""
    wanted = ("name", "kind", "missing", "distinct", "example", "note")
    return [key for key in wanted if any(c.get(key) not in (None, "", []) for c in schema)]


def _schema_row(column: Mapping[str, Any]) -> dict[str, str]:
    """Write a column's cells; `missing` is a share of the rows if a float, a count if whole."""
    shown = {str(key): as_text(value) for key, value in column.items()}
    missing, distinct = column.get("missing"), column.get("distinct")
    if isinstance(missing, float):
        shown["missing"] = "0%" if missing == 0 else f"{missing:.1%}"
    if isinstance(distinct, int):
        shown["distinct"] = f"{distinct:,}"
    return shown


def _short(value: float | None) -> str:
    return "–" if value is None else readable(value, 3)


def _percent(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.1%}"


def duration(seconds: float) -> str:
    """Write a time span in the two largest of hours, minutes and seconds.

    Example:
    >>> duration(3.21), duration(200), duration(7300)
    ('3.2 s', '3 min 20 s', '2 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _template() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("multimodal"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shown = {
        "readable": readable,
        "duration": duration,
        "percent": _percent,
        "short": _short,
    }
    environment.filters |= shown
    return environment.get_template("report.html.j2")
