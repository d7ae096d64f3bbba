"""The commands about weights: what there is, where it lies, and what is fetched."""

from __future__ import annotations

from pathlib import Path

import pytest
from runs import Command

from multimodal.core import pretrained
from multimodal.core.pretrained import PRETRAINED, Published


@pytest.fixture(autouse=True)
def nowhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MULTIMODAL_WEIGHTS", raising=False)
    monkeypatch.setenv("MULTIMODAL_CACHE", str(folder / "cache"))
    monkeypatch.setenv("COLUMNS", "200")


def test_list(command: Command, folder: Path) -> None:
    place = folder / "cache/weights/static_vectors/vectors.txt"
    place.parent.mkdir(parents=True)
    place.write_text("red 1\n")
    done = command("weights")
    assert done.code == 0 and done.out == command("weights", "list").out
    lines = {line.split()[1]: line for line in done.out.splitlines() if line.startswith("│")}
    assert lines.keys() == PRETRAINED.keys()
    assert "static_vectors" in lines["static_vectors"].split(maxsplit=2)[2]
    assert "MIT" in lines["bge_small"] and "133" in lines["bge_small"]


def test_fetch(command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = folder / "published"
    source.write_text("red 1\n")
    model = PRETRAINED["static_vectors"]._replace(
        files=(Published("vectors.txt", source.as_uri()),), megabytes=1
    )
    monkeypatch.setitem(pretrained.PRETRAINED, "static_vectors", model)
    done = command("weights", "fetch", "static_vectors", "--to", "mine")
    assert done.code == 0 and done.out == ""
    assert "weights: mine/static_vectors\n" in done.err
    assert "they are found with MULTIMODAL_WEIGHTS=mine\n" in done.err
    assert Path("mine/static_vectors/vectors.txt").read_text() == "red 1\n"
    assert "they are found" not in command("weights", "fetch", "static_vectors").err
    done = command("weights", "fetch", "mini_lm")
    assert (done.code, "Did you mean 'minilm'" in done.err) == (2, True)
