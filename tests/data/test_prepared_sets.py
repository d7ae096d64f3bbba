"""Prepared data: found again by the same, made anew for anything else, equal to memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tiny import assert_same_batches, plain_config, plain_rows

from multimodal.core.config import Config
from multimodal.data import shards
from multimodal.data.batches import evaluation_dataset, training_dataset
from multimodal.data.features.preprocess import Preprocessor
from multimodal.data.photos import cache
from multimodal.data.photos.read import decode
from multimodal.data.prepare import Prepared, prepare
from multimodal.data.prepared_sets import default_folder, is_complete, set_bytes, stored_inputs
from multimodal.data.read import parquet, sampling
from multimodal.data.shards import ALONE, ShardedArray, Worker

ROWS = 60
CONFIG = {
    "data": {"image_size": 8, "max_words": 8, "min_count": 1},
    "groups": [
        {"name": "table", "modality": "tabular", "columns": ["size", "colour"], "encoder": "dense"},
        {"name": "title", "modality": "text", "columns": ["title"], "encoder": "recurrent"},
        {"name": "photos", "modality": "image", "columns": ["photo"], "encoder": "residual"},
    ],
}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table with photos; a row lacks its photo, one its size, two share a photo."""
    monkeypatch.setattr(shards, "SHARD_BYTES", 2000)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    for i in range(ROWS):
        noise = rng.integers(0, 256, (10, 10, 3)).astype(np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{i}.png")
    words = ["red", "tall", "old", "oak", "lamp", "table", "one", "two"]
    frame = pd.DataFrame(
        {
            "size": rng.random(ROWS),
            "colour": rng.choice(["red", "blue"], ROWS),
            "title": [" ".join(rng.permutation(words)[: rng.integers(1, 9)]) for _ in range(ROWS)],
            "photo": [f"{i}.png" for i in range(ROWS)],
            "price": rng.random(ROWS),
        }
    )
    frame.loc[3, "photo"], frame.loc[4, "size"], frame.loc[6, "photo"] = None, np.nan, "5.png"
    frame.to_parquet(tmp_path / "t.parquet")
    return tmp_path / "t.parquet"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was decoded, and the blocks of rows that became arrays."""
    found: list[str] = []

    def decoded(path: str, size: int, *, examined: bool) -> Any:
        found.append(Path(path).name)
        return decode(path, size, examined=examined)

    arrays = Preprocessor.arrays
    monkeypatch.setattr(cache, "decode", decoded)
    monkeypatch.setattr(
        Preprocessor, "arrays", lambda *args: (found.append("rows"), arrays(*args))[1]
    )
    return found


def ready(file: Path, prepared: Path | None = None, **options: Any) -> Prepared:
    worker = options.pop("worker", Worker())
    config = Config.parse(CONFIG).merge(**options)
    config = config.merge(data={"prepared": None if prepared is None else str(prepared)})
    return prepare(file, ["price"], config, worker=worker)


def batches(prepared: Prepared) -> list[Any]:
    rows = prepared.rows("train")
    trained = training_dataset(prepared.source, rows, batch_size=7, seed=3, epochs=2)
    tested = evaluation_dataset(prepared.source, prepared.rows("test"), batch_size=7)
    return [*trained.as_numpy_iterator(), *tested.as_numpy_iterator()]


@pytest.mark.parametrize("large", [False, True])
def test_batches_are_bit_equal_from_memory_and_from_shards(
    file: Path, tmp_path: Path, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = ready(file, training={"linear": False})
    assert not plain.stored and not (tmp_path / "cache").exists()
    if large:
        monkeypatch.setattr(parquet, "LARGE", 0)
    stored = ready(file, tmp_path / "prepared", training={"linear": False})
    assert len(stored.stored) == 2 and all(map(is_complete, stored.stored))
    assert len(list(stored.stored[0].glob("title_tokens-*.npy"))) > 1
    assert isinstance(stored.source.inputs["title_tokens"], ShardedArray) == large
    assert stored.spec == plain.spec and stored.splits.tolist() == plain.splits.tolist()
    assert_same_batches(batches(stored), batches(plain))


def test_the_next_one_finds_what_is_prepared(file: Path, tmp_path: Path, made: list[str]) -> None:
    first = ready(file, tmp_path / "prepared")
    assert {*made} == {"rows"} | {f"{i}.png" for i in range(ROWS) if i not in (3, 6)}
    assert made.count("5.png") == 1
    made.clear()
    second = ready(file, tmp_path / "prepared")
    assert_same_batches(batches(second), batches(first))
    assert not made and second.stored == first.stored


@pytest.mark.parametrize(
    ("change", "new"),
    [("cell", [0, 1]), ("photo", [1]), ("schema", [0]), ("size", [0, 1]), ("split", [0])],
)
def test_a_change_makes_it_anew(file: Path, tmp_path: Path, change: str, new: list[int]) -> None:
    before = ready(file, tmp_path / "prepared")
    options: dict[str, Any] = {}
    if change == "cell":
        frame = pd.read_parquet(file)
        frame.loc[9, "title"], frame.loc[8, "photo"] = "another title", "9.png"
        frame.to_parquet(file)
    elif change == "photo":
        Image.new("RGB", (10, 10), (255, 0, 0)).save(tmp_path / "7.png")
    elif change == "size":
        options = {"data": {"image_size": 16}}
    elif change == "schema":
        options = {"data": {"columns": {"colour": "text"}}}
    else:
        options = {"training": {"seed": 7}}
    after = ready(file, tmp_path / "prepared", **options)
    assert [i for i in range(2) if before.stored[i] != after.stored[i]] == new
    if change == "photo":
        pixels, _ = after.source.caches["photos"].get(np.array([7]))
        assert (pixels[0, 0] == [255, 0, 0]).all()


def test_workers_share_the_work(file: Path, tmp_path: Path, made: list[str]) -> None:
    first = ready(file, tmp_path / "prepared", worker=Worker(0, 2))
    assert first.stored and not any(map(is_complete, first.stored)) and not first.source.inputs
    half = len({*made} - {"rows"})
    second = ready(file, tmp_path / "prepared", worker=Worker(1, 2))
    assert all(map(is_complete, second.stored)) and second.stored == first.stored
    assert 0 < half < ROWS - 2 == len({*made} - {"rows"})
    assert_same_batches(batches(second), batches(ready(file)))


def test_an_unreadable_photo_stays_unreadable(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = bytearray((tmp_path / "12.png").read_bytes())
    content[60:200] = b"\0" * 140  # whole at both ends
    monkeypatch.setattr("multimodal.data.photos.checks.examine", lambda path: _facts(path))
    (tmp_path / "12.png").write_bytes(content)
    stored, plain = ready(file, tmp_path / "prepared"), ready(file)
    assert_same_batches(batches(stored), batches(plain))
    caches = [each.source.caches["photos"] for each in (stored, plain)]
    for each in caches:
        each.get(np.arange(ROWS))
    assert list(caches[0].unreadable) == [12] and caches[0].unreadable == caches[1].unreadable


def _facts(path: Path) -> Any:
    from multimodal.data.photos.examine import PhotoStatistics

    return PhotoStatistics(digest=str(hash(Path(path).read_bytes())))


def test_a_large_table_goes_to_the_cache_folder_and_says_so(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "LARGE", 0)
    monkeypatch.setattr(sampling, "SAMPLE_ROWS", 40)
    prepared = ready(file)
    assert default_folder() == tmp_path / "cache" / "multimodal" / "prepared"
    assert {folder.parent for folder in prepared.stored} == {default_folder()}
    assert any("random sample of 40 rows" in note for note in prepared.warnings)
    assert any(f"MB in {prepared.stored[0]}" in note for note in prepared.warnings)
    assert not prepared.config.training.baselines
    assert all(group.optional for group in prepared.spec.groups)
    assert prepared.table.rows_read == ROWS and len(prepared.splits) == ROWS
    assert set_bytes(prepared.stored[0]) > 1000
    assert len(batches(prepared)) > 0


def test_rows_from_memory_keep_only_their_photos(file: Path, tmp_path: Path) -> None:
    config = Config.parse(CONFIG).merge(data={"prepared": str(tmp_path / "prepared")})
    prepared = prepare(pd.read_parquet(file), ["price"], config, images=file.parent)
    assert len(prepared.stored) == 1
    assert_same_batches(batches(prepared), batches(ready(file)))


def test_two_groups_of_photos_have_sets_of_their_own(file: Path, tmp_path: Path) -> None:
    frame = pd.read_parquet(file)
    frame["back"] = frame["photo"].iloc[::-1].to_numpy()
    frame = frame.dropna().reset_index(drop=True)
    frame.to_parquet(file)
    groups = [
        {"name": name, "modality": "image", "columns": [name], "encoder": "residual"}
        for name in ("photo", "back")
    ]
    plain = ready(file, groups=groups)
    stored = ready(file, tmp_path / "prepared", groups=groups)
    assert len(set(stored.stored)) == 3
    assert_same_batches(batches(stored), batches(plain))


def test_a_spoiled_set_is_not_called_whole(file: Path, tmp_path: Path) -> None:
    folder, _ = ready(file, tmp_path / "prepared").stored
    shard = next(folder.glob("*-00000.npy"))
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    ready(file, tmp_path / "prepared", worker=Worker(1, 2))
    assert not is_complete(folder)
    ready(file, tmp_path / "prepared", worker=Worker(0, 2))
    assert is_complete(folder)


def test_rows_go_to_the_folder_that_is_named_and_come_back(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    plain_rows().to_csv(path, index=False)
    config = plain_config(linear=False)
    prepared = prepare(path, ["price"], config)
    made = Preprocessor(prepared.spec, prepared.schema)
    kept = prepared.config.merge(data={"prepared": str(tmp_path / "kept")})
    rest = (made, prepared.table, prepared.photo_root, [()] * 80, ALONE)
    memory, caches, folders = stored_inputs(prepared.config, *rest)
    assert folders == [] and caches == {}
    disk, _, (folder,) = stored_inputs(kept, *rest)
    assert folder.parent == tmp_path / "kept"
    assert memory.keys() == disk.keys()
    for key, array in memory.items():
        np.testing.assert_array_equal(array, disk[key], strict=True)
