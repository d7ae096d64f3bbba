"""The fold models of a run: their seeds, stages and starts, the rows of a batch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from tiny import plain_config, plain_rows

from multimodal.core.interrupted import Termination
from multimodal.data.batches import batch_rows
from multimodal.data.prepare import Prepared, prepare
from multimodal.models.training import kfold
from multimodal.models.training.checkpoints import Checkpoints, FaultTolerance
from multimodal.models.training.fit import TrainingState
from multimodal.models.training.kfold import (
    fit_network,
    named_rows,
    network_seed,
    network_to_fit,
    new_network,
    stages,
)


@pytest.fixture(scope="module")
def plain() -> Prepared:
    return prepare(plain_rows(), ["price"], plain_config(epochs=4, linear=False))


def test_networks_of_one_seed_start_alike_and_others_do_not(plain: Prepared) -> None:
    first, again, second = (new_network(plain, i)[0] for i in (0, 0, 1))
    for one, two in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    pairs = zip(first.get_weights(), second.get_weights(), strict=True)
    assert any((one != two).any() for one, two in pairs)
    assert network_seed(2**31 - 1, 1) == 999


def test_a_network_that_starts_from_another_says_so(plain: Prepared) -> None:
    from multimodal.models.fitted import FittedModel

    model, _ = new_network(plain, 0)
    model.set_weights([weights + 1 for weights in model.get_weights()])
    origin = FittedModel(plain.config, plain.schema, plain.spec, model)
    found, notes = new_network(plain, 3, origin)
    assert notes
    for one, two in zip(found.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_frozen_groups_learn_in_the_second_stage(
    plain: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[tuple[int, int], bool]] = []

    def watched(
        model: keras.Model, *args: object, state: TrainingState, last: int, **rest: object
    ) -> None:
        seen.append(((state.epoch, last), model.get_layer("table_encoder").trainable))

    monkeypatch.setattr(kfold, "fit", watched)
    config = plain.config.merge(training={"epochs": 4, "freeze": ["table"], "unfreeze_epoch": 1})
    frozen = replace(plain, config=config)
    fit_network(new_network(frozen, 0)[0], frozen, 0, TrainingState())
    assert seen == [((0, 1), False), ((1, 4), True)]


def test_a_fit_goes_on_from_where_it_is(plain: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []
    monkeypatch.setattr(kfold, "fit", lambda *a, state, last, **k: seen.append((state.epoch, last)))
    config = plain.config.merge(training={"epochs": 4, "freeze": ["table"], "unfreeze_epoch": 1})
    frozen = replace(plain, config=config)
    model, _ = new_network(frozen, 0)
    fit_network(model, frozen, 0, TrainingState(stage=1, epoch=2))
    fit_network(model, frozen, 0, TrainingState(interrupted=True))
    assert seen == [(2, 4)]


def test_rows_are_named_by_their_lines(plain: Prepared) -> None:
    rows, _ = plain.fold_rows(0)
    training = plain.config.training
    chosen = batch_rows(
        plain.source, rows, batch_size=training.batch_size, seed=training.seed, epoch=1, step=0
    )
    told = named_rows(plain, 0, 1, 0)
    assert told.startswith(f"the {len(chosen)} rows ")
    assert all(plain.table.place(row) in told for row in chosen)


def test_stages() -> None:
    assert stages(4, None, ["a"]) == [(0, 4, ["a"])]
    assert stages(4, 4, ["a"]) == [(0, 4, ["a"])]
    assert stages(4, 1, ["a"]) == [(0, 1, ["a"]), (1, 4, [])]


def test_fold_models_fitted_on_one_network_are_as_those_fitted_on_their_own(
    plain: Prepared,
) -> None:
    fitted_on, found = network_to_fit(plain), []
    for shared in (fitted_on, fitted_on, None):  # the third is the second anew
        model, _ = new_network(plain, min(len(found), 1))
        fit_network(model, plain, min(len(found), 1), TrainingState(), fitted_on=shared)
        found.append(model.get_weights())
    for second, own in zip(found[1], found[2], strict=True):
        np.testing.assert_array_equal(second, own)
    assert any((one != two).any() for one, two in zip(found[0], found[1], strict=True))


def test_killed_fold_models_end_with_the_same_weights(tmp_path: Path) -> None:
    """The first is through when the second is killed within its second epoch."""
    given = prepare(plain_rows(), ["price"], plain_config(fold_models=2, linear=False))

    class Kill(keras.callbacks.Callback):
        steps = 0

        def on_train_batch_end(self, batch: int, logs: object = None) -> None:
            self.steps += 1
            if self.steps == 7:
                raise ZeroDivisionError("killed")

    def fit_both(folder: Path, *callbacks: keras.callbacks.Callback) -> list[keras.Model]:
        models, fitted_on = [], network_to_fit(given)
        for i in range(2):
            checkpoints, (model, _) = Checkpoints(folder / str(i)), new_network(given, i)
            start = checkpoints.latest()
            state = TrainingState() if start is None else TrainingState.of(start)
            guard = FaultTolerance(checkpoints, Termination(), lambda epoch, step: "", 0.0)
            fit_network(
                model,
                given,
                i,
                state,
                fitted_on=fitted_on,
                fault_tolerance=guard,
                start=start,
                callbacks=callbacks,
            )
            models.append(model)
        return models

    with pytest.raises(ZeroDivisionError):
        fit_both(tmp_path / "killed", Kill())
    pairs = zip(fit_both(tmp_path / "killed"), fit_both(tmp_path / "whole"), strict=True)
    for resumed, uninterrupted in pairs:
        for one, other in zip(resumed.get_weights(), uninterrupted.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)
