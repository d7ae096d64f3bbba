"""Pretrained word vectors, from a text file of GloVe or word2vec."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from multimodal.core.arrays import Bools
from multimodal.core.errors import DataError
from multimodal.data.features.text import index
from multimodal.data.read.encodings import spoiled, text_lines
from multimodal.data.read.packed import content_of


class Vectors(NamedTuple):
    """float32 (words + 2, dim), zeros where no vector was found, and bool (words + 2,): found.

    Rows 0 and 1, padding and the unknown word, are never found.
    """

    matrix: NDArray[np.float32]
    found: Bools


def read_vectors(path: str | Path, vocabulary: Sequence[str]) -> Vectors:
    """Read the vectors of the words in `vocabulary`, line by line; only those are held in memory.

    A line is a word and its numbers, separated by blanks, as GloVe and word2vec (`binary=0`) write
    them. A first line with the number of words and their dimension may be there. Of a word that
    stands twice, the first vector counts. Words are compared letter by letter: the vocabulary is in
    lower case.

    Args:
        path: The file, UTF-8; packed with gzip if it ends in `.gz`.
        vocabulary: The words from id 2 on.

    Raises:
        DataError: The file cannot be read, is empty, or a line is not a word and its numbers.

    Example:
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "tiny.txt"
    >>> _ = path.write_text("red 1 2\\nblue 3 4\\n")
    >>> read_vectors(path, ["green", "blue"]).matrix[2:].tolist()
    [[0.0, 0.0], [3.0, 4.0]]
    """
    dim, ids = dimension(path), index(vocabulary)
    matrix = np.zeros((len(ids) + 2, dim), np.float32)
    found = np.zeros(len(matrix), bool)
    for number, line in _vector_lines(Path(path)):
        word, numbers = _split(path, number, dim, line)
        row = ids.get(word)
        if row is not None and not found[row]:
            matrix[row] = _numbers(path, number, dim, numbers)
            found[row] = True
    return Vectors(matrix, found)


class FrequentVectors(NamedTuple):
    """Rows of words in lower case, and the vectors, float32 (words, dim)."""

    ids: dict[str, int]
    matrix: NDArray[np.float32]


def read_frequent(path: str | Path, most: int) -> FrequentVectors:
    """Read the first `most` vectors of a file, which are those of the most frequent words.

    The format is that of `read_vectors`. Of words that differ in case alone, the first counts.

    Raises:
        DataError: As `read_vectors`.

    Example:
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "tiny.txt"
    >>> _ = path.write_text("Red 1 2\\nred 3 4\\nblue 5 6\\n")
    >>> read_frequent(path, most=2)
    FrequentVectors(ids={'red': 0}, matrix=array([[1., 2.]], dtype=float32))
    """
    dim, rows = dimension(path), []
    ids: dict[str, int] = {}
    for number, line in islice(_vector_lines(Path(path)), most):
        word, numbers = _split(path, number, dim, line)
        if word.lower() not in ids:
            ids[word.lower()] = len(ids)
            rows.append(_numbers(path, number, dim, numbers))
    return FrequentVectors(ids, np.stack(rows))


def dimension(path: str | Path) -> int:
    """Return how many numbers the vectors of a file have, from its first line of a vector.

    Raises:
        DataError: The file cannot be read, or holds no vector.
    """
    for number, line in _vector_lines(Path(path)):
        dim = len(line.split()) - 1
        if dim < 1:
            raise DataError(_malformed(path, number, None, f"{line[:40]!r}"))
        return dim
    raise DataError(f"{path}: expected a word and its numbers on each line, but there are none.")


def _vector_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield number and text of each line that is neither blank nor the header."""
    for number, line in enumerate(_lines(path), 1):
        text = line.strip()
        if text and not (number == 1 and _is_header(text)):
            yield number, text


def _lines(path: Path) -> Iterator[str]:
    if path.exists() and not path.is_file():  # to open a pipe would wait for ever
        raise DataError(f"{path}: expected a file of word vectors, got a folder, pipe or device.")
    for number, line in enumerate(text_lines(content_of(path), "utf-8-sig"), 1):
        if reason := spoiled(line, "utf-8"):
            raise DataError(f"{path}, line {number}: {reason}.")
        yield line


def _split(path: str | Path, number: int, dim: int, line: str) -> tuple[str, list[str]]:
    """Return the word of a line, and its numbers."""
    # From the right, since a word may hold blanks, as a few in GloVe's file of 840 billion do.
    word, *numbers = line.rsplit(None, dim)
    if len(numbers) != dim:
        raise DataError(_malformed(path, number, dim, f"{len(numbers)} numbers"))
    return word, numbers


def _is_header(line: str) -> bool:
    fields = line.split()
    return len(fields) == 2 and all(field.isdecimal() for field in fields)


def _numbers(path: str | Path, number: int, dim: int, fields: Sequence[str]) -> NDArray[np.float32]:
    try:
        values = np.array(fields, np.float32)
    except ValueError as error:
        raise DataError(_malformed(path, number, dim, str(error))) from None
    if not np.isfinite(values).all():
        raise DataError(_malformed(path, number, dim, "a number that is not finite"))
    return values


def _malformed(path: str | Path, number: int, dim: int | None, came: str) -> str:
    wanted = "its numbers" if dim is None else f"{dim} numbers"
    return f"{path}, line {number}: expected a word and {wanted}, got {came}."
