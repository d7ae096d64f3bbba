"""Models that start from word vectors: the rows, the sentence, and what does not fit."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from multimodal.core.config import Config
from multimodal.core.errors import ConfigError, DataError
from multimodal.core.spec import FittedGroup, FittedHead, FittedSpec
from multimodal.models.build import build
from multimodal.models.training.kfold import check_vectors, start_from_vectors

WORDS = FittedGroup(
    name="title", modality="text", columns=["title"], vocabulary=["red", "blue"], lengths=[8]
)
SPEC = FittedSpec(groups=[WORDS], heads=[FittedHead(name="price", columns=["price"])])


def config_of(vectors: Path, **options: Any) -> Config:
    group = {
        "name": "Title",
        "modality": "text",
        "columns": ["title"],
        "vectors": str(vectors),
        "encoder": {"name": "embedding_bag", "options": options},
    }
    return Config.parse({"groups": [group], "heads": [{"name": "price", "column": "price"}]})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "glove.txt").write_text("blue 1 2 3\nshoe 4 5 6\n")
    return tmp_path / "glove.txt"


def test_known_words_start_from_their_vectors(path: Path) -> None:
    config = config_of(path, embedding_dim=3)
    model = build(config, SPEC)
    table = model.get_layer("title_encoder").embedding.embeddings
    before = np.array(table)
    assert start_from_vectors(model, config, SPEC) == ["Title: 1 of 2 words found in glove.txt"]
    np.testing.assert_array_equal(np.array(table)[3], [1, 2, 3])
    np.testing.assert_array_equal(np.array(table)[:3], before[:3])


def test_another_dimension_is_refused_before_anything_is_built(path: Path) -> None:
    message = (
        f"group 'Title': the vectors in {path} have 3 numbers, but `embedding_dim` of encoder "
        "'embedding_bag' is 64. Set `embedding_dim: 3` in its options."
    )
    with pytest.raises(ConfigError, match=re.escape(message)):
        check_vectors(config_of(path))


def test_a_missing_file_and_another_modality_are_refused(path: Path) -> None:
    with pytest.raises(DataError, match="gone.txt: cannot be read"):
        check_vectors(config_of(path.with_name("gone.txt"), embedding_dim=3))
    config = config_of(path)
    group = config.groups[0].model_copy(
        update={
            "modality": "tabular",
            "encoder": config.groups[0].encoder.model_copy(update={"name": "dense"}),
        }
    )
    with pytest.raises(ConfigError, match="not for tabular encoder 'dense'"):
        check_vectors(config.model_copy(update={"groups": [group]}))
