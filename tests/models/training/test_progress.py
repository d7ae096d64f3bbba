"""What a fit shows: a bar on a terminal, a line per epoch everywhere, and the log file."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from multimodal.core.budget import Budget
from multimodal.models.training.progress import EpochProgress, LogFile

LOGS = {
    "a_loss": 1.0,
    "price_rmse": 1234.5,
    "loss": 1.5,
    "mae": 3.0,
    "val_rmse": 2,
    "val_loss": 2.25,
}
HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"


def two_epochs(progress: EpochProgress) -> None:
    progress.set_params({"epochs": 2, "steps": 3})
    progress.on_train_begin()
    for epoch in range(2):
        progress.on_epoch_begin(epoch)
        for batch in range(3):
            progress.on_train_batch_end(batch)
        progress.on_epoch_end(epoch, LOGS)


def test_a_line_per_epoch_in_a_file() -> None:
    file = StringIO()
    progress = EpochProgress(Console(file=file, width=40))
    two_epochs(progress)
    progress.on_train_end()
    lines = file.getvalue().splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("epoch 1/2  loss 1.5  price_rmse 1,234  val_loss 2.25  val_rmse 2  ")
    assert lines[1].startswith("epoch 2/2  loss 1.5")
    assert "mae" not in file.getvalue()


@pytest.mark.parametrize("way", ["end", "error"])
def test_the_bar_leaves_the_terminal(way: str) -> None:
    file = StringIO()
    console = Console(file=file, force_terminal=True, width=120)
    if way == "end":
        progress = EpochProgress(console)
        two_epochs(progress)
        assert file.getvalue().count(SHOW) < file.getvalue().count(HIDE)
        progress.on_train_end()
    else:
        with pytest.raises(KeyboardInterrupt), EpochProgress(console) as progress:
            two_epochs(progress)
            raise KeyboardInterrupt
    progress.close()
    shown = file.getvalue()
    assert "epoch 2 of 2" in shown
    assert shown.count(HIDE) == shown.count(SHOW) == 1


def test_a_fit_may_follow_another() -> None:
    file = StringIO()
    progress = EpochProgress(Console(file=file))
    for _ in range(2):
        two_epochs(progress)
        progress.on_train_end()
    assert len(file.getvalue().splitlines()) == 4


@pytest.mark.parametrize("terminal", [True, False])
def test_the_whole_training_has_a_bar_with_the_time_left(terminal: bool) -> None:
    file, now = StringIO(), [0.0]
    console = Console(file=file, force_terminal=terminal, width=120)
    budget = Budget(clock=lambda: now[0])
    with EpochProgress(console) as progress:
        progress.follow(budget)
        budget.begin("networks", 0, 2)
        two_epochs(progress)
        progress.on_train_end()
        now[0] = 100.0
        budget.begin("networks", 1, 2)
        assert file.getvalue().count(SHOW) == 0  # the bar stays between the networks
        budget.begin("report")
    shown = file.getvalue()
    assert shown.count("epoch 2/2  loss 1.5") == 1
    if not terminal:
        assert len(shown.splitlines()) == 2
        return
    assert shown.count(HIDE) == shown.count(SHOW) == 1
    assert "network 1 of 2" in shown and "97 %" in shown and "about 5 s left" in shown


def test_the_log_file_has_all_epochs_so_far(tmp_path: Path) -> None:
    epochs: list[dict[str, float]] = [{"epoch": 1, "loss": 0.5, "val_loss": 1}]
    log = LogFile(tmp_path / "log.csv", {0: epochs})
    for epoch in (2, 3):
        epochs.append({"epoch": epoch, "loss": epoch / 2, "val_loss": 1})
        log.on_epoch_end(epoch - 1)
    frame = pd.read_csv(tmp_path / "log.csv")
    assert frame["epoch"].tolist() == [1, 2, 3]
    assert frame["loss"].tolist() == [0.5, 1, 1.5]
    assert frame["val_loss"].tolist() == [1.0] * 3
