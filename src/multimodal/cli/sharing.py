"""Commands that share runs: push to and pull from the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from multimodal.cli.options import RunFolder, load_backend, say, show_news

Repo = Annotated[str, typer.Argument(help="Repository of the Hugging Face hub: user/name.")]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit; default: main.")]


def push(
    run: RunFolder,
    repo: Repo,
    public: Annotated[
        bool,
        typer.Option("--public", help="Let anybody see a new repository; it holds words of rows."),
    ] = False,
    revision: Revision = None,
) -> None:
    """Upload RUN with its model card to REPO of the Hugging Face hub."""
    load_backend()
    from multimodal.integrations.hub import push as upload

    with show_news():
        say(f"pushed: {upload(run, repo, private=not public, revision=revision)}")


def pull(
    repo: Repo,
    out: Annotated[Path | None, typer.Option(help="New folder; default: the name of REPO.")] = None,
    revision: Revision = None,
) -> None:
    """Download a run from REPO of the Hugging Face hub, and check it."""
    load_backend()
    from multimodal.integrations.hub import pull as download

    with show_news():
        found = download(repo, out or Path(repo.rpartition("/")[2]), revision=revision)
    say(f"run: {found}")
