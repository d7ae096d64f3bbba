"""One head of the report: its models and baselines, its errors by slice, its example rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from multimodal.core.formatting import short_number
from multimodal.evaluation.bootstrap import (
    LEAST_ROWS,
    ConfidenceInterval,
    confidence_interval,
    resample,
)
from multimodal.evaluation.confidence import ConfidenceCheck, IntervalCheck
from multimodal.evaluation.measures import (
    BESIDE,
    MEASURES,
    format_metric,
    main_metric,
    metric_label,
    ranked,
    shortfall,
)
from multimodal.evaluation.records import HeadImportance, ModelScore, RunMetrics
from multimodal.report import alt_text, plots, plots_calibration
from multimodal.report.alt_text import format_amount
from multimodal.report.head_rows import head_rows, statistic
from multimodal.report.heads import Section, kind_section
from multimodal.report.modalities import modality_rows
from multimodal.report.plots import Picture, picture
from multimodal.report.run_files import RunFiles
from multimodal.report.slices import Slice, by_category, flagged, measured
from multimodal.report.verdict import (
    ModelIntervals,
    format_change,
    format_interval,
    model_intervals,
    verdict,
)

MOST_DOTS = 16
FULL = "nothing"  # the key, in `metrics.json`, of the rows from which nothing is ablated


def section(run: RunFiles, name: str, slug: str) -> Section:
    """Collect everything the page shows about one head, and draw its pictures."""
    found = model_intervals(run, name)
    known = _results_of(run, name, found) | {
        "slug": slug,
        "modalities": modality_rows(run.metrics, name),
        "ablation": ablation_rows(run.metrics, name),
        "importance": importance_rows(run.importance.heads.get(name)),
        "any_photos": any(run.photos.values()),
        "pictures": {},
        "worst": [],
        "best": [],
        "tenths": [],
        "classes": [],
        "thirds": [],
        "ranking": "",
    }
    scores = run.metrics.comparison.get(name, [])
    if ranked(scores, found.metric):
        figure = plots.comparison(
            scores,
            found.metric,
            known["limit"],
            name=name,
            unit=known["unit"],
            intervals=found.values,
        )
        words = alt_text.of_comparison(scores, found.metric, found.values, known["unit"])
        known["pictures"]["comparison"] = picture(run, figure, f"comparison_{slug}", words)
    known |= kind_section(run, known)
    known |= _categories(run, known)
    known |= calibration_section(run, name, slug)
    _draw_importance(run, known)
    return known | _contents(known)


def _results_of(run: RunFiles, name: str, found: ModelIntervals) -> Section:
    """Return what a head predicts, how well, and how well the other models do."""
    record, unit, metric = run.metrics.heads.get(name), run.unit(name), found.metric
    scores = _listed(run.metrics.comparison.get(name, []), metric)
    return {
        "name": name,
        "unit": unit,
        "number_format": run.number_format(name),
        "kind": run.kind(name),
        "metric": metric,
        "limit": run.metrics.limit.get(name, {}).get(metric),
        "verdict": verdict(run.metrics, name, found, run.number_format(name)),
        "measure": metric_label(metric, unit),
        "columns": [metric_label(m, unit) for m in (metric, *BESIDE.get(metric, ()))],
        "scores": [_score_row(score, found) for score in scores],
        "baseline": found.baseline,
        "paired": bool(found.changes),
        "intervals": bool(found.values),
        "too_few": 0 < found.rows < LEAST_ROWS,
        "results": _results(run, name, record.test, record.validation) if record else [],
    }


def _contents(known: Section) -> Section:
    """Return the parts there are, with their anchors, and the titles of the wide tables."""
    pictures, columns = known["pictures"], known["columns"]
    calibrated = "reliability" in pictures or bool(known["thirds"] or known["calibration"])
    parts = [
        ("models", "Every model", known["scores"]),
        ("predicted", "Predicted against true", "predicted" in pictures),
        ("confusion", "Confusion matrix", "confusion" in pictures),
        ("boxes", "True and predicted boxes", "boxes" in pictures),
        ("overlaps", "Box overlap (IoU)", "overlaps" in pictures),
        ("trust", "Calibration", calibrated),
        ("errors", "Where the errors are", known["tenths"] or known["categories"]),
        ("modalities", "What each modality adds", known["modalities"]),
        ("ablation", "Rows without a modality", known["ablation"]),
        ("importance", "Permutation importance", known["importance"]),
        ("worst", "Worst rows", known["worst"]),
        ("best", "Best rows", known["best"]),
    ]
    between = [("95% interval", True)] if known["intervals"] else []
    between += [("against the best baseline", True)] if known["paired"] else []
    titles = [("model", False), ("reads", False), (columns[0], True), *between]
    costs = [("parameters", True), ("time to fit", True)]
    numbers = [(each, True) for each in columns]
    return {
        "contents": [(anchor, words) for anchor, words, there in parts if there],
        "calibrated": calibrated,
        "score_columns": [*titles, *numbers[1:], *costs],
        "ablation_columns": [("rows", False), *numbers, ("error grows by", True)],
    }


def _listed(scores: Sequence[ModelScore], metric: str) -> list[ModelScore]:
    """Return the scores best first, those without the metric last."""
    first = ranked(scores, metric)
    return [*first, *(score for score in scores if score not in first)]


def _score_row(score: ModelScore, found: ModelIntervals) -> Section:
    shown = (found.metric, *BESIDE.get(found.metric, ()))
    change = format_change(found.metric, found.changes.get(score.label))
    return {
        "name": score.name,
        "kind": score.kind,
        "inputs": score.inputs,
        "values": [format_metric(each, score.metrics.get(each)) for each in shown],
        "interval": format_interval(found.metric, found.values.get(score.label)),
        "change": "itself" if found.baseline == score.label else change or "–",
        "parameters": f"{score.parameters:,}" if score.parameters else "–",
        "seconds": score.seconds,
    }


def _results(
    run: RunFiles, name: str, test: Mapping[str, float], validation: Mapping[str, float]
) -> list[Section]:
    """Return the metrics of the kept model, with intervals over the test rows where known."""
    spans = metric_intervals(run, name, [metric for metric in MEASURES if metric in test])
    return [
        {
            "label": metric_label(metric, run.unit(name)),
            "test": format_metric(metric, test.get(metric)),
            "interval": format_interval(metric, spans.get(metric)),
            "validation": format_metric(metric, validation.get(metric)),
        }
        for metric in MEASURES
        if metric in test or metric in validation
    ]


def metric_intervals(
    run: RunFiles, name: str, metrics: Sequence[str]
) -> dict[str, ConfidenceInterval]:
    """Return the intervals of metrics of a run's own model; none for less than 20 rows."""
    rows = head_rows(run, name)
    found = {each: statistic(each, rows, run.classes(name)) for each in metrics}
    known = {each: drawn for each, drawn in found.items() if drawn is not None}
    if len(rows) < LEAST_ROWS or not known:
        return {}
    values = resample([*known.values()], rows["weight"])
    return {each: confidence_interval(values[:, i]) for i, each in enumerate(known)}


