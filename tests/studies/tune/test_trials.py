"""Trials on disk and in a study, and the words of a search: what it gained, and where."""

from __future__ import annotations

import math
import sys
import time
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from tiny import TABLE, WORDS

from multimodal.core.config import Config
from multimodal.core.errors import ConfigError, RunError
from multimodal.studies.compare.results import Difference
from multimodal.studies.tune.space import hyperparameters
from multimodal.studies.tune.trials import (
    PruningCallback,
    Trial,
    TrialEnded,
    TunedHead,
    TuningRecord,
    distributions,
    importances,
    make_study,
    optuna,
    read_trials,
    show_tuning,
    trial_state,
    tuning_verdict,
    write_trial,
)

pytest.importorskip("optuna")
SPACE = hyperparameters(Config.parse({"groups": [TABLE, WORDS]}))
START = {hyperparameter.name: hyperparameter.start for hyperparameter in SPACE}


def trial(number: int, value: float | None = 0.5, **changed: Any) -> Trial:
    state = changed.pop("state", "complete")
    return Trial(
        number=number, values={**START, **changed}, state=state, value=value, by_epoch=[0.9, 0.5]
    )


def test_trials_come_back_in_order(tmp_path: Path) -> None:
    for each in (trial(1, None, state="pruned", batch_size=32), trial(0)):
        write_trial(tmp_path, each)
    assert [each.number for each in read_trials(tmp_path, SPACE)] == [0, 1]
    assert read_trials(tmp_path / "none", SPACE) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "Invalid JSON|EOF"),
        (trial(5).model_dump_json(), "it says it is trial 5"),
        (trial(0, None).model_dump_json(), "complete if it has a value"),
        (trial(0, batch_size=33).model_dump_json(), "batch_size is 33"),
        (trial(0, learning_rate=9.0).model_dump_json(), "learning_rate is 9.0"),
        (trial(0, extra=1).model_dump_json(), "it changes"),
    ],
)
def test_damaged_and_strange_trials_are_named(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "trial-0000.json").write_text(text)
    with pytest.raises(RunError, match=rf"trial-0000\.json: damaged.*({told})"):
        read_trials(tmp_path, SPACE)


def drawn(trials: list[Trial], seed: int, count: int) -> list[dict[str, Any]]:
    study, found = make_study(SPACE, trials, seed), []
    for _ in range(count):
        asked = study.ask(distributions(SPACE))
        found.append(dict(asked.params))
        study.tell(asked, 1.0)
    return found


def test_the_start_comes_first_then_its_neighbours() -> None:
    first, *others = drawn([], 0, 9)
    assert first == START
    for each in others[:8]:
        assert sum(each[name] != START[name] for name in START) <= 3
    assert len({tuple(map(str, each.values())) for each in others}) > 4
    assert drawn([], 0, 3) == [first, *others[:2]] != drawn([], 1, 3)


def test_a_study_goes_on_where_trials_ended() -> None:
    before = drawn([], 0, 4)
    done = [
        Trial(number=i, values=v, state="complete", value=1.0) for i, v in enumerate(before[:2])
    ]
    assert drawn(done, 0, 2)[0].keys() == START.keys()
    study = make_study(SPACE, done, 0)
    assert len(study.trials) == 2 + 7
    assert trial_state(trial(0, None, state="failed")) == optuna().trial.TrialState.FAIL


def test_a_bad_trial_is_ended_and_one_out_of_time() -> None:
    asked = SimpleNamespace(report=lambda value, step: None, should_prune=lambda: True)
    first = PruningCallback(asked, math.inf)
    first.on_epoch_end(0, {"val_loss": 2.0})
    first.on_epoch_end(1, {"val_loss": 3.0})
    first.on_epoch_end(2, {"val_loss": math.nan})
    assert first.by_epoch == [2.0, 3.0, 1e30]
    with pytest.raises(TrialEnded, match="pruned"):
        PruningCallback(asked, time.monotonic() + 100).on_epoch_end(0, {"val_loss": 2.0})
    asked.should_prune = lambda: False
    with pytest.raises(TrialEnded, match="time is over") as ended:
        PruningCallback(asked, time.monotonic() - 1).on_epoch_end(0, {"val_loss": 2.0})
    assert not ended.value.pruned


def test_what_mattered_is_found() -> None:
    rates = [10 ** (-3.4 + 0.1 * i) for i in range(12)]
    done = [trial(i, abs(i - 6) + 0.1, learning_rate=rate) for i, rate in enumerate(rates)]
    found = importances(make_study(SPACE, done, 0))
    assert max(found, key=lambda name: found[name]) == "learning_rate"
    assert importances(make_study(SPACE, done[:3], 0)) == {}


def test_without_optuna_there_is_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ConfigError, match=r"pip install 'multimodal-keras\[tune\]'"):
        optuna()


def difference(gain: float, low: float, high: float) -> Difference:
    return Difference(gain=gain, low=low, high=high, p=0.5)


def record(test: Difference, best: int = 1) -> TuningRecord:
    trials = [
        Trial(
            number=0,
            values={"width": 1.0, "batch_size": 64},
            state="complete",
            value=0.5,
            metrics={"price_log_rmse": 0.41},
        ),
        Trial(
            number=1,
            values={"width": 2.0, "batch_size": 64},
            state="complete",
            value=0.4,
            metrics={"price_log_rmse": 0.33},
        ),
        Trial(number=2, values={"width": 0.5, "batch_size": 64}, state="pruned"),
    ]
    head = TunedHead(
        head="price",
        metric="log_rmse",
        values={"validation": (0.41, 0.33, 100), "test": (0.42, 0.4, 150)},
        differences={"validation": difference(0.2, 0.1, 0.3), "test": test},
    )
    return TuningRecord(
        trials=trials, start=0, best=best, heads=[head], importances={"width": 0.97, "x": 0.01}
    )


def test_a_gain_that_may_be_chance() -> None:
    assert tuning_verdict(record(difference(0.05, -0.02, 0.12))) == (
        "3 trials (1 ended early): for price the best config's error (RMSE of the logarithm) is "
        "20 % smaller (10 to 30) than that of the start on the rows it was chosen by, 5 % smaller "
        "(−2 to 12) on 150 untouched test rows, which may be chance."
    )


def test_a_gain_and_a_loss() -> None:
    assert "untouched test rows." in tuning_verdict(record(difference(0.05, 0.02, 0.08)))
    assert "5 % larger (2 to 8) on 150" in tuning_verdict(record(difference(-0.05, -0.08, -0.02)))


def test_nothing_better() -> None:
    said = tuning_verdict(record(difference(0, 0, 0), best=0))
    assert said == "3 trials (1 ended early): nothing was better than the config it started with."


def test_the_table_shows_what_differs() -> None:
    text = StringIO()
    show_tuning(record(difference(0, 0, 0)), Console(file=text, width=100))
    assert "width 2" in text.getvalue() and "the start itself" in text.getvalue()
    assert "hyperparameter importance: width 97%" in text.getvalue()
