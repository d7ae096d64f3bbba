"""How sure a model may be, as the report and the model card show it: checks on the test rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from multimodal.core.formatting import joined, rough_percent, short_number
from multimodal.core.pages import template
from multimodal.data.audit.findings import Audit
from multimodal.evaluation.bootstrap import ConfidenceInterval
from multimodal.evaluation.confidence import ConfidenceCheck, IntervalCheck
from multimodal.evaluation.measures import BESIDE, format_metric, main_metric, shortfall
from multimodal.evaluation.records import HeadImportance, RunMetrics
from multimodal.report import alt_text, plots_calibration
from multimodal.report.alt_text import format_amount
from multimodal.report.plots import Picture, picture
from multimodal.report.run_files import RunFiles

if TYPE_CHECKING:
    from rich.console import Console
import json
from collections.abc import Mapping, Sequence

from multimodal.core.config import Config, current_keys
from multimodal.core.errors import ConfigError


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
        found["calibration"] += _said_of_intervals(intervals, number_format)
        found["coverage"] = _held(intervals, number_format)
        found["calibration_pictures"] += _interval_pictures(run, intervals, name, slug)
    if confidence is not None:
        found["calibration"].append(_said_of_confidence(confidence))
        figure = plots_calibration.confidence(confidence, name)
        words = "Dots of how often answers of a probability were right: " + "; ".join(
            f"given {each.probability:.0%}, right {each.right:.0%} of {each.n:,} times"
            for each in confidence.bins
        )
        found["calibration_pictures"].append(
            picture(run, figure, f"confidence_{slug}", f"{words}.")
        )
    return found


def _said_of_intervals(check: IntervalCheck, number_format: str) -> list[str]:
    low, high = check.band
    narrow = "lower" if check.score < check.constant_score else "no lower"
    return [
        f"Intervals of {check.level:.0%} held {check.coverage:.1%} of {check.n:,} test rows; exact "
        f"ones would hold {low:.1%} to {high:.1%}, 99 times in 100.",
        f"They are {format_amount(check.width, number_format)} wide on average. Their interval "
        f"score (Winkler) is {short_number(check.score)}, {narrow} than that of intervals of one "
        f"width, {short_number(check.constant_score)}.",
    ]


def _said_of_confidence(check: ConfidenceCheck) -> str:
    return (
        f"Probabilities are {check.ece:.1%} off on average (expected calibration error over "
        f"{check.n:,} test rows), {check.ece_before:.1%} before they were divided by the "
        f"temperature {check.temperature:.2f}."
    )


def _held(check: IntervalCheck, number_format: str) -> list[dict[str, str]]:
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
        f"Share of rows inside intervals of {check.level:.0%}, by predicted value "
        "(where exact ones lie)",
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
        drawn.append(
            picture(run, figure, f"interval_levels_{slug}", f"Share of rows inside: {levels}.")
        )
    return drawn


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


FULL = "nothing"


def ablation_rows(record: RunMetrics, head: str) -> list[dict[str, Any]]:
    """Return the lines of a head's table in the report: name, metrics as written, the change.

    The columns are those of the table of models; the change is that of the first one.
    """
    scores = record.withheld.get(head, {})
    if not scores:
        return []
    metric = main_metric(record.comparison.get(head, []))
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


PAGE_FILE = "audit.html"
MOST, _EXAMPLE = 5, 20
_COUNTS = {
    "missing": "missing",
    "unreadable": "bad",
    "duplicate": "copies",
    "tiny": "tiny",
    "huge": "huge",
    "not_rgb": "not RGB",
    "rotated": "turned",
}
_LEVELS = {"error": "error", "warning": "look into", "note": "good to know"}


def show_audit(audit: Audit, console: Console) -> None:
    """Print an audit on one screen: columns, photos, suspects, then what was found."""
    from rich.table import Table as Printed

    title = (
        f"{audit.source}: {audit.read:,} rows read, {audit.kept:,} kept, "
        f"{audit.quarantined:,} set aside"
    )
    columns = Printed()
    for name in ("column", "kind", "type", "missing", "distinct", "odd", "example"):
        right = name in ("missing", "distinct", "odd")
        columns.add_column(
            name, justify="right" if right else "left", no_wrap=True, min_width=len(name)
        )
    console.print(title, soft_wrap=True)
    for row in column_rows(audit):
        columns.add_row(*row)
    console.print(columns)
    if audit.photos:
        photos = Printed()
        for name in ("photos", "files", *_COUNTS.values()):
            photos.add_column(name, justify="left" if name == "photos" else "right", no_wrap=True)
        for row in photo_rows(audit):
            photos.add_row(*row)
        console.print(photos)
    for finding in audit.findings:
        if finding.level != "note":
            lines = [] if finding.topic == "labels" else finding.lines  # they are listed below
            format_interval = f"{finding.level}: {finding.message}{_where(audit, lines)}"
            console.print(format_interval, soft_wrap=True)
    for fault in audit.set_aside[:MOST]:
        console.print(f"  set aside, {audit.unit} {fault.line}: {fault.reason}", soft_wrap=True)
    for suspect in audit.suspects[:MOST]:
        console.print(
            f"  {audit.unit} {suspect.line}: {suspect.target} {suspect.label}, the other rows say "
            f"{suspect.expected}",
            soft_wrap=True,
        )
    console.print(summary(audit))


def summary(audit: Audit) -> str:
    """Say how an audit ended, in a line.

    Example:
    >>> summary(Audit(source="a.csv", read=2, kept=2, quarantined=0))
    'no errors, no warnings, 0 notes'
    """
    counts = {level: len(audit.of_level(level)) for level in ("error", "warning", "note")}
    format_interval = [f"{n or 'no'} {level}{'' if n == 1 else 's'}" for level, n in counts.items()]
    return ", ".join([*format_interval[:2], format_interval[2].replace("no ", "0 ")])


def column_rows(audit: Audit) -> list[tuple[str, ...]]:
    """Return (name, kind, type, missing, distinct, odd, example) per column."""
    return [
        (
            c.name,
            c.kind,
            c.type,
            rough_percent(c.missing),
            f"{c.distinct:,}",
            str(len(c.odd)) if c.odd else "",
            c.example[:_EXAMPLE],
        )
        for c in audit.columns
    ]


def photo_rows(audit: Audit) -> list[tuple[str, ...]]:
    """Return (column, files, then one count each) per column of photos."""
    return [
        (p.name, f"{p.photos:,}", *(f"{getattr(p, name):,}" for name in _COUNTS))
        for p in audit.photos
    ]


def audit_section(audit: Audit) -> str:
    """Return an audit as HTML to stand inside a page, of the columns those with odd values.

    Everything that comes from the data is escaped.
    """
    odd = [column for column in audit.columns if column.odd]
    content = _content(audit.model_copy(update={"columns": odd}))
    return str(template("audit_section.html.j2").render(content))


def write_audit_page(audit: Audit, path: Path) -> None:
    """Write an audit as one self-contained page."""
    page = template("audit.html.j2").render(_content(audit))
    path.write_text(page, encoding="utf-8")


def _content(audit: Audit) -> dict[str, Any]:
    return {
        "audit": audit,
        "counts": _COUNTS,
        "summary": summary(audit),
        "levels": {
            _LEVELS[level]: [(f.message, _where(audit, f.lines)) for f in audit.of_level(level)]
            for level in ("error", "warning", "note")
        },
    }


def _where(audit: Audit, lines: list[int]) -> str:
    if not lines:
        return ""
    return f" ({audit.unit}{'' if len(lines) == 1 else 's'} {joined(lines, MOST)})"


SECTIONS = ("data", "training")
Line = tuple[str, str]


def changed_options(config: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return (key, value, default) of what a config says of data, training and fusion otherwise.

    Groups and heads have no defaults; they are in `group_rows` and `declared_head_rows`.

    Example:
    >>> changed_options({"training": {"epochs": 3}})
    [('training.epochs', '3', 'auto')]
    """
    overall = json.loads(Config().to_json())
    found = []
    for section in SECTIONS:
        given = config.get(section)
        for key, value in given.items() if isinstance(given, dict) else ():
            default = overall[section].get(key)
            if value != default:
                found.append((f"{section}.{key}", _write(value), _write(default)))
    if "fusion" in config and config["fusion"] != overall["fusion"]:
        found.append(("fusion", _part(config["fusion"]), _part(overall["fusion"])))
    return found