def _categories(run: RunFiles, known: Section) -> Section:
    """Return the results by value of the category columns, with a picture of those with rows."""
    rows = head_rows(run, known["name"])
    columns = [str(c["name"]) for c in run.schema if c.get("kind") == "category" and "name" in c]
    nothing: Section = {"categories": {}, "category_label": "", "worse": []}
    if run.rows is None or not len(rows) or not columns:
        return nothing
    measure = measured(rows, known["kind"], run.classes(known["name"]))
    found = by_category(rows, run.rows, columns, measure)
    percent = measure.relative or measure.right
    drawn = [pair for flag in ("worse", "better", "") for pair in flagged(found, flag)][:MOST_DOTS]
    pictures = dict(known["pictures"])
    if drawn:
        drawn.sort(key=lambda pair: -pair[1].result.value)
        names = [f"{column}: {each.name}" for column, each in drawn]
        title = f"{measure.label.capitalize()} of {known['name']} by category"
        across = measure.label if percent else metric_label(measure.label, known["unit"])
        spans = [each.result for _, each in drawn]
        figure = plots_calibration.dots(
            names, spans, title, across, overall=measure.overall, percent=percent
        )
        words = alt_text.of_dots(names, spans, title, lambda v: _write(v, percent))
        pictures["categories"] = picture(run, figure, f"categories_{known['slug']}", words)
    return {
        "pictures": pictures,
        "category_label": measure.label,
        "overall": _write(measure.overall, percent),
        "categories": {
            column: [_slice_row(each, percent) for each in slices]
            for column, slices in found.items()
        },
        "worse": [f"{column} {each.name}" for column, each in flagged(found, "worse")],
    }


