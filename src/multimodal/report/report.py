"""One page that says what a run found, from the files in its directory.

The page is self-contained: pictures are inlined, nothing is fetched, no script runs, and every
word that comes from the user's data is escaped.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from multimodal.core.files import write_text
from multimodal.core.spec import unique_slugs
from multimodal.data.audit.records import AUDIT_FILE, Audit
from multimodal.evaluation.measures import readable
from multimodal.report import alt_text, plots
from multimodal.report.audit_view import audit_section
from multimodal.report.examples import as_text
from multimodal.report.heads import Section
from multimodal.report.model_card import CARD_FILE, model_card
from multimodal.report.pictures import Picture, picture
from multimodal.report.reproduce import changes, facts, groups_of, heads_of, seconds
from multimodal.report.run_files import RunFiles, read_files
from multimodal.report.sections import section

REPORT_FILE = "report.html"
RESERVED = ("data", "audit", "training", "again", "main")
"""Anchors of the page that no head may take."""
MOST_HEADS, MOST_LETTERS = 6, 60


def write_report(
    run: Path,
    *,
    photos: Mapping[int, list[Path]] | None = None,
    rows: pd.DataFrame | None = None,
) -> Path:
    """Write `run/report.html`, `run/model_card.md` and `run/plots`; return the path of the first.

    Reads `config.json`, `schema.json`, `metrics.json`, `predictions.csv`, `training_log.csv`,
    `baseline_predictions.csv` and `audit.json`; each may be absent, as in an interrupted or an
    older run, and its part is then left out.

    Args:
        run: the run directory.
        photos: the photos of a test row, by its position in `predictions.csv`.
        rows: the raw table of the test rows, one per row of `predictions.csv`, in its order.

    Raises:
        RunError: the directory is missing, or one of its files is damaged.
        DataError: `rows` has not one row per prediction.

    Example:
        write_report(Path("run"), photos={0: [Path("images/17.jpg")]}, rows=test_rows)
    """
    content = read_files(run, photos or {}, rows)
    names = content.heads
    slugs = unique_slugs([*RESERVED, *names])[len(RESERVED) :]
    heads = [section(content, name, slug) for name, slug in zip(names, slugs, strict=True)]
    audit = Audit.read_file(run / AUDIT_FILE)
    write_text(run / REPORT_FILE, _page(content, heads, audit))
    write_text(run / CARD_FILE, model_card(content, heads, audit))
    return run / REPORT_FILE


def _page(run: RunFiles, heads: list[Section], audit: Audit | None) -> str:
    from markupsafe import Markup

    keys = _schema_keys(run.schema)
    page: str = _template().render(
        title=f"Predicting {_joined(run.heads) or 'nothing yet'}",
        heads=heads,
        metrics=run.metrics,
        schema=[_schema_row(column) for column in run.schema],
        schema_keys=keys,
        schema_titles=[(key, key in ("missing", "distinct")) for key in keys],
        curves=_curves(run),
        config=json.dumps(run.config, indent=2, ensure_ascii=False) if run.config else "",
        changes=changes(run.config), groups=groups_of(run.config),
        declared=heads_of(run.config), facts=facts(run.metrics),
        baseline_seconds=seconds(run.metrics)[1],
        audit="" if audit is None else Markup(audit_section(audit)),
    )  # fmt: skip
    return page


def _joined(names: Sequence[str]) -> str:
    shown = [name if len(name) <= MOST_LETTERS else f"{name[:MOST_LETTERS]}…" for name in names]
    return ", ".join(shown[:MOST_HEADS]) + (", …" if len(names) > MOST_HEADS else "")


def _curves(run: RunFiles) -> Picture | None:
    if not len(run.log) or not {"epoch", "loss"} <= set(run.log.columns):
        return None
    words = alt_text.of_curves(run.log)
    return picture(run, plots.learning_curves(run.log), "learning_curves", words)


def _schema_keys(schema: Sequence[Mapping[str, Any]]) -> list[str]:
    """List what is shown of the columns: what any of them has a value for, in a fixed order."""
    wanted = ("name", "kind", "missing", "distinct", "example", "note")
    return [key for key in wanted if any(c.get(key) not in (None, "", []) for c in schema)]


def _schema_row(column: Mapping[str, Any]) -> dict[str, str]:
    """Write a column's cells; `missing` is a share of the rows if a float, a count if whole."""
    shown = {str(key): as_text(value) for key, value in column.items()}
    missing, distinct = column.get("missing"), column.get("distinct")
    if isinstance(missing, float):
        shown["missing"] = "0%" if missing == 0 else f"{missing:.1%}"
    if isinstance(distinct, int):
        shown["distinct"] = f"{distinct:,}"
    return shown


def _short(value: float | None) -> str:
    return "–" if value is None else readable(value, 3)


def _percent(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.1%}"


def duration(seconds: float) -> str:
    """Write a time span in the two largest of hours, minutes and seconds.

    Example:
    >>> duration(3.21), duration(200), duration(7300)
    ('3.2 s', '3 min 20 s', '2 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _template() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("multimodal.core"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shown = {
        "readable": readable,
        "duration": duration,
        "percent": _percent,
        "short": _short,
    }
    environment.filters |= shown
    return environment.get_template("report.html.j2")
