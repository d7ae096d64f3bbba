"""Files of tensors: what PyTorch and safetensors write is read, and nothing else, and never run."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from torch_files import Rebuilt, Storage, archive_of, legacy_of, names_of_torch, torch_file

from multimodal.core import tensors
from multimodal.core.errors import DataError
from multimodal.core.tensors import read_file, read_tensors

TENSORS = {
    "weight": np.arange(6, dtype="float32").reshape(2, 3),
    "half": np.array([1.5, -2], "float16"),
    "count": np.array(7, "int64"),
    "empty": np.zeros((0, 4), "float32"),
}


def safetensors(**entries: dict[str, object]) -> bytes:
    header = json.dumps({"__metadata__": {"format": "pt"}, **entries}).encode()
    return len(header).to_bytes(8, "little") + header + np.arange(4, dtype="<f4").tobytes()


@pytest.mark.parametrize("legacy", [False, True])
def test_files_of_pytorch(legacy: bool) -> None:
    found = read_tensors(torch_file(TENSORS, legacy=legacy), "state.pth")
    assert list(found) == list(TENSORS)
    for name, values in TENSORS.items():
        assert found[name].dtype == values.dtype and found[name].shape == values.shape
        np.testing.assert_array_equal(found[name], values)


def test_a_transposed_part_of_a_storage() -> None:
    with names_of_torch():
        storage = Storage("0", np.arange(10, dtype="float32"))
        content = archive_of({"part": Rebuilt(storage, 2, (2, 3), (1, 2), False, None)}, [storage])
    assert read_tensors(content, "p")["part"].tolist() == [[2, 4, 6], [3, 5, 7]]


def test_safetensors() -> None:
    entry = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}
    bfloat = {"dtype": "BF16", "shape": [1], "data_offsets": [6, 8]}
    found = read_tensors(safetensors(a=entry, b=bfloat), "a.safetensors")
    assert found["a"].tolist() == [[0, 1], [2, 3]]
    assert (found["b"].dtype, found["b"].tolist()) == (np.float32, [1])  # the upper half of 1.0


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("made-by-a-pickle",)


def hostile() -> dict[str, tuple[bytes, str]]:
    """Return files that no reader may accept, and what is said of each."""
    with names_of_torch():
        few = Storage("0", np.zeros(4, "float32"))
        large = {"a": Rebuilt(few, 0, (1 << 40, 2), (0, 0), False, None)}
        behind = {"a": Rebuilt(few, 3, (2,), (1,), False, None)}
        negative = {"a": Rebuilt(few, -4, (2,), (1,), False, None)}
        found = {
            "code": (archive_of({"a": Evil()}, []), "posix.mkdir"),
            "legacy code": (legacy_of({"a": Evil()}, []), "posix.mkdir"),
            "large": (archive_of(large, [few]), "larger than its numbers"),
            "behind": (archive_of(behind, [few]), "larger than its numbers"),
            "negative": (legacy_of(negative, [few]), "no size"),
            "others": (archive_of({"a": [1, 2]}, []), "something else"),
            "no dict": (archive_of([1], []), "something else"),
            "cut": (torch_file(TENSORS, legacy=True)[:-9], "at most"),
            # eight bytes for which Python's unpickler takes 32 GB
            "far memo": (b"\x80\x02Nr\xff\xff\xff\x7f.", "LONG_BINPUT"),
            "later protocol": (b"\x80\x02\x96" + (1 << 40).to_bytes(8, "little"), "bytearray8"),
            "another pickle": (pickle.dumps({"a": 1}, 2) * 5, "a pickle of something else"),
        }
    entry = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}
    return found | {
        "offsets": (safetensors(a={**entry, "data_offsets": [0, 8]}), "reshape"),
        "shape": (safetensors(a={**entry, "shape": [-1, 2]}), "no size"),
        "dtype": (safetensors(a={**entry, "dtype": "F4"}), "F4"),
        "header": ((1 << 60).to_bytes(8, "little") + b"{}", "at most"),
        "nothing": (b"", "another file"),
    }


@pytest.mark.parametrize("name", hostile())
def test_other_files_are_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content, reason = hostile()[name]
    with pytest.raises(DataError, match=r"^state: expected tensors") as error:
        read_tensors(content, "state")
    assert reason in str(error.value)
    assert not list(tmp_path.iterdir())


def test_an_archive_that_unpacks_to_more_than_its_size(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("state/data.pkl", bytes(1 << 22))
    with pytest.raises(DataError, match="at most"):
        read_tensors(path.read_bytes(), path)


def test_files_are_read_with_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "all.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.txt", "a" * 100)
    assert read_file(archive, "a.txt") == b"a" * 100
    with pytest.raises(DataError, match="no item named 'b.txt'"):
        read_file(archive, "b.txt")
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "none"):
        with pytest.raises(DataError, match="it is none"):
            read_file(path)
    monkeypatch.setattr(tensors, "MOST_BYTES", 99)
    with pytest.raises(DataError, match="it has 100 bytes; at most 99 are read"):
        read_file(archive, "a.txt")


def test_keys_of_a_state_are_names() -> None:
    with names_of_torch():
        storage = Storage("0", np.ones(1, "float32"))
        state = OrderedDict([(3, Rebuilt(storage, 0, (1,), (1,), False, None))])
        assert list(read_tensors(archive_of(state, [storage]), "p")) == ["3"]
