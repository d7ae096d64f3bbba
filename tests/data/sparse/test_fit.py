"""Which terms are kept of rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from shoes import FRAME, SPEC

from multimodal.data.sparse import fit
from multimodal.data.sparse.blocks import block_matrices, feature_hashes, sparse_matrix
from multimodal.data.sparse.fit import fit_sparse_features


def fitted():
    return fit_sparse_features(SPEC, {}, FRAME)


def test_blocks_follow_the_groups():
    assert [(b.source, b.kind) for b in fitted().blocks] == [
        ("colour", "value"),
        ("size", "number"),
        ("title", "words"),
        ("title", "triples"),
        ("title", "letters"),
        ("title", "numbers"),
        ("title", "length"),
    ]


def test_targets_give_the_table_waves(monkeypatch: pytest.MonkeyPatch):
    targets = np.arange(6.0)[:, None]
    *others, last = fit_sparse_features(SPEC, {}, FRAME, targets).blocks
    assert (last.source, last.kind) == ("table", "waves") and len(others) == 7
    monkeypatch.setattr(fit, "MOST_ROWS", 5)
    assert all(
        block.waves is None for block in fit_sparse_features(SPEC, {}, FRAME, targets).blocks
    )


def test_what_is_the_same_in_all_texts_is_no_term():
    terms = fit_sparse_features(SPEC, {}, FRAME.assign(title="pack of 3"))
    assert [block.kind for block in terms.blocks if block.group == "title"] == [
        "words",
        "triples",
        "letters",
    ]


def test_of_two_sizes_in_texts_the_greater_fills_more_bins():
    sizes = range(100, 400, 10)
    frame = pd.concat([FRAME.head(1)] * 30).assign(title=[f"{size} g" for size in sizes])
    terms = fit_sparse_features(SPEC, {}, frame)
    place = [block.kind for block in terms.blocks].index("greatest")
    asked = FRAME.head(3).assign(title=["150 g", "305 g", "no size"])
    found = list(block_matrices(terms, SPEC, {}, asked))[place]
    filled = found.sum(axis=1).A1 / terms.blocks[place].scale
    assert 0 < filled[0] < filled[1] and found[2].nnz == 1  # that of its absence
    assert not (found[2].multiply(found[1])).nnz


def test_a_long_column_has_no_letters_and_a_longer_one_no_triples(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fit, "MOST_LETTERS", 10)
    kinds = [block.kind for block in fitted().blocks]
    assert "triples" in kinds and "letters" not in kinds
    monkeypatch.setattr(fit, "MOST_FOR_TRIPLES", 10)
    kinds = [block.kind for block in fitted().blocks]
    assert kinds == ["value", "number", "words", "numbers", "length"]


def test_terms_of_one_row_are_left_out_and_rare_ones_weigh_more():
    terms = fitted()
    once = pd.DataFrame({**FRAME.head(1), "title": ["twelve of them"]})
    assert len(feature_hashes(terms)) == terms.num_terms
    title = [i for i, block in enumerate(terms.blocks) if block.kind == "words"]
    found = sparse_matrix(terms, SPEC, {}, once)
    assert title == [2] and found.nnz < sparse_matrix(terms, SPEC, {}, FRAME.head(1)).nnz


def test_without_groups_there_are_no_terms():
    assert fit_sparse_features(SPEC.model_copy(update={"groups": []}), {}, FRAME) is None
