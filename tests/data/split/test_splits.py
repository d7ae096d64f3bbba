"""What a split promises: nothing in two splits, the asked shares, every decile, one seed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from multimodal.core.config import Split
from multimodal.core.errors import DataError
from multimodal.data.split.duplicates import duplicate_groups
from multimodal.data.split.splits import (
    SPLITS,
    cells_without_split,
    leaking_rows,
    rare_classes,
    split_rows,
)

RNG = np.random.default_rng(1)
N = 600
PRICE = RNG.lognormal(3, 1, N)
CLUSTERS = duplicate_groups([[f"k{k}" for k in RNG.integers(0, 400, N)]], N)
ALONE = np.arange(N)
FRAME = pd.DataFrame(
    {
        "day": [f"2016-{1 + i % 12:02}-{1 + i % 28:02}" for i in RNG.permutation(N)],
        "year": RNG.integers(1990, 2020, N),
    }
)
METHODS = {
    "random": Split(),
    "wide": Split(validation=0.3, test=0.3),
    "time": Split(method="time", column="day"),
    "year": Split(method="time", column="year"),
}


def draw(split: Split, groups: Any = CLUSTERS, target: Any = PRICE, seed: int = 0) -> Any:
    return split_rows(split, FRAME, groups=groups, targets=[target], seed=seed, source="t.csv")


def share(splits: Any, split: str) -> float:
    return float(np.mean(splits == split))


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("groups", [CLUSTERS, ALONE], ids=["clusters", "alone"])
def test_no_group_is_in_two_splits(name: str, groups: Any) -> None:
    splits = draw(METHODS[name], groups)
    assert set(splits) == set(SPLITS) and splits.shape == (N,)
    assert not len(leaking_rows(splits, groups))


@pytest.mark.parametrize(("name", "tolerance"), [("random", 0.01), ("wide", 0.01), ("time", 0.1)])
def test_shares_are_as_asked(name: str, tolerance: float) -> None:
    split = METHODS[name]
    splits = draw(split)
    assert share(splits, "test") == pytest.approx(split.test, abs=tolerance)
    assert share(splits, "validation") == pytest.approx(split.validation, abs=tolerance)


@pytest.mark.parametrize("seed", range(5))
def test_every_decile_is_on_every_side(seed: int) -> None:
    decile = np.searchsorted(np.quantile(PRICE, np.arange(1, 10) / 10), PRICE)
    splits = draw(Split(), ALONE, seed=seed)
    for split in SPLITS:
        counts = np.bincount(decile[splits == split], minlength=10)
        assert counts.min() >= 0.6 * counts.mean()


@pytest.mark.parametrize("dtype", [object, np.float64])
def test_classes_are_shared_out(dtype: Any) -> None:
    classes = np.repeat([0, 1, 2], [400, 160, 40])
    target = (
        classes.astype(dtype) if dtype is not object else np.array(list("abc"), object)[classes]
    )
    splits = draw(Split(), ALONE, target)
    for label in range(3):
        assert share(splits[classes == label], "test") == pytest.approx(0.15, abs=0.03)


def test_a_tiny_class_stays_in_training() -> None:
    target = np.array(["common"] * (N - 2) + ["rare"] * 2, dtype=object)
    assert set(draw(Split(), ALONE, target)[-2:]) == {"train"}


MOODS = np.array(list("abcdef"), object)[RNG.integers(0, 6, N)]


def joined(*targets: Any, seed: int = 0) -> Any:
    return split_rows(Split(), FRAME, groups=ALONE, targets=list(targets), seed=seed)


@pytest.mark.parametrize("seed", range(3))
def test_two_targets_are_both_shared_out(seed: int) -> None:
    sizes = np.array(list("xyz"), object)[RNG.integers(0, 3, N)]
    splits = joined(sizes, MOODS, seed=seed)
    for target, names in ((sizes, "xyz"), (MOODS, "abcdef")):
        for name in names:
            assert share(splits[target == name], "test") == pytest.approx(0.15, abs=0.035)


def test_partly_labelled_rows_are_shared_out_by_what_they_have() -> None:
    ages, moods = PRICE.copy(), MOODS.copy()
    ages[:300], moods[300:] = np.nan, None
    splits = joined(ages, moods)
    for part in (slice(0, 300), slice(300, N)):
        assert share(splits[part], "test") == pytest.approx(0.15, abs=0.01)
    for name in "abcdef":
        assert share(splits[moods == name], "test") == pytest.approx(0.15, abs=0.04)
    decile = np.searchsorted(np.quantile(ages[300:], np.arange(1, 10) / 10), ages[300:])
    assert np.bincount(decile[splits[300:] == "test"], minlength=10).min() >= 2


def test_a_tiny_class_of_any_target_stays_in_training() -> None:
    moods = MOODS.copy()
    moods[[4, 77]] = "rare"
    assert set(joined(PRICE, moods)[[4, 77]]) == {"train"}
    flags = np.zeros(N, object)
    flags[9] = 1
    assert joined(PRICE, flags)[9] == "train"


def test_rare_classes_are_counted_by_group() -> None:
    names = np.array(["a", "a", "a", "b", "b", "b", None], object)
    assert rare_classes(names, np.array([0, 1, 2, 3, 3, 4, 5])) == ["b"]
    assert rare_classes(names, np.arange(7)) == []


@pytest.mark.parametrize("missing", [np.nan, None])
def test_missing_targets_are_shared_out_too(missing: Any) -> None:
    target = PRICE.astype(object if missing is None else float)
    target[:200] = missing
    assert share(draw(Split(), ALONE, target)[:200], "test") == pytest.approx(0.15, abs=0.03)


def test_the_seed_decides() -> None:
    first, again, other = draw(Split()), draw(Split()), draw(Split(), seed=1)
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()
    assert share(draw(Split(), ALONE), "test") == share(draw(Split(), ALONE, seed=1), "test")


@pytest.mark.parametrize("column", ["day", "year"])
def test_time_never_runs_backwards(column: str) -> None:
    splits = draw(Split(method="time", column=column), ALONE)
    times = [FRAME[column][splits == split] for split in SPLITS]
    assert times[0].max() < times[1].min() <= times[1].max() < times[2].min()


def test_a_duplicate_goes_with_its_latest() -> None:
    groups = ALONE.copy()
    days = pd.to_datetime(FRAME["day"])
    groups[days.idxmin()] = groups[days.idxmax()]
    splits = draw(METHODS["time"], np.unique(groups, return_inverse=True)[1])
    assert splits[days.idxmin()] == splits[days.idxmax()] == "test"
    for split in ("train", "validation"):
        assert days[splits == split].max() < days[splits == "test"].drop(days.idxmin()).min()


WORDS = ["Train"] * 6 + ["val", "VALID", " test ", "testing"]


def by_words(words: list[Any], groups: Any = None) -> Any:
    size = len(words)
    return split_rows(
        Split(method="column", column="part"),
        pd.DataFrame({"part": pd.Series(words, dtype=object)}),
        groups=np.arange(size) if groups is None else groups,
        targets=[np.arange(size, dtype=float)],
        seed=0,
        source="t.csv",
    )


def test_words_decide() -> None:
    assert by_words(WORDS).tolist() == ["train"] * 6 + ["validation"] * 2 + ["test"] * 2


def test_words_move_no_duplicate_but_it_is_reported() -> None:
    groups = np.array([0, 1, 2, 3, 4, 5, 6, 7, 0, 8])
    splits = by_words(WORDS, groups)
    assert splits[0] == "train" and splits[8] == "test"
    assert leaking_rows(splits, groups).tolist() == [0, 8]


def test_validation_is_taken_from_training_groups() -> None:
    groups = np.arange(100) // 2
    splits = by_words(["train"] * 80 + ["test"] * 20, groups)
    assert share(splits, "validation") == pytest.approx(0.1, abs=0.02)
    assert set(splits[80:]) == {"test"} and not len(leaking_rows(splits, groups))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train"] * 9 + ["holdout"], r"^t.csv, row 10, split column 'part': .*got 'holdout'\.$"),
        (["train"] * 9 + [None, None], r"^t.csv, row 10, .*got None \(2 such rows\)\.$"),
        (["train"] * 20, "no rows left for test"),
        (["test"] * 20, "no rows left for train and validation"),
    ],
)
def test_words_that_cannot_be_followed(words: list[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        by_words(words)


@pytest.mark.parametrize(
    ("split", "change", "message"),
    [
        (Split(method="time", column="days"), {}, "t.csv: split column 'days'.*'day'"),
        (METHODS["time"], {"day": "03/04/2016"}, r"^t.csv, row 1, .*got '03/04/2016' \(600 such"),
        (
            METHODS["time"],
            {"day": [None, *FRAME["day"][1:]]},
            r"^t.csv, row 1, .*got (None|nan)\. Write",
        ),
        (METHODS["year"], {"year": [2016] * 300 + [2017] * 300}, "2 different moments"),
    ],
)
def test_splits_that_cannot_be_made(split: Split, change: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        split_rows(
            split, FRAME.assign(**change), groups=ALONE, targets=[PRICE], seed=0, source="t.csv"
        )


def test_without_test_rows_all_others_train_or_validate() -> None:
    for name in ("random", "time", "year"):
        splits = draw(METHODS[name].model_copy(update={"test": 0.0}))
        assert set(splits) == {"train", "validation"} and not len(leaking_rows(splits, CLUSTERS))
        assert share(splits, "validation") == pytest.approx(0.1, abs=0.1)
    two = FRAME.assign(year=[2016] * 400 + [2017] * 200)
    split = Split(method="time", column="year", test=0)
    found = split_rows(split, two, groups=ALONE, targets=[PRICE], seed=0)
    assert found.tolist() == ["train"] * 400 + ["validation"] * 200
    words = FRAME.assign(part=["train"] * 400 + ["val"] * 200)
    split = Split(method="column", column="part", test=0)
    assert "test" not in split_rows(split, words, groups=ALONE, targets=[PRICE], seed=0)


def test_messages_name_the_line_of_a_table() -> None:
    frame = FRAME.assign(part=["train"] * 400 + ["tset"] * 200, day=[*FRAME["day"][1:], "soon"])
    for method, column, line in (("column", "part", 402), ("time", "day", 601)):
        with pytest.raises(DataError, match=f"^t.csv, line {line}, split column '{column}'"):
            split_rows(
                Split.model_validate({"method": method, "column": column}),
                frame,
                groups=ALONE,
                targets=[PRICE],
                seed=0,
                place=lambda row: f"t.csv, line {row + 2}",
            )


@pytest.mark.parametrize(
    ("words", "others"),
    [
        (["train"] * 18 + ["test", "VAL "], []),
        (["train"] * 18 + ["test", "tset"], [19]),
        ([None, "", *["train"] * 17, "test"], [0, 1]),
        (["tset"] * 3 + ["train"] * 16 + ["test"], None),
        (["train"] * 19 + ["tset"], None),
        (["bus", "tram"] * 10, None),
        ([1, 2, 3], None),
    ],
)
def test_a_column_that_mostly_names_sides(words: list[Any], others: list[int] | None) -> None:
    found = cells_without_split(pd.Series(words, dtype=object))
    assert (None if found is None else found.tolist()) == others


def test_nine_rows_are_too_few() -> None:
    with pytest.raises(DataError, match="cannot split 9 rows"):
        split_rows(Split(), FRAME[:9], groups=ALONE[:9], targets=[PRICE[:9]], seed=0)
    splits = split_rows(Split(), FRAME[:10], groups=ALONE[:10], targets=[PRICE[:10]], seed=0)
    assert set(splits) == {*SPLITS}
