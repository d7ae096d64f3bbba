"""A whole search on tiny rows, whose best config trains to what the search has measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny import plain_config, plain_rows

from multimodal.core.config import Config
from multimodal.core.errors import ConfigError, RunError
from multimodal.evaluation.records import RunMetrics
from multimodal.runs.train import train
from multimodal.studies.tune.tune import tune

pytest.importorskip("optuna")


def test_the_best_config_trains_to_what_was_measured(tmp_path: Path) -> None:
    rows = plain_rows(120).drop(columns="weight")
    rows["mood"] = np.where(rows["cost"] > rows["cost"].median(), "glad", "sad")
    targets, config = ["price", "mood"], plain_config(epochs=2)
    record = tune(
        rows.drop(columns="cost"), targets, out=tmp_path / "tuned", config=config, minutes=0.15
    )
    assert [head.metric for head in record.heads] == ["log_rmse", "log_loss"]
    best = Config.from_yaml(tmp_path / "tuned" / "best.yaml")
    single = best.merge(training={"fold_models": 1, "linear": False})
    train(rows.drop(columns="cost"), targets, out=tmp_path / "run", config=single)
    found = RunMetrics.read(tmp_path / "run")
    price, mood = record.heads
    for split in ("validation", "test"):
        measured = getattr(found.heads["price"], split)["log_rmse"]
        assert measured == pytest.approx(price.values[split][1], rel=1e-3)
    before = found.confidence["mood"].log_loss_before  # a run tempers its probabilities
    assert before == pytest.approx(mood.values["test"][1], rel=1e-3)


def test_what_cannot_be_searched_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no target is named"):
        tune(plain_rows(60), out=tmp_path / "out", config=Config())
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(RunError, match="already there"):
        tune(plain_rows(60), "price", out=tmp_path, config=plain_config(epochs=1), minutes=0)
