"""One model fitted on a split: its answers are in order, of the rows asked, as `predict` gives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny import PHOTOS, TABLE, WORDS, plain_config, plain_rows, tiny_config

from multimodal.core.errors import TrainingError
from multimodal.core.spec import SPARSE_KEYS
from multimodal.data.prepare import Prepared, prepare
from multimodal.evaluation.task import measure
from multimodal.models.build import assemble, build
from multimodal.models.predictor import Predictor
from multimodal.models.training import kfold
from multimodal.models.training.fit import TrainingState
from multimodal.studies.fits import fit_rows, output_width, predict_rows, restrict_modalities, tasks


@pytest.fixture(scope="module")
def plain() -> Prepared:
    return prepare(plain_rows(160), ["price", "cost"], plain_config(epochs=25, learning_rate=0.01))


@pytest.fixture(scope="module")
def mixed(catalogue_folder: Path) -> Prepared:
    config = tiny_config(
        TABLE,
        WORDS,
        PHOTOS,
        data={"image_size": 16, "max_words": 40, "split": {"method": "column", "column": "split"}},
    )
    return prepare(catalogue_folder / "catalogue.csv", ["price"], config)


def test_a_fit_learns_and_answers_the_sides_in_order(plain: Prepared) -> None:
    fit = fit_rows(plain, ("validation", "test"))
    rows = np.concatenate([plain.rows("validation"), plain.rows("test")])
    assert {name: values.shape for name, values in fit.outputs.items()} == {
        "price": (len(rows), 1),
        "cost": (len(rows), 1),
    }
    for task in tasks(plain):
        y_true = plain.labels[task.name][rows]
        assert measure(task, y_true, fit.outputs[task.name])["r2"] > 0.5
    assert fit.parameters > 100 and fit.seconds > 0 and 1 <= fit.epochs <= 25


def test_the_seed_decides(plain: Prepared) -> None:
    short = plain.config.merge(training={"epochs": 1, "linear": False})
    plain = replace(plain, spec=plain.spec.model_copy(update={"terms": None}))
    one, two, other = (
        fit_rows(Prepared(**{**vars(plain), "config": short.merge(training={"seed": seed})}))
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one.outputs["price"], two.outputs["price"])
    assert (one.outputs["price"] != other.outputs["price"]).any()


def test_answers_are_those_of_the_predictor_in_any_order(mixed: Prepared) -> None:
    from multimodal.data.features.preprocess import Preprocessor

    model = assemble(mixed.config, mixed.spec)
    rows = np.random.default_rng(0).permutation(len(mixed.splits))[:50]
    found = predict_rows(model, mixed, rows)["price"]
    arrays = Preprocessor(mixed.spec, mixed.schema).arrays(
        mixed.table.frame.iloc[rows], mixed.photo_root
    )
    expected, _ = Predictor(model, mixed.spec).predict(arrays)
    np.testing.assert_allclose(found, expected["price"], rtol=2e-4)


@pytest.mark.parametrize("modality", ["tabular", "text", "image"])
def test_a_narrowed_table_has_what_one_modality_needs(mixed: Prepared, modality: str) -> None:
    found = restrict_modalities(mixed, (modality,))
    assert [group.modality for group in found.config.groups] == [modality]
    model = assemble(found.config, found.spec)
    assert set(model.input) == {*found.spec.input_keys, *(SPARSE_KEYS if found.spec.terms else ())}
    assert bool(found.source.caches) == (modality == "image")
    assert predict_rows(model, found, found.rows("test"))["price"].shape == (30, 1)


def test_answers_that_are_no_number_are_an_error(mixed: Prepared) -> None:
    model = build(mixed.config, mixed.spec)
    model.get_layer("price").set_weights(
        [np.full(w.shape, np.nan) for w in model.get_layer("price").get_weights()]
    )
    with pytest.raises(TrainingError, match="head 'price': the model answers with what is no"):
        predict_rows(model, mixed, mixed.rows("test"))


def test_ctrl_c_ends_it(plain: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: object, fitted: TrainingState, **rest: object) -> TrainingState:
        fitted.interrupted = True
        return fitted

    monkeypatch.setattr(kfold, "fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit_rows(plain)


def test_output_widths() -> None:
    from multimodal.evaluation.task import Task

    assert output_width(Task("y", quantiles=[0.1, 0.5, 0.9])) == 3
    assert output_width(Task("y", "labels", ["a", "b", "c"])) == 3
