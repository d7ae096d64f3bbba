"""What stays together: a column's values, near duplicates; in splits, in folds, and as was told."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tiny import plain_config

from multimodal.core.config import Config, Split
from multimodal.core.errors import DataError
from multimodal.data.columns.schema import infer_schema
from multimodal.data.prepare import Prepared, prepare
from multimodal.data.read.readers import read_table
from multimodal.data.split.groups import RowGroups, row_groups
from multimodal.data.split.splits import leaking_rows

N = 120
RANDOM = np.random.default_rng(0)
WORDS = np.array([f"{a}{b}" for a in "bdfgklmnprst" for b in ("ado", "emi", "olu", "ira", "usk")])


def sentence(words: int, random: np.random.Generator = RANDOM) -> str:
    return " ".join(random.choice(WORDS, words))


def flats(rows: int = N, hosts: int = 30, own: int = 5) -> pd.DataFrame:
    """Flats of hosts that no column names but for `host`; each host has a text of 40 words."""
    random = np.random.default_rng(1)
    host = np.arange(rows) % hosts
    houses = [sentence(40, random) for _ in range(hosts)]
    size = random.uniform(20, 120, rows).round(1)
    return pd.DataFrame(
        {
            "size": size,
            "text": [f"{houses[h]} {sentence(own, random)}" for h in host],
            "host": [f"h{h}" for h in host],
            "price": np.exp(size / 100 + random.normal(0, 0.4, hosts)[host]),
        }
    )


def groups_of(frame: pd.DataFrame, split: Split | None = None) -> RowGroups:
    table = read_table(frame)
    schema = infer_schema(table, targets=["price"])
    return row_groups(split or Split(), table, schema, [[]] * len(frame))


def test_a_long_text_up_to_some_words_joins_rows() -> None:
    found = groups_of(flats().drop(columns="host"))
    np.testing.assert_array_equal(found.together, np.arange(N) % 30)
    np.testing.assert_array_equal(found.duplicates, np.arange(N))
    assert found.notes[0].startswith("120 rows share a long text")


def test_a_changed_word_in_thirty_parts_no_rows() -> None:
    frame = flats().drop(columns="host")
    for i, text in enumerate(frame["text"].str.split().str[:30]):
        text[8 + i % 15] = f"own{i}"
        frame.loc[i, "text"] = " ".join(text)
    np.testing.assert_array_equal(groups_of(frame).together, np.arange(N) % 30)


def test_half_of_a_text_joins_nothing() -> None:
    found = groups_of(flats(own=40).drop(columns="host"))
    np.testing.assert_array_equal(found.together, np.arange(N))
    assert found.notes == []


def test_near_duplicates_part_if_told() -> None:
    found = groups_of(flats(), Split(near_duplicates=False))
    np.testing.assert_array_equal(found.together, np.arange(N))


@pytest.mark.parametrize("hosts", [1, 2, 8])
def test_what_a_tenth_of_the_rows_share_is_boilerplate(hosts: int) -> None:
    found = groups_of(flats(hosts=hosts).drop(columns="host"))
    np.testing.assert_array_equal(found.together, np.arange(N))


def test_a_long_chain_is_no_group_but_its_duplicates_are() -> None:
    words = [sentence(30) for _ in range(60)]
    chain = [f"{a} {b}" for a, b in zip(words, words[1:], strict=False)]  # each shares with two
    texts = [*chain, *(sentence(60) for _ in range(40)), chain[0]]
    frame = pd.DataFrame({"text": texts, "price": np.arange(len(texts))})
    found = groups_of(frame)
    assert len(set(found.together)) == 99 and found.together[-1] == found.together[0]


def test_all_values_but_one_join_rows_and_common_ones_do_not() -> None:
    frame = pd.DataFrame(
        {
            "size": RANDOM.uniform(20, 120, N),
            "lot": RANDOM.uniform(100, 900, N),
            "age": RANDOM.uniform(0, 90, N),
            "rooms": RANDOM.integers(1, 6, N),
            "kind": RANDOM.choice(list("abc"), N),
            "sold": pd.date_range("2016-03-01", periods=N).strftime("%Y-%m-%d"),
            "price": RANDOM.uniform(1, 9, N),
        }
    )
    again = frame.loc[[3, 3, 50]].assign(sold=["2019-05-01", "2020-06-01", "2018-01-01"])
    found = groups_of(pd.concat([frame, again], ignore_index=True))
    assert found.together.tolist()[N:] == [3, 3, 50]
    coarse = frame.assign(size=frame["size"] // 40, lot=frame["lot"] // 300, age=0)
    assert len(set(groups_of(coarse).together)) == N


def test_values_of_the_group_column_stay_together() -> None:
    frame = flats(own=200).assign(host=[f"h{i % 7}" if i % 5 else None for i in range(N)])
    found = groups_of(frame, Split(group="host"))
    told = frame["host"].notna().to_numpy()
    assert (pd.Series(found.together)[told].groupby(frame["host"]).nunique() == 1).all()
    assert len(set(found.together[~told])) == (~told).sum()


def test_a_group_column_that_is_not_there() -> None:
    with pytest.raises(DataError, match="no column 'hosts' to group by. Did you mean 'host'"):
        groups_of(flats(), Split(group="hosts"))


def test_the_old_spelling_of_a_group_column() -> None:
    old = Config.parse({"data": {"split": {"method": "group", "column": "host", "test": 0.2}}})
    assert old.data.split == Split(group="host", test=0.2)


def prepared(split: dict[str, object], **training: object) -> Prepared:
    config = plain_config(**training).merge(data={"split": split})
    return prepare(flats(240, 60), "price", config)


@pytest.mark.parametrize("models", [1, 3])
@pytest.mark.parametrize("split", [{"group": "host", "near_duplicates": False}, {}])
def test_splits_and_folds_keep_groups_whole(models: int, split: dict[str, object]) -> None:
    found = prepared(split, fold_models=models)
    hosts = np.arange(240) % 60
    learned = found.splits != "test"
    assert not len(leaking_rows(found.splits, hosts))
    assert not len(leaking_rows(found.folds[learned], hosts[learned]))
    assert len(leaking_rows(found.splits, np.arange(240))) == 0


def test_given_splits_stay_and_say_what_they_part() -> None:
    frame = flats(240, 60).assign(part=["train"] * 180 + ["test"] * 60)
    config = plain_config().merge(
        data={"split": {"method": "column", "column": "part", "group": "host"}}
    )
    found = prepare(frame, "price", config)
    assert (found.splits[180:] == "test").all()
    told = "240 rows have another of their group, or a near duplicate, in another of the given"
    assert any(note.startswith(told) for note in found.warnings)
    hosts, learned = np.arange(240) % 60, found.splits != "test"
    assert not len(leaking_rows(found.splits[learned], hosts[learned]))
