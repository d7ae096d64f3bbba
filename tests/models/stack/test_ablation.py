"""What a modality adds: the recipe with it and without it, over drawn and over real base models."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from tiny import PHOTOS, TABLE, plain_config, tiny_config

from multimodal.core.budget import Budget
from multimodal.core.config import Training
from multimodal.data.prepare import Prepared, prepare
from multimodal.evaluation.records import ModalityGain, ModelScore
from multimodal.evaluation.task import Task
from multimodal.models.stack import base_models
from multimodal.models.stack.ablation import ModalityAblation
from multimodal.models.stack.base_models import (
    BaseModel,
    Modalities,
    linear_base_model,
    network_base_model,
)
from multimodal.models.stack.sparse_linear import fit_sparse_linear
from multimodal.models.stack.stack import fit_linear_models, held_out_of
from multimodal.models.training.kfold import Callbacks, new_network

N = 400


@dataclass
class Drawn:
    """A base model whose outputs are drawn: the error of each modality's part that it lacks."""

    prepared: Prepared
    parts: dict[str, np.ndarray]
    refits: list[Modalities] = field(default_factory=list)

    def of(self, modalities: Modalities) -> BaseModel:
        target = self.space()
        known = sum(part for name, part in self.parts.items() if name in modalities)
        raw = np.asarray(known)[:, None]
        assert len(raw) == len(target)
        test = np.zeros((len(self.prepared.rows("test")), 1))
        return BaseModel(
            "drawn",
            modalities,
            {"price": raw},
            self.refit,
            lambda: {"price": test},
            networks=1,
            epochs=7,
            epoch_seconds=2.0 if "text" in modalities else 0.5,
        )

    def space(self) -> np.ndarray:
        rows = np.flatnonzero(self.prepared.splits != "test")
        return self.prepared.labels["price"][rows]

    def refit(self, modalities: Modalities, callbacks: Callbacks) -> BaseModel | None:
        self.refits.append(modalities)
        return self.of(modalities)


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    random = np.random.default_rng(0)
    words = [" ".join(random.choice(["red", "blue", "old", "new"], 3)) for _ in range(N)]
    rows = pd.DataFrame({"size": random.normal(size=N), "title": words})
    rows["price"] = rows["size"] + random.normal(0, 0.5, N)
    kinds = {"columns": {"title": "text"}}
    return prepare(rows, ["price"], plain_config(fold_models=2).merge(data=kinds))


@pytest.fixture(scope="module")
def network(prepared: Prepared) -> keras.Model:
    return new_network(prepared, 0)[0]


def ablation(prepared: Prepared, network: keras.Model, model: BaseModel, **more: Any):
    linear = fit_linear_models(replace(prepared, spec=_without_terms(prepared)), network)
    return ModalityAblation(prepared, [Task("price")], network, linear, [model], **more)


def _without_terms(prepared: Prepared):
    return prepared.spec.model_copy(update={"terms": None})


def drawn(prepared: Prepared, noise: float) -> Drawn:
    head = prepared.spec.heads[0]
    rows = np.flatnonzero(prepared.splits != "test")
    truth = (prepared.labels["price"][rows] - head.mean) / head.scale
    told = np.random.default_rng(1).normal(size=len(rows))
    return Drawn(prepared, {"tabular": truth + noise * told, "text": -0.7 * noise * told})


def test_what_tells_something_is_earned_and_what_does_not_is_nothing(
    prepared: Prepared, network: keras.Model
) -> None:
    model = drawn(prepared, 0.5)
    whole = model.of(frozenset({"tabular", "text"}))
    found = dict_of(ablation(prepared, network, whole, network_seconds=40.0).gains())
    assert {name: gain.outcome for name, gain in found.items()} == {
        "table": "earned",
        "text": "earned",
    }
    text = found["text"]
    assert text.gain == pytest.approx(0.7, abs=0.01) and text.low < text.gain < text.high
    assert (text.metric, text.rows) == ("rmse", int((prepared.splits != "test").sum()))
    assert (text.seconds_with, text.seconds_without) == (40.0, 10.0)
    assert (text.networks, text.epochs) == (1, 7)

    model.parts["text"] = np.zeros_like(model.parts["text"])
    whole = model.of(frozenset({"tabular", "text"}))
    found = dict_of(ablation(prepared, network, whole).gains())
    assert found["text"].outcome == "nothing" and found["text"].gain == 0


def dict_of(gains: Iterator[tuple[str, ModalityGain]]) -> dict[str, ModalityGain]:
    return {gain.modality: gain for _, gain in gains}


