"""Compare and tune: their folders, and going on."""

from __future__ import annotations

from pathlib import Path

import pytest
from runs import QUICK, Command
from tiny import plain_rows


def test_compare_prints_a_table_and_goes_on(command: Command, folder: Path) -> None:
    plain_rows().drop(columns=["cost", "weight"]).to_csv("rows.csv", index=False)
    asked = (
        "compare",
        "rows.csv",
        "--target",
        "price",
        "--config",
        "quick.yaml",
        "--folds",
        2,
        "--seeds",
        1,
    )
    Path("quick.yaml").write_text(QUICK.replace("{batch_size", "{epochs: 1, batch_size"))
    done = command(*asked)
    assert done.code == 0
    assert "price: 80 rows out of fold, 2 folds, 1 seed" in done.out
    assert "For price, concat on table is" in done.out
    assert done.err.splitlines()[-1] == "table, picture and every answer: runs/comparison"
    again = command(*asked)
    assert "going on: 8 of 8 fits are there" in again.err
    assert again.out == done.out
    assert not Path("runs/comparison-2").exists()
    done = command(*asked[:-1], 2, "--minutes", 0)
    assert done.code == 0 and Path("runs/comparison-2").exists()
    assert "left out: constant prediction: 4 of 4 fits" in done.out


@pytest.mark.usefixtures("only_the_model")
def test_tune_writes_a_config_to_train_with(command: Command, folder: Path) -> None:
    pytest.importorskip("optuna")
    Path("quick.yaml").write_text(QUICK.replace("{batch_size", "{epochs: 1, batch_size"))
    done = command(
        "tune", "rows.csv", "--target", "price", "--config", "quick.yaml", "--minutes", 0
    )
    assert done.code == 0
    assert "1 trial: nothing was better than the config it started with." in done.out
    assert done.err.splitlines()[-1] == "to train with: --config runs/tuned/best.yaml"
    done = command("train", "rows.csv", "--target", "price", "--config", "runs/tuned/best.yaml")
    assert done.code == 0
