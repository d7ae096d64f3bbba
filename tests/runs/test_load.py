"""The parts of a run: damage is told, nothing is executed, what is written is whole."""

from __future__ import annotations

import errno
import json
import os
import pickle
import resource
import shutil
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import pytest
from runs import Trained
from tiny import digests

from multimodal.core.config import Config
from multimodal.core.errors import RunError
from multimodal.core.manifest import write_manifest
from multimodal.runs.load import save_parts
from multimodal.runs.run import load


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def edit(**values: Any) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

    return apply


@pytest.mark.parametrize("name", ["model.keras", "spec.json", "schema.json", "config.json"])
@pytest.mark.parametrize("change", [cut, flip, lambda path: path.write_bytes(b"")])
def test_a_file_that_changed_is_not_read(
    name: str, change: Callable[[Path], Any], damaged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(damaged / name)
    monkeypatch.setattr(Config, "from_json", None)  # nothing is parsed before the check
    with pytest.raises(RunError, match=f"{name}: changed since manifest.json was written"):
        load(damaged)


def test_a_run_from_before_manifests_says_how_to_make_one(damaged: Path) -> None:
    (damaged / "manifest.json").unlink()
    with pytest.raises(RunError, match=r"manifest\.json: missing.*write_manifest"):
        load(damaged)
    write_manifest(damaged)
    load(damaged)


def test_every_file_of_a_run_stands_in_its_manifest(trained: Trained) -> None:
    files = json.loads((trained.run / "manifest.json").read_text())["files"]
    there = {path.relative_to(trained.run).as_posix() for path in trained.run.rglob("*.*")}
    assert set(files) == there - {"manifest.json"}
    assert {"model.keras", "metrics.json", "report.html", "predictions.csv"} <= set(files)


def long(path: Path) -> None:
    path.write_text(" " * ((1 << 26) + 1))


def wide(path: Path, dims: Sequence[int] = (300_000_000,)) -> None:
    config = json.loads(path.read_text())
    config["groups"][0]["encoder"]["options"]["hidden_dims"] = list(dims)
    path.write_text(json.dumps(config))


def wider_than_its_weights(path: Path) -> None:
    wide(path, (15_000, 15_000))


def many(path: Path) -> None:
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "groups": config["groups"] * 200}))


def photos(path: Path) -> None:
    spec = json.loads(path.read_text())
    path.write_text(json.dumps(spec).replace('"photos": 1', '"photos": 1000000'))


def trim(path: Path, group: int, name: str) -> None:
    spec = json.loads(path.read_text())
    spec["groups"][group][name] = []
    path.write_text(json.dumps(spec))