def test_of_two_modalities_each_alone_is_fitted_once(
    prepared: Prepared, network: keras.Model
) -> None:
    model = drawn(prepared, 0.5)
    found = ablation(prepared, network, model.of(frozenset({"tabular", "text"})))
    kept: list[Any] = []

    def keep(score: ModelScore, rows: np.ndarray, outputs: np.ndarray) -> None:
        kept.append((score.label, len(rows), outputs.shape))

    assert len(list(found.gains())) == 2
    scores = list(found.scores(Task("price"), keep))
    assert [(s.kind, s.label) for s in scores] == [
        ("recipe", "Same recipe on table"),
        ("recipe", "Same recipe on text"),
    ]
    tested = len(prepared.rows("test"))
    assert kept == [(score.label, tested, (tested, 1)) for score in scores]
    assert sorted(map(sorted, model.refits)) == [["tabular"], ["text"]]


def test_what_does_not_fit_into_the_time_is_left_out(
    prepared: Prepared, network: keras.Model
) -> None:
    model = drawn(prepared, 0.5)
    budget = Budget(Training(minutes=1), clock=lambda: 0.0)
    whole = model.of(frozenset({"tabular", "text"}))
    found = ablation(prepared, network, whole, budget=budget, network_seconds=600.0)
    assert not list(found.gains()) and not model.refits
    assert budget.left_out == ["the recipe on text alone", "the recipe on table alone"]


def test_a_base_model_without_a_part_takes_over_where_no_other_can_read(
    prepared: Prepared, network: keras.Model
) -> None:
    spare = drawn(prepared, 0.5)
    only_table = replace(
        drawn(prepared, 0.1).of(frozenset({"tabular"})),
        refit=lambda kept, _: drawn(prepared, 0.1).of(kept) if "tabular" in kept else None,
    )
    found = ablation(prepared, network, only_table, spare=[spare.of(frozenset({"text"}))])
    gains = dict_of(found.gains())
    assert gains["table"].outcome == "earned" and spare.refits == [frozenset({"text"})]


@pytest.fixture(scope="module")
def photos(catalogue_folder: Path) -> Prepared:
    data = {"image_size": 16}
    config = tiny_config(TABLE, PHOTOS, data=data, fold_models=2, epochs=1)
    return prepare(catalogue_folder / "catalogue.csv", ["price"], config)


def test_a_linear_model_without_a_modality_is_the_one_of_the_other_blocks(
    prepared: Prepared, network: keras.Model
) -> None:
    fitted = fit_linear_models(prepared, network)
    model = linear_base_model(prepared, fitted)
    assert model.modalities == {"tabular", "text"}
    assert model.refit(frozenset({"tabular", "text", "image"}), ()) is model  # it reads no photo
    alone = model.refit(frozenset({"tabular"}), ())
    assert alone is not None and alone.modalities == {"tabular"}
    rows, whole = fitted.heads["price"].rows, fitted.heads["price"].linear
    assert prepared.spec.terms is not None and whole is not None
    text = [i for i, each in enumerate(prepared.spec.terms.blocks) if each.group == "title"]
    bare = [0 * each if i in text else each for i, each in enumerate(rows.features.blocks)]
    expected = fit_sparse_linear(replace(rows, features=replace(rows.features, blocks=bare)))
    assert expected is not None
    np.testing.assert_allclose(alone.raw["price"], expected.out_of_fold, atol=1e-3)
    assert alone.predict()["price"].shape == (len(prepared.rows("test")), 1)
    assert model.refit(frozenset({"image"}), ()) is None


def test_networks_go_on_without_a_modality(photos: Prepared) -> None:
    networks = [new_network(photos, i)[0] for i in range(2)]
    model = network_base_model(photos, networks, held_out_of(photos, networks))
    assert np.isfinite(model.raw["price"]).all()
    table = model.refit(frozenset({"tabular"}), ())
    assert table is not None and (table.networks, table.epochs) == (2, base_models.LEAST_EPOCHS)
    assert np.isfinite(table.raw["price"]).all() and not np.allclose(
        table.raw["price"], model.raw["price"]
    )
    assert table.parameters < model.parameters
    image = model.refit(frozenset({"image"}), ())
    assert image is not None and image.networks == 1  # of the first fold, since photos cost most
    known = np.isfinite(image.raw["price"][:, 0])
    learned = np.flatnonzero(photos.splits != "test")
    np.testing.assert_array_equal(learned[known], photos.fold_rows(0)[1])
    assert model.refit(frozenset({"text"}), ()) is None


def test_a_fit_ends_in_time(photos: Prepared) -> None:
    networks = [new_network(photos, 0)[0]]
    looks = count()
    budget = Budget(Training(minutes=0.08), clock=lambda: float(next(looks)))
    own = network_base_model(photos, networks, held_out_of(photos, networks))
    linear = fit_linear_models(photos, networks[0])
    found = ModalityAblation(photos, [Task("price")], networks[0], linear, [own], budget=budget)
    assert found.recipe(frozenset({"tabular"})) is None
    assert budget.left_out == ["the recipe on table alone"]
