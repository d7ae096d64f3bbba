"""The record that a run keeps of what its heads need: the file `importance.json`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from multimodal.core.json_records import Record, read_if_there

IMPORTANCE_FILE = "importance.json"
MOST_IMPORTANCE_BYTES = 1 << 22


class Need(Record):
    """One group or column: the error where its values are shuffled among the rows.

    `change` is by how much that is above the error of the rows as they are, `low` to `high` its
    95 % interval.
    """

    name: str
    kind: Literal["group", "column"]
    error: float
    change: float
    low: float
    high: float


class HeadImportance(Record):
    """What one head needs. `error` is the shortfall of `metric` on the `rows` as they are."""

    metric: str
    error: float
    rows: int = Field(ge=0)
    repeats: int = Field(ge=1)
    needs: list[Need] = Field(max_length=10_000)

    def ranked(self, kind: Literal["group", "column"]) -> list[Need]:
        """Return the groups or the columns, that which is needed most first."""
        return sorted((n for n in self.needs if n.kind == kind), key=lambda need: -need.change)


class Importance(Record):
    """The file `importance.json` of a run: what each head needs.

    Example:
    >>> Importance.model_validate_json(Importance().model_dump_json()).heads
    {}
    """

    heads: dict[str, HeadImportance] = {}

    @classmethod
    def read(cls, run: Path) -> Importance:
        """Read a run's `importance.json`: empty if it is absent, RunError if it is damaged."""
        return read_if_there(cls, run / IMPORTANCE_FILE, most=MOST_IMPORTANCE_BYTES)
