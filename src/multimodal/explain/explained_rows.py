"""The record of the test rows that a run explains: the file `explanations.json`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints

from multimodal.core.json_records import Record, read_if_there

EXPLANATIONS_FILE, EXPLANATIONS = "explanations.json", "explanations"
MOST_EXPLANATIONS_BYTES, MOST_ROWS = 1 << 20, 100
_Short = Annotated[str, StringConstraints(max_length=200)]
_Page = Annotated[str, StringConstraints(pattern=rf"^{EXPLANATIONS}/[a-z0-9_]+-[0-9]+\.html$")]


class GroupEffect(Record):
    """What a group did to the answer, in the user's units; `up` where it raised the score."""

    name: _Short
    effect: _Short
    up: bool


class ExplainedRow(Record):
    """One test row, explained for one head: its page in the run, and its groups in short.

    `row` is the row's number in the source, `question` what is explained, `nothing` the answer to a
    row without anything.
    """

    head: _Short
    row: int = Field(ge=0)
    page: _Page
    question: _Short
    nothing: _Short
    groups: list[GroupEffect] = Field(max_length=MOST_ROWS)


class ExplainedRows(Record):
    """The file `explanations.json`.

    Example:
    >>> ExplainedRows().of("price", 3) is None
    True
    """

    rows: list[ExplainedRow] = Field([], max_length=MOST_ROWS)

    def of(self, head: str, row: int) -> ExplainedRow | None:
        """Return the explanation of a row for a head, None where there is none."""
        return next((each for each in self.rows if (each.head, each.row) == (head, row)), None)

    @classmethod
    def read(cls, run: Path) -> ExplainedRows:
        """Read a run's `explanations.json`: empty if it is absent, RunError if it is damaged."""
        return read_if_there(cls, run / EXPLANATIONS_FILE, most=MOST_EXPLANATIONS_BYTES)
