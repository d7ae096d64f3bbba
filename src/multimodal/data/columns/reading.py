"""How the cells of a column are read, decided once from all of them and kept in the schema.

The defaults read as runs did that were saved before there was a choice: plain numbers, dates
without a guess, categories and texts as they stand.
"""

from __future__ import annotations

from typing import Literal

from multimodal.core.records import Record


class Reading(Record):
    """What turns the cells of one column into values.

    Args:
        unit: The phrase around a number, with `#` for it.
        wide: Whether numbers, dates and words for missing of all countries are read.
        decimal: The mark before the decimals; the other one stands between thousands.
        factors: Whether K, M and the like behind a number multiply it.
        brackets: Whether brackets around a number make it negative.
        missing_words: Words, or numbers such as -999, that stand for no value beside the usual.
        day_first: Whether 03/04/2016 is in April; None where the column has no such dates.
        serial: Whether numbers count days as spreadsheets do.
        html: Whether texts are HTML.
        separator: What stands between the members of a set, where each cell holds several.

    Example:
    >>> Reading(unit="# kg", wide=True, decimal=",").decimal
    ','
    """

    unit: str | None = None
    wide: bool = False
    decimal: Literal[".", ","] = "."
    factors: bool = False
    brackets: bool = False
    missing_words: list[str] = []
    day_first: bool | None = None
    serial: bool = False
    html: bool = False
    separator: str = ""


PLAIN = Reading()
