"""Words with their places, a vocabulary, and rows of fixed lengths."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest

from multimodal.core.spec import OUT_OF_VOCABULARY
from multimodal.data.features import text


def test_a_note_on_texts_that_are_cut() -> None:
    ids = np.array([[2] * 8, [2] * 7 + [0], [2] * 8], np.int32)
    assert "'words': 2 of 3 rows hold 8 words or more" in str(text.cut_note("words", ids, 8, 8))
    assert text.cut_note("words", ids, 8, 16) is None  # the longest text is that long
    assert text.cut_note("words", ids[[1] * 9 + [1]], 8, 8) is None


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        ("", []),
        (" \n\t ", []),
        ("Not bad.", ["not", "bad"]),
        ("Don't, can’t", ["don't", "can’t"]),
        ("'quoted' rock 'n' roll", ["quoted", "rock", "n", "roll"]),
        ("1,299.50 or 12.", ["1,299.50", "or", "12"]),
        ("set of 3x5kg", ["set", "of", "3", "x", "5", "kg"]),
        ("€5 + 20% & #7", ["€", "5", "+", "20", "%", "&", "#", "7"]),
        ("snake_case well-known a/b", ["snake", "case", "well", "known", "a", "b"]),
        ("GRÖẞE Straße ÉTÉ", ["größe", "straße", "été"]),
        ("Привет, мир", ["привет", "мир"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("שָׁלוֹם", ["שָׁלוֹם"]),
        ("红色 shoes", ["红", "色", "shoes"]),
        ("カメラ2台", ["カ", "メ", "ラ", "2", "台"]),
        (unicodedata.normalize("NFD", "café"), [unicodedata.normalize("NFD", "café")]),
        ("😀 fine 😀", ["fine"]),
        ("m² ½", ["m²", "½"]),
    ],
)
def test_words(sentence: str, words: list[str]) -> None:
    assert text.words(sentence) == words
    assert [word.text for word in text.tokenise(sentence)] == words


@pytest.mark.parametrize(
    "sentence", ["Don't pay 1,299.50 € für 2 Stück!", "İstanbul ŞİŞ", "हिन्दी 红色 x", "a\u0301B c"]
)
def test_offsets_point_at_the_word(sentence: str) -> None:
    found = text.tokenise(sentence)
    assert found
    for word in found:
        assert sentence[word.start : word.end].lower() == word.text
    assert all(a.end <= b.start for a, b in zip(found, found[1:], strict=False))


@pytest.mark.parametrize(
    ("word", "shape"),
    [("7", "0"), ("1,299.50", "0,000.00"), ("kg", None), ("½", None), ("²", None), ("%", None)],
)
def test_shape_of(word: str, shape: str | None) -> None:
    assert text.shape_of(word) == shape


def test_vocabulary_by_frequency_then_alphabet() -> None:
    texts = ["b a b", "a c b", "d"]
    assert text.fit_vocabulary(texts, size=10, min_count=1) == ["b", "a", "c", "d"]
    assert text.fit_vocabulary(texts, size=10, min_count=2) == ["b", "a"]
    assert text.fit_vocabulary(texts, size=1, min_count=1) == ["b"]
    assert text.fit_vocabulary([], size=5, min_count=1) == []


def test_rare_numbers_share_their_shape() -> None:
    vocabulary = text.fit_vocabulary(["12 57 99 5 5", "1.50 kg"], size=10, min_count=2)
    assert vocabulary == ["00", "5"]
    ids = text.index(vocabulary)
    assert ids == {"00": 2, "5": 3}
    assert text.word_ids("12 41 5 6 kg", ids, 9) == [2, 2, 3, OUT_OF_VOCABULARY, OUT_OF_VOCABULARY]


def test_word_ids_are_limited() -> None:
    assert text.word_ids("a b a c", {"a": 2, "b": 3}, 3) == [2, 3, 2]
    assert text.word_ids("", {"a": 2}, 3) == []


@pytest.mark.parametrize(
    ("counts", "limit", "lengths"),
    [
        ([], 160, [8]),
        ([0, 0], 160, [8]),
        ([3, 5, 8], 160, [8]),
        ([9], 160, [16]),
        (range(1, 101), 160, [32, 56, 88, 104]),
        (range(1, 1001), 160, [160]),
        (range(1, 201), 50, [56]),
        ([10] * 99 + [5000], 160, [16]),
    ],
)
def test_fit_lengths(counts: list[int], limit: int, lengths: list[int]) -> None:
    found = text.fit_lengths(np.array(counts, np.int64), limit)
    assert found == lengths and len(found) <= text.MAX_LENGTHS
    assert found == sorted(set(found)) and all(length % 8 == 0 for length in found)


def test_pad_and_fixed_length() -> None:
    padded = text.pad([[2, 3], [], [4, 5, 6, 7]], 3)
    assert padded.dtype == np.int32
    assert padded.tolist() == [[2, 3, 0], [0, 0, 0], [4, 5, 6]]
    assert text.pad([], 3).shape == (0, 3)
    found = [text.fixed_length(longest, [8, 16, 24]) for longest in (0, 8, 9, 24, 99)]
    assert found == [8, 8, 16, 24, 24]


@pytest.mark.parametrize("limit", [1, 2, 3, 9])
def test_the_first_words_are_those_of_the_whole_text(
    limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text, "_CHARACTERS", 2)  # so that words are cut off
    rng = np.random.default_rng(0)
    for _ in range(300):
        sentence = "".join(rng.choice(list("ab 1,.'é€日"), rng.integers(0, 40)))
        words = text.words(sentence)
        ids = text.index(dict.fromkeys(words))
        wanted = [ids[word] for word in words[:limit]]
        assert text.word_ids(sentence, ids, limit) == wanted
