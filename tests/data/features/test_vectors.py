"""Word vectors from text files: what is read, and what is refused with file and line."""

from __future__ import annotations

import gzip
import os
import re
from pathlib import Path

import numpy as np
import pytest

from multimodal.core.errors import DataError
from multimodal.data.features.vectors import dimension, read_vectors

GLOVE = "the 0.5 -1 2e-1\nred 1 2 3\nmade up 7 8 9\nred 4 5 6\n"


def write(folder: Path, text: str, name: str = "v.txt") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("text", [GLOVE, "4 3\n" + GLOVE, GLOVE.replace("\n", " \n") + "\n"])
def test_known_words_get_their_first_vector(tmp_path: Path, text: str) -> None:
    matrix, found = read_vectors(write(tmp_path, text), ["red", "green", "the", "made up"])
    assert matrix.dtype == np.float32
    expected = [[0] * 3, [0] * 3, [1, 2, 3], [0] * 3, [0.5, -1, 0.2], [7, 8, 9]]
    np.testing.assert_allclose(matrix, expected, rtol=1e-6)
    assert found.tolist() == [False, False, True, False, True, True]


def test_a_gzip_file_reads_like_a_plain_one(tmp_path: Path) -> None:
    path = tmp_path / "v.txt.gz"
    path.write_bytes(gzip.compress(GLOVE.encode()))
    plain = read_vectors(write(tmp_path, GLOVE), ["red", "the"])
    np.testing.assert_array_equal(read_vectors(path, ["red", "the"]).matrix, plain.matrix)
    path.write_bytes(b"no gzip")
    with pytest.raises(DataError, match="not a complete gz file"):
        read_vectors(path, ["red"])


def test_a_word_is_not_taken_for_the_unknown_one(tmp_path: Path) -> None:
    matrix, found = read_vectors(write(tmp_path, "<unk> 1 2\n"), [])
    assert matrix.shape == (2, 2) and not matrix.any() and not found.any()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a word and its numbers on each line, but there are none."),
        ("3 2\n", "expected a word and its numbers on each line, but there are none."),
        ("red\n", "line 1: expected a word and its numbers, got 'red'."),
        ("red 1 2\nblue 3\n", "line 2: expected a word and 2 numbers, got 1 numbers."),
        ("5 2\nred 1 2\nblue 3 x\n", "line 3: expected a word and 2 numbers, got could not"),
        ("red 1 nan\n", "line 1: expected a word and 2 numbers, got a number that is not finite."),
    ],
)
def test_refuses_lines(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(DataError, match=f"^{re.escape(str(path))}[:,] {re.escape(message)}"):
        read_vectors(path, ["red", "blue"])


def test_dimension_is_that_of_the_first_vector(tmp_path: Path) -> None:
    assert dimension(write(tmp_path, "9 3\n" + GLOVE)) == 3
    with pytest.raises(DataError, match="gone.txt: cannot be read"):
        dimension(tmp_path / "gone.txt")


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    for name in ("v.txt", "v.gz"):
        os.mkfifo(tmp_path / name)
        with pytest.raises(DataError, match="expected a file of word vectors, got a folder, pipe"):
            dimension(tmp_path / name)
