"""Shards: whole or not there, whoever writes them and however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from multimodal.core.errors import DataError
from multimodal.data import shards as module
from multimodal.data.shards import (
    INDEX,
    KEPT,
    ShardedArray,
    Worker,
    drop_unused,
    fingerprint,
    open_shards,
    write_shards,
)

ROWS, BYTES = 23, 12
VALUES = np.random.default_rng(0).integers(0, 99, (ROWS, 3)).astype(np.int32)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five rows a shard, five shards."""
    monkeypatch.setattr(module, "SHARD_BYTES", 5 * BYTES)


class Maker:
    """Makes rows and counts the shards that were made."""

    def __init__(self) -> None:
        self.made: list[int] = []

    def __call__(self, start: int, stop: int) -> dict[str, np.ndarray]:
        self.made.append(start // 5)
        return {"values": VALUES[start:stop], "odd": np.arange(start, stop) % 2 == 1}


def write(folder: Path, make: Maker, worker: Worker = module.ALONE) -> bool:
    return write_shards(folder, make, ROWS, BYTES, worker)


def test_rows_come_back_by_position(tmp_path: Path) -> None:
    folder, make = tmp_path / fingerprint("a"), Maker()
    assert open_shards(folder) is None
    assert write(folder, make) and make.made == [0, 1, 2, 3, 4]
    found = open_shards(folder)
    assert found is not None and set(found) == {"values", "odd"}
    values = found["values"]
    assert values.shape == (ROWS, 3) and values.dtype == np.int32 and len(values) == ROWS
    for rows in ([], [22], [3, 22, 0, 9, 3], [4, 5]):
        np.testing.assert_array_equal(values[np.array(rows, np.int64)], VALUES[rows], strict=True)
    np.testing.assert_array_equal(values[3:12], VALUES[3:12], strict=True)
    np.testing.assert_array_equal(values[VALUES[:, 0] > 50], VALUES[VALUES[:, 0] > 50])
    np.testing.assert_array_equal(np.asarray(values), VALUES, strict=True)
    np.testing.assert_array_equal(np.asarray(found["odd"]), np.arange(ROWS) % 2 == 1)


def test_what_is_there_is_not_made_again(tmp_path: Path) -> None:
    folder = tmp_path / fingerprint("a")
    write(folder, Maker())
    make = Maker()
    assert write(folder, make) and not make.made


def test_workers_share_the_shards(tmp_path: Path) -> None:
    folder, makers = tmp_path / fingerprint("a"), [Maker(), Maker()]
    assert not write(folder, makers[0], Worker(0, 2)) and open_shards(folder) is None
    assert write(folder, makers[1], Worker(1, 2))
    assert [make.made for make in makers] == [[0, 2, 4], [1, 3]]
    found = open_shards(folder)
    assert found is not None
    np.testing.assert_array_equal(np.asarray(found["values"]), VALUES)


@pytest.mark.parametrize("spoil", ["cut", "gone", "flipped", "index cut", "record cut"])
def test_a_spoiled_set_is_not_taken_for_whole_and_is_mended(tmp_path: Path, spoil: str) -> None:
    folder = tmp_path / fingerprint("a")
    write(folder, Maker())
    name = {"index cut": INDEX, "record cut": "shard-00002.json"}.get(spoil, "values-00002.npy")
    content = (folder / name).read_bytes()
    if spoil == "gone":
        (folder / name).unlink()
    elif spoil == "flipped":
        (folder / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    else:
        (folder / name).write_bytes(content[:-5])
    before = open_shards(folder)
    assert before is None or spoil == "record cut"  # the index holds the checksums, too
    make = Maker()
    assert write(folder, make)
    assert make.made == ([] if spoil == "index cut" else [2])
    after = open_shards(folder)
    assert after is not None
    np.testing.assert_array_equal(np.asarray(after["values"]), VALUES)


@pytest.mark.parametrize("left", [0, 30])
def test_a_shard_cut_off_before_the_set_was_whole_is_written_anew(
    tmp_path: Path, left: int
) -> None:
    folder = tmp_path / fingerprint("a")
    write(folder, Maker(), Worker(0, 2))
    content = (folder / "values-00002.npy").read_bytes()
    (folder / "values-00002.npy").write_bytes(content[:left])
    make = Maker()
    assert write(folder, make) and make.made == [1, 2, 3]
    assert open_shards(folder) is not None


def test_a_set_under_another_name_is_not_taken(tmp_path: Path) -> None:
    write(tmp_path / fingerprint("a"), Maker())
    (tmp_path / fingerprint("a")).rename(tmp_path / fingerprint("b"))
    assert open_shards(tmp_path / fingerprint("b")) is None


SLOW = """
import sys, time
from pathlib import Path
import numpy as np
from multimodal.data import shards
shards.SHARD_BYTES = 5 * 800_000
def make(start, stop):
    print(start, flush=True)
    return {"values": np.repeat(np.arange(start, stop), 100_000).reshape(-1, 100_000)}
shards.write_shards(Path(sys.argv[1]), make, 40, 800_000)
"""


def test_killed_in_the_middle_it_goes_on_where_it_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SHARD_BYTES", 5 * 800_000)
    for number, wait in enumerate((0.0, 0.01, 0.03)):
        folder = tmp_path / fingerprint(str(number))
        process = subprocess.Popen(
            [sys.executable, "-c", SLOW, str(folder)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for _ in range(3):
            process.stdout.readline()
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().split()
        process.stdout.close()
        assert process.wait() == -signal.SIGKILL and len(rest) < 5
        assert open_shards(folder) is None
        again: list[int] = []

        def make(start: int, stop: int, again: list[int] = again) -> dict[str, np.ndarray]:
            again.append(start)
            return {"values": np.repeat(np.arange(start, stop), 100_000).reshape(-1, 100_000)}

        assert write_shards(folder, make, 40, 800_000)
        assert 0 < len(again) < 8
        found = open_shards(folder)
        assert found is not None
        np.testing.assert_array_equal(found["values"][0:40][:, 7], np.arange(40))


def test_sets_that_nobody_uses_go(tmp_path: Path) -> None:
    names = [fingerprint(str(i)) for i in range(KEPT + 3)]
    for age, name in enumerate(names):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    (tmp_path / "notes").mkdir()
    gone = drop_unused(tmp_path)
    assert {path.name for path in gone} == set(names[KEPT:])
    assert {path.name for path in tmp_path.iterdir()} == {*names[:KEPT], "notes"}
    assert not drop_unused(tmp_path)


def test_a_disk_without_room_is_said_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, make = tmp_path / fingerprint("a"), Maker()
    usage = type("Usage", (), {"free": 100})
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DataError, match=r"need .* GB there, .* free.*data.prepared"):
        write(folder, make)
    assert not make.made


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot be written there.*data\.prepared"):
        write(tmp_path / "file" / fingerprint("a"), Maker())


def test_a_fingerprint_knows_every_part() -> None:
    parts = ["a", b"b", np.arange(3)]
    others = [["a", b"b"], ["ab", parts[2]], ["a", b"b", np.arange(4)], ["b", b"a", parts[2]]]
    names = {fingerprint(*each) for each in [parts, *others]}
    assert len(names) == 5 and fingerprint(*parts) == fingerprint(*parts)


def test_one_shard_is_enough() -> None:
    array = ShardedArray([np.arange(4.0)])
    assert array[np.array([3, 1])].tolist() == [3, 1] and array.shape == (4,)
