"""One column and the facts about its cells that the rules ask for more than once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from multimodal.data.columns.cells import BoolArray, as_text, is_missing
from multimodal.data.columns.dates import Dates
from multimodal.data.columns.numbers import Numbers, find_unit, is_missing_word, parse_numbers

MOST = 0.95
LONG = 40
_CODE_WORDS = frozenset(
    "id ids uuid guid sku ean isbn asin gtin upc zip plz postal pin code url uri hash".split()
)
_UNSPACED = re.compile("[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]")
_SAMPLE = 2000


@dataclass(frozen=True)
class Cells:
    """One column and what is asked of it more than once."""

    name: str
    series: pd.Series[Any]
    root: Path

    @cached_property
    def missing(self) -> BoolArray:
        """bool (N,): the cell says nothing."""
        return is_missing(self.series)

    @cached_property
    def present(self) -> pd.Series[Any]:
        """The cells that say something."""
        return self.series[~self.missing]

    @cached_property
    def texts(self) -> npt.NDArray[np.object_]:
        """object (M,): the spelling of each present cell."""
        return as_text(self.present)

    @cached_property
    def distinct(self) -> int:
        """Number of different present values."""
        return len(set(self.texts.tolist()))

    @cached_property
    def sample(self) -> pd.Series[Any]:
        """At most 2,000 present cells, evenly spread."""
        step = max(1, len(self.present) // _SAMPLE)
        return self.present.iloc[::step]

    @cached_property
    def words(self) -> float:
        """Mean number of words a cell; two letters of a script without blanks count as one."""
        texts = as_text(self.sample)
        return float(np.mean([len(t.split()) + len(_UNSPACED.findall(t)) / 2 for t in texts]))

    @cached_property
    def length(self) -> float:
        """Mean number of characters a cell."""
        return float(np.mean([len(text) for text in as_text(self.sample)]))

    @cached_property
    def named_like_code(self) -> bool:
        """Whether a word of the column's name says that it holds codes or addresses."""
        words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", self.name)
        return any(
            word in _CODE_WORDS or word.endswith("code") or word.startswith("zip")
            for word in map(str.lower, words)
        )

    @cached_property
    def unit(self) -> str | None:
        """The phrase around the number, if the cells are not plain numbers."""
        if share_read(parse_numbers(self.sample)) >= MOST or self.length > LONG:
            return None
        return find_unit(
            cell for cell in self.sample if isinstance(cell, str) and not is_missing_word(cell)
        )


def share_read(parsed: Numbers | Dates) -> float:
    """Share of the cells that were read, among those that are not missing."""
    read = int((~pd.isna(parsed.values)).sum())
    return read / max(1, read + int(parsed.bad.sum()))
