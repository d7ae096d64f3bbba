"""One page that says what a run found, from the files in its directory.

The page is self-contained: pictures are inlined, nothing is fetched, no script runs, and every
word that comes from the user's data is escaped.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from multimodal import plots
from multimodal.audit_view import audit_section
from multimodal.data.audit_records import AUDIT_FILE, Audit
from multimodal.evaluation.measures import readable
from multimodal.gallery import as_text
from multimodal.run_files import RunFiles, read_files
from multimodal.sections import picture, section
from multimodal.spec import unique_slugs

REPORT_FILE = "report.html"


def write_report(
    run: Path,
    *,
    photos: Mapping[int, list[Path]] | None = None,
    rows: pd.DataFrame | None = None,
) -> Path:
    """Draw the pictures of a run into `run/plots`, write `run/report.html` and return its path.

    Reads `config.json`, `schema.json`, `metrics.json`, `predictions.csv`, `training_log.csv` and
    `audit.json`; each may be absent, as in an interrupted run, and its part is then left out.

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
    page = _template().render(
        title=f"Predicting {', '.join(names) or 'nothing yet'}",
        heads=[
            section(content, name, slug)
            for name, slug in zip(names, unique_slugs(names), strict=True)
        ],
        metrics=content.metrics,
        schema=[_schema_row(column) for column in content.schema],
        schema_keys=_schema_keys(content.schema),
        curves=_curves(content),
        config=content.config,
        audit=_audit(run),
    )
    target = run / REPORT_FILE
    draft = target.with_suffix(".html.tmp")
    draft.write_text(page, encoding="utf-8")
    os.replace(draft, target)
    return target


def _audit(run: Path) -> Any:
    from markupsafe import Markup

    audit = Audit.read_file(run / AUDIT_FILE)
    return "" if audit is None else Markup(audit_section(audit))


def _curves(run: RunFiles) -> str:
    if not len(run.log) or not {"epoch", "loss"} <= set(run.log.columns):
        return ""
    return picture(run, plots.learning_curves(run.log), "learning_curves")


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
        loader=PackageLoader("multimodal"),
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
