"""Fits: predictions in order, of the rows asked, as `predict` gives; on disk checked when read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny import PHOTOS, TABLE, WORDS, plain_config, plain_rows, tiny_config

from multimodal.core.errors import RunError, TrainingError
from multimodal.core.spec import SPARSE_KEYS
from multimodal.data.prepare import Prepared, prepare
from multimodal.evaluation.task import measure
from multimodal.models.build import assemble, build
from multimodal.models.predictor import Predictor
from multimodal.models.training import kfold
from multimodal.models.training.fit import TrainingState
from multimodal.studies.fits import (
    Fit,
    fit_rows,
    output_width,
    predict_rows,
    read_fits,
    restrict_modalities,
    tasks,
    write_fits,
)


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


def test_a_fit_learns_and_predicts_the_splits_in_order(plain: Prepared) -> None:
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


def test_the_seed_decides(plain: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kfold, "fit", lambda *args, state, **rest: state)  # as it starts
    spec = plain.spec.model_copy(update={"terms": None})
    one, two, other = (
        fit_rows(replace(plain, spec=spec, config=plain.config.merge(training={"seed": seed})))
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one.outputs["price"], two.outputs["price"])
    assert (one.outputs["price"] != other.outputs["price"]).any()


def test_predictions_are_those_of_the_predictor_in_any_order(mixed: Prepared) -> None:
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


def test_predictions_that_are_no_number_are_an_error(mixed: Prepared) -> None:
    model = build(mixed.config, mixed.spec)
    model.get_layer("price").set_weights(
        [np.full(w.shape, np.nan) for w in model.get_layer("price").get_weights()]
    )
    with pytest.raises(TrainingError, match="head 'price': the model answers with what is no"):
        predict_rows(model, mixed, mixed.rows("test"))


def test_ctrl_c_ends_it(plain: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: object, state: TrainingState, **rest: object) -> TrainingState:
        state.interrupted = True
        return state

    monkeypatch.setattr(kfold, "fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit_rows(plain)


def test_output_widths() -> None:
    from multimodal.evaluation.task import Task

    assert output_width(Task("y", quantiles=[0.1, 0.5, 0.9])) == 3
    assert output_width(Task("y", "labels", ["a", "b", "c"])) == 3


SHAPES = {"price": (4, 1), "mood": (4, 3)}
OUTPUTS = {"price": np.arange(4.0)[:, None], "mood": np.full((4, 3), 1 / 3)}


def test_fits_come_back(tmp_path: Path) -> None:
    fits = {
        "a-b": Fit(OUTPUTS, parameters=12, seconds=1.5, epochs=3),
        "c": Fit({"mood": OUTPUTS["mood"]}),
    }
    write_fits(tmp_path / "deep" / "fit.npz", fits)
    found = read_fits(tmp_path / "deep" / "fit.npz", SHAPES)
    assert list(found) == ["a-b", "c"]
    assert (found["a-b"].parameters, found["a-b"].seconds, found["a-b"].epochs) == (12, 1.5, 3)
    for head, values in OUTPUTS.items():
        np.testing.assert_array_equal(found["a-b"].outputs[head], values)
    assert list(found["c"].outputs) == ["mood"]


@pytest.mark.parametrize(
    ("outputs", "told"),
    [
        ({"price": np.zeros((5, 1))}, r"outputs of shape \(5, 1\)"),
        ({"cost": np.zeros((4, 1))}, "head 'cost'"),
        ({"price": np.full((4, 1), np.nan)}, "not finite"),
        ({"price": np.zeros((400, 100))}, "has 320,128 bytes"),
    ],
)
def test_other_outputs_are_refused(
    outputs: dict[str, np.ndarray], told: str, tmp_path: Path
) -> None:
    write_fits(tmp_path / "fit.npz", {"a": Fit(outputs)})
    with pytest.raises(RunError, match=rf"fit\.npz: damaged.*{told}.* fits it anew"):
        read_fits(tmp_path / "fit.npz", SHAPES)


def test_damage_is_told(tmp_path: Path) -> None:
    path = tmp_path / "fit.npz"
    write_fits(path, {"a": Fit(OUTPUTS)})
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(RunError, match="fit.npz"):
        read_fits(path, SHAPES)
    path.write_bytes(content[:100])
    with pytest.raises(RunError, match="fit.npz"):
        read_fits(path, SHAPES)


def test_pickles_are_not_opened(tmp_path: Path) -> None:
    facts = np.frombuffer(
        b'{"a": {"parameters": 0, "seconds": 0, "epochs": 0, "outputs": {"price": "array_0"}}}',
        np.uint8,
    )
    values = np.array([[{}]] * 4, dtype=object)
    np.savez(tmp_path / "fit.npz", facts=facts, array_0=values)
    with pytest.raises(RunError, match="allow_pickle"):
        read_fits(tmp_path / "fit.npz", SHAPES)
