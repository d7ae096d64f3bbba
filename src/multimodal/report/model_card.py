"""The model card of a run: Markdown under YAML front matter, as model hubs read it.

Source of the fields: https://huggingface.co/docs/hub/model-cards
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

import yaml

from multimodal.core.config import LabelKind
from multimodal.core.formatting import shortened, template, visible
from multimodal.data.audit.findings import Audit
from multimodal.evaluation.measures import MEASURES
from multimodal.report.run_files import (
    RunFiles,
    changed_options,
    group_rows,
    provenance_rows,
    seconds,
)

CARD_FILE = "model_card.md"
TASKS: dict[LabelKind, str] = {
    "number": "tabular-regression",
    "class": "tabular-classification",
    "labels": "tabular-classification",
    "box": "object-detection",
}
WORDS: dict[LabelKind, str] = {
    "number": "a number",
    "class": "one of several classes",
    "labels": "any of several labels",
    "box": "a box in pixels of the first photo",
}
_UNUSED = ("target", "ignored", "weight", "split")
_SPECIAL = re.compile(r"([\\`*_\[\]|<>#~&])")
MOST_LETTERS = 300


def model_card(run: RunFiles, heads: Sequence[Mapping[str, Any]], audit: Audit | None) -> str:
    """Return the card of a run as Markdown.

    Args:
        run: The files of the run.
        heads: What the report shows of each head.
        audit: What the audit found, where there is one.
    """
    fitting, beside = seconds(run.metrics)
    body = template(
        "model_card.md.j2", autoescape=False, md=escaped, fenced=fenced, count="{:,}".format
    ).render(
        title=f"Predicting {', '.join(run.heads) or 'nothing yet'}",
        heads=heads,
        words=WORDS,
        metrics=run.metrics,
        audit=audit,
        schema=run.schema,
        groups=group_rows(run.config),
        provenance=provenance_rows(run.metrics),
        changes=changed_options(run.config),
        example=example(run.schema),
        fitting=fitting,
        beside=beside,
    )
    return f"---\n{front_matter(run)}---\n\n{body.strip()}\n"


def front_matter(run: RunFiles) -> str:
    """Return the YAML that stands on top of the card, without the lines of dashes."""
    kinds = [run.kind(name) for name in run.heads]
    modalities = list(dict.fromkeys(group[1] for group in group_rows(run.config)))
    fields: dict[str, Any] = {
        "library_name": "keras",
        "tags": ["keras", "multimodal", *modalities],
        "pipeline_tag": TASKS[kinds[0]] if kinds else "tabular-regression",
        "metrics": sorted({metric for name in run.heads for metric in _measured(run, name)}),
        "model-index": [
            {"name": f"Predicting {name}", "results": [_result(run, name)]} for name in run.heads
        ],
    }
    return yaml.safe_dump(fields, sort_keys=False, allow_unicode=True, width=100)


def example(schema: Sequence[Mapping[str, Any]]) -> str:
    """Return one row as a Python literal, with a value for every column that is read.

    Example:
    >>> example([{"name": "size", "kind": "number", "example": "2.5"}])
    '{"size": 2.5}'
    """
    row: dict[str, Any] = {}
    for column in schema:
        kind, value = column.get("kind"), str(column.get("example", ""))
        if kind not in (*_UNUSED, "identifier"):
            row[str(column.get("name"))] = _example(str(kind), value)
    # JSON is Python here: values are texts and finite numbers.
    return json.dumps(row, ensure_ascii=False)


def escaped(text: Any, most: int = MOST_LETTERS) -> str:
    r"""Return text of a user for Markdown: on one line, nothing of it read as a mark.

    Example:
    >>> print(escaped("a|b\n<b>*"))
    a\|b \<b\>\*
    """
    line = visible(" ".join(str(text).split()))
    return _SPECIAL.sub(r"\\\1", shortened(line, most))


def fenced(text: str, language: str = "") -> str:
    """Return text as a block of code, with a fence longer than any in it.

    Example:
    >>> print(fenced("ls", "sh"))
    ```sh
    ls
    ```
    """
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _example(kind: str, value: str) -> Any:
    if kind == "image":
        return "photo.jpg"
    try:
        number = float(value) if kind == "number" else math.nan
    except ValueError:
        number = math.nan
    return number if math.isfinite(number) else value


def _measured(run: RunFiles, name: str) -> dict[str, float]:
    head = run.metrics.heads.get(name)
    found = head.test if head is not None else {}
    return {m: v for m, v in found.items() if m in MEASURES and m != "n" and math.isfinite(v)}


def _result(run: RunFiles, name: str) -> dict[str, Any]:
    data = run.metrics.data
    return {
        "task": {"type": TASKS[run.kind(name)], "name": f"Predicting {name}"},
        "dataset": {
            "name": visible(PurePath(data.source).name) or "table",
            "type": "table",
            "split": "test",
        },
        "metrics": [
            {"type": metric, "name": MEASURES[metric].label, "value": round(value, 6)}
            for metric, value in _measured(run, name).items()
        ],
    }
