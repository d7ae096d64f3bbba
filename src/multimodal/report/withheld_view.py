"""Errors with each modality withheld, as the lines of a table in the report."""

from __future__ import annotations

from typing import Any

import numpy as np

from multimodal.evaluation.measures import BESIDE, main_metric, shortfall, written
from multimodal.evaluation.records import RunMetrics

FULL = "nothing"


def withheld_rows(record: RunMetrics, head: str) -> list[dict[str, Any]]:
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
            "values": [written(each, found.get(each)) for each in shown],
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
