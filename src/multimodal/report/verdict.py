"""The finding of a run in words: which modalities earned their place, which model is best?

What a modality is worth follows from the recipe with and without it (`report.modalities`), never
from the baselines, which differ in more than what they read.

A sentence is only as sure as the test rows allow. Where the predictions of both models are kept,
two results count as equal when the 95 % interval of their difference holds 0. Where they are not,
when they differ by less than chance moves them over that many rows: an RMSE by about
`1 / sqrt(2 n)` of itself, a share `e` of wrong rows by `sqrt((1 - e) / (e n))` of itself, anything
else by `1 / sqrt(n)` of itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Literal

import numpy as np
import pandas as pd

from multimodal.core.arrays import Floats
from multimodal.core.formatting import short_number
from multimodal.evaluation.bootstrap import (
    LEAST_ROWS,
    ConfidenceInterval,
    confidence_interval,
    resample,
)
from multimodal.evaluation.measures import (
    format_metric,
    main_metric,
    measure_of,
    metric_label,
    ranked,
    shortfall,
)
from multimodal.evaluation.records import ModelScore, RunMetrics
from multimodal.report.head_rows import baseline_rows, head_rows, statistic
from multimodal.report.modalities import modality_headline, modality_sentences
from multimodal.report.run_files import RunFiles

MIN_MARGIN = 0.02  # of an error, below which two are equal however many rows there are
Outcome = Literal["better", "equal", "worse", "unknown"]
# The baselines that a model is compared with, the best of each line, by their kinds.
BASELINES = {
    "the best single modality": ("sequential", "recipe"),
    "the best gradient boosting": ("trees",),
}


@dataclass(frozen=True)
class Verdict:
    """A headline, the sentences that support it, and whether the run's own model won.

    `outcome` is the worst of its results against the baselines.
    """

    outcome: Outcome
    headline: str
    sentences: list[str]


def verdict(
    record: RunMetrics, head: str, found: ModelIntervals | None = None, number_format: str = ""
) -> Verdict:
    """Say what the modalities of `head` are worth, and weigh its model against the baselines.

    Args:
        record: The results of a run.
        head: The head.
        found: The intervals of the models and of their differences, where they are known.
        number_format: How the head's numbers are written, such as `$#`; empty for what the record
            says.

    Example:
    >>> verdict(RunMetrics(), "price").headline
    'No test result for price.'
    """
    scores = record.comparison.get(head, [])
    metric = main_metric(scores, record.optimised(head))
    best_first = ranked(scores, metric)
    fusion = next((score for score in best_first if score.kind == "fusion"), None)
    if fusion is None:
        return _without_comparison(record, head)
    lines = [next((s for s in best_first if s.kind in kinds), None) for kinds in BASELINES.values()]
    baselines = [baseline for baseline in lines if baseline is not None]
    known = found or ModelIntervals(metric)
    outcomes = [_against(fusion, baseline, known) for baseline in baselines]
    sentences = [_result(record, head, fusion, known, number_format)]
    sentences += [_compared(fusion, baseline, known) for baseline in baselines]
    sentences += _alone(fusion, best_first, metric)
    sentences += _beside_constant(fusion, best_first, known)
    sentences += _beside_limit(record, head, fusion, metric)
    headline = _headline(head, fusion, baselines, outcomes)
    worth = modality_headline(record, head)
    if worth:
        headline, sentences = worth, [headline, *sentences, *modality_sentences(record, head)]
    elif _is_fusion(fusion):
        sentences.append("What each modality adds to the others was not measured.")
    return Verdict(_worst(outcomes), headline, sentences)


def _is_fusion(score: ModelScore) -> bool:
    return " + " in score.inputs


def _against(fusion: ModelScore, baseline: ModelScore, found: ModelIntervals) -> Outcome:
    metric, gain = found.metric, found.gains.get(baseline.label)
    if gain is not None and math.isfinite(gain.low) and math.isfinite(gain.high):
        better = is_better(metric, gain)
        return "equal" if better is None else "better" if better else "worse"
    ratio = _ratio(fusion, baseline, metric)
    if abs(ratio - 1) <= max(MIN_MARGIN, _chance(fusion, metric)):
        return "equal"
    return "better" if ratio < 1 else "worse"


def _chance(score: ModelScore, metric: str) -> float:
    """Return by which share of itself chance moves a result over the test rows."""
    n = max(score.metrics.get("n", 1), 1)
    if metric in ("rmse", "log_rmse"):
        return 1 / math.sqrt(2 * n)
    if metric == "accuracy":
        # No wrong row at all is no proof of an error of 0: at least one is reckoned with.
        wrong = max(shortfall(metric, score.metrics[metric]), 1 / n)
        return math.sqrt((1 - wrong) / (wrong * n))
    return 1 / math.sqrt(n)


def _ratio(fusion: ModelScore, baseline: ModelScore, metric: str) -> float:
    mine, other = (shortfall(metric, score.metrics[metric]) for score in (fusion, baseline))
    if other <= 0:
        return 1.0 if mine <= 0 else math.inf
    return mine / other


def _worst(outcomes: Sequence[Outcome]) -> Outcome:
    order: tuple[Outcome, ...] = ("worse", "equal", "better")
    return next((outcome for outcome in order if outcome in outcomes), "unknown")


def _headline(
    head: str, fusion: ModelScore, baselines: Sequence[ModelScore], outcomes: Sequence[Outcome]
) -> str:
    who = "fusion" if _is_fusion(fusion) else "model"
    if not outcomes:
        return f"The {who} predicts {head}, with nothing to compare it with."
    outcome = _worst(outcomes)
    names = " and ".join(
        each.label[0].lower() + each.label[1:] if each.kind == "recipe" else each.label
        for each, found in zip(baselines, outcomes, strict=True)
        if found == outcome
    )
    if outcome == "better":
        return f"The {who} predicts {head} better than anything else tried."
    if outcome == "equal":
        return f"Too close to call: for {head} the {who} is no better than {names}."
    return f"The {who} loses: for {head}, {names} did better."


def _result(
    record: RunMetrics, head: str, fusion: ModelScore, found: ModelIntervals, number_format: str
) -> str:
    n = int(fusion.metrics.get("n", 0))
    unit = record.heads[head].unit if head in record.heads else ""
    rows = f"On {n:,} test rows" if n else "On the test rows"
    span = format_interval(found.metric, found.values.get(fusion.label))
    between = f", 95% interval {span}" if span else ""
    error = _error(fusion, found.metric, number_format or f"# {unit}".strip())
    return f"{rows} its {error}{between}{_typical(fusion.metrics)}."


def _error(score: ModelScore, metric: str, number_format: str) -> str:
    value = format_metric(metric, score.metrics[metric])
    if metric == "log_rmse":
        return f"error is {value} (RMSE of the logarithm)"
    shown = number_format.replace("#", value, 1) if measure_of(metric).unit else value
    return f"error is {shown} (RMSE)" if metric == "rmse" else f"{metric_label(metric)} is {shown}"


def _typical(metrics: dict[str, float]) -> str:
    if "coverage" in metrics:
        return f"; {metrics['coverage']:.0%} of the true values lie between the outer quantiles"
    share = metrics.get("median_ape")
    return "" if share is None else f"; half of the rows are within {share:.0%} of the true value"


def _compared(fusion: ModelScore, baseline: ModelScore, found: ModelIntervals) -> str:
    metric, ratio = found.metric, _ratio(fusion, baseline, found.metric)
    value = format_metric(metric, baseline.metrics[metric])
    line = next(words for words, kinds in BASELINES.items() if baseline.kind in kinds)
    who = f"{line} ({baseline.label}, {value})"
    gain = format_change(metric, found.gains.get(baseline.label))
    if _against(fusion, baseline, found) == "equal":
        between = f" (difference {gain.replace(' (', ', ')}" if gain else ""
        return f"That is the same, as far as these rows can tell{between}, as {who}."
    if measure_of(metric).better == "higher" or not math.isfinite(ratio):
        between = f", by {gain}" if gain else ""
        return f"That is {'better' if ratio < 1 else 'worse'} than {who}{between}."
    between = f" {gain[gain.index('(') :]}" if gain else ""
    return f"That is {abs(1 - ratio):.0%} {'less' if ratio < 1 else 'more'}{between} than {who}."


def _alone(fusion: ModelScore, scores: Sequence[ModelScore], metric: str) -> list[str]:
    """Say how much of the gain over the other baselines is one modality's by the same recipe."""
    alone = next((score for score in scores if score.kind == "recipe"), None)
    other = next((score for score in scores if score.kind in ("sequential", "trees")), None)
    if alone is None or other is None or _ratio(fusion, other, metric) >= 1:
        return []
    error, all_of_it, own = (shortfall(metric, s.metrics[metric]) for s in (other, fusion, alone))
    share = min(max((error - own) / (error - all_of_it), 0.0), 1.0)
    recipe = f"the same recipe on {alone.inputs} alone"
    return [f"Of its gain over {other.label}, {share:.0%} is that of {recipe}."]


