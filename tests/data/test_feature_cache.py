"""The cache of features: what is there is not computed again, whatever ended the last process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from multimodal.data import feature_cache
from multimodal.data.feature_cache import cached_features

DIM = 3
KEYS = [f"photo {i}".encode() for i in range(200)]
EXPECTED = np.arange(200, dtype="float32")[:, None] + np.zeros(DIM, "float32")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MULTIMODAL_CACHE", str(tmp_path))
    return tmp_path / "features"


class Compute:
    """Returns each row's number, and counts the rows it was asked for."""

    def __init__(self) -> None:
        self.rows: list[int] = []

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        self.rows += rows.tolist()
        return EXPECTED[rows]


def test_only_what_is_missing_is_computed() -> None:
    compute = Compute()
    np.testing.assert_array_equal(cached_features("a", DIM, KEYS[:90], compute), EXPECTED[:90])
    assert compute.rows == list(range(90))
    found = cached_features("a", DIM, KEYS, compute)
    np.testing.assert_array_equal(found, EXPECTED)
    assert found.dtype == np.float32 and compute.rows == list(range(200))
    found = cached_features(
        "a", DIM, [KEYS[5], b"new", KEYS[5], b"new"], lambda rows: EXPECTED[rows]
    )
    assert found[:, 0].tolist() == [5, 1, 5, 1]
    assert cached_features("a", DIM, [], compute).shape == (0, DIM)


def test_extractors_have_files_of_their_own(folder: Path) -> None:
    first, second = Compute(), Compute()
    cached_features("a", DIM, KEYS[:9], first)
    cached_features("b", DIM, KEYS[:9], second)
    assert len(first.rows) == len(second.rows) == 9
    assert sorted(path.name for path in folder.iterdir()) == ["a-3.bin", "b-3.bin"]
    with pytest.raises(ValueError, match="extractor_key"):
        cached_features("../a", DIM, KEYS, first)
    with pytest.raises(ValueError, match=r"must return \(9, 4\)"):
        cached_features("a", 4, KEYS[:9], first)


@pytest.mark.parametrize(("cut", "lost"), [(1, 1), (31, 1), (32, 1), (33, 2), (10_000, 90)])
def test_a_file_cut_anywhere(cut: int, lost: int, folder: Path) -> None:
    cached_features("a", DIM, KEYS[:90], Compute())
    path = folder / "a-3.bin"
    record = path.stat().st_size // 90
    assert record == 32
    os.truncate(path, max(path.stat().st_size - cut, 0))
    for asked in (range(90 - lost, 90), []):  # computed again, and then whole
        compute = Compute()
        np.testing.assert_array_equal(cached_features("a", DIM, KEYS[:90], compute), EXPECTED[:90])
        assert compute.rows == list(asked)
    assert path.stat().st_size == 90 * record


def test_a_spoiled_record_is_none(folder: Path) -> None:
    cached_features("a", DIM, KEYS[:90], Compute())
    content = bytearray((folder / "a-3.bin").read_bytes())
    content[7 * 32 + 20] ^= 1
    content[80 * 32 : 81 * 32] = bytes(32)  # a block that never came to the disk
    (folder / "a-3.bin").write_bytes(content)
    compute = Compute()
    np.testing.assert_array_equal(cached_features("a", DIM, KEYS[:90], compute), EXPECTED[:90])
    assert compute.rows == [7, 80]


CHILD = """
import sys, time
import numpy as np
from multimodal.data.feature_cache import cached_features
start, pause = int(sys.argv[1]), float(sys.argv[2])
def compute(rows):
    time.sleep(pause)
    print(len(rows), flush=True)
    return (rows[:, None] + start + np.zeros(3)).astype("float32")
keys = [f"photo {i}".encode() for i in range(start, start + 100)]
cached_features("a", 3, keys, compute, chunk=4)
"""


def start(first: int, pause: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD, str(first), str(pause)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_two_processes_at_once() -> None:
    processes = [start(0, 0.001), start(100, 0.001), start(50, 0.001)]
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    compute = Compute()
    np.testing.assert_array_equal(cached_features("a", DIM, KEYS, compute), EXPECTED)
    assert not compute.rows


def test_a_process_killed_in_the_middle_loses_one_chunk() -> None:
    process = start(0, 0.01)
    assert process.stdout is not None
    for _ in range(10):
        process.stdout.readline()
    process.kill()
    process.communicate(timeout=60)
    compute = Compute()
    np.testing.assert_array_equal(cached_features("a", DIM, KEYS[:100], compute), EXPECTED[:100])
    assert 0 < len(compute.rows) <= 100 - 9 * 4


def test_the_files_used_longest_ago_go(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_cache, "MOST_BYTES", 100 * 32)
    for age, name in enumerate(["used", "old", "older"]):
        cached_features(name, DIM, KEYS[:30], Compute())
        os.utime(folder / f"{name}-3.bin", (time.time() - 100 * (age + 1),) * 2)
    cached_features("used", DIM, KEYS[:30], Compute())
    cached_features("new", DIM, KEYS[:40], Compute())
    assert {path.name for path in folder.iterdir()} == {"used-3.bin", "old-3.bin", "new-3.bin"}
    compute = Compute()
    for _ in range(2):  # more than fits: the first chunk is kept
        np.testing.assert_array_equal(cached_features("all", DIM, KEYS, compute), EXPECTED)
    assert len(compute.rows) == 200 + 200 - 64
    assert [path.name for path in folder.iterdir()] == ["all-3.bin"]


def test_where_nothing_can_be_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder.write_text("a file in the way")
    for _ in range(2):
        compute = Compute()
        np.testing.assert_array_equal(cached_features("a", DIM, KEYS, compute), EXPECTED)
        assert len(compute.rows) == 200
    assert len(caplog.records) == 2 and "cannot be written" in caplog.text


def test_news_says_how_far_it_has_come(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    clock = iter(range(0, 1000, 4))
    monkeypatch.setattr(feature_cache.time, "monotonic", lambda: next(clock))
    compute: Callable[[np.ndarray], np.ndarray] = Compute()
    cached_features("a", DIM, KEYS, compute, name="minilm")
    assert [record.message for record in caplog.records] == [
        "minilm: 192 of 200, about 0 s to go",
        "minilm: 200 of 200, about 0 s to go",
    ]