def _slice_row(found: Slice, percent: bool) -> Section:
    low, high = (_write(each, percent) for each in (found.result.low, found.result.high))
    flags = {"few": "few rows", "worse": "worse than all rows", "better": "better than all rows"}
    return {
        "name": found.name,
        "rows": f"{found.rows:,}",
        "value": _write(found.result.value, percent),
        "interval": "" if found.flag == "few" else f"{low} to {high}",
        "flag": found.flag,
        "note": flags.get(found.flag, ""),
    }


def _write(value: float, percent: bool) -> str:
    return f"{value:.1%}" if percent else short_number(value, 3)


def _draw_importance(run: RunFiles, known: Section) -> None:
    """Add the picture of permutation importance, where it was measured."""
    head = run.importance.heads.get(known["name"])
    if head is None or not head.needs:
        return
    overall = head.error or 1.0
    needs = [*head.ranked("group"), *head.ranked("column")][:MOST_DOTS]
    spans = [
        ConfidenceInterval(*(each / overall for each in (n.change, n.low, n.high))) for n in needs
    ]
    names = [f"{need.name} ({need.kind})" for need in needs]
    title = f"Permutation importance for {known['name']}"
    figure = plots_calibration.dots(names, spans, title, "growth of the error", percent=True)
    words = alt_text.of_dots(names, spans, "Growth of the error when permuted", "{:+.0%}".format)
    known["pictures"]["importance"] = picture(run, figure, f"importance_{known['slug']}", words)


def importance_rows(head: HeadImportance | None) -> list[dict[str, str]]:
    """Return the groups, then the columns, each needed most first: name, kind, change, interval.

    The change is a share of the error of the rows as they are; where that is 0, it is the change
    itself.

    Example:
    >>> from multimodal.evaluation.records import PermutationImportance
    >>> need = PermutationImportance(
    ...     name="year", kind="column", error=3.0, change=1.0, low=0.5, high=1.5
    ... )
    >>> head = HeadImportance(metric="rmse", error=2.0, rows=9, repeats=5, needs=[need])
    >>> importance_rows(head)[0]["change"], importance_rows(head)[0]["interval"]
    ('+50%', '+25% to +75%')
    """
    if head is None:
        return []
    return [
        {
            "name": need.name,
            "kind": need.kind,
            "change": _share(need.change, head.error),
            "interval": f"{_share(need.low, head.error)} to {_share(need.high, head.error)}",
        }
        for need in (*head.ranked("group"), *head.ranked("column"))
    ]


def _share(change: float, error: float) -> str:
    return f"{change / error:+.0%}" if error > 0 else f"{change:+.3g}"


def ablation_rows(record: RunMetrics, head: str) -> list[dict[str, Any]]:
    """Return the lines of a head's table in the report: name, metrics as written, the change.

    The columns are those of the table of models; the change is that of the first one.
    """
    scores = record.withheld.get(head, {})
    if not scores:
        return []
    metric = main_metric(record.comparison.get(head, []), record.optimised(head))
    shown, full = (metric, *BESIDE.get(metric, ())), scores[FULL].get(metric, np.nan)
    return [
        {
            "name": "everything there" if name == FULL else f"without {name}",
            "values": [format_metric(each, found.get(each)) for each in shown],
            "change": "" if name == FULL else _change(metric, full, found.get(metric, np.nan)),
        }
        for name, found in scores.items()
    ]


