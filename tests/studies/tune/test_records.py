"""The words of a search: what it gained where it was chosen, and where nobody looked."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from multimodal.studies.compare.results import Difference
from multimodal.studies.tune.trials import (
    Trial,
    TunedHead,
    TuningRecord,
    show_tuning,
    tuning_verdict,
)


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