def _beside_constant(
    fusion: ModelScore, scores: Sequence[ModelScore], found: ModelIntervals
) -> list[str]:
    constant = next((score for score in scores if score.kind == "constant"), None)
    if constant is None or _against(fusion, constant, found) == "better":
        return []
    if constant.label in found.gains and _ratio(fusion, constant, found.metric) < 1:
        return [f"On these rows {constant.name}, which reads no input, is not clearly worse."]
    return [f"Even {constant.name}, which reads no input, does as well: the model learned nothing."]


def _beside_limit(record: RunMetrics, head: str, score: ModelScore, metric: str) -> list[str]:
    limit = record.limit.get(head, {}).get(metric)
    if not limit:
        return []
    times = score.metrics[metric] / limit
    return [f"Its error is {times:.2f} times the known limit, {format_metric(metric, limit)}."]


def _without_comparison(record: RunMetrics, head: str) -> Verdict:
    metrics = record.heads[head].test if head in record.heads else {}
    score = ModelScore("model", "fusion", "", metrics)
    metric = main_metric([score], record.optimised(head))
    if metric not in metrics:
        return Verdict("unknown", f"No test result for {head}.", [])
    headline = f"The model predicts {head}; nothing was compared with it."
    found = ModelIntervals(metric)
    sentences = [
        _result(record, head, score, found, ""),
        *_beside_limit(record, head, score, metric),
    ]
    return Verdict("unknown", headline, sentences)