def words(path: Path) -> None:
    spec = json.loads(path.read_text())
    spec["groups"][1]["vocabulary"] = [str(i) for i in range(1_000_000)]
    path.write_text(json.dumps(spec))


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("spec.json", long, "spec.json: cannot be read (it has 67,108,865 bytes; at most"),
        ("config.json", lambda path: path.write_text("[" * 200_000), "within each other"),
        ("spec.json", lambda path: path.write_text("[" * 200_000), "spec.json: damaged"),
        ("schema.json", lambda path: path.write_text('{"a":' * 200_000), "schema.json: "),
        ("config.json", lambda path: path.write_text("1" * 5000), "config.json: not valid JSON"),
        ("config.json", many, "`groups`: List should have at most 128 items"),
        ("config.json", wide, "parameters; at most "),
        ("config.json", wider_than_its_weights, "parameters; at most "),
        ("spec.json", photos, "`groups.2.photos`: Input should be less than or equal to 64"),
        ("spec.json", words, "the model would have "),
        ("model.keras", Path.unlink, "model.keras is missing; training did not get as far"),
        ("model.keras", cut, "model.keras: damaged"),
        ("model.keras", flip, "model.keras: damaged"),
        ("model.keras", lambda path: path.write_bytes(b""), "model.keras: damaged"),
        ("spec.json", Path.unlink, "spec.json: cannot be read"),
        ("spec.json", cut, "spec.json: damaged; `the file`"),
        ("spec.json", lambda path: path.write_bytes(b"\xff\xfe"), "not a text file"),
        ("spec.json", edit(version=7), "spec.json: damaged; `version`"),
        ("spec.json", lambda path: trim(path, 1, "lengths"), "group 'words' is not whole"),
        ("spec.json", lambda path: trim(path, 0, "columns"), "group 'table' is not whole"),
        ("spec.json", edit(groups=[]), "the random features are not those of a group"),
        ("schema.json", Path.unlink, "schema.json: cannot be read"),
        ("schema.json", cut, "schema.json: "),
        ("config.json", Path.unlink, "config.json: cannot be read"),
        ("config.json", cut, "config.json: not valid JSON"),
        ("config.json", edit(surprise=1), "unknown key 'surprise'"),
        (
            "config.json",
            edit(fusion={"name": "concat", "options": {"hidden_dims": [7]}}),
            "model.keras: damaged, or of another run than config.json and spec.json",
        ),
    ],
)
def test_a_damaged_run_is_told(
    name: str, change: Callable[[Path], Any], reason: str, damaged: Path
) -> None:
    change(damaged / name)
    write_manifest(damaged)  # as someone does who means it
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(RunError) as error:
        load(damaged)
    assert reason in str(error.value)
    assert len(str(error.value)) < 600
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 800_000  # KiB


class Payload:
    """Runs a command where it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (self.command,)


def test_a_pickle_in_place_of_the_model_does_not_run(damaged: Path, tmp_path: Path) -> None:
    payload = pickle.dumps(Payload(f"touch {tmp_path / 'ran'}"))
    pickle.loads(payload)
    assert (tmp_path / "ran").exists()  # it would
    (tmp_path / "ran").unlink()
    for name in ("model.keras", "config.json", "spec.json"):
        folder = Path(shutil.copytree(damaged, tmp_path / f"with-{name}"))
        (folder / name).write_bytes(payload)
        write_manifest(folder)
        with pytest.raises(RunError, match=name):
            load(folder)
    assert not (tmp_path / "ran").exists()


def test_a_config_cannot_name_an_object_to_make(damaged: Path) -> None:
    config = json.loads((damaged / "config.json").read_text())
    layer = {"module": "keras.layers", "class_name": "Lambda", "config": {}}
    config["groups"][2]["encoder"] = {"name": "backbone", "options": {"backbone": layer}}
    (damaged / "config.json").write_text(json.dumps(config))
    write_manifest(damaged)
    with pytest.raises(RunError, match="option 'backbone' must be a value or a list; no mapping"):
        load(damaged)


def test_a_full_disk_leaves_the_model_that_was_there(
    damaged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, run = digests(damaged), load(damaged)

    def full(self: keras.Model, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(keras.Model, "save", full)
    with pytest.raises(OSError, match="No space left"):
        save_parts(damaged, run.config, run.schema, run.spec, run.model)
    assert digests(damaged) == before
    load(damaged)


@pytest.mark.parametrize("given", ["hf://a/b", "gs://bucket/run", "s3://a", "https://x.org/run"])
def test_a_remote_run_is_refused(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: Any) -> None:
        raise AssertionError("connected")

    monkeypatch.setattr(socket.socket, "connect", forbidden)
    for path in (given, Path(given)):
        with pytest.raises(RunError, match="no such run directory, and only local folders"):
            load(path)


@pytest.mark.parametrize("name", ["model.h5", "model.keras", "model.pkl"])
def test_a_file_is_no_run(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(RunError, match=f"{name}: a file, not a run directory"):
        load(tmp_path / name)


def test_what_is_not_a_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no such run directory"):
        load(tmp_path / "none")
    with pytest.raises(RunError, match=r"config\.json: cannot be read .*not a complete run"):
        load(tmp_path)
