"""Whether bytes that are no UTF-8 are text in Windows-1252, or in an encoding that looks like it.

Any bytes can be decoded as Windows-1252: Polish in Windows-1250, Russian in Windows-1251 or é on an
old Mac become other letters then. So the words that come out are looked at: whether the letters of
each belong to one of the languages that the encoding was made for, and whether signs stand where
they do in such a language.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

CODEC = "cp1252"  # Latin-1 is the same, but for control characters, which are no text
# š and ž, which the encoding has, are letters of languages that are written in Windows-1250
_ALPHABETS = [
    frozenset(letters)
    for letters in (
        "äöüß",  # German
        "àâæçéèêëîïôœùûüÿ",  # French
        "áéíóúüñçàèò",  # Spanish, Catalan, Galician
        "ãáàâçéêíóôõúü",  # Portuguese
        "àèéìíîòóù",  # Italian
        "æøåéèêóòâôäöü",  # Danish, Norwegian
        "åäöéàüõ",  # Swedish, Finnish, Estonian
        "ëïéèöüáíóúêçàâôûî",  # Dutch
        "áðéíóúýþæö",  # Icelandic
    )
]
_ALONE = frozenset("àáâãäåæçèéêëíîñóòôöøùúü")  # of these words are made; Û alone is a Mac's €
_LETTER = "[A-Za-zÀ-ÖØ-öø-ÿŠŽšžŒœŸƒ]"  # not \w, which holds ½ and ²
_WORD = re.compile(f"{_LETTER}+")
# What no language does: a sign inside a word, a capital in it, three such letters in a row,
# fractions and currencies before a word, low quotes behind one.
_ODD = re.compile(
    rf"{_LETTER}[¡-¬®-³µ-¶¸-¿×÷€‚„…†‡ˆ‰‹“•˜™›]{_LETTER}"
    r"|[a-zß-öø-ÿ][À-ÖØ-ÞŠŽŒŸ]"
    r"|[À-ÖØ-öø-ÿŠŽšžŒœŸƒ]{3}"
    rf"|[£¥¹²³¼½¾¤]{_LETTER}"
    rf"|{_LETTER}[‚„]"
    rf"|{_LETTER}{{3}}[õû]\b"  # Hungarian ő and ű
    "|[¤¸\x80-\x9f\ufffd]"
)
_MOST_ODD = 0.05
_PARTS = re.compile(r'[\s,;|"]+')


def is_western(lines: Iterable[bytes]) -> bool:
    """Whether lines are text of a Western European language in Windows-1252.

    Example:
    >>> is_western(["Größe und Café".encode("cp1252")]), is_western(["łódź".encode("cp1250")])
    (True, False)
    """
    found, odd = 0, 0
    for line in lines:
        text = line.decode(CODEC, "replace")
        words = [word for word in _WORD.findall(text) if not word.isascii()]
        strange = len(_ODD.findall(text)) + sum(not _fits(word.lower()) for word in words)
        found += max(len(words), 1)
        odd += min(strange, max(len(words), 1))
    return odd <= _MOST_ODD * found


def first_words(lines: Iterable[bytes], codec: str = CODEC, most: int = 2) -> list[str]:
    """Return some words with letters beyond ASCII, as an encoding gives them.

    Example:
    >>> first_words([b"a caf\\xe9 in K\\xf6ln"])
    ['café', 'Köln']
    """
    found: dict[str, None] = {}
    for line in lines:
        text = line.decode(codec, "replace")
        found |= dict.fromkeys(part for part in _PARTS.split(text) if not part.isascii())
        if len(found) >= most:
            break
    return [word.strip(".:'()")[:20] for word in found][:most]


def _fits(word: str) -> bool:
    letters = {letter for letter in word if not letter.isascii()}
    if len(word) == 1:
        return word in _ALONE
    return any(letters <= alphabet for alphabet in _ALPHABETS)