def group_rows(config: Mapping[str, Any]) -> list[list[str]]:
    """Return name, modality, columns, encoder and pooling of each group; none if damaged."""
    whole = _whole(config)
    return (
        []
        if whole is None
        else [
            [
                group.name,
                group.modality,
                ", ".join(group.columns),
                _part(group.encoder.model_dump()),
                _part(group.pooling.model_dump()),
            ]
            for group in whole.groups
        ]
    )


def declared_head_rows(config: Mapping[str, Any]) -> list[list[str]]:
    """Return name, columns and layer of each head, and the weight of its loss; none if damaged."""
    whole = _whole(config)
    return (
        []
        if whole is None
        else [
            [head.name, ", ".join(head.columns), _part(head.head.model_dump()), str(head.weight)]
            for head in whole.heads
        ]
    )


def provenance_rows(record: RunMetrics) -> list[Line]:
    """Return (what, value) for everything that must be the same to get the same numbers again."""
    data, training = record.data, record.training
    machine = record.machine
    cores = f"{machine['cores']} cores" if "cores" in machine else ""
    hardware = [
        machine.get("processor", ""),
        cores,
        machine.get("memory", ""),
        machine.get("accelerators", ""),
        machine.get("system", ""),
    ]
    found = {
        "data": data.source,
        "SHA-256 of the file": data.sha256,
        "fingerprint of the prepared rows": data.fingerprint,
        "seed": str(training.seed) if training.epochs or record.command else "",
        "precision": training.precision,
        "machine": ", ".join(filter(None, hardware)),
        "date": record.date,
        "versions": ", ".join(f"{name} {version}" for name, version in record.versions.items()),
    }
    return [(name, value) for name, value in found.items() if value]


def seconds(record: RunMetrics) -> tuple[float, float]:
    """Return the seconds that the model and that all the baselines took to fit."""
    scores = [score for several in record.comparison.values() for score in several]
    return record.training.seconds, sum(s.seconds for s in scores if s.kind != "fusion")


def _whole(config: Mapping[str, Any]) -> Config | None:
    try:
        return Config.parse(current_keys(config))
    except ConfigError:  # of another version; the page still shows it as it is
        return None


def _part(part: Any) -> str:
    """Write a registered part with its options."""
    if not isinstance(part, Mapping):
        return str(part)
    options: Any = part.get("options") or {}
    shown = ", ".join(f"{name}={_write(value)}" for name, value in options.items())
    return f"{part.get('name')}({shown})" if shown else str(part.get("name"))


def _write(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(_write, value)) + "]"
    if isinstance(value, Mapping):
        return ", ".join(
            f"{key}: {_write(each)}" for key, each in value.items() if each is not None
        )
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return str(value)