@dataclass(frozen=True)
class ModelIntervals:
    """Intervals of a head's models on the test rows they share, by the model's label.

    `values` are of the main metric; `changes` is what separates each model from the best
    baseline (`baseline`), `gains` what separates the fusion from each other model: a share of
    the other's error, or a difference where higher is better.
    """

    metric: str
    rows: int = 0
    baseline: str = ""
    values: dict[str, ConfidenceInterval] = field(default_factory=dict)
    changes: dict[str, ConfidenceInterval] = field(default_factory=dict)
    gains: dict[str, ConfidenceInterval] = field(default_factory=dict)


def model_intervals(run: RunFiles, head: str) -> ModelIntervals:
    """Resample the test rows of a head for all its models at once.

    Without rows, or with fewer than 20, there are no intervals; models whose rows were not kept
    have none. The best baseline is chosen on these same rows, which favours it a little.
    """
    scores = run.metrics.comparison.get(head, [])
    metric = main_metric(scores, run.metrics.optimised(head))
    own = next((score.label for score in scores if score.kind == "fusion"), "Fusion")
    tables = {own: head_rows(run, head), **baseline_rows(run, head)}
    tables = _shared({name: rows for name, rows in tables.items() if len(rows)})
    found = {name: statistic(metric, rows, run.classes(head)) for name, rows in tables.items()}
    known = {name: each for name, each in found.items() if each is not None}
    rows = len(next(iter(tables.values()), ()))
    if own not in known or rows < LEAST_ROWS:
        return ModelIntervals(metric, rows)
    values = resample([*known.values()], tables[own]["weight"])
    drawn = {name: values[:, i] for i, name in enumerate(known)}
    baseline = _simple(scores, metric, drawn, own)
    others = [name for name in drawn if name != own]
    beside = [name for name in drawn if baseline and name != baseline]
    return ModelIntervals(
        metric=metric,
        rows=rows,
        baseline=baseline,
        values={name: confidence_interval(each) for name, each in drawn.items()},
        changes={
            name: confidence_interval(_gap(metric, drawn[name], drawn[baseline])) for name in beside
        },
        gains={name: confidence_interval(_gap(metric, drawn[own], drawn[name])) for name in others},
    )


