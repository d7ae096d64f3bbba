"""What the report shows of one head: its models, its pictures, and its worst rows, by kind."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from multimodal import box_plots, class_plots, plots
from multimodal.answers import CORNERS, NO_LABEL, SEPARATOR
from multimodal.detection import iou
from multimodal.evaluation import ModelScore, by_decile, main_metric, worst_rows
from multimodal.evaluation.measures import (
    BESIDE,
    MEASURES,
    label,
    ranked,
    readable,
    written,
)
from multimodal.gallery import as_text, cells, off_by, thumbnail
from multimodal.importance_view import importance_rows
from multimodal.run_files import RunFiles
from multimodal.spec import unique_slugs
from multimodal.verdict import verdict
from multimodal.withheld_view import withheld_rows

PHOTOS_PER_ROW = 4
WORST = 20
Section = dict[str, Any]


def section(run: RunFiles, name: str, slug: str) -> Section:
    """Collect everything the page shows about one head, and draw its pictures."""
    record = run.metrics.heads.get(name)
    unit = record.unit if record else ""
    scores = run.metrics.comparison.get(name, [])
    metric = main_metric(scores)
    limit = run.metrics.limit.get(name, {}).get(metric)
    known: Section = {
        "name": name, "slug": slug, "unit": unit, "kind": run.kind(name), "metric": metric,
        "verdict": verdict(run.metrics, name), "measure": label(metric, unit), "limit": limit,
        "columns": [label(m, unit) for m in (metric, *BESIDE.get(metric, ()))],
        "scores": [_score_row(score, metric) for score in _listed(scores, metric)],
        "results": _results(record.test, record.validation, unit) if record else [],
        "withheld": withheld_rows(run.metrics, name),
        "importance": importance_rows(run.importance.heads.get(name)),
        "any_photos": any(run.photos.values()), "pictures": {}, "worst": [], "deciles": [],
        "classes": [],
        "ranking": "",
    }  # fmt: skip
    if scores:
        figure = plots.comparison(scores, metric, limit, name=name, unit=unit)
        known["pictures"]["comparison"] = picture(run, figure, f"comparison_{slug}")
    return known | _KINDS[known["kind"]](run, known)


def picture(run: RunFiles, figure: Any, name: str) -> str:
    """Save a figure among the plots of the run and return it as a data URI."""
    path = plots.save(figure, run.path / "plots" / f"{name}.png")
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"


def _listed(scores: Sequence[ModelScore], metric: str) -> list[ModelScore]:
    """Return the scores best first, those without the metric last."""
    first = ranked(scores, metric)
    return [*first, *(score for score in scores if score not in first)]


def _score_row(score: ModelScore, metric: str) -> Section:
    shown = (metric, *BESIDE.get(metric, ()))
    return {
        "name": score.name, "kind": score.kind, "inputs": score.inputs,
        "values": [written(each, score.metrics.get(each)) for each in shown],
        "parameters": f"{score.parameters:,}" if score.parameters else "–",
        "seconds": score.seconds,
    }  # fmt: skip


def _results(test: dict[str, float], validation: dict[str, float], unit: str) -> list[Section]:
    return [
        {
            "label": label(metric, unit),
            "test": written(metric, test.get(metric)),
            "validation": written(metric, validation.get(metric)),
        }
        for metric in MEASURES
        if metric in test or metric in validation
    ]


def _draw(run: RunFiles, known: Section, figures: dict[str, Any]) -> Section:
    drawn = {kind: picture(run, f, f"{kind}_{known['slug']}") for kind, f in figures.items()}
    return {"pictures": known["pictures"] | drawn}


def _numbers(run: RunFiles, known: Section) -> Section:
    name, unit = known["name"], known["unit"]
    found = _whole(run, [f"{name}_true", f"{name}_prediction"], numeric=True)
    if not len(found):
        return {}
    truth, guess = (found[f"{name}_{ending}"].astype(float) for ending in ("true", "prediction"))
    positions = [int(found.index[i]) for i in worst_rows(truth, guess, WORST)]
    by = "the ratio of prediction and truth" if (truth > 0).all() else "the size of the error"
    return {
        **_draw(run, known, {
            "predicted": plots.predicted_against_true(truth, guess, name, unit=unit),
            "residuals": plots.residuals_by_decile(truth, guess, name, unit=unit),
        }),
        "deciles": by_decile(truth, guess), "ranking": by,
        "worst": list(_worst(run, positions, lambda i: {
            "truth": readable(truth[i]), "prediction": readable(guess[i]),
            "error": off_by(truth[i], guess[i]),
        })),
    }  # fmt: skip


def _classes(run: RunFiles, known: Section) -> Section:
    name = known["name"]
    columns = [f"{name}_true", f"{name}_prediction", f"{name}_probability"]
    found = _whole(run, columns)
    if not len(found):
        return {}
    truth, guess, sure = (found[column] for column in columns)
    right, classes = truth == guess, run.metrics.heads[name].classes
    wrong = sure[~right].sort_values(ascending=False, kind="stable").index[:WORST]
    return {
        **_draw(run, known, {
            "confusion": class_plots.confusion(list(truth), list(guess), classes, name),
            "reliability": class_plots.reliability(sure, right, name),
        }),
        "classes": [_class_row(each, truth == each, guess == each) for each in classes],
        "ranking": "how sure the model was of its mistake",
        "worst": list(_worst(run, wrong, lambda i: {
            "truth": truth[i], "prediction": guess[i], "error": f"{sure[i]:.0%} sure, and wrong",
        })),
    }  # fmt: skip


def _labels(run: RunFiles, known: Section) -> Section:
    name, classes = known["name"], run.metrics.heads[known["name"]].classes
    chances = unique_slugs([f"probability {each}" for each in classes])
    columns = [f"{name}_true", f"{name}_prediction", *(f"{name}_{each}" for each in chances)]
    found = _whole(run, columns)
    if not len(found):
        return {}
    truth, guess = (_marks(found[f"{name}_{ending}"], classes) for ending in ("true", "prediction"))
    sure = found[columns[2:]].to_numpy(float)
    misses = pd.Series((truth != guess).sum(axis=1), index=found.index)
    worst = misses[misses > 0].sort_values(ascending=False, kind="stable").index[:WORST]
    return {
        **_draw(run, known, {
            "reliability": class_plots.reliability(sure.ravel(), truth.ravel(), name),
        }),
        "classes": [
            _class_row(each, truth[:, i], guess[:, i]) for i, each in enumerate(classes)
        ],
        "ranking": "the number of wrong labels",
        "worst": list(_worst(run, worst, lambda i: {
            "truth": found[f"{name}_true"][i], "prediction": found[f"{name}_prediction"][i],
            "error": f"{misses[i]} of {len(classes)} labels wrong",
        })),
    }  # fmt: skip


def _boxes(run: RunFiles, known: Section) -> Section:
    name = known["name"]
    true_names = [f"{name}_{corner}_true" for corner in CORNERS]
    names = [f"{name}_{corner}" for corner in CORNERS]
    found = _whole(run, [*true_names, *names], numeric=True)
    if not len(found):
        return {}
    truth, guess = found[true_names].to_numpy(float), found[names].to_numpy(float)
    shares = pd.Series(iou(truth, guess), index=found.index)
    figures = {"overlaps": box_plots.overlaps(shares, name)}
    seen = [i for i, position in enumerate(found.index) if run.photos.get(int(position))]
    if seen:
        paths = [run.photos[int(found.index[i])][0] for i in seen]
        parts = (truth[seen], guess[seen], shares.to_numpy()[seen])
        figures["boxes"] = box_plots.contact_sheet(paths, *parts)
    where = {position: i for i, position in enumerate(found.index)}
    return {
        **_draw(run, known, figures),
        "ranking": "the overlap with the true box",
        "worst": list(_worst(run, shares.sort_values(kind="stable").index[:WORST], lambda i: {
            "truth": _corners(truth[where[i]]), "prediction": _corners(guess[where[i]]),
            "error": f"overlap {readable(shares[i], 2)}",
        })),
    }  # fmt: skip


_KINDS: dict[str, Callable[[RunFiles, Section], Section]] = {
    "number": _numbers,
    "class": _classes,
    "labels": _labels,
    "box": _boxes,
}


def _whole(run: RunFiles, columns: Sequence[str], *, numeric: bool = False) -> pd.DataFrame:
    """Return the rows, by their position, that have a value in all of the columns."""
    if not set(columns) <= set(run.predictions.columns):
        return pd.DataFrame()
    found = run.predictions[list(columns)].reset_index(drop=True)
    if numeric:
        found = found.apply(pd.to_numeric, errors="coerce").replace([math.inf, -math.inf], math.nan)
    return found.dropna()


def _marks(names: pd.Series[Any], classes: Sequence[str]) -> Any:
    """Return bool (rows, C): which labels a cell such as `red|big` names."""
    sets = [set() if cell == NO_LABEL else set(str(cell).split(SEPARATOR)) for cell in names]
    return np.array([[each in found for each in classes] for found in sets])


def _class_row(name: str, truth: Any, guess: Any) -> Section:
    hits, there, taken = (int(each.sum()) for each in (truth & guess, truth, guess))
    return {
        "name": name, "rows": f"{there:,}", "predicted": f"{taken:,}",
        "recall": f"{hits / there:.1%}" if there else "–",
        "precision": f"{hits / taken:.1%}" if taken else "–",
    }  # fmt: skip


def _corners(box: Any) -> str:
    return ", ".join(f"{corner:,.0f}" for corner in box)


def _worst(
    run: RunFiles, positions: Iterable[int], told: Callable[[int], Section]
) -> Iterator[Section]:
    """Describe rows by their positions in the predictions, in this order."""
    table = run.predictions
    for position in map(int, positions):
        row = run.rows.iloc[position] if run.rows is not None else None
        files = run.photos.get(position, [])
        yield {
            **told(position),
            "row": table["row"].iloc[position] if "row" in table else position,
            "id": as_text(table["id"].iloc[position]) if "id" in table else "",
            "photos": [thumbnail(path) for path in files[:PHOTOS_PER_ROW]],
            "more_photos": max(len(files) - PHOTOS_PER_ROW, 0),
            "cells": cells(row, run.schema, photos_shown=bool(files)),
        }
