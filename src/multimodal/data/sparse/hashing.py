"""Hashes of n-grams in bulk: each n-gram of many texts is a slice of one array of bytes.

The hashes are those of scikit-learn's `FeatureHasher`, which stand in saved runs. There each n-gram
is a string of its own, and making these strings takes most of the time.

References:
    Appleby, MurmurHash3 (32 bits for x86), 2011.
    Weinberger et al., Feature Hashing for Large Scale Multitask Learning, 2009.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from multimodal.core.arrays import Ints
from multimodal.data.features import text

SPACE = 2**31 - 1  # the largest that FeatureHasher takes: so large that hashes hardly collide
LETTERS = (2, 5)  # lengths of runs of letters
_BLANK = ord(" ")
_MASKS = np.array([0, 0xFF, 0xFFFF, 0xFFFFFF], np.uint32)
_Words = NDArray[np.uint32]


class Slices(NamedTuple):
    """N names as slices of an array of bytes: where each starts, its bytes, and whose it is.

    `owners` (N,) are rows, or places of words in a vocabulary.
    """

    content: NDArray[np.uint8]
    starts: Ints
    lengths: Ints
    owners: Ints


def name_slices(names: Sequence[str]) -> Slices:
    """Return names as slices, each its own owner."""
    encoded = [name.encode() for name in names]
    lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
    content = np.frombuffer(b"".join(encoded), np.uint8)
    return Slices(content, np.cumsum(lengths) - lengths, lengths, np.arange(len(encoded)))


def hash_names(position: int, names: Sequence[str]) -> Ints:
    """Return the hashes of names of the block at a position, (N,).

    Example:
    >>> hash_names(3, ["red", "red shoe"]).tolist()
    [1747865908, 1634853466]
    """
    return hash_slices([(position, name_slices(names))])[0]


def hash_slices(parts: Sequence[tuple[int, Slices]]) -> list[Ints]:
    """Return the hashes of names, each with the position of its block in front, by part.

    So equal names of two blocks are two features. Blocks of a saved run keep their order: a feature
    is found by its hash, and so by the position.

    Args:
        parts: Positions of blocks with names; all are hashed together, for speed.
    """
    sizes = [len(slices.starts) for _, slices in parts]
    if not sum(sizes):
        return [np.zeros(0, np.int64) for _ in parts]
    offsets = np.cumsum([0, *(len(slices.content) for _, slices in parts)])
    starts = np.concatenate(
        [s.starts + offset for (_, s), offset in zip(parts, offsets[:-1], strict=True)]
    )
    lengths = np.concatenate([slices.lengths for _, slices in parts])
    content = np.concatenate([*(slices.content for _, slices in parts), np.zeros(4, np.uint8)])
    fronts = [f"{position}\x1f".encode() for position, _ in parts]
    found = _murmur(content, starts, lengths, fronts, np.repeat(np.arange(len(parts)), sizes))
    signed = np.abs(found.view(np.int32).astype(np.int64)) % SPACE
    return np.split(signed, np.cumsum(sizes)[:-1])


def _murmur(
    content: NDArray[np.uint8], starts: Ints, lengths: Ints, fronts: list[bytes], front: Ints
) -> _Words:
    """Return MurmurHash3 of slices of the content, each with one of `fronts` before it, (N,).

    The hash takes in four bytes after four. Those of the front that fill no four are carried into
    the first four of the slice, whose later bytes are then read that much earlier.
    """
    begun = [_begin(each) for each in fronts]
    found = np.array([state for state, _ in begun], np.uint32)[front]
    carried = np.array([int.from_bytes(rest, "little") for _, rest in begun], np.uint32)[front]
    shift = np.array([len(rest) for _, rest in begun])[front]
    # One from each byte on.
    words: _Words = np.ndarray((len(content) - 3,), np.dtype("<u4"), content, strides=(1,))
    first = carried | words[starts] << (8 * shift).astype(np.uint32)
    at, sizes = starts - shift, shift + lengths
    rounds = sizes // 4
    going = np.arange(len(rounds))
    for i in range(int(rounds.max())):
        # those of the last round alone: one long word among many n-grams has thousands of rounds
        going = going[rounds[going] > i]
        word = words[at[going] + 4 * i] if i else first[going]
        found[going] = _take_in(found[going], word)
    last = np.where(rounds > 0, words[at + 4 * rounds], first) & _MASKS[sizes % 4]
    whole = np.array([len(each) for each in fronts])[front] + lengths
    return _finish(found ^ _scramble(last) ^ whole.astype(np.uint32))


def _begin(front: bytes) -> tuple[int, bytes]:
    """Return the state after the whole fours of bytes of a front, and the bytes left over."""
    size, state = len(front) // 4 * 4, np.zeros(1, np.uint32)
    for word in np.frombuffer(front[:size], "<u4"):
        state = _take_in(state, np.array([word]))
    return int(state[0]), front[size:]


def _take_in(state: _Words, word: _Words) -> _Words:
    return _rotate(state ^ _scramble(word), 13) * np.uint32(5) + np.uint32(0xE6546B64)


def _scramble(word: _Words) -> _Words:
    return _rotate(word * np.uint32(0xCC9E2D51), 15) * np.uint32(0x1B873593)


def _rotate(word: _Words, bits: int) -> _Words:
    return word << np.uint32(bits) | word >> np.uint32(32 - bits)


def _finish(state: _Words) -> _Words:
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        state = (state ^ state >> np.uint32(shift)) * np.uint32(factor)
    return state ^ state >> np.uint32(16)


class Words:
    """The words of many texts as one array of bytes, from which n-grams are cut.

    Args:
        cells: The texts; one that is missing has no words.
    """

    def __init__(self, cells: Sequence[str | None]) -> None:
        self.cells = cells
        found = [text.words(cell) if cell else [] for cell in cells]
        self.counts = np.fromiter(map(len, found), np.int64, len(found))
        self._flat = list(chain.from_iterable(found))

    def ngrams(self, sizes: Iterable[int]) -> Slices:
        """Return each so many words in a row, for each size; an owner is a row."""
        content, blanks = self._content
        rows = np.repeat(np.arange(len(self.counts)), self.counts)
        parts = []
        for size in sizes:
            last = len(rows) - size + 1  # beyond, so many words do not follow
            same = np.flatnonzero(rows[: max(last, 0)] == rows[size - 1 :])
            parts.append((blanks[same] + 1, blanks[same + size] - blanks[same] - 1, rows[same]))
        return Slices(content, *map(np.concatenate, zip(*parts, strict=True)))

    @cached_property
    def _content(self) -> tuple[NDArray[np.uint8], Ints]:
        return _joined(self._flat)

    @cached_property
    def vocabulary(self) -> tuple[list[str], Ints]:
        """The different words, and the place in them of each word of the texts in turn."""
        places: dict[str, int] = {}
        found = [places.setdefault(word, len(places)) for word in self._flat]
        return list(places), np.array(found, np.int64)

    @cached_property
    def runs_of_letters(self) -> Slices:
        """The runs of two to five letters of the vocabulary; an owner is a word's place in it."""
        content, blanks = _joined(self.vocabulary[0])
        characters = np.flatnonzero((content & 0xC0) != 0x80)  # where one begins, in UTF-8
        blanks = np.searchsorted(characters, blanks)
        characters = np.append(characters, len(content))
        place = np.arange(blanks[-1] if len(blanks) else 0)
        word = np.searchsorted(blanks, place, side="right") - 1
        left = blanks[word + 1] - place  # to the blank that ends the word
        parts = []
        for length in range(LETTERS[0], LETTERS[1] + 1):
            start = np.flatnonzero(left >= length - 1)
            begin = characters[start]
            parts.append((begin, characters[start + length] - begin, word[start]))
        return Slices(content, *map(np.concatenate, zip(*parts, strict=True)))


def _joined(words: list[str]) -> tuple[NDArray[np.uint8], Ints]:
    """Return words with blanks between and around, as bytes, and where the blanks are."""
    content = np.frombuffer(f" {' '.join(words)} ".encode() if words else b"", np.uint8)
    return content, np.flatnonzero(content == _BLANK)
