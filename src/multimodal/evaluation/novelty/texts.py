"""Novelty of texts: unknown words, or letters of another script."""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from multimodal.core.arrays import Floats
from multimodal.core.records import Record
from multimodal.core.spec import OUT_OF_VOCABULARY, PADDING
from multimodal.evaluation.novelty.numbers import NoveltyReason

_FEW, _LEAST, _PRIOR = 3, 2, 3.0  # words of a text, unknown ones, those of the prior
_LEVEL, _MARGIN, _CEILING = 0.99, 0.1, 0.8
_LETTERS, _LOOKED_AT, _RARE = 5, 400, 0.005
_WORDS = "{}: {} of {} words are unknown; in the held-out rows {:.0%} are"

Tokens = NDArray[np.integer]


class TextNovelty(Record):
    """Texts of a group: the mean fraction of unknown words, the most of a text, their scripts.

    `most` is None where so many words are unknown in some rows that no fraction is a novelty.
    """

    group: str
    mean: float = Field(ge=0, le=1)
    most: float | None = Field(None, ge=0, le=1)
    scripts: list[str] = Field([], max_length=200)


def fit_texts(group: str, held_out: Tokens, texts: Sequence[str]) -> TextNovelty:
    """Fit the limits of a group's texts.

    Args:
        group: Its name.
        held_out: Word ids (rows, length) of rows that the vocabulary was not made from.
        texts: Texts of any rows.
    """
    unknown, words = _counts(held_out)
    mean = float(unknown.sum() / max(words.sum(), 1))
    scripts = Counter(filter(None, map(main_script, texts)))
    common = [name for name, n in scripts.items() if n >= _RARE * scripts.total()]
    fractions = np.sort(_unknown_fraction(unknown, words, mean)[words >= _FEW])
    most = None
    if len(fractions):
        rank = min(math.ceil((len(fractions) + 1) * _LEVEL), len(fractions))  # as conformal
        limit = float(fractions[rank - 1]) * (1 - _MARGIN) + _MARGIN
        most = limit if limit <= _CEILING else None
    return TextNovelty(group=group, mean=mean, most=most, scripts=sorted(common))


def novel_texts(
    known: TextNovelty, column: str, tokens: Tokens, texts: Sequence[str]
) -> Iterator[NoveltyReason]:
    """Yield the texts in another script, or with too many unknown words.

    Args:
        known: What `fit_texts` returned.
        column: How to call the text.
        tokens: Word ids (rows, length).
        texts: The texts of the same rows.
    """
    unknown, words = _counts(tokens)
    most = 1.0 if known.most is None else known.most
    fractions = _unknown_fraction(unknown, words, known.mean)
    novel = (words >= _FEW) & (unknown >= _LEAST) & (fractions > most)
    for row, text in enumerate(texts):
        script = main_script(text) if known.scripts else None
        if script is not None and script not in known.scripts:
            scripts = ", ".join(name.capitalize() for name in known.scripts)
            reason = f"{column}: in {script.capitalize()} letters, not {scripts}"
            yield NoveltyReason(row, f"script:{column}", reason)
        elif novel[row]:
            reason = _WORDS.format(column, unknown[row], words[row], known.mean)
            yield NoveltyReason(row, f"words:{column}", reason)


def main_script(text: str) -> str | None:
    """Name the script of most letters of a text's beginning; None where there are too few.

    Example:
    >>> main_script("red shoes"), main_script("красные туфли"), main_script("42 %")
    ('LATIN', 'CYRILLIC', None)
    """
    text = text[:_LOOKED_AT]
    # Most texts: no name of a letter needs to be looked up.
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


def _unknown_fraction(unknown: Tokens, words: Tokens, mean: float) -> Floats:
    """Return the fraction of unknown words (rows,), shrunk towards the mean where words are few."""
    return np.asarray((unknown + _PRIOR * mean) / (words + _PRIOR), np.float64)
