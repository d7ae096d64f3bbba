"""What the report shows of a head by its kind: plots, tables of errors, example rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from multimodal.core.formatting import short_number
from multimodal.data.labels.boxes import CORNERS
from multimodal.evaluation.bootstrap import proportion
from multimodal.report import alt_text, plots, plots_classes
from multimodal.report.alt_text import format_amount
from multimodal.report.examples import cell_text, cells, describe_error, thumbnail
from multimodal.report.head_rows import (
    KEPT,
    box_overlap,
    covered,
    head_rows,
    label_matrix,
    probability_columns,
    quantiles,
    rank_rows,
)
from multimodal.report.plots import picture
from multimodal.report.run_files import RunFiles
from multimodal.report.slices import Slice, by_prediction, measured, num_parts

PHOTOS_PER_ROW = 4
WORST, BEST = KEPT, 6
Section = dict[str, Any]
Drawn = dict[str, tuple[Any, str]]
Shown = tuple[Drawn, Callable[[int], Section], Section]  # plots, what is told of a row, the rest


def kind_section(run: RunFiles, known: Section) -> Section:
    """Return what a head's kind adds to its section; nothing where there are no rows of it.

    Args:
        run: The files of the run.
        known: The section so far, with `name`, `slug`, `kind`, `unit`, `number_format` and
            `pictures`.
    """
    rows = head_rows(run, known["name"])
    if not len(rows):
        return {}
    figures, told, found = _KINDS[known["kind"]](run, known, rows)
    drawn = {
        kind: picture(run, figure, f"{kind}_{known['slug']}", words)
        for kind, (figure, words) in figures.items()
    }
    worst, best = rank_rows(known["kind"], rows, run.classes(known["name"]))
    examples = {
        "worst": [_example(run, known["name"], int(i), told(i)) for i in worst[:WORST]],
        "best": [_example(run, known["name"], int(i), told(i)) for i in best[:BEST]],
    }
    return {**found, **examples, "pictures": {**known["pictures"], **drawn}}


def _numbers(run: RunFiles, known: Section, rows: pd.DataFrame) -> Shown:
    name, unit, number_format = known["name"], known["unit"], known["number_format"]
    y_true, guess = rows["true"], rows["prediction"]
    tenths = by_prediction(rows, measured(rows, "number", ()))

    def told(i: int) -> Section:
        return {
            "truth": format_amount(y_true[i], number_format),
            "prediction": format_amount(guess[i], number_format),
            "error": describe_error(y_true[i], guess[i]),
        }

    def write(value: float) -> str:
        return format_amount(value, number_format)

    figures: Drawn = {
        "predicted": (
            plots.predicted_against_true(y_true, guess, name, unit=unit),
            alt_text.of_numbers(y_true, guess, name, write),
        ),
        "residuals": (
            plots.residuals_by_decile(y_true, guess, name, unit=unit, parts=num_parts(len(rows))),
            alt_text.of_tenths(y_true, guess, tenths, name),
        ),
    }
    by = "the ratio of predicted and true value" if (y_true > 0).all() else "the size of the error"
    return (
        figures,
        told,
        {
            "ranking": by,
            "tenths": [_tenth(each, number_format, bool((y_true > 0).all())) for each in tenths],
            "thirds": _thirds(rows, number_format),
            "stated": _stated(rows),
        },
    )


def _tenth(found: Slice, number_format: str, relative: bool) -> Section:
    value, low, high = found.result.value, found.result.low, found.result.high
    few = found.flag == "few"
    return {
        "lower": format_amount(found.lower, number_format),
        "upper": format_amount(found.upper, number_format),
        "rows": f"{found.rows:,}",
        "bias": format_amount(found.bias, number_format, 3),
        "mae": format_amount(found.mae, number_format, 3),
        "relative": f"{value:.1%}" if relative else "–",
        "interval": "few rows"
        if few
        else f"{low:.1%} to {high:.1%}"
        if relative
        else f"{format_amount(low, number_format, 3)} to {format_amount(high, number_format, 3)}",
    }


def _stated(rows: pd.DataFrame) -> str:
    """Return the nominal coverage of the outer quantiles, empty without quantiles."""
    levels = [*quantiles(rows).values()]
    return f"{levels[-1] - levels[0]:.0%}" if len(levels) > 1 else ""


def _thirds(rows: pd.DataFrame, number_format: str) -> list[Section]:
    """Return the coverage of the outer quantiles, by third of the prediction."""
    if len(quantiles(rows)) < 2 or len(rows) < 3:
        return []
    within, guess = covered(rows), rows["prediction"].to_numpy(float)
    parts = [("all rows", np.arange(len(rows)))]
    names = ("lowest third", "middle third", "highest third")
    parts += [*zip(names, np.array_split(np.argsort(guess, kind="stable"), 3), strict=True)]
    outer = rows[[*quantiles(rows)]].to_numpy(float)
    width = outer[:, -1] - outer[:, 0]
    weight = rows["weight"].to_numpy(float)
    found = [(name, chosen, proportion(within[chosen], weight[chosen])) for name, chosen in parts]
    return [
        {
            "name": name,
            "rows": f"{len(chosen):,}",
            "share": f"{each.value:.1%}",
            "from": format_amount(guess[chosen].min(), number_format),
            "to": format_amount(guess[chosen].max(), number_format),
            "interval": f"{each.low:.1%} to {each.high:.1%}",
            "width": format_amount(float(np.median(width[chosen])), number_format, 3),
        }
        for name, chosen, each in found
    ]


def _classes(run: RunFiles, known: Section, rows: pd.DataFrame) -> Shown:
    name, classes = known["name"], run.classes(known["name"])
    y_true, guess = rows["true"], rows["prediction"]
    right = y_true == guess
    figures: Drawn = {
        "confusion": (
            plots_classes.confusion([*y_true], [*guess], classes, name),
            alt_text.of_confusion([*y_true], [*guess], name),
        ),
    }
    confidence = rows.get("probability", pd.Series(1.0, index=rows.index))
    if "probability" in rows:
        words = alt_text.of_reliability(confidence, right)
        figures["reliability"] = (plots_classes.reliability(confidence, right, name), words)

    def told(i: int) -> Section:
        end = "right" if right[i] else "wrong"
        error = f"probability {confidence[i]:.0%}, {end}" if "probability" in rows else end
        return {"truth": y_true[i], "prediction": guess[i], "error": error}

    return (
        figures,
        told,
        {
            "classes": [_class_row(each, y_true == each, guess == each) for each in classes],
            "ranking": "the probability of the wrong class",
        },
    )


def _labels(run: RunFiles, known: Section, rows: pd.DataFrame) -> Shown:
    name, classes = known["name"], run.classes(known["name"])
    y_true, guess = (label_matrix(rows[ending], classes) for ending in ("true", "prediction"))
    misses = pd.Series((y_true != guess).sum(axis=1), index=rows.index)
    figures: Drawn = {}
    if set(probability_columns(classes)) <= set(rows):
        probability, known_labels = (
            rows[probability_columns(classes)].to_numpy(float).ravel(),
            y_true.ravel(),
        )
        words = alt_text.of_reliability(probability, known_labels)
        figures["reliability"] = (plots_classes.reliability(probability, known_labels, name), words)

    def told(i: int) -> Section:
        return {
            "truth": rows["true"][i],
            "prediction": rows["prediction"][i],
            "error": f"{misses[i]} of {len(classes)} labels wrong",
        }

    return (
        figures,
        told,
        {
            "classes": [
                _class_row(each, y_true[:, i], guess[:, i]) for i, each in enumerate(classes)
            ],
            "ranking": "the number of wrong labels",
        },
    )


def _boxes(run: RunFiles, known: Section, rows: pd.DataFrame) -> Shown:
    ious = pd.Series(box_overlap(rows), index=rows.index)
    y_true, guess = rows[[f"{c}_true" for c in CORNERS]], rows[list(CORNERS)]
    figures: Drawn = {
        "overlaps": (plots_classes.overlaps(ious, known["name"]), alt_text.of_overlaps(ious))
    }
    seen = [i for i in rows.index if run.photos.get(int(i))]
    if seen:
        paths = [run.photos[int(i)][0] for i in seen]
        sheet = plots_classes.contact_sheet(
            paths, y_true.loc[seen].to_numpy(float), guess.loc[seen].to_numpy(float), ious[seen]
        )
        low, high = short_number(ious[seen].min(), 2), short_number(ious[seen].max(), 2)
        words = f"Photos with their true and predicted boxes, IoU from {low} to {high}."
        figures["boxes"] = (sheet, words)

    def told(i: int) -> Section:
        return {
            "truth": _corners(y_true.loc[i]),
            "prediction": _corners(guess.loc[i]),
            "error": f"IoU {short_number(ious[i], 2)}",
        }

    return (
        figures,
        told,
        {
            "ranking": "the IoU with the true box",
        },
    )


_KINDS: dict[str, Callable[[RunFiles, Section, pd.DataFrame], Shown]] = {
    "number": _numbers,
    "class": _classes,
    "labels": _labels,
    "box": _boxes,
}


def _class_row(name: str, y_true: Any, guess: Any) -> Section:
    hits, there, taken = (int(each.sum()) for each in (y_true & guess, y_true, guess))
    found = proportion((y_true & guess)[y_true]) if there else None
    return {
        "name": name,
        "rows": f"{there:,}",
        "predicted": f"{taken:,}",
        "recall": f"{hits / there:.1%}" if there else "–",
        "interval": f"{found.low:.0%} to {found.high:.0%}" if found else "–",
        "precision": f"{hits / taken:.1%}" if taken else "–",
    }


def _corners(box: Any) -> str:
    return ", ".join(f"{corner:,.0f}" for corner in box)


def _example(run: RunFiles, head: str, position: int, told: Section) -> Section:
    """Describe a row by its position in the predictions, with its photos, cells and explanation."""
    table, files = run.predictions, run.photos.get(position, [])
    row = run.rows.iloc[position] if run.rows is not None else None
    number = table["row"].iloc[position] if "row" in table else position
    return {
        **told,
        "row": number,
        "id": cell_text(table["id"].iloc[position]) if "id" in table else "",
        "photos": [thumbnail(path) for path in files[:PHOTOS_PER_ROW]],
        "more_photos": max(len(files) - PHOTOS_PER_ROW, 0),
        "cells": cells(row, run.schema, photos_shown=bool(files)),
        "why": run.explained.of(head, int(number)),
    }
