"""A training that is cut off: the same command goes on with it, another one is told so."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image
from runs import shared
from tiny import plain_config, plain_rows

from multimodal.core.errors import DataError, RunError, TrainingError
from multimodal.core.interrupted import CHECKPOINTS, RECORD
from multimodal.models.training.checkpoints import Checkpoints
from multimodal.runs import steps
from multimodal.runs import train as workflow
from multimodal.runs.run import Run, load

pytestmark = pytest.mark.usefixtures("only_the_model")
CONFIG = plain_config(epochs=4, batch_size=16, checkpoint_seconds=0)
STAGES = CONFIG.merge(training={"freeze": ["table"], "unfreeze_epoch": 2, "patience": 9})
# Before a fixture leaves them out:
STEPS = {name: getattr(steps.RunTraining, name) for name in ("_ablate", "_explain", "_report")}
TIMED = {"manifest.json", "metrics.json", "model.keras", "model_card.md", "report.html"}


class Cut(Exception):
    """Stands for a kill."""


class CutOff(keras.callbacks.Callback):
    """End the training after so many steps of this life."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.left = after

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.left -= 1
        if self.left == 0:
            raise Cut


def train(out: Path, *callbacks: Any, rows: Any = None, **options: Any) -> Run:
    rows = plain_rows() if rows is None else rows
    given = {"config": CONFIG, **options}
    return workflow.train(rows, "price", out=out, callbacks=callbacks, **given)


def cut_off(out: Path, after: int = 3, **options: Any) -> None:
    with pytest.raises(Cut):
        train(out, CutOff(after), **options)


