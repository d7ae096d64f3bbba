"""How a column writes its numbers, found from all its cells together.

Two readings are compared: dots before decimals and commas between thousands, or the other way
round. A cell that only one of them can read speaks for it: "12.5", "0.250" and "1,234,567" for the
first, "12,5", "0,250" and "1.234.567" for the second. Where every cell has exactly three digits
behind its mark, the column does not decide, and a doubt says so.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from multimodal.core.formatting import joined
from multimodal.data.columns import numerals
from multimodal.data.columns.numbers import is_missing_word
from multimodal.data.columns.numerals import canonical, phrase_key, phrases
from multimodal.data.columns.reading import Reading

MOST = 0.95  # least fraction of the texts that must share a form
_LEAST = 0.01  # of the undecided cells, that a clear one must be beside them to speak for all
_THREE = re.compile(r"(?<![\d.,])[1-9]\d{2}(?![\d.,' ]*\d)")  # a whole number from 100 to 999
_MORE = re.compile(r"(?<![\d.,' ])\d{4,}(?![\d.,]*[.,]\d)")  # one from 1,000 on, without a mark
# Currencies of countries whose thousands have commas, and that no one writes with three decimals.
_COMMA_COUNTRY = re.compile(r"[$£₹¥￥₩฿₱₦]|\b(?:rs|inr|usd|gbp|aud|cad|jpy|cny|hkd|sgd)\b", re.I)
_UNITS = frozenset({"", "m", "b", "md", "cr"})  # short for a factor, or for a metre, a byte
_WORDS_MOST, _NUMBERS_LEAST, _DIFFERENT = 3, 0.5, 20


class NumberFormat(NamedTuple):
    """How a column is read, the fraction of its cells that are read so, and what is in doubt.

    `words` are texts in it that are no number, come again and count as missing.
    """

    reading: Reading
    read: float
    doubt: str = ""
    words: tuple[str, ...] = ()


class _Read(NamedTuple):
    """What one reading makes of the texts: the numbers by text, and how many cells are read."""

    reading: Reading
    values: Mapping[str, float]
    cells: int


def number_format(
    texts: Counter[str], told: Reading, decimal: str = "auto", *, guess: bool = True
) -> NumberFormat:
    """Return how to read the numbers in texts.

    Args:
        texts: How often each text occurs; missing ones are left out.
        told: What is told of the column already, such as words for missing.
        decimal: The decimal mark where the column does not decide; `auto` is in doubt then.
        guess: Whether a few words that come again among many numbers count as missing.

    Example:
    >>> number_format(Counter(["1.299,00 €", "57,10 €"]), Reading()).reading.decimal
    ','
    >>> number_format(Counter(["1.250", "987"]), Reading()).doubt[:28]
    "'1.250' may be 1250 or 1.25:"
    """
    wide = told.model_copy(update={"wide": True})
    known = Counter({t: n for t, n in texts.items() if not is_missing_word(t, wide)})
    total = known.total()
    if not total:
        return NumberFormat(wide, 0.0)
    point, comma = _best(known, wide, "."), _best(known, wide, ",")
    chosen, doubt = _decided(known, point, comma, decimal)
    read = chosen.cells / total
    words = _repeated_words(known, chosen) if guess and read < MOST else ()
    if words:
        rest = Counter({t: n for t, n in known.items() if t not in words})
        missing = [*told.missing_words, *words]
        again = number_format(rest, told.model_copy(update={"missing_words": missing}), decimal)
        return again._replace(words=words)
    return NumberFormat(chosen.reading, read, doubt)


def _best(texts: Counter[str], told: Reading, decimal: str) -> _Read:
    """Return the best reading of a decimal mark: plain, or in a phrase, with factors, brackets."""
    plain = _as_read(texts, told.model_copy(update={"decimal": decimal}))
    if plain.cells == texts.total():
        return plain
    within = plain.reading.model_copy(update={"brackets": _has_accounts(texts)})
    reading = within.model_copy(update={"factors": _has_factors(texts, within)})
    unit = find_unit(texts, reading)
    found = _as_read(texts, reading.model_copy(update={"unit": unit}))
    return found if found.cells > plain.cells else plain


def _has_factors(texts: Counter[str], reading: Reading) -> bool:
    """Whether K and M multiply: where they differ, or some numbers have none.

    Where all have the same, it is their unit, and a lone "m" beside plain numbers is a metre.
    """
    factors = reading.model_copy(update={"factors": True})
    first = (next(phrases(canonical(text), factors), None) for text in texts)
    found = {phrase.factor for phrase in first if phrase is not None}
    return len(found) > 1 and not found <= _UNITS


def _as_read(texts: Counter[str], reading: Reading) -> _Read:
    values = {text: numerals.read_numeral(text, reading) for text in texts}
    count = sum(n for text, n in texts.items() if not np.isnan(values[text]))
    return _Read(reading, values, count)


def _has_accounts(texts: Counter[str]) -> bool:
    """Whether brackets mean a minus: in a column of which the most have none."""
    within = sum(n for t, n in texts.items() if "(" in t and canonical(t).rstrip()[-1:] == ")")
    return 0 < within < texts.total() / 2


def find_unit(texts: Counter[str], reading: Reading) -> str | None:
    """Return the phrase around one number that at least 95 % of `texts` share, or None.

    Example:
    >>> texts = Counter(["8 customer reviews", "1 customer review", "3 customer reviews"])
    >>> find_unit(texts, Reading(wide=True))
    '# customer reviews'
    """
    counts, variants = Counter[str](), dict[str, Counter[str]]()
    for text, count in texts.items():
        for phrase in {each.text for each in phrases(canonical(text), reading)} - {"#"}:
            counts[phrase_key(phrase)] += count
            variants.setdefault(phrase_key(phrase), Counter())[phrase] += count
    if not counts:
        return None
    key, count = counts.most_common(1)[0]
    return variants[key].most_common(1)[0][0] if count >= MOST * texts.total() else None


def _decided(texts: Counter[str], point: _Read, comma: _Read, decimal: str) -> tuple[_Read, str]:
    """Return the reading that the cells speak for, and what is in doubt if none do."""
    by_point = {text for text in texts if not np.isnan(point.values[text])}
    by_comma = {text for text in texts if not np.isnan(comma.values[text])}
    both = {t: texts[t] for t in by_point & by_comma if point.values[t] != comma.values[t]}
    for_point = sum(texts[text] for text in by_point - by_comma)
    for_comma = sum(texts[text] for text in by_comma - by_point)
    if not both or max(for_point, for_comma) > _LEAST * sum(both.values()):
        return (comma if for_comma > for_point else point), ""
    if decimal != "auto":
        return (comma if decimal == "," else point), ""
    return _undecided(texts, both, point, comma)


def _undecided(
    texts: Counter[str], both: Mapping[str, int], point: _Read, comma: _Read
) -> tuple[_Read, str]:
    """Return the likelier reading of a column whose marks all have three digits behind them."""
    marks = {mark for text in both for mark in ".," if mark in canonical(text)}
    thousands = any(_THREE.search(t) for t in texts) and not any(_MORE.search(t) for t in texts)
    if marks == {","} and (thousands or all(_COMMA_COUNTRY.search(t) for t in both)):
        return point, ""
    chosen = comma if marks == {"."} and thousands else point
    text = min(both, key=lambda each: (-both[each], each))
    larger, smaller = sorted((point.values[text], comma.values[text]), key=abs, reverse=True)
    doubt = (
        f"{text!r:.40} may be {larger:.15g} or {smaller:.15g}: each {joined(sorted(marks), 2)} of "
        "the column has three digits behind it, and so stands between thousands or before "
        "decimals. Say which mark is the decimal one: `--decimal .` or `--decimal ,` "
        "(`data.decimal`)"
    )
    return chosen, doubt


def _repeated_words(texts: Counter[str], read: _Read) -> tuple[str, ...]:
    """Return the few words that come again among numbers, many and different ones."""
    others = {t: n for t, n in texts.items() if np.isnan(read.values[t])}
    numbers = {value for value in read.values.values() if not np.isnan(value)}
    enough = read.cells >= _NUMBERS_LEAST * texts.total() and len(numbers) >= _DIFFERENT
    few = 0 < len(others) <= _WORDS_MOST and all(n > 1 for n in others.values())
    if not enough or not few or any(re.search(r"\d", text) for text in others):
        return ()
    return tuple(sorted(others))
