"""The Hugging Face hub, in place of which stands a folder: what is pushed, what may be pulled."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs import Command
from tiny import plain_rows

from multimodal.core.errors import ConfigError, RunError
from multimodal.integrations.hub import pull, push
from multimodal.runs.run import load


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the client of the hub work on a folder, a subfolder for each repository."""
    client = pytest.importorskip("huggingface_hub")
    folder = tmp_path / "hub"

    class Api:
        def create_repo(self, repo: str, *, private: bool, **options: Any) -> str:
            if "/" not in repo:
                raise client.errors.HFValidationError("Repo id must be in the form 'user/name'")
            (folder / repo).mkdir(parents=True, exist_ok=True)
            (folder / repo / ".private").write_text(str(private))
            return f"hub:{repo}"

        def create_commit(self, repo: str, operations: list[Any], **options: Any) -> None:
            for each in operations:
                target = folder / repo / each.path_in_repo
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(each.path_or_fileobj, target)

    def download(repo: str, *, revision: str | None, local_dir: str) -> str:
        if not (folder / repo).is_dir():
            raise OSError(f"404: {repo} not found")
        return str(shutil.copytree(folder / repo, local_dir))

    monkeypatch.setattr(client, "HfApi", Api)
    monkeypatch.setattr(client, "snapshot_download", download)
    return folder


def test_a_run_comes_back_as_it_was(hub: Path, plain_run: Path, tmp_path: Path) -> None:
    assert push(plain_run, "me/prices") == "hub:me/prices"
    there = hub / "me/prices"
    assert (there / "README.md").read_text() == (plain_run / "model_card.md").read_text()
    assert (there / ".private").read_text() == "True"
    (there / "evil.py").write_text("raise SystemExit")
    found = pull("me/prices", tmp_path / "prices")
    assert not (found / "evil.py").exists() and (found / "model.keras").exists()
    rows = plain_rows(5)
    one, other = (load(each).predict(rows)["price"] for each in (plain_run, found))
    np.testing.assert_array_equal(one, other)
    assert {path.name for path in tmp_path.iterdir()} == {"hub", "prices"}


def test_what_is_no_whole_run_is_not_kept(hub: Path, plain_run: Path, tmp_path: Path) -> None:
    push(plain_run, "me/prices", private=False)
    assert (hub / "me/prices/.private").read_text() == "False"
    spec = hub / "me/prices/spec.json"
    spec.write_text(spec.read_text().replace("size", "sise"))
    (hub / "me/other").mkdir()
    (tmp_path / "there").mkdir()
    for repo, out, why in (
        ("me/prices", "new", "spec.json: changed since"),
        ("me/other", "new", "me/other: holds no run"),
        ("me/absent", "new", "me/absent: cannot be pulled .*404"),
        ("me/prices", "there", "there: already there"),
        ("me/prices", "no/new", "no such folder"),
    ):
        with pytest.raises(RunError, match=why):
            pull(repo, tmp_path / out)
    assert {path.name for path in tmp_path.iterdir()} == {"hub", "there"}
    with pytest.raises(RunError, match="cannot be pushed to .*user/name"):
        push(plain_run, "prices")
    with pytest.raises(RunError, match="no such run"):
        push(tmp_path / "none", "me/none")


def test_the_commands(
    hub: Path, plain_run: Path, command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command("push", plain_run, "me/prices", "--public").err == "pushed: hub:me/prices\n"
    assert command("pull", "me/prices").err == "run: prices\n"
    assert (folder / "prices/model.keras").exists()
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    done = command("pull", "me/prices", "--out", "again")
    assert done.code == 2 and "pip install 'multimodal-keras[hub]'" in done.err
    with pytest.raises(ConfigError):
        push(plain_run, "me/prices")
