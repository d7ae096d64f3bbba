"""What each modality adds, in words: which earned their place, which did nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from multimodal.core.formatting import counted, listed
from multimodal.evaluation.measures import format_metric, measure_of
from multimodal.evaluation.records import ModalityGain, RunMetrics

LEAST_SAVING = 0.05  # of the time, below which it is not worth a word


def modality_headline(record: RunMetrics, head: str) -> str:
    """Say which modalities earned their place; empty where that was not measured.

    Example:
    >>> modality_headline(RunMetrics(), "price")
    ''
    """
    gains = record.modalities.get(head, [])
    earned = [gain for gain in gains if gain.outcome == "earned"]
    useless = [gain for gain in gains if gain.outcome == "nothing"]
    if not gains:
        return ""
    if not useless:
        return f"For {head}, {_names(earned)} {_earned(earned)}."
    if not earned:
        return f"For {head}, {_neither(useless)}."
    first = f"For {head}, {_names(earned)} {_earned(earned)}"
    nothing = f"{_names(useless)} {_add(useless)} nothing that these rows show"
    return f"{first}; {nothing}: {_advice(useless[0])}."


def _earned(gains: Sequence[ModalityGain]) -> str:
    one = len(gains) == 1
    return f"earn{'s' if one and not _plural(gains[0]) else ''} {_its(gains)} place"


def _its(gains: Sequence[ModalityGain]) -> str:
    return "their" if len(gains) > 1 or _plural(gains[0]) else "its"


def _plural(gain: ModalityGain) -> bool:
    return gain.modality == "photos"


def _names(gains: Sequence[ModalityGain]) -> str:
    return listed([f"{'' if _plural(gain) else 'the '}{gain.modality}" for gain in gains])


def _add(gains: Sequence[ModalityGain]) -> str:
    if len(gains) > 1:
        return "each add"
    return "add" if _plural(gains[0]) else "adds"


def _neither(gains: Sequence[ModalityGain]) -> str:
    """Say that no modality adds anything to the others; all of them cannot be left out."""
    names = [f"{'' if _plural(gain) else 'the '}{gain.modality}" for gain in gains]
    if len(names) == 2:
        pair = f"neither {names[0]} nor {names[1]}"
        return f"{pair} adds anything to the other that these rows show: one of them is enough"
    first = f"none of {listed(names)} adds anything to the others that these rows show"
    return f"{first}: {_advice(gains[0])}"


def _advice(gain: ModalityGain) -> str:
    saved = _saved(gain)
    more = f" and save {saved:.0%} of the time to train" if saved >= LEAST_SAVING else ""
    return f"leave the {gain.modality} out, you lose nothing{more}"


def _saved(gain: ModalityGain) -> float:
    """Return the fraction of the training time that a modality takes; 0 where it is not known."""
    if not gain.seconds_with or gain.seconds_without is None:
        return 0.0
    return 1 - gain.seconds_without / gain.seconds_with


def modality_sentences(record: RunMetrics, head: str) -> list[str]:
    """Say how much each modality adds, with its interval.

    Example:
    >>> gain = ModalityGain(
    ...     modality="text", outcome="earned", metric="rmse", rows=90, score_with=3.0,
    ...     score_without=4.0, gain=0.25, low=0.2, high=0.301,
    ... )
    >>> modality_sentences(RunMetrics(modalities={"price": [gain]}), "price")
    ['The text takes 25% off the error (20% to 30%, 90 rows out of fold).']
    """
    return [_sentence(gain) for gain in record.modalities.get(head, [])]


def _sentence(gain: ModalityGain) -> str:
    name = gain.modality.capitalize() if _plural(gain) else f"The {gain.modality}"
    rows = f"{gain.rows:,} rows out of fold"
    value, low, high = (_amount(gain.metric, each) for each in (gain.gain, gain.low, gain.high))
    if gain.outcome == "nothing":
        adds = f"{name} {_add([gain])} nothing that {rows} show"
        value = f"{value} points" if _is_share(gain.metric) else value
        return f"{adds} ({value}, 95% interval {low} to {high})."
    ending = "" if _plural(gain) else "s"
    between = f"({low} to {high}, {rows})"
    if measure_of(gain.metric).better == "higher":
        return f"{name} add{ending} {value} {_unit(gain.metric)} {between}."
    return f"{name} take{ending} {value} off the error {between}."


def _amount(metric: str, value: float) -> str:
    """Write a gain: per cent of an error, points of a share."""
    if measure_of(metric).better != "higher":
        text = f"{100 * value:.0f}%" if abs(value) >= 0.1 else f"{100 * value:.1f}%"
    else:
        text = f"{100 * value:.1f}" if _is_share(metric) else f"{value:.3f}"
    return text.replace("-", "−")


def _unit(metric: str) -> str:
    label = measure_of(metric).label
    return f"points of {label}" if _is_share(metric) else f"of {label}"


def _is_share(metric: str) -> bool:
    measure = measure_of(metric)
    return measure.better == "higher" and measure.written == "percent"


def modality_rows(record: RunMetrics, head: str) -> list[dict[str, Any]]:
    """Return the lines of a head's table of modalities: cells as they are written."""
    return [
        {
            "name": gain.modality,
            "outcome": "earned its place" if gain.outcome == "earned" else "nothing",
            "with": format_metric(gain.metric, gain.score_with),
            "without": format_metric(gain.metric, gain.score_without),
            "gain": _gain_words(gain),
            "rows": f"{gain.rows:,}",
            "how": _how(gain),
            "saved": f"{_saved(gain):.0%}" if gain.seconds_with else "–",
        }
        for gain in record.modalities.get(head, [])
    ]


def _gain_words(gain: ModalityGain) -> str:
    value, low, high = (_amount(gain.metric, each) for each in (gain.gain, gain.low, gain.high))
    return f"{value} ({low} to {high})"


def _how(gain: ModalityGain) -> str:
    if not gain.networks:
        return "linear model refitted; networks have no part"
    networks = counted(gain.networks, "network")
    return f"linear model refitted, {networks} trained on for {counted(gain.epochs, 'epoch')}"
