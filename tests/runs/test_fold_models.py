"""The networks of a run are fitted one after the other, and what was said stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import pytest
from tiny import plain_config, plain_rows

from multimodal.data.prepare import Prepared, prepare
from multimodal.models.training.fit import TrainingState
from multimodal.runs import fold_models
from multimodal.runs.fold_models import FoldModelFits
from multimodal.runs.provenance import Request


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    return prepare(plain_rows(), ["price"], plain_config(fold_models=3, epochs=2, linear=False))


def fits(prepared: Prepared, out: Path) -> FoldModelFits:
    out.mkdir(exist_ok=True)
    request = Request(plain_rows(), ["price"], prepared.config, out)
    return FoldModelFits(request, prepared, None, [])


def test_each_network_is_announced_and_logged(
    prepared: Prepared, tmp_path: Path, said: list[str]
) -> None:
    work = fits(prepared, tmp_path / "run")
    networks, fitted = work.run(None)
    assert len(networks) == 3 and len(fitted.log) == 6 and not fitted.interrupted
    assert [line.split(" on ")[0] for line in said] == [
        f"training network {i} of 3" for i in (1, 2, 3)
    ]
    assert {i: len(log) for i, log in work.logs.items()} == {0: 2, 1: 2, 2: 2}
    lines = (tmp_path / "run" / "training_log.csv").read_text().splitlines()
    assert len(lines) == 7 and lines[0].startswith("network,")


@pytest.mark.parametrize(("first", "kept"), [(0, 1), (1, 1), (2, 2)])
def test_an_interruption_keeps_the_networks_that_learned(
    first: int,
    kept: int,
    prepared: Prepared,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    said: list[str],
) -> None:
    def fit(
        model: keras.Model, given: Prepared, i: int, fitted: TrainingState, **rest: Any
    ) -> None:
        fitted.interrupted = i == first
        fitted.best = [] if fitted.interrupted else model.get_weights()

    monkeypatch.setattr(fold_models, "fit_network", fit)
    networks, fitted = fits(prepared, tmp_path / "run").run(None)
    assert len(networks) == kept and fitted.interrupted
    assert said[-1] == "interrupted; the best weights so far are kept"
