"""Trees in a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from shoes import FRAME, SPEC

from multimodal.core.errors import RunError
from multimodal.data.sparse.fit import fit_sparse_features
from multimodal.models.stack.boosted_heads import (
    TREES,
    BoostedModel,
    BoostedModels,
    read_boosted_models,
    write_boosted_models,
)
from multimodal.models.stack.boosting import grow

TERMS = fit_sparse_features(SPEC, {}, FRAME)
KNOWN = SPEC.model_copy(update={"terms": TERMS})
RANDOM = np.random.default_rng(0)
FEATURES = RANDOM.normal(size=(60, 5))  # a number, a category's meaning, the linear model, two sums


@pytest.fixture
def file(tmp_path: Path) -> Path:
    forest = grow("number", FEATURES, FEATURES[:, 0], np.ones(60), 1, seed=0)
    boosted_model = BoostedModel(
        forest, np.array([0.75, -0.1, 0.25]), np.array([[0.0], [0.1], [0.2], [0.3]])
    )
    summaries = RANDOM.normal(size=(3, 2)).astype(np.float32)
    write_boosted_models(
        tmp_path / TREES, BoostedModels(np.array([0, 2, 5]), summaries, {"price": boosted_model})
    )
    return tmp_path / TREES


def test_trees_come_back_and_answer_alike(file: Path) -> None:
    found = read_boosted_models(file, KNOWN, {"price": 1})
    with np.load(file, allow_pickle=False) as content:
        np.testing.assert_array_equal(found.summaries, content["summaries"])
    raw = grow("number", FEATURES, FEATURES[:, 0], np.ones(60), 1, seed=0).raw(FEATURES)
    np.testing.assert_array_equal(found.heads["price"].forest.raw(FEATURES), raw)
    assert found.heads["price"].shares.tolist() == [0.75, -0.1, 0.25]


@pytest.mark.parametrize(
    "fault", ["roots", "feature", "shares", "meanings", "columns", "summaries", "gone", "width"]
)
def test_a_damaged_file_is_refused(file: Path, fault: str) -> None:
    with np.load(file) as content:
        arrays = {name: content[name] for name in content.files}
    if fault == "gone":
        del arrays["price/left"]
    elif fault == "columns":
        arrays["columns"][0] = 10**6
    elif fault == "summaries":
        arrays["summaries"] = arrays["summaries"][:, :1]  # a feature less than the trees ask for
    elif fault == "meanings":
        arrays["price/meanings"] = arrays["price/meanings"][1:]
    elif fault == "shares":
        arrays["price/shares"] = np.array([np.nan, 1.0, 0.0])
    elif fault != "width":
        arrays[f"price/{fault}"] = arrays[f"price/{fault}"] + 10**6
    np.savez(file, **arrays)
    with pytest.raises(RunError, match=r"trees\.npz: damaged, or of another run"):
        read_boosted_models(file, KNOWN, {"price": 2 if fault == "width" else 1})
