"""A run saved before the packages were laid out loads, and predicts what it predicted then.

`fixtures/saved_run.zip` holds the run, eight of its rows with their photos, and what was predicted
for them: table, text and photos to a partly labelled number and class, by two networks, the sparse
linear model and boosted trees. Its files name classes, config keys and records as they were.
"""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

import multimodal
from multimodal.models.build import assemble, fold_models

SAVED = Path(__file__).parents[1] / "fixtures" / "saved_run.zip"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with `run`, `few.csv`, `expected.csv` and `photos`."""
    folder = tmp_path_factory.mktemp("saved")
    with zipfile.ZipFile(SAVED) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def run(saved: Path) -> multimodal.Run:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # its config keys are of an earlier day, and nobody's fault
        return multimodal.load(saved / "run")


def test_it_predicts_the_same(saved: Path, run: multimodal.Run) -> None:
    found = run.predict(saved / "few.csv", images=saved, level=0.8).frame
    notes = found.pop("note")
    assert [row for row, note in enumerate(notes) if note] == [5] and "'photo'" in notes[5]
    expected = pd.read_csv(saved / "expected.csv").drop(columns="note")  # it said less
    pd.testing.assert_frame_equal(
        found.astype(object).where(found.notna() & (found != ""), None).infer_objects(),
        expected.astype(object).where(expected.notna(), None).infer_objects(),
        check_dtype=False,
        rtol=1e-5,
    )


def test_it_explains_and_knows_what_it_needs(saved: Path, run: multimodal.Run) -> None:
    (found,) = run.explain(saved / "few.csv", images=saved, limit=1)
    # Its networks, whose vectors it holds, do not decide: what they find near tells nothing.
    assert found.groups and not found.neighbours
    assert "the vectors of its networks alone" in found.nearness
    from multimodal.evaluation.records import Importance

    assert set(Importance.read(saved / "run").heads) == {"price", "mood"}


def test_its_model_opens_in_plain_keras(saved: Path, run: multimodal.Run) -> None:
    plain = keras.models.load_model(saved / "run" / "model.keras")
    assert [weight.path for weight in plain.weights] == [w.path for w in run.model.weights]


def test_its_parts_are_those_of_the_whole_model(saved: Path, run: multimodal.Run) -> None:
    whole = assemble(run.config, run.spec)
    whole.load_weights(saved / "run" / "model.keras")
    wanted = [network.get_weights() for network in fold_models(whole)]
    assert len(wanted) == len(run.parts.weights) == 2
    for weights, own in zip(wanted, run.parts.weights, strict=True):
        for one, other in zip(weights, own, strict=True):
            np.testing.assert_array_equal(one, other)
    for one, other in zip(whole.get_weights(), run.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert set(run.parts.blends) == set(whole.output_names)
    for name, blend in run.parts.blends.items():
        for one, other in zip(
            whole.get_layer(name).get_weights(), blend.get_weights(), strict=True
        ):
            np.testing.assert_array_equal(one, other)
