"""Words of a text: their places, what was cut off, encoders that take no vectors."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from explained import WORDS, inputs_of, model_of, spec_of, stir

from multimodal.core.spec import FittedSpec
from multimodal.explain.attribution import ScoredRow, make_submodels
from multimodal.explain.words import GRADIENTS, SAMPLED, explain_words

TEXT = "Aa, bb — cc!  Dd (ee) ff; gg hh ii jj kk"
READ = ["aa", "bb", "cc", "dd", "ee", "ff", "gg", "hh", "ii"]


def row_of(model: keras.Model, spec: FittedSpec, inputs: dict[str, Any]) -> ScoredRow:
    parts = make_submodels(model, "price", spec.groups)
    return ScoredRow(parts, inputs, [part.encode(inputs) for part in parts], [1.0])


def test_scores_stand_at_the_words_that_were_read() -> None:
    spec = spec_of("tabular", "text")
    inputs = inputs_of(spec, words=WORDS)
    inputs["text_tokens"] = np.arange(2, 2 + WORDS, dtype="int32")[None]
    found = explain_words(row_of(model_of(spec, {}), spec, inputs), spec.group("text"), TEXT)
    assert found is not None and found.method == GRADIENTS
    assert [TEXT[slice(*span)].lower() for span in found.spans] == READ
    assert TEXT[found.read :] == "jj kk"
    assert found.gap <= 0.01 * abs(found.end - found.start) + 1e-4


def test_a_text_without_words_has_no_scores() -> None:
    spec = spec_of("tabular", "text")
    inputs = inputs_of(spec, words=0)
    assert explain_words(row_of(model_of(spec, {}), spec, inputs), spec.group("text"), TEXT) is None


@pytest.mark.parametrize("fusion", ["concat", "transformer"])
def test_a_backbone_that_takes_ids_alone_is_explained_by_leaving_words_out(
    tmp_path: Any, fusion: str
) -> None:
    ids = keras.Input((None,), dtype="int32")
    vectors = keras.layers.Embedding(30, 6)(ids)
    mine = keras.Model(ids, keras.layers.Conv1D(6, 3, padding="same", activation="relu")(vectors))
    path = tmp_path / "backbone.keras"
    stir(mine, 5).save(path)
    spec = spec_of("tabular", "text")
    encoder = {"name": "backbone", "options": {"backbone": str(path)}}
    model = model_of(spec, {"text": encoder}, fusion=fusion)
    text = "aa bb cc dd ee ff"
    found = explain_words(row_of(model, spec, inputs_of(spec)), spec.group("text"), text)
    assert found is not None and found.method == SAMPLED
    assert len(found.scores) == 6 and found.read == len(text)
    assert abs(found.end - found.start) > 1e-3
    assert found.gap <= 1e-3 * abs(found.end - found.start) + 1e-5
