"""What trees read of terms."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from shoes import FRAME, SPEC

from multimodal.core.spec import TEXT_STATISTICS
from multimodal.data.sparse.blocks import block_matrices
from multimodal.data.sparse.fit import fit_sparse_features
from multimodal.models.stack import boosted_heads
from multimodal.models.stack.boosted_heads import summarise

NO_TARGETS = np.zeros((60, 0))
TITLES = [f"{size} g of {what}" for size in range(100, 400, 10) for what in ("salt", "sugar")]
ROWS = pd.concat([FRAME.head(1)] * 60).assign(title=[*TITLES[:-1], "nothing"])


def summed(rows: pd.DataFrame, targets: np.ndarray = NO_TARGETS) -> np.ndarray:
    terms = fit_sparse_features(SPEC, {}, ROWS)
    places, added = summarise(terms, list(block_matrices(terms, SPEC, {}, ROWS)), targets, seed=0)
    assert added.shape[0] == len(places) and added.dtype == np.float32
    total = sum(block_matrices(terms, SPEC, {}, rows))
    return np.asarray(total[:, places] @ added)


def test_a_number_in_a_text_becomes_a_number_again() -> None:
    found = summed(ROWS)
    sizes = np.array([float(title.split()[0]) for title in TITLES[:-1]])
    greatest = [np.corrcoef(column[:-1].argsort().argsort(), sizes)[0, 1] for column in found.T]
    assert max(greatest) > 0.98
    told = found[:, int(np.argmax(greatest))]
    assert told[-1] < told[:-1].min()  # without a number


def test_texts_become_singular_vectors_without_the_facts() -> None:
    other = ROWS.assign(title=["salt"] * 30 + ["sugar"] * 30)
    found = summed(other)
    assert np.ptp(found[:30], axis=0).max() < 1e-5 < np.abs(found[0] - found[-1]).max()


def test_telling_words_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boosted_heads, "TELLING", 2)
    salty = np.array([[float("salt" in title)] for title in ROWS["title"]]) - 0.5
    salty[3] = np.nan
    facts = sum(
        block.kind in TEXT_STATISTICS for block in fit_sparse_features(SPEC, {}, ROWS).blocks
    )
    singular = summed(ROWS).shape[1] - facts
    told = summed(ROWS.head(6), salty)[:, singular:-facts]
    assert told.shape[1] == 2
    assert ((told[::2] > 0) & (told[1::2] == 0) | (told[::2] == 0) & (told[1::2] > 0)).all()


def test_without_texts_there_is_nothing_to_sum() -> None:
    table = SPEC.model_copy(update={"groups": SPEC.groups[:1]})
    terms = fit_sparse_features(table, {}, FRAME)
    places, added = summarise(
        terms, list(block_matrices(terms, table, {}, FRAME)), np.ones((6, 1)), seed=0
    )
    assert places.shape == (0,) and added.shape == (0, 0)
