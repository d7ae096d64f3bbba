"""`scripts/peers/harness.py`: every opponent gets the same rows, and errors are counted alike."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"
ROWS = 40


def load(monkeypatch: pytest.MonkeyPatch, path: Path) -> ModuleType:
    """Return a script as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, path.stem, module)  # its dataclasses look there
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return load(monkeypatch, SCRIPTS / "peers" / "harness.py")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A table of prices and moods, with folds beside it; rows 0 and 1 have no price that counts."""
    draw = np.random.default_rng(0)
    price = draw.lognormal(3, 1, ROWS).round(2)
    price[0], price[1] = np.nan, 0
    table = pd.DataFrame(
        {
            "id": [f"{row:03d}" for row in range(ROWS)],
            "stars": [f"{row % 5}.5 out of 5 stars" for row in range(ROWS)],
            "edition": ["Paperback, 10 Mar 2016", None] * (ROWS // 2),
            "zip": [85255, 36372] * (ROWS // 2),
            "mood": ["glad", "sad", None, "glad"] * (ROWS // 4),
            "price": price,
        }
    )
    table.to_csv(tmp_path / "rows.csv", index=False)
    folds = pd.DataFrame({"id": table["id"], "fold": np.arange(ROWS) % 4})
    folds.iloc[:-1].to_csv(tmp_path / "folds.csv", index=False)  # the last row has none
    return tmp_path / "rows.csv"


class Middle:
    """Answers what is most usual among the training rows; keeps what it was given."""

    asked: list[Any] = []

    def fit(
        self,
        train: pd.DataFrame,
        validation: pd.DataFrame,
        root: Path,
        columns: Any,
        options: argparse.Namespace,
    ) -> list[float]:
        self.given = (train, validation, root, columns)
        values = train[columns.target]
        self.answer = values.mode()[0] if columns.classes else np.expm1(np.log1p(values).mean())
        return [2.0, 1.0]

    def predict(self, frame: pd.DataFrame) -> Any:
        Middle.asked.append((*self.given, frame))
        return np.full(len(frame), self.answer)


def run(harness: ModuleType, file: Path, target: str, *more: str) -> tuple[pd.DataFrame, list[Any]]:
    Middle.asked = []
    out = file.with_name("answers.csv")
    folds = str(file.with_name("folds.csv"))
    words = [str(file), target, "--folds", folds, "--out", str(out), *more]
    answers = harness.run(Middle, *harness.parse(words))
    kept = pd.read_csv(out)
    assert kept["row"].tolist() == answers.index.tolist()
    return kept, Middle.asked


def test_each_row_is_asked_once_and_never_learned_from(harness: ModuleType, file: Path) -> None:
    table = pd.read_csv(file)
    kept, asked = run(harness, file, "price", "--numbers", "stars")
    assert sorted(kept["row"]) == list(range(2, ROWS - 1))
    assert (kept["fold"] == kept["row"] % 4).all()
    np.testing.assert_allclose(kept["truth"], table["price"][kept["row"]])
    for train, validation, root, _, frame in asked:
        assert len(train) + len(validation) + len(frame) == ROWS - 3
        assert len(validation) == round((len(train) + len(validation)) / 10)
        assert list(frame) == ["stars"] and root == file.parent
        seen = {*train["price"], *validation["price"]}
        inside = kept["truth"][~kept["truth"].isin(seen)]
        assert len(inside) == len(frame) and kept["fold"][inside.index].nunique() == 1


def test_the_error_printed_is_that_of_logarithms(
    harness: ModuleType, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, _ = run(harness, file, "price", "--fold", "1", "3", "--speed")
    assert set(kept["fold"]) == {1, 3}
    error = np.sqrt(np.mean((np.log1p(kept["prediction"]) - np.log1p(kept["truth"])) ** 2))
    said = capsys.readouterr().out
    assert f"over 2 folds, all rows {error:.4f}" in said
    assert "2 epochs, 1.00 s to train one, " in said and "one raw row" in said


def test_words_are_classes_and_without_columns_all_are_given(
    harness: ModuleType, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, asked = run(harness, file, "mood")
    assert len(kept) == 3 * ROWS // 4 - 1 and set(kept["truth"]) == {"glad", "sad"}
    share = (kept["truth"] == kept["prediction"]).mean()
    assert f"over 3 folds, all rows {share:.4f}" in capsys.readouterr().out
    assert list(asked[0][-1]) == ["id", "stars", "edition", "zip", "price"]


def test_columns_are_read_as_their_kind(harness: ModuleType, file: Path) -> None:
    words = ["--categories", "zip", "--texts", "edition", "--numbers", "stars,edition=[0-9]{4}"]
    columns, options = harness.parse([str(file), "price", *words[:2], *words[4:], "--out", "o.csv"])
    rows, _ = harness.read(file, columns, str(file.with_name("folds.csv")))
    assert rows["zip"].iloc[0] == "85255"
    assert rows["stars"].iloc[:3].tolist() == [2.5, 3.5, 4.5]
    assert rows["edition"].iloc[0] == 2016 and np.isnan(rows["edition"].iloc[1])
    columns, _ = harness.parse([str(file), "price", *words[2:4], "--out", "o.csv"])
    rows, _ = harness.read(file, columns, str(file.with_name("folds.csv")))
    assert rows["edition"].iloc[:2].tolist() == ["Paperback, 10 Mar 2016", ""]


def test_a_comma_between_digits_is_no_end(harness: ModuleType) -> None:
    said = pd.Series(["1,234 customer reviews", "8 of 9", "none", None, "-2.50"])
    np.testing.assert_array_equal(harness.first_number(said), [1234, 8, np.nan, np.nan, -2.5])
    assert harness.first_number(pd.Series([1.5e-7])).tolist() == [1.5e-7]


def test_folds_mean_what_they_mean_in_cross_validate(
    harness: ModuleType, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = load(monkeypatch, SCRIPTS / "cross_validate.py")
    table = pd.read_csv(file, dtype={"id": str}).assign(part=np.arange(ROWS) % 3)
    folds = str(file.with_name("folds.csv"))
    for rows in (table, table.drop(columns="id")):
        for where in (folds, "part"):
            pd.testing.assert_series_equal(
                harness.folds_of(rows, where), other.folds_of(rows, where), check_names=False
            )


def test_a_column_of_folds_is_no_input(harness: ModuleType, file: Path) -> None:
    pd.read_csv(file).assign(part=np.arange(ROWS) % 2).to_csv(file, index=False)
    columns, options = harness.parse([str(file), "price", "--folds", "part", "--out", "o.csv"])
    rows, fold = harness.read(file, columns, options.folds)
    assert "part" not in rows and set(fold) == {0, 1}


def test_a_fold_that_is_empty_is_named(harness: ModuleType, file: Path) -> None:
    with pytest.raises(SystemExit, match="No row is in fold 9"):
        run(harness, file, "price", "--fold", "9")


def test_a_price_comes_back_from_its_scale(harness: ModuleType) -> None:
    prices = pd.Series([1.0, 10, 500, 2e5])
    scale = harness.LogScale(prices)
    scaled = scale.scaled(prices)
    assert scaled.dtype == np.float32 and abs(scaled.mean()) < 1e-6
    np.testing.assert_allclose(scale.price(scaled), prices, rtol=1e-5)
