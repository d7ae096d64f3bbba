"""Texts unlike those of the training rows: of other words, or in other letters."""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from multimodal.core.arrays import Floats
from multimodal.core.spec import OUT_OF_VOCABULARY, PADDING
from multimodal.evaluation.novelty.numbers import NoveltyReason

_FEW, _LEAST, _PRIOR = 3, 2, 3.0  # words of a text, unknown ones, those of the prior
_HELD, _MARGIN, _CEILING = 0.99, 0.1, 0.8
_LETTERS, _LOOKED_AT, _RARE = 5, 400, 0.005
_WORDS = "{}: {} of {} words are unknown; in the held-out rows {:.0%} are"

Tokens = NDArray[np.integer]


class TextNovelty(BaseModel):
    """What texts of a group are like: the mean share of unknown words, the most, their scripts.

    `most` is None where so many words are unknown in some rows that none is unusual for it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    group: str
    mean: float = Field(ge=0, le=1)
    most: float | None = Field(None, ge=0, le=1)
    scripts: list[str] = Field([], max_length=200)


def fit_texts(group: str, held_out: Tokens, texts: Sequence[str]) -> TextNovelty:
    """Learn what the texts of a group are like.

    Args:
        group: Its name.
        held_out: Word ids (rows, length) of rows that the vocabulary was not made from.
        texts: Texts of any rows.
    """
    unknown, words = _counts(held_out)
    mean = float(unknown.sum() / max(words.sum(), 1))
    scripts = Counter(filter(None, map(main_script, texts)))
    usual = [name for name, n in scripts.items() if n >= _RARE * scripts.total()]
    shares = np.sort(_shares(unknown, words, mean)[words >= _FEW])
    most = None
    if len(shares):
        rank = min(math.ceil((len(shares) + 1) * _HELD), len(shares))
        limit = float(shares[rank - 1]) * (1 - _MARGIN) + _MARGIN
        most = limit if limit <= _CEILING else None
    return TextNovelty(group=group, mean=mean, most=most, scripts=sorted(usual))


def novel_texts(
    usual: TextNovelty, column: str, tokens: Tokens, texts: Sequence[str]
) -> Iterator[NoveltyReason]:
    """Yield the texts in another script, or with more unknown words than usual.

    Args:
        usual: What `fit_texts` returned.
        column: How to call the text.
        tokens: Word ids (rows, length).
        texts: The texts of the same rows.
    """
    unknown, words = _counts(tokens)
    most = 1.0 if usual.most is None else usual.most
    shares = _shares(unknown, words, usual.mean)
    strange = (words >= _FEW) & (unknown >= _LEAST) & (shares > most)
    for row, text in enumerate(texts):
        script = main_script(text) if usual.scripts else None
        if script is not None and script not in usual.scripts:
            known = ", ".join(name.capitalize() for name in usual.scripts)
            reason = f"{column}: in {script.capitalize()} letters, not {known}"
            yield NoveltyReason(row, f"script:{column}", reason)
        elif strange[row]:
            reason = _WORDS.format(column, unknown[row], words[row], usual.mean)
            yield NoveltyReason(row, f"words:{column}", reason)


def main_script(text: str) -> str | None:
    """Name the script of most letters of a text's beginning; None where there are too few.

    Example:
    >>> main_script("red shoes"), main_script("красные туфли"), main_script("42 %")
    ('LATIN', 'CYRILLIC', None)
    """
    text = text[:_LOOKED_AT]
    if text.isascii():
        return "LATIN" if sum(map(str.isalpha, text)) >= _LETTERS else None
    found = Counter(_script(letter) for letter in text if letter.isalpha())
    return found.most_common(1)[0][0] if found.total() >= _LETTERS else None


@lru_cache(maxsize=4096)
def _script(letter: str) -> str:
    return unicodedata.name(letter, "UNKNOWN").split(" ")[0].split("-")[0]


def _counts(tokens: Tokens) -> tuple[Tokens, Tokens]:
    """Return how many words (rows,) are unknown, and how many there are."""
    return (tokens == OUT_OF_VOCABULARY).sum(axis=1), (tokens != PADDING).sum(axis=1)


def _shares(unknown: Tokens, words: Tokens, mean: float) -> Floats:
    """Return the share of unknown words (rows,), of few words drawn towards the mean."""
    return np.asarray((unknown + _PRIOR * mean) / (words + _PRIOR), np.float64)
