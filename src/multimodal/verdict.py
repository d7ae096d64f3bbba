"""The finding of a run in words: was reading everything together worth it?

A sentence is only as sure as the test rows allow. Two results count as equal when they differ by
less than chance moves them over that many rows: an RMSE by about `1 / sqrt(2 n)` of itself, a share
`e` of wrong rows by `sqrt((1 - e) / (e n))` of itself, anything else by `1 / sqrt(n)` of itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from multimodal.evaluation import ModelScore, RunMetrics, main_metric
from multimodal.evaluation.measures import label, measure_of, ranked, readable, shortfall, written

MIN_MARGIN = 0.02
Outcome = Literal["better", "equal", "worse", "unknown"]
RIVALS = {"sequential": "the best single modality", "trees": "the best of the trees"}


@dataclass(frozen=True)
class Verdict:
    """A headline, the sentences that support it, and whether the fusion won.

    `outcome` is the worst of the fusion's results against its rivals.
    """

    outcome: Outcome
    headline: str
    sentences: list[str]


def verdict(record: RunMetrics, head: str) -> Verdict:
    """Weigh the fusion of `head` against its rivals and the known limit.

    Example:
    >>> verdict(RunMetrics(), "price").headline
    'No test result for price.'
    """
    scores = record.comparison.get(head, [])
    metric = main_metric(scores)
    best_first = ranked(scores, metric)
    fusion = next((score for score in best_first if score.kind == "fusion"), None)
    if fusion is None:
        return _without_comparison(record, head)
    rivals = [next((s for s in best_first if s.kind == kind), None) for kind in RIVALS]
    found = [rival for rival in rivals if rival is not None]
    outcomes = [_against(fusion, rival, metric) for rival in found]
    sentences = [_result(record, head, fusion, metric)]
    sentences += [_compared(fusion, rival, metric) for rival in found]
    sentences += _beside_constant(fusion, best_first, metric)
    sentences += _beside_limit(record, head, fusion, metric)
    return Verdict(_worst(outcomes), _headline(head, fusion, found, outcomes), sentences)


def _against(fusion: ModelScore, rival: ModelScore, metric: str) -> Outcome:
    ratio = _ratio(fusion, rival, metric)
    if abs(ratio - 1) <= max(MIN_MARGIN, _chance(fusion, metric)):
        return "equal"
    return "better" if ratio < 1 else "worse"


def _chance(score: ModelScore, metric: str) -> float:
    """Return by which share of itself chance moves a result over the test rows."""
    n = max(score.metrics.get("n", 1), 1)
    if metric in ("rmse", "log_rmse"):
        return 1 / math.sqrt(2 * n)
    if metric == "accuracy":
        wrong = max(shortfall(metric, score.metrics[metric]), 1 / n)
        return math.sqrt((1 - wrong) / (wrong * n))
    return 1 / math.sqrt(n)


def _ratio(fusion: ModelScore, rival: ModelScore, metric: str) -> float:
    mine, other = (shortfall(metric, score.metrics[metric]) for score in (fusion, rival))
    if other <= 0:
        return 1.0 if mine <= 0 else math.inf
    return mine / other


def _worst(outcomes: Sequence[Outcome]) -> Outcome:
    order: tuple[Outcome, ...] = ("worse", "equal", "better")
    return next((outcome for outcome in order if outcome in outcomes), "unknown")


def _headline(
    head: str, fusion: ModelScore, rivals: Sequence[ModelScore], outcomes: Sequence[Outcome]
) -> str:
    if not outcomes:
        return f"The fusion predicts {head}, with nothing to compare it with."
    outcome = _worst(outcomes)
    names = " and ".join(r.label for r, o in zip(rivals, outcomes, strict=True) if o == outcome)
    if outcome == "better":
        together = " together" if " + " in fusion.inputs else ""
        inputs = f"{_joined(fusion.inputs)}{together}"
        return f"Reading {inputs} predicts {head} better than anything else tried."
    if outcome == "equal":
        return f"Too close to call: for {head} the fusion is no better than {names}."
    return f"The fusion loses: for {head}, {names} did better."


def _joined(inputs: str) -> str:
    """Turn "table + text + photos" into "table, text and photos"."""
    *first, last = inputs.split(" + ")
    return f"{', '.join(first)} and {last}" if first else last


def _result(record: RunMetrics, head: str, fusion: ModelScore, metric: str) -> str:
    n = int(fusion.metrics.get("n", 0))
    unit = record.heads[head].unit if head in record.heads else ""
    rows = f"On {n:,} test rows" if n else "On the test rows"
    return f"{rows} its {_error(fusion, metric, unit)}{_typical(fusion.metrics)}."


def _error(score: ModelScore, metric: str, unit: str) -> str:
    value = written(metric, score.metrics[metric])
    if metric == "log_rmse":
        return f"error is {value} (RMSE of the logarithm)"
    shown = f"{value}{f' {unit}' if unit and measure_of(metric).unit else ''}"
    return f"error is {shown} (RMSE)" if metric == "rmse" else f"{label(metric)} is {shown}"


def _typical(metrics: dict[str, float]) -> str:
    if "coverage" in metrics:
        return f"; {metrics['coverage']:.0%} of the truths lie between the outer quantiles"
    share = metrics.get("median_ape")
    return "" if share is None else f"; half of the rows are within {share:.0%} of the truth"


def _compared(fusion: ModelScore, rival: ModelScore, metric: str) -> str:
    ratio = _ratio(fusion, rival, metric)
    value = written(metric, rival.metrics[metric])
    who = f"{RIVALS[rival.kind]} ({rival.label}, {value})"
    if _against(fusion, rival, metric) == "equal":
        return f"That is the same, as far as these rows can tell, as {who}."
    if measure_of(metric).better == "higher" or not math.isfinite(ratio):
        return f"That is {'better' if ratio < 1 else 'worse'} than {who}."
    return f"That is {abs(1 - ratio):.0%} {'less' if ratio < 1 else 'more'} than {who}."


def _beside_constant(fusion: ModelScore, scores: Sequence[ModelScore], metric: str) -> list[str]:
    constant = next((score for score in scores if score.kind == "constant"), None)
    if constant is None or _against(fusion, constant, metric) == "better":
        return []
    return [f"Even {constant.name}, which reads nothing, does as well: the model learned nothing."]


def _beside_limit(record: RunMetrics, head: str, score: ModelScore, metric: str) -> list[str]:
    limit = record.limit.get(head, {}).get(metric)
    if not limit:
        return []
    times = score.metrics[metric] / limit
    return [f"Its error is {times:.2f} times the known limit, {readable(limit, 3)}."]


def _without_comparison(record: RunMetrics, head: str) -> Verdict:
    metrics = record.heads[head].test if head in record.heads else {}
    score = ModelScore("model", "fusion", "", metrics)
    metric = main_metric([score])
    if metric not in metrics:
        return Verdict("unknown", f"No test result for {head}.", [])
    headline = f"The model predicts {head}; nothing was compared with it."
    sentences = [_result(record, head, score, metric), *_beside_limit(record, head, score, metric)]
    return Verdict("unknown", headline, sentences)