def _change(metric: str, full: float, withheld: float) -> str:
    """Say by which share of itself an error has grown."""
    before, after = shortfall(metric, full), shortfall(metric, withheld)
    known = before > 0 and np.isfinite(after)
    grown = f"{after / before - 1:+.0%}" if known else "–"
    return "0%" if grown in ("-0%", "+0%") else grown


def calibration_section(run: RunFiles, name: str, slug: str) -> dict[str, Any]:
    """Return what the record of a run says of a head's intervals and probabilities.

    `calibration` are sentences, `coverage` the lines of a table, `calibration_pictures` the
    pictures; all are empty for a run that was not calibrated.
    """
    intervals = run.metrics.intervals.get(name)
    confidence = run.metrics.confidence.get(name)
    found: dict[str, Any] = {"calibration": [], "coverage": [], "calibration_pictures": []}
    if intervals is not None:
        number_format = run.number_format(name)
        found["calibration"] += _interval_sentences(intervals, number_format)
        found["coverage"] = _coverage_rows(intervals, number_format)
        found["calibration_pictures"] += _interval_pictures(run, intervals, name, slug)
    if confidence is not None:
        found["calibration"].append(_calibration_sentence(confidence))
        figure = plots_calibration.confidence(confidence, name)
        words = "Reliability diagram: " + "; ".join(
            f"predicted {each.probability:.0%}, right {each.right:.0%} of {each.n:,} times"
            for each in confidence.bins
        )
        found["calibration_pictures"].append(
            picture(run, figure, f"confidence_{slug}", f"{words}.")
        )
    return found


def _interval_sentences(check: IntervalCheck, number_format: str) -> list[str]:
    low, high = check.band
    narrow = "lower" if check.score < check.constant_score else "no lower"
    return [
        f"Intervals of {check.level:.0%} covered {check.coverage:.1%} of {check.n:,} test rows; "
        f"exact ones would cover {low:.1%} to {high:.1%}, 99 times in 100.",
        f"They are {format_amount(check.width, number_format)} wide on average. Their interval "
        f"score (Winkler) is {short_number(check.score)}, {narrow} than that of intervals of "
        f"constant width, {short_number(check.constant_score)}.",
    ]


def _calibration_sentence(check: ConfidenceCheck) -> str:
    return (
        f"Probabilities are {check.ece:.1%} off on average (expected calibration error over "
        f"{check.n:,} test rows), {check.ece_before:.1%} before they were divided by the "
        f"temperature {check.temperature:.2f}."
    )


def _coverage_rows(check: IntervalCheck, number_format: str) -> list[dict[str, str]]:
    return [
        {
            "from": format_amount(part.lower, number_format),
            "to": format_amount(part.upper, number_format),
            "rows": f"{part.n:,}",
            "share": f"{part.coverage:.1%}",
            "band": f"{part.band[0]:.1%} to {part.band[1]:.1%}",
            "width": format_amount(part.width, number_format, 3),
        }
        for part in check.parts
    ]


def _interval_pictures(run: RunFiles, check: IntervalCheck, name: str, slug: str) -> list[Picture]:
    parts = [ConfidenceInterval(part.coverage, *part.band) for part in check.parts]
    names = [f"{short_number(part.lower)} to {short_number(part.upper)}" for part in check.parts]
    by_part = alt_text.of_dots(
        names,
        parts,
        f"Coverage of intervals of {check.level:.0%}, by predicted value (where exact ones lie)",
        "{:.1%}".format,
    )
    levels = ", ".join(f"{held:.1%} at {level:.0%}" for level, held in check.coverages.items())
    drawn = [
        picture(
            run,
            plots_calibration.interval_parts(check, name, run.unit(name)),
            f"interval_parts_{slug}",
            by_part,
        )
    ]
    if check.coverages:
        figure = plots_calibration.interval_levels(check, name)
        drawn.append(picture(run, figure, f"interval_levels_{slug}", f"Coverage: {levels}."))
    return drawn