def format_interval(metric: str, found: ConfidenceInterval | None, unit: str = "") -> str:
    """Write an interval of a metric, such as `0.21 to 0.26`; nothing where there is none.

    Example:
    >>> format_interval("accuracy", ConfidenceInterval(0.9, 0.85, 0.931))
    '85.0% to 93.1%'
    """
    if found is None or not np.isfinite([found.low, found.high]).all():
        return ""
    return f"{format_metric(metric, found.low)} to {format_metric(metric, found.high)}{unit}"


def format_change(metric: str, found: ConfidenceInterval | None) -> str:
    """Write a difference with its interval: per cent of an error, points of a share.

    Example:
    >>> format_change("rmse", ConfidenceInterval(-0.12, -0.2, 0.01))
    '−12% (−20% to +1%)'
    >>> format_change("accuracy", ConfidenceInterval(0.03, 0.01, 0.05))
    '+3.0 points (+1.0 to +5.0)'
    """
    if found is None or not np.isfinite([found.value, found.low, found.high]).all():
        return ""
    value, low, high = (_signed(metric, each) for each in (found.value, found.low, found.high))
    points = " points" if measure_of(metric).better == "higher" and _is_share(metric) else ""
    return f"{value}{points} ({low} to {high})"


def is_better(metric: str, gain: ConfidenceInterval) -> bool | None:
    """Tell whether a gain is one (True), a loss (False), or may be either (None).

    Example:
    >>> is_better("rmse", ConfidenceInterval(-0.2, -0.3, -0.1))
    True
    >>> is_better("accuracy", ConfidenceInterval(0, -1, 1)) is None
    True
    """
    sign = -1 if measure_of(metric).better != "higher" else 1
    low, high = sorted((sign * gain.low, sign * gain.high))
    return True if low > 0 else False if high < 0 else None


def _signed(metric: str, value: float) -> str:
    if measure_of(metric).better != "higher":
        text = f"{value:+.0%}"
    elif _is_share(metric):
        text = f"{100 * value:+.1f}"
    else:
        text = f"{'+' if value >= 0 else '-'}{short_number(abs(value), 2)}"
    return {"-0%": "0%", "+0%": "0%"}.get(text, text).replace("-", "−")


def _is_share(metric: str) -> bool:
    return measure_of(metric).written == "percent"


def _gap(metric: str, mine: Floats, other: Floats) -> Floats:
    if measure_of(metric).better == "higher":
        return mine - other
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(mine / other - 1, np.float64)


def _simple(scores: list[ModelScore], metric: str, drawn: dict[str, Floats], own: str) -> str:
    """Name the best of the models that are no fusion and whose rows are known."""
    names = [score.label for score in ranked(scores, metric) if score.kind != "fusion"]
    return next((name for name in names if name in drawn and name != own), "")


def _shared(tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Return the rows that all tables have, in one order."""
    if not tables:
        return {}
    # Shared rows alone: the difference of two models is measured row by row.
    index = reduce(lambda a, b: a.intersection(b), (rows.index for rows in tables.values()))
    return {name: rows.loc[index.sort_values()] for name, rows in tables.items()}
