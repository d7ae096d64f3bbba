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
import numpy as np
import pytest
from PIL import Image
from runs import Trained, only_models
from tiny import digests, plain_config, plain_rows

from multimodal.core.config import Config
from multimodal.core.errors import RunError
from multimodal.core.manifest import write_manifest
from multimodal.runs.load import save_parts
from multimodal.runs.run import load
from multimodal.runs.train import train


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


@pytest.mark.parametrize(
    ("group", "change", "told"),
    [
        (2, {"image_size": 1024}, "has photos of 1024 pixels, not "),
        (2, {"photos": 64}, "has 64 photos, more than "),
        (1, {"lengths": [8, 65_536]}, "has texts of 65,536 words, more than "),
    ],
)
def test_a_spec_that_contradicts_its_config_is_refused_before_it_allocates(
    group: int, change: dict[str, Any], told: str, damaged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = json.loads((damaged / "spec.json").read_text())
    spec["groups"][group] |= change
    (damaged / "spec.json").write_text(json.dumps(spec))
    write_manifest(damaged)
    monkeypatch.setattr("multimodal.runs.run.read_parts", None)  # nothing is built
    with pytest.raises(RunError, match=f"contradicts config.json; group '.*' {told}"):
        load(damaged)


def test_weights_that_are_not_finite_are_refused(damaged: Path) -> None:
    run = load(damaged)
    weights = run.model.get_weights()
    weights[0][...] = np.nan
    run.model.set_weights(weights)
    save_parts(damaged, run.config, run.schema, run.spec, run.model)
    with pytest.raises(RunError, match=r"model\.keras: damaged.*numbers that are not finite"):
        load(damaged)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run whose photos are read by a model from a file, and that file."""
    folder = tmp_path_factory.mktemp("backbone")
    photos = keras.Input((None, None, 3))
    layer = keras.layers.Conv2D(4, 3, strides=4, padding="same")
    keras.Model(photos, layer(photos)).save(folder / "backbone.keras")
    rows = plain_rows(40).assign(photo=[f"{i}.png" for i in range(40)])
    random = np.random.default_rng(0)
    for name in rows["photo"]:
        Image.fromarray(random.integers(0, 256, (16, 16, 3), np.uint8)).save(folder / name)
    options = {"backbone": str(folder / "backbone.keras"), "preprocessing": "unit"}
    group = {"name": "photos", "modality": "image", "columns": ["photo"]}
    encoder = {"name": "backbone", "options": options}
    config = plain_config(epochs=1, fold_models=2).merge(
        groups=[{**group, "encoder": encoder}], data={"image_size": 16}
    )
    with only_models():
        train(rows, "price", out=folder / "run", config=config, images=folder)
    rows.to_csv(folder / "rows.csv", index=False)
    return folder / "run", folder / "backbone.keras"


def test_a_run_needs_no_file_that_its_backbone_came_from(backbone: tuple[Path, Path]) -> None:
    run, file = backbone
    wanted = load(run).predict(run.parent / "rows.csv")["price"]
    file.unlink()
    found = load(run)
    np.testing.assert_array_equal(found.predict(run.parent / "rows.csv")["price"], wanted)
    assert found.model.count_params() > 0
    with only_models():
        config = plain_config(epochs=1)
        train(
            run.parent / "rows.csv",
            out=run.parent / "again",
            config=config,
            base=run,
            images=run.parent,
        )
    load(run.parent / "again").predict(run.parent / "rows.csv")


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
