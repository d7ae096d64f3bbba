"""Tokenisation of texts: words, vocabulary, ids and padding.

One tokeniser serves training, prediction and explanation. It is not Keras's `TextVectorization`,
since explanations need the offset of each word, and the data half loads no Keras.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from multimodal.core.spec import FIRST_CODE, OUT_OF_VOCABULARY, PADDING

_UNSPACED = "\u3040-\u30ff\u3400-\u9fff"  # kana and Han, written without blanks
_MARKS = "".join(  # accents and vowel signs that follow a letter: Hebrew, Arabic, Indic, Thai …
    chr(code) for code in range(0x300, 0x1100) if unicodedata.category(chr(code))[0] == "M"
)
_LETTERS = rf"[^\W\d_{_UNSPACED}]"
_NUMBER = r"\d+(?:[.,]\d+)*"
_NUMBERS = re.compile(_NUMBER)
_WORD = re.compile(
    rf"{_NUMBER}|{_LETTERS}+(?:[{_MARKS}]+{_LETTERS}*|['’]{_LETTERS}+)*"
    rf"|[{_UNSPACED}]|[%€$£₹+&#]"
)
# The same for texts of ASCII in lower case, which most are: half the time.
_PLAIN_WORD = re.compile(r"[0-9]+(?:[.,][0-9]+)*|[a-z]+(?:'[a-z]+)*|[%$+&#]")
MAX_LENGTHS = 4  # each is a shape of its own, which XLA compiles anew
MANY_CUT = 0.1  # fraction of the texts, from which a sentence says that they are cut
_CHARACTERS = 16  # of a word with the blanks around, seldom more


class Word(NamedTuple):
    """A word in lower case and where it stands: `text[start:end]`."""

    text: str
    start: int
    end: int


def tokenise(text: str) -> list[Word]:
    """Split a text into words and numbers with their character offsets.

    Letters of any script form words, those of scripts without blanks stand alone; a number keeps
    its decimal and thousands marks; currency and a few other signs stand alone; other punctuation
    falls away.

    Example:
    >>> [word.text for word in tokenise("Don't pay 1,299.50 € für 2 Stück!")]
    ["don't", 'pay', '1,299.50', '€', 'für', '2', 'stück']
    """
    return [Word(m.group().lower(), m.start(), m.end()) for m in _WORD.finditer(text)]


def words(text: str) -> list[str]:
    """Return the words of a text in lower case, without offsets."""
    if text.isascii():
        return _PLAIN_WORD.findall(text.lower())
    return [word.lower() for word in _WORD.findall(text)]


def number_words(text: str) -> list[str]:
    """Return those of a text's words that are numbers.

    Example:
    >>> number_words("pack of 3, 1,500 g")
    ['3', '1,500']
    """
    return _NUMBERS.findall(text)


def shape_of(word: str) -> str | None:
    """Return what stands for a rare number: its digits as zeros. None for a word.

    Example:
    >>> shape_of("1,299.50")
    '0,000.00'
    """
    return re.sub(r"\d", "0", word) if word[0].isdecimal() else None


def fit_vocabulary(texts: Iterable[str], *, size: int, min_count: int) -> list[str]:
    """Return the words seen at least `min_count` times, most frequent first, at most `size`.

    Rarer numbers count for their shape, so that "a number of three digits" stays known.
    """
    counts = Counter(word for text in texts for word in words(text))
    shapes: Counter[str] = Counter()
    for word, count in counts.items():
        shape = shape_of(word) if count < min_count else None
        if shape is not None:
            shapes[shape] += count
    counts.update(shapes)
    kept = [(word, count) for word, count in counts.items() if count >= min_count]
    # By name where counts are equal: an id must not depend on the order of the rows.
    return [word for word, _ in sorted(kept, key=lambda item: (-item[1], item[0]))[:size]]


def index(vocabulary: Sequence[str]) -> dict[str, int]:
    """Return the id of each word: 2 + its position."""
    return {word: i + FIRST_CODE for i, word in enumerate(vocabulary)}


def word_ids(text: str, ids: Mapping[str, int], limit: int) -> list[int]:
    """Return the ids of the first `limit` words; an unknown number falls back to its shape."""
    found = []
    for word in _first_words(text, limit):
        known = ids.get(word)
        if known is None:
            shape = shape_of(word)
            known = OUT_OF_VOCABULARY if shape is None else ids.get(shape, OUT_OF_VOCABULARY)
        found.append(known)
    return found


def _first_words(text: str, limit: int) -> list[str]:
    """Return the first `limit` words; most often they stand early in a long text."""
    start = words(text[: _CHARACTERS * limit])
    return (start if len(start) > limit else words(text))[:limit]  # a last word may be cut off


def fit_lengths(counts: NDArray[np.integer], limit: int) -> list[int]:
    """Return at most four fixed lengths, multiples of 8, that cover the texts' word counts.

    The longest covers 98 % of the texts, or is `limit` rounded up; longer texts are cut there.
    """
    present = counts[counts > 0]
    if not len(present):
        return [8]
    levels = np.minimum(np.quantile(present, [0.25, 0.5, 0.8, 0.98]), limit)
    # 98 % and not all: a single long text would lengthen every batch that it is in.
    return sorted({int(-(-max(level, 1) // 8) * 8) for level in levels})[:MAX_LENGTHS]


def pad(rows: Sequence[Sequence[int]], length: int) -> NDArray[np.int32]:
    """Return ids (rows, length), padded on the right and cut to `length`."""
    result = np.full((len(rows), length), PADDING, np.int32)
    for i, row in enumerate(rows):
        kept = row[:length]
        result[i, : len(kept)] = kept
    return result


def cut_note(name: str, ids: NDArray[np.int32], length: int, limit: int) -> str | None:
    """Return a sentence on the texts of group `name`, if `limit` cuts a tenth of them.

    Args:
        name: The group, for the sentence.
        ids: int32 (rows, length), padded and cut.
        length: The greatest fixed length.
        limit: The greatest length that `fit_lengths` was allowed.
    """
    full = int((np.count_nonzero(ids != PADDING, axis=1) == length).sum())
    if length < limit or full < MANY_CUT * max(len(ids), 1):
        return None
    return (
        f"group '{name}': {full:,} of {len(ids):,} rows hold {length} words or more; what "
        "follows is not read. A larger `data.max_words` reads on, at a cost in time."
    )


def fixed_length(longest: int, lengths: Sequence[int]) -> int:
    """Return the smallest fixed length that holds `longest` words, or the greatest there is."""
    return next((length for length in lengths if length >= longest), lengths[-1])
