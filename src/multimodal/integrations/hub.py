"""Runs on the Hugging Face hub: pushed with their model card, pulled and checked.

What is pulled may be anybody's: it is read by `load`, which executes nothing of it, and only files
that the manifest of the run lists stay.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from multimodal.core.errors import ConfigError, RunError, first_line
from multimodal.core.manifest import MANIFEST, listed_files
from multimodal.report.model_card import CARD_FILE
from multimodal.runs.open import load

__all__ = ["pull", "push"]

CARD = "README.md"  # what the hub shows of a repository


def push(run: str | Path, repo: str, *, private: bool = True, revision: str | None = None) -> str:
    """Upload a run to a model repository of the Hugging Face hub; return its address.

    The files that loading, predicting and the report need are uploaded in one commit, with the
    model card as what the hub shows. A run holds words and categories of its training rows, and
    the report some of the rows themselves: a new repository is private unless you say otherwise.

    Args:
        run: The run directory, or an export.
        repo: `user/name`; made where it is not there yet.
        private: Whether a new repository is private.
        revision: Branch; `main` by default.

    Raises:
        RunError: There is no such run, or the hub refuses it.
        ConfigError: `huggingface_hub` is not installed.

    Example:
        push("run", "me/prices")
    """
    folder, hub = Path(run), _hub()
    load(folder)  # what cannot be loaded is not shared
    files = [*listed_files(folder), folder / MANIFEST]
    added = [(path, path.relative_to(folder).as_posix()) for path in files if path.is_file()]
    card = folder / CARD_FILE
    added += [(card, CARD)] if card.is_file() else []
    operations = [hub.CommitOperationAdd(name, str(path)) for path, name in added]
    api = hub.HfApi()
    with _told(f"{repo}: cannot be pushed to"):
        address = api.create_repo(repo, repo_type="model", private=private, exist_ok=True)
        api.create_commit(
            repo, operations, commit_message="Upload a run of multimodal", revision=revision
        )
    return str(address)


def pull(repo: str, out: str | Path, *, revision: str | None = None) -> Path:
    """Download a run from the Hugging Face hub to a new folder; return the folder.

    Args:
        repo: `user/name`.
        out: The folder, which must not be there yet.
        revision: Branch, tag or commit; `main` by default.

    Raises:
        RunError: The hub does not have it, it is no run, or something is at `out`.
        ConfigError: `huggingface_hub` is not installed.

    Example:
        multimodal.load(pull("me/prices", "prices")).predict("tomorrow.csv")
    """
    out, hub = Path(out), _hub()
    if out.exists():
        raise RunError(f"{out}: already there. Name another --out, or remove it first.")
    if not out.absolute().parent.is_dir():
        raise RunError(f"{out}: no such folder to write to. Name another --out.")
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=out.absolute().parent) as beside:
        folder, kept = Path(beside, "pulled"), Path(beside, "kept")
        with _told(f"{repo}: cannot be pulled"):
            hub.snapshot_download(repo, revision=revision, local_dir=str(folder))
        if not (folder / MANIFEST).is_file():
            raise RunError(f"{repo}: holds no run of multimodal ({MANIFEST} is missing).")
        for path in [*listed_files(folder), folder / MANIFEST]:
            if not path.resolve().is_relative_to(folder.resolve()):
                raise RunError(f"{repo}: {MANIFEST} lists a file outside of the run.")
            if path.is_file():
                target = kept / path.relative_to(folder)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
        load(kept)
        kept.replace(out)
    return out


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Raise RunError where the hub refuses something, or cannot be reached."""
    try:
        yield
    except (OSError, ValueError) as error:  # of the client: all it raises is one of these
        raise RunError(
            f"{what} ({first_line(error)}). Check the name, `hf auth login`, and the network."
        ) from None


def _hub() -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise ConfigError(
            "huggingface_hub is not installed. Install it: pip install 'multimodal-keras[hub]'."
        ) from None
    return huggingface_hub
