"""How sure a model may be, as the report and the model card show it: checks on the test rows."""

from __future__ import annotations

from typing import Any

from multimodal.evaluation.bootstrap import Interval
from multimodal.evaluation.confidence import ConfidenceCheck
from multimodal.evaluation.intervals import IntervalCheck
from multimodal.evaluation.measures import readable
from multimodal.report import alt_text, plots_calibration
from multimodal.report.pictures import Picture, picture
from multimodal.report.run_files import RunFiles
from multimodal.report.units import amount


def calibration_section(run: RunFiles, name: str, slug: str) -> dict[str, Any]:
    """Return what the record of a run says of a head's intervals and probabilities.

    `sure` are sentences, `held` the lines of a table, `sure_pictures` the pictures by name; all
    are empty for a run that was not calibrated.
    """
    intervals = run.metrics.intervals.get(name)
    confidence = run.metrics.confidence.get(name)
    found: dict[str, Any] = {"sure": [], "held": [], "sure_pictures": []}
    if intervals is not None:
        phrase = run.phrase(name)
        found["sure"] += _said_of_intervals(intervals, phrase)
        found["held"] = _held(intervals, phrase)
        found["sure_pictures"] += _interval_pictures(run, intervals, name, slug)
    if confidence is not None:
        found["sure"].append(_said_of_confidence(confidence))
        figure = plots_calibration.confidence(confidence, name)
        words = "Dots of how often answers of a probability were right: " + "; ".join(
            f"given {each.probability:.0%}, right {each.right:.0%} of {each.n:,} times"
            for each in confidence.bins
        )
        found["sure_pictures"].append(picture(run, figure, f"confidence_{slug}", f"{words}."))
    return found


def _said_of_intervals(check: IntervalCheck, phrase: str) -> list[str]:
    low, high = check.band
    narrow = "lower" if check.score < check.constant_score else "no lower"
    return [
        f"Intervals of {check.level:.0%} held {check.coverage:.1%} of {check.n:,} test rows; exact "
        f"ones would hold {low:.1%} to {high:.1%}, 99 times in 100.",
        f"They are {amount(check.width, phrase)} wide on average. Their interval score "
        f"(Winkler) is {readable(check.score)}, {narrow} than that of intervals of one width, "
        f"{readable(check.constant_score)}.",
    ]


def _said_of_confidence(check: ConfidenceCheck) -> str:
    return (
        f"Probabilities are {check.ece:.1%} off on average (expected calibration error over "
        f"{check.n:,} test rows), {check.ece_before:.1%} before they were divided by the "
        f"temperature {check.temperature:.2f}."
    )


def _held(check: IntervalCheck, phrase: str) -> list[dict[str, str]]:
    return [
        {
            "from": amount(part.lower, phrase), "to": amount(part.upper, phrase),
            "rows": f"{part.n:,}", "share": f"{part.coverage:.1%}",
            "band": f"{part.band[0]:.1%} to {part.band[1]:.1%}",
            "width": amount(part.width, phrase, 3),
        }
        for part in check.parts
    ]  # fmt: skip


def _interval_pictures(run: RunFiles, check: IntervalCheck, name: str, slug: str) -> list[Picture]:
    parts = [Interval(part.coverage, *part.band) for part in check.parts]
    names = [f"{readable(part.lower)} to {readable(part.upper)}" for part in check.parts]
    by_part = alt_text.of_dots(
        names, parts, f"Share of rows inside intervals of {check.level:.0%}, by predicted value "
        "(where exact ones lie)", "{:.1%}".format,
    )  # fmt: skip
    levels = ", ".join(f"{held:.1%} at {level:.0%}" for level, held in check.coverages.items())
    drawn = [picture(run, plots_calibration.interval_parts(check, name, run.unit(name)),
                     f"interval_parts_{slug}", by_part)]  # fmt: skip
    if check.coverages:
        figure = plots_calibration.interval_levels(check, name)
        drawn.append(
            picture(run, figure, f"interval_levels_{slug}", f"Share of rows inside: {levels}.")
        )
    return drawn
