"""Checkpoints: whole or not there, verified, the last of them, the best beside."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest

from multimodal.core.errors import RunError
from multimodal.models.training import checkpoints as module
from multimodal.models.training.checkpoints import Checkpoints

BEST = [np.arange(3.0)]


def filled(folder: Path, numbers: range = range(1, 4), keep: int = 2) -> Checkpoints:
    found = Checkpoints(folder, keep=keep)
    for number in numbers:
        found.save(number, {"step": number}, [np.full((2, 2), number), np.array(7)], BEST)
    return found


def names(folder: Path) -> list[str]:
    return sorted(path.name[:9] for path in folder.iterdir())


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 4
    path.write_bytes(content)


def newest(folder: Path) -> Path:
    return max(folder.glob("0*.npz"))


def test_the_last_one_comes_back(tmp_path: Path) -> None:
    filled(tmp_path)
    found = Checkpoints(tmp_path).latest()
    assert found is not None and found.progress == {"step": 3}
    np.testing.assert_array_equal(found.arrays[0], np.full((2, 2), 3))
    assert found.arrays[1].shape == () and found.arrays[1].dtype == np.int64
    np.testing.assert_array_equal(found.best[0], BEST[0])


def test_there_is_none_at_first(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path / "not there").latest() is None
    assert not Checkpoints(tmp_path / "not there").there


def test_the_last_few_stay_and_the_best_is_written_once(tmp_path: Path) -> None:
    filled(tmp_path, range(1, 6), keep=3)
    assert names(tmp_path) == ["000000003", "000000004", "000000005", "best-0000"]


def test_a_best_that_a_kept_checkpoint_needs_stays(tmp_path: Path) -> None:
    found = filled(tmp_path, range(1, 3))
    found.save(3, {"step": 3}, [], [np.ones(1)])
    assert len(list(tmp_path.glob("best*"))) == 2
    found.save(4, {"step": 4}, [], found._best[0])
    assert len(list(tmp_path.glob("best*"))) == 1


@pytest.mark.parametrize("place", [0, 200, -60])
def test_a_flipped_bit_is_never_loaded(place: int, tmp_path: Path, said: list[str]) -> None:
    filled(tmp_path)
    damaged = newest(tmp_path)
    flip(damaged, place)
    found = Checkpoints(tmp_path).latest()
    assert found is not None and found.progress == {"step": 2}
    assert len(said) == 1 and "its checksum is another" in said[0] and damaged.name in said[0]
    assert not damaged.exists()


def test_damaged_best_weights_cost_the_checkpoint(tmp_path: Path) -> None:
    filled(tmp_path)
    flip(next(tmp_path.glob("best*")), 100)
    with pytest.raises(RunError, match="none of the 2 checkpoints is whole"):
        Checkpoints(tmp_path).latest()


def test_after_a_damaged_one_saving_goes_on(tmp_path: Path) -> None:
    filled(tmp_path)
    flip(newest(tmp_path), 100)
    found = Checkpoints(tmp_path)
    assert found.latest() is not None
    found.save(4, {"step": 4}, [], [np.zeros(2)])
    again = Checkpoints(tmp_path).latest()
    assert again is not None and again.progress == {"step": 4}


@pytest.mark.parametrize("fails", ["savez", "force"])
def test_a_full_disk_leaves_the_last_one_as_it_was(
    fails: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = filled(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(*((np, "savez", full) if fails == "savez" else (module, "force", full)))
    with pytest.raises(RunError, match=r"step 4 cannot be written \(No space left .*make room"):
        found.save(4, {}, [], BEST)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_what_a_kill_left_is_not_taken_for_a_checkpoint(tmp_path: Path) -> None:
    found = filled(tmp_path)
    half = newest(tmp_path).read_bytes()[:100]
    (tmp_path / "000000009.partial").write_bytes(half)
    latest = Checkpoints(tmp_path).latest()
    assert latest is not None and latest.progress == {"step": 3}
    found.save(4, {}, [], BEST)
    assert not list(tmp_path.glob("*.partial"))


def test_objects_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        Checkpoints(tmp_path).save(1, {}, [np.array([object()])], [])


def test_damaged_ones_do_not_push_whole_ones_out(tmp_path: Path) -> None:
    filled(tmp_path, range(1, 5), keep=9)
    for path in sorted(tmp_path.glob("0*.npz"))[2:]:
        flip(path, 100)
    found = Checkpoints(tmp_path)
    assert found.latest() is not None
    found.save(3, {"step": 3}, [], BEST)
    again = Checkpoints(tmp_path).latest()
    assert again is not None and again.progress == {"step": 3}
    assert len(list(tmp_path.glob("0*.npz"))) == 2


def test_what_is_no_checkpoint_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".notes").mkdir()
    (tmp_path / "why.txt").touch()
    filled(tmp_path)
    assert (tmp_path / ".notes").is_dir() and (tmp_path / "why.txt").exists()
