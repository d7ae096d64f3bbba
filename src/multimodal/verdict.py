"""The finding of a run in words: was reading everything together worth it?

A sentence is only as sure as the test rows allow. Two errors count as equal when they differ by
less than an RMSE over that many rows wanders by chance, about `1 / sqrt(2 n)` of itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from multimodal.evaluation import ModelScore, RunMetrics, main_metric
from multimodal.plots import readable

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
    ranked = sorted(
        (s for s in scores if math.isfinite(s.metrics.get(metric, math.nan))),
        key=lambda score: score.metrics[metric],
    )
    fusion = next((score for score in ranked if score.kind == "fusion"), None)
    if fusion is None:
        return _without_comparison(record, head)
    rivals = [next((s for s in ranked if s.kind == kind), None) for kind in RIVALS]
    found = [rival for rival in rivals if rival is not None]
    outcomes = [_against(fusion, rival, metric) for rival in found]
    sentences = [_result(record, head, fusion, metric)]
    sentences += [_compared(fusion, rival, metric) for rival in found]
    sentences += _beside_constant(fusion, ranked, metric)
    sentences += _beside_limit(record, head, fusion, metric)
    return Verdict(_worst(outcomes), _headline(head, fusion, found, outcomes), sentences)


def _against(fusion: ModelScore, rival: ModelScore, metric: str) -> Outcome:
    ratio = _ratio(fusion, rival, metric)
    margin = max(MIN_MARGIN, 1 / math.sqrt(2 * max(fusion.metrics.get("n", 1), 1)))
    if abs(ratio - 1) <= margin:
        return "equal"
    return "better" if ratio < 1 else "worse"


def _ratio(fusion: ModelScore, rival: ModelScore, metric: str) -> float:
    mine, other = fusion.metrics[metric], rival.metrics[metric]
    if other == 0:
        return 1.0 if mine == 0 else math.inf
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
        inputs = _joined(fusion.inputs)
        return f"Reading {inputs} together predicts {head} better than anything else tried."
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
    value = readable(score.metrics[metric], 3)
    if metric == "log_rmse":
        return f"error is {value} (RMSE of the logarithm)"
    return f"error is {value}{f' {unit}' if unit else ''} (RMSE)"


def _typical(metrics: dict[str, float]) -> str:
    share = metrics.get("median_ape")
    return "" if share is None else f"; half of the rows are within {share:.0%} of the truth"


def _compared(fusion: ModelScore, rival: ModelScore, metric: str) -> str:
    ratio = _ratio(fusion, rival, metric)
    value = readable(rival.metrics[metric], 3)
    who = f"{RIVALS[rival.kind]} ({rival.label}, {value})"
    if _against(fusion, rival, metric) == "equal":
        return f"That is the same, as far as these rows can tell, as {who}."
    if not math.isfinite(ratio):
        return f"That is worse than {who}."
    return f"That is {abs(1 - ratio):.0%} {'less' if ratio < 1 else 'more'} than {who}."


def _beside_constant(fusion: ModelScore, ranked: Sequence[ModelScore], metric: str) -> list[str]:
    constant = next((score for score in ranked if score.kind == "constant"), None)
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
