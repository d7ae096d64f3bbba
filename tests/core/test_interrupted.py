"""Unfinished runs: the record, the lock, and signals."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from multimodal.core.errors import RunError
from multimodal.core.interrupted import (
    EXIT_CODE,
    RECORD,
    check_same,
    claimed,
    digest,
    finished,
    on_signals,
    read_record,
    write_record,
)

ASKED: dict[str, Any] = {"config": {"training": {"epochs": 5}, "groups": []}, "targets": ["a"]}


def test_the_record_comes_back_until_the_run_is_finished(tmp_path: Path) -> None:
    assert read_record(tmp_path / "none") is None
    write_record(tmp_path, ASKED)
    assert read_record(tmp_path) == ASKED
    (tmp_path / "checkpoints").mkdir()
    finished(tmp_path)
    assert read_record(tmp_path) is None and not (tmp_path / "checkpoints").exists()


def test_a_record_of_an_earlier_version_has_the_present_names(tmp_path: Path) -> None:
    write_record(tmp_path, {"config": {"training": {"members": 5}}})
    assert read_record(tmp_path) == {"config": {"training": {"fold_models": 5}}}


def test_a_damaged_record_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "unfinished.json").write_text('{"config": ')
    with pytest.raises(RunError, match=r"unfinished\.json: damaged .* train anew"):
        read_record(tmp_path)


@pytest.mark.parametrize("budget", ['"soon"', '{"seconds": "1"}'])
def test_a_damaged_budget_is_an_error(budget: str, tmp_path: Path) -> None:
    (tmp_path / "unfinished.json").write_text(f'{{"budget": {budget}}}')
    with pytest.raises(RunError, match=r"unfinished\.json: damaged .* train anew"):
        read_record(tmp_path)


def test_the_same_is_the_same(tmp_path: Path) -> None:
    check_same(tmp_path, {**ASKED, "data": {"rows": 3}, "command": "x"}, {**ASKED, "command": "y"})


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (
            {"config": {"training": {"epochs": 6}, "groups": []}},
            "config.training.epochs was 5, is 6",
        ),
        ({"targets": ["b"]}, 'targets.0 was "a", is "b"'),
        (
            {"config": {"training": {"epochs": 5}, "groups": [{"name": "t"}]}},
            'config.groups was [], is null; config.groups.0.name was null, is "t"',
        ),
        ({"data": {"rows": 4}}, "data.rows was 3, is 4"),
        (
            {"data": {"rows": 4, "cells": {"a": "1"}, "split": "9", "photos": "x"}},
            "here: data.rows was 3, is 4; the cells of column 'a' are other ones; "
            "the photos are other ones. Run",
        ),
        ({"data": {"rows": 3, "files": {"v.txt": "1"}}}, "here: the file v.txt is another. Run"),
    ],
)
def test_what_differs_is_named(now: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(RunError) as caught:
        check_same(tmp_path, {**ASKED, "data": {"rows": 3}}, {**ASKED, **now})
    assert told in str(caught.value) and "name another --out" in str(caught.value)


@pytest.mark.parametrize("there", [True, False])
def test_a_failure_leaves_things_as_they_were(there: bool, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "run"
    if there:
        out.mkdir(parents=True)
    with pytest.raises(ZeroDivisionError), claimed(out, ASKED, ["config.json", "plots"]):
        (out / "config.json").touch()
        (out / "plots").mkdir()
        (out / "plots" / "a.png").touch()
        raise ZeroDivisionError
    assert [p.name for p in tmp_path.iterdir()] == (["deep"] if there else [])
    assert not there or not list(out.iterdir())


def test_a_failure_removes_only_what_it_wrote(tmp_path: Path) -> None:
    write_record(tmp_path, ASKED)
    (tmp_path / "config.json").touch()
    with pytest.raises(ZeroDivisionError), claimed(tmp_path, ASKED, ["config.json", "spec.json"]):
        for name in ("spec.json", "partial-spec.json", "notes.txt"):
            (tmp_path / name).touch()
        raise ZeroDivisionError
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {RECORD, "config.json", "notes.txt"}


def test_checkpoints_go_and_what_lies_beside_them_stays(tmp_path: Path) -> None:
    write_record(tmp_path, ASKED)
    for name in ("0/1-a.npz", "0/2.partial", "1/best-1.npz"):
        (tmp_path / "checkpoints" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "checkpoints" / name).touch()
    (tmp_path / "checkpoints" / "0" / "notes.txt").touch()
    finished(tmp_path)
    assert [p.name for p in tmp_path.rglob("*")] == ["checkpoints", "0", "notes.txt"]


@pytest.mark.parametrize("kept", ["checkpoints/000000001-x.npz", "model.keras"])
def test_a_failure_leaves_what_one_can_go_on_from(kept: str, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), claimed(tmp_path, ASKED):
        (tmp_path / kept).parent.mkdir(exist_ok=True)
        (tmp_path / kept).touch()
        (tmp_path / "config.json").touch()
        raise ZeroDivisionError
    assert (tmp_path / kept).exists() and (tmp_path / "config.json").exists()
    assert not (tmp_path / ".lock").exists()


HOLD = """
import sys, time
from pathlib import Path
from multimodal.core.interrupted import claimed
with claimed(Path(sys.argv[1]), {}):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_directory_has_one_owner_even_after_a_kill(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    with (
        pytest.raises(RunError, match="another process is training into it"),
        claimed(tmp_path, ASKED),
    ):
        pytest.fail("two owners")
    holder.kill()
    holder.communicate()
    with claimed(tmp_path, ASKED):
        assert (tmp_path / ".lock").exists()
    assert not list(tmp_path.iterdir())


def test_a_digest_sees_type_shape_and_content() -> None:
    arrays = [np.zeros(4), np.zeros(4, "float32"), np.zeros((2, 2)), np.array([0, 0, 0, 1.0])]
    assert len({digest(array) for array in arrays}) == 4
    words = [np.array(["a", None], object), np.array(["a", "b"], object)]
    assert digest(words[0]) != digest(words[1]) == digest(words[1].copy())


@pytest.mark.parametrize("content", ["5", "null", "[[1]]", "[" * 100_000, "{", "\xff"])
def test_a_strange_record_is_an_error(content: str, tmp_path: Path) -> None:
    (tmp_path / RECORD).write_bytes(content.encode("latin-1"))
    with pytest.raises(RunError, match=f"{RECORD}: damaged .*train anew"):
        read_record(tmp_path)


def test_a_run_that_was_finished_meanwhile_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(RunError, match="already there and not empty"), claimed(tmp_path, ASKED):
        pytest.fail("claimed")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    write_record(tmp_path, {"targets": ["weight"]})
    with pytest.raises(RunError, match="targets.0 was"), claimed(tmp_path, ASKED):
        pytest.fail("claimed")


def test_a_kill_before_the_record_leaves_the_folder_free(tmp_path: Path) -> None:
    for name in (".lock", f"partial-{RECORD}"):
        (tmp_path / name).touch()
    with claimed(tmp_path, ASKED):
        pass


def test_a_disk_that_has_no_locks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*arguments: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", none)
    with pytest.raises(RunError, match="cannot be locked .No locks available"):
        with claimed(tmp_path, ASKED):
            pytest.fail("claimed")


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot be written .full.. Make room; the same command"):
        with claimed(tmp_path, ASKED):
            raise OSError(errno.ENOSPC, "full")


def send() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_outside_a_training_it_ends_at_once() -> None:
    with pytest.raises(SystemExit) as caught, on_signals():
        send()
    assert caught.value.code == EXIT_CODE == 143


def test_a_training_is_asked_first_and_ended_by_a_second_signal() -> None:
    with pytest.raises(SystemExit), on_signals() as termination:
        termination.waiting = True
        send()
        assert termination.asked
        send()


def test_ctrl_c_waits_for_the_step_and_the_second_one_does_not() -> None:
    with pytest.raises(KeyboardInterrupt), on_signals():
        os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), on_signals() as termination:
        termination.waiting = True
        os.kill(os.getpid(), signal.SIGINT)
        assert termination.interrupted and not termination.asked
        os.kill(os.getpid(), signal.SIGINT)


def test_what_was_there_comes_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with on_signals():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_other_threads_have_no_signals() -> None:
    found: list[bool] = []

    def ask() -> None:
        with on_signals() as termination:
            found.append(termination.asked)

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert found == [False]
