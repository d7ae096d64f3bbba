"""What the report shows of one head: its models, its errors, its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from multimodal.core.formatting import short_number
from multimodal.evaluation.bootstrap import (
    LEAST_ROWS,
    ConfidenceInterval,
    confidence_interval,
    resample,
)
from multimodal.evaluation.measures import BESIDE, MEASURES, format_metric, metric_label, ranked
from multimodal.evaluation.records import ModelScore
from multimodal.report import alt_text, plots, plots_calibration
from multimodal.report.head_rows import head_rows, statistic
from multimodal.report.heads import Section, kind_section
from multimodal.report.plots import picture
from multimodal.report.run_files import RunFiles
from multimodal.report.slices import Slice, by_category, flagged, measured
from multimodal.report.verdict import (
    ModelIntervals,
    format_change,
    format_interval,
    model_intervals,
    verdict,
)
from multimodal.report.views import ablation_rows, calibration_section, importance_rows

MOST_DOTS = 16


def section(run: RunFiles, name: str, slug: str) -> Section:
    """Collect everything the page shows about one head, and draw its pictures."""
    found = model_intervals(run, name)
    known = _results_of(run, name, found) | {
        "slug": slug,
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
        ("confusion", "What is taken for what", "confusion" in pictures),
        ("boxes", "Boxes", "boxes" in pictures),
        ("overlaps", "Overlaps", "overlaps" in pictures),
        ("trust", "Calibration", calibrated),
        ("errors", "Where the errors are", known["tenths"] or known["categories"]),
        ("ablation", "Where something is missing", known["ablation"]),
        ("importance", "What the model needs", known["importance"]),
        ("worst", "Worst rows", known["worst"]),
        ("best", "Best rows", known["best"]),
    ]
    between = [("95% interval", True)] if known["intervals"] else []
    between += [("against the best simple model", True)] if known["paired"] else []
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
    """Add the picture of what a head needs, where that was measured."""
    head = run.importance.heads.get(known["name"])
    if head is None or not head.needs:
        return
    overall = head.error or 1.0
    needs = [*head.ranked("group"), *head.ranked("column")][:MOST_DOTS]
    spans = [
        ConfidenceInterval(*(each / overall for each in (n.change, n.low, n.high))) for n in needs
    ]
    names = [f"{need.name} ({need.kind})" for need in needs]
    title = f"What predictions of {known['name']} need"
    figure = plots_calibration.dots(names, spans, title, "growth of the error", percent=True)
    words = alt_text.of_dots(names, spans, "Growth of the error when shuffled", "{:+.0%}".format)
    known["pictures"]["importance"] = picture(run, figure, f"importance_{known['slug']}", words)
