"""Weights are read only where they are those of the model, and plain numbers."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from multimodal.runs.load import MEMBER, check_weights


@pytest.fixture(scope="module")
def model() -> keras.Model:
    row = keras.Input((3,))
    hidden = keras.layers.BatchNormalization()(keras.layers.Dense(4)(row))
    return keras.Model(row, keras.layers.Dropout(0.1)(keras.layers.GRU(2)(hidden[:, None])))


@pytest.fixture
def path(model: keras.Model, tmp_path: Path) -> Path:
    model.save(tmp_path / "model.keras")
    return tmp_path / "model.keras"


def rewrite(path: Path, change: Callable[[h5py.File], object]) -> None:
    """Change the HDF5 file in an archive and make the archive anew."""
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    buffer = io.BytesIO(contents[MEMBER])
    with h5py.File(buffer, "r+") as file:
        change(file)
    repack(path, {**contents, MEMBER: buffer.getvalue()})


def repack(path: Path, contents: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)


def replace(file: h5py.File, **options: object) -> None:
    del file["layers/dense/vars/0"]
    file["layers/dense/vars"].create_dataset("0", **options)


def virtual(file: h5py.File) -> None:
    del file["layers/dense/vars/0"]
    layout = h5py.VirtualLayout((3, 4), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (3, 4))
    file["layers/dense/vars"].create_virtual_dataset("0", layout)


def link(target: object) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file["layers/dense/vars/0"]
        file["layers/dense/vars"]["0"] = target

    return change


def test_its_own_weights_pass(path: Path, model: keras.Model) -> None:
    check_weights(path, model)
    rewrite(path, lambda file: None)
    check_weights(path, model)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda file: replace(file, data=np.zeros((4, 3), "f4")), "other shapes"),
        (lambda file: replace(file, shape=(10**6, 10**6), dtype="f4", chunks=(1, 1)), "no plain"),
        (lambda file: replace(file, data=np.zeros((3, 4), "f4"), compression="gzip"), "no plain"),
        (lambda file: replace(file, data=["text"]), "no plain array of numbers"),
        (
            lambda file: replace(file, shape=(3, 4), dtype="f4", external=[("/etc/passwd", 0, 48)]),
            "no plain array",
        ),
        (virtual, "no plain array"),
        (lambda file: file["layers/dense/vars"].pop("0"), "other shapes"),
        (lambda file: file.create_dataset("more", data=np.zeros(1, "f4")), "other shapes"),
        (link(h5py.SoftLink("/layers/dense/vars/1")), "link to elsewhere"),
        (link(h5py.ExternalLink("/etc/passwd", "x")), "link to elsewhere"),
        (lambda file: file["layers"].__setitem__("round", file["layers"]), "there twice"),
    ],
)
def test_a_changed_hdf5_file_is_refused(
    change: Callable[[h5py.File], object], reason: str, path: Path, model: keras.Model
) -> None:
    rewrite(path, change)
    with pytest.raises(ValueError, match=reason):
        check_weights(path, model)


def test_a_zip_bomb_is_not_unpacked(
    path: Path, model: keras.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    repack(path, {MEMBER: bytes(50_000_000)}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 100_000

    def forbidden(*_: object) -> None:
        raise AssertionError("unpacked")

    monkeypatch.setattr(zipfile.ZipFile, "open", forbidden)
    with pytest.raises(ValueError, match="its weights take 50,000,000 bytes; at most 1,"):
        check_weights(path, model)


@pytest.mark.parametrize("names", [[], ["config.json"], [MEMBER, "../evil"], [MEMBER, "x.pkl"]])
def test_other_contents_are_refused(path: Path, model: keras.Model, names: list[str]) -> None:
    repack(path, dict.fromkeys(names, b"x"))
    with pytest.raises(ValueError, match="it holds"):
        check_weights(path, model)


def test_a_flipped_bit_is_found_by_the_archive(path: Path, model: keras.Model) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    with pytest.raises(zipfile.BadZipFile):
        check_weights(path, model)