def assert_same_weights(one: Run, other: Run) -> None:
    for a, b in zip(one.model.get_weights(), other.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def contents(run: Path) -> dict[str, bytes]:
    """Return the bytes of every file of a run, none of those that say how long it took."""
    files = {str(path.relative_to(run)): path for path in sorted(run.rglob("*")) if path.is_file()}
    return {name: b"" if name in TIMED else path.read_bytes() for name, path in files.items()}


def untimed(metrics: Any) -> Any:
    """Return the content of `metrics.json` without the seconds."""
    if isinstance(metrics, list):
        return [untimed(each) for each in metrics]
    if not isinstance(metrics, dict):
        return metrics
    return {name: untimed(each) for name, each in metrics.items() if name != "seconds"}


def assert_same_run(one: Path, other: Path) -> None:
    """Compare all that two runs hold."""
    assert contents(one) == contents(other)
    assert_same_weights(load(one), load(other))
    metrics = [json.loads((run / "metrics.json").read_text()) for run in (one, other)]
    assert untimed(metrics[0]) == untimed(metrics[1])


@pytest.fixture
def all_steps(only_the_model: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the trainings of a test explain and report, too, however busy the machine is."""
    for name, step in STEPS.items():
        monkeypatch.setattr(steps.RunTraining, name, step)
    monkeypatch.setattr("multimodal.runs.example_rows.SECONDS", math.inf)


@pytest.fixture
def whole(tmp_path_factory: pytest.TempPathFactory, all_steps: None) -> Path:
    """The uninterrupted training."""
    return shared(tmp_path_factory, "uninterrupted", train)


@pytest.fixture
def unfinished(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Path:
    """A copy of a training that was cut off."""
    return Path(shutil.copytree(shared(tmp_path_factory, "cut_off", cut_off), tmp_path / "run"))


def test_the_same_command_goes_on(whole: Path, tmp_path: Path, said: list[str]) -> None:
    cut_off(tmp_path / "cut", 6)
    train(tmp_path / "cut")
    assert f"{tmp_path / 'cut'}: going on with the unfinished run" in said
    assert any(line.startswith("going on from epoch 2, step ") for line in said)
    assert_same_run(whole, tmp_path / "cut")
    names = {path.name for path in (tmp_path / "cut").iterdir()}
    assert {*TIMED, "explanations", "predictions.csv", "training_log.csv"} < names
    assert not {CHECKPOINTS, RECORD, ".lock"} & names


class CutOffStage(keras.callbacks.Callback):
    """End the training when an epoch is through and saved."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch == 1:
            raise Cut


def test_stages_go_on_too(tmp_path: Path) -> None:
    """What the weights do not hold, the states of dropout, goes over to the next stage."""
    whole = train(tmp_path / "whole", config=STAGES)
    for after in (4, 6):  # in the first stage, in the second
        cut_off(tmp_path / "cut", after, config=STAGES)
    assert_same_weights(whole, train(tmp_path / "cut", config=STAGES))
    with pytest.raises(Cut):  # at the end of the first
        train(tmp_path / "end", CutOffStage(), config=STAGES)
    assert_same_weights(whole, train(tmp_path / "end", config=STAGES))


def test_a_stage_that_ended_early_goes_on_too(tmp_path: Path) -> None:
    config = STAGES.merge(training={"patience": 1, "learning_rate": 1e-9})
    whole = train(tmp_path / "whole", config=config)
    with pytest.raises(Cut):
        train(tmp_path / "cut", CutOffStage(), config=config)
    assert_same_weights(whole, train(tmp_path / "cut", config=config))


def test_a_full_disk_behind_the_training_does_not_cost_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even one that was too short for a checkpoint."""
    config = CONFIG.merge(training={"checkpoint_seconds": 60})
    save, count = steps.save_parts, [0]

    def full(*parts: Any) -> None:
        count[0] += 1
        if parts[4] is not None:  # the model
            raise OSError(errno.ENOSPC, "No space left on device")
        save(*parts)

    with monkeypatch.context() as patch:
        patch.setattr(steps, "save_parts", full)
        with pytest.raises(RunError, match="cannot be written .No space .* same command goes on"):
            train(tmp_path / "run", config=config)
    assert count == [2]
    cut_after_none = CutOff(1)  # fails if a step is taken
    train(tmp_path / "run", cut_after_none, config=config)


def test_a_failure_behind_the_training_does_not_cost_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps.RunTraining, "_report", STEPS["_report"])
    with monkeypatch.context() as patch:
        patch.setattr(steps, "write_report", lambda *a, **k: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(tmp_path / "run")
    steps_done: list[int] = []

    class Note(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            steps_done.append(batch)

    train(tmp_path / "run", Note())
    assert steps_done == []
    assert (tmp_path / "run" / "report.html").is_file()


def test_a_finished_run_is_in_the_way(plain_run: Path, tmp_path: Path) -> None:
    shutil.copytree(plain_run, tmp_path / "run")
    with pytest.raises(RunError, match="already there and not empty"):
        train(tmp_path / "run")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            {"config": plain_config(epochs=5, batch_size=16, checkpoint_seconds=0)},
            "config.training.epochs was 4, is 5",
        ),
        (
            {"rows": plain_rows().assign(price=lambda frame: frame["price"] * 2)},
            "the cells of column 'price' are other ones. Run",
        ),
        ({"rows": plain_rows().iloc[:-1]}, "data.rows was"),
    ],
)
def test_what_has_changed_is_named(options: dict[str, Any], told: str, unfinished: Path) -> None:
    before = sorted(unfinished.rglob("*"))
    with pytest.raises(RunError, match="unfinished run of something else") as caught:
        train(unfinished, **options)
    assert told in str(caught.value)
    assert sorted(unfinished.rglob("*")) == before


def test_a_changed_photo_is_named(tmp_path: Path) -> None:
    rows = plain_rows().assign(photo=[f"{i}.png" for i in range(80)])
    random = np.random.default_rng(0)
    for name in rows["photo"]:
        Image.fromarray(random.integers(0, 256, (16, 16, 3), np.uint8)).save(tmp_path / name)
    config = CONFIG.merge(data={"image_size": 16})
    cut_off(tmp_path / "run", rows=rows, config=config, images=tmp_path)
    Image.new("RGB", (16, 16)).save(tmp_path / "3.png")
    with pytest.raises(RunError, match="something else lies here: the photos are other ones. Run"):
        train(tmp_path / "run", rows=rows, config=config, images=tmp_path)


def described(grams: int) -> Any:
    """Return rows whose texts differ in numbers that are no words of the vocabulary."""
    return plain_rows().assign(name=[f"a chair of {grams + i * i} grams no {i}" for i in range(80)])


def test_a_changed_number_in_a_text_is_named(tmp_path: Path) -> None:
    cut_off(tmp_path / "run", rows=described(123_456))
    with pytest.raises(RunError, match="here: the cells of column 'name' are other ones. Run"):
        train(tmp_path / "run", rows=described(654_321))


def test_another_version_is_named(unfinished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("multimodal.runs.provenance.__version__", "0.0.1")
    with pytest.raises(RunError, match=r'here: versions\.multimodal was ".*", is "0\.0\.1"'):
        train(unfinished)


def fail_at(name: str, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Raise an error when the file `name` is whole and about to take its place."""

    def force(path: Path) -> None:
        if path.name == f"partial-{name}" and not monkeypatch.failed:  # type: ignore[attr-defined]
            monkeypatch.failed = True  # type: ignore[attr-defined]
            raise error

    monkeypatch.failed = False  # type: ignore[attr-defined]
    monkeypatch.setattr("multimodal.core.files.force", force)


@pytest.mark.parametrize("name", ["spec.json", "checkpoint"])
def test_a_failing_resume_leaves_what_it_did_not_write(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut off before its first checkpoint, beside files of the user."""
    out = tmp_path / "run"
    out.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", raise_cut)
        patch.setattr("multimodal.core.interrupted._clear", lambda *_: None)  # as after a kill
        with pytest.raises(Cut):
            train(out)
    (out / "notes.txt").write_text("mine")
    (out / "sub").mkdir()
    before = {path.name for path in out.iterdir()}
    assert RECORD in before and not (out / CHECKPOINTS).exists()
    with monkeypatch.context() as patch:
        full = OSError(errno.ENOSPC, "full")
        if name == "checkpoint":
            patch.setattr("multimodal.models.training.checkpoints.force", raising(full))
        else:
            fail_at(name, patch, full)
        with pytest.raises(RunError, match="full"):
            train(out)
    assert {path.name for path in out.iterdir()} == before
    train(out)
    assert (out / "notes.txt").read_text() == "mine"


def test_a_failing_start_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lay(*_: Any) -> None:
        (tmp_path / "run" / "notes.txt").write_text("mine")
        raise Cut

    monkeypatch.setattr(Checkpoints, "save", lay)
    with pytest.raises(Cut):
        train(tmp_path / "run")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["notes.txt"]


def raising(error: BaseException) -> Any:
    def fail(*_: Any) -> None:
        raise error

    return fail


raise_cut = raising(Cut())


@pytest.mark.parametrize(
    ("name", "error"),
    [("predictions.csv", OSError(errno.ENOSPC, "full")), ("manifest.json", Cut())],
)
def test_the_last_steps_go_on_after_a_full_disk_or_a_kill(
    name: str, error: BaseException, all_steps: None, tmp_path: Path, monkeypatch: Any
) -> None:
    out = tmp_path / "run"
    config = CONFIG.merge(training={"epochs": 1, "explanations": False})
    with monkeypatch.context() as patch:
        if name == "manifest.json":  # the last one
            patch.setattr(steps, "finished", lambda _: None)
            patch.setattr(steps.RunTraining, "_report", then_fail(patch, name, error))
        else:
            fail_at(name, patch, error)
        with pytest.raises((RunError, Cut)):
            train(out, config=config)
    assert (out / RECORD).exists()
    train(out, config=config)
    listed = set(json.loads((out / "manifest.json").read_text())["files"])
    there = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert listed == there - {"manifest.json"}
    assert not {RECORD, CHECKPOINTS, ".lock"} & {path.name for path in out.iterdir()}


def then_fail(patch: pytest.MonkeyPatch, name: str, error: BaseException) -> Any:
    report = steps.RunTraining._report

    def run(self: Any, tested: Any) -> None:
        report(self, tested)
        fail_at(name, patch, error)

    return run


def test_bad_data_leave_an_unfinished_run_alone(unfinished: Path, whole: Path) -> None:
    with pytest.raises(DataError):
        train(unfinished, rows=plain_rows().drop(columns="price"))
    train(unfinished)
    assert_same_run(whole, unfinished)


class Poison(keras.callbacks.Callback):
    """Make a weight NaN in the second epoch."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == 1:
            weight = self.model.trainable_variables[-1]
            weight.assign(weight * float("nan"))


def test_nan_names_the_lines(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="in epoch 2, step 1, with the 16 rows") as caught:
        train(tmp_path / "run", Poison())
    assert str(caught.value).count("line") + str(caught.value).count("row ") >= 1
    assert list((tmp_path / "run" / CHECKPOINTS).glob("0*.npz"))


LIFE = """
import sys
from pathlib import Path
import pandas as pd
from multimodal import Config, train
config = Config.from_yaml(Path(sys.argv[3]))
train(Path(sys.argv[1]), "price", out=Path(sys.argv[2]), config=config)
"""


def life(tmp_path: Path, out: str, config: str) -> subprocess.Popen[str]:
    plain_rows().to_csv(tmp_path / "rows.csv", index=False)
    (tmp_path / "config.yaml").write_text(config)
    command = [sys.executable, "-c", LIFE, "rows.csv", out, "config.yaml"]
    return subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)


def wait_for(folder: Path, process: subprocess.Popen[str]) -> None:
    """Wait for the second checkpoint."""
    for _ in range(6000):
        if len(list(folder.glob("0*.npz"))) > 1:
            return
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)
    raise AssertionError("no checkpoint came")


@pytest.mark.parametrize(("how", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143)])
def test_a_real_signal(how: signal.Signals, code: int, tmp_path: Path) -> None:
    config = (
        "training: {epochs: 400, patience: 400, batch_size: 4, baselines: false, "
        "checkpoint_seconds: 0}\n"
    )
    process = life(tmp_path, "cut", config)
    wait_for(tmp_path / "cut" / CHECKPOINTS, process)
    os.kill(process.pid, how)
    errors = process.communicate()[1]
    assert process.returncode == code
    assert "Traceback" not in errors
    found = Checkpoints(tmp_path / "cut" / CHECKPOINTS).latest()
    assert found is not None and 0 < found.progress["epoch"] * 19 + found.progress["step"] < 7600
    with pytest.raises(RunError, match="unfinished. Give the command it was started with again"):
        load(tmp_path / "cut")
