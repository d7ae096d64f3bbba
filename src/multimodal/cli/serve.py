"""The command that answers over HTTP what a run predicts."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated

import typer

from multimodal.cli.options import say
from multimodal.core.errors import ConfigError

LIBRARIES = ("fastapi", "uvicorn", "prometheus_client", "python_multipart")


def serve(
    run: Annotated[
        Path,
        typer.Argument(help="Run directory, or a folder of runs: NAME or NAME/VERSION below it."),
    ],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 is a free one.")] = 8080,
    workers: Annotated[
        int, typer.Option(min=1, max=64, help="Processes, each of which loads the models.")
    ] = 1,
    images: Annotated[
        Path | None,
        typer.Option(help="Folder of photos that requests may name by path; default: none may."),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(help="File with the token that requests must show; or MULTIMODAL_TOKEN."),
    ] = None,
    max_body: Annotated[float, typer.Option(min=0.001, help="MiB of a request.")] = 32,
    max_rows: Annotated[int, typer.Option(min=1, help="Rows of a request.")] = 1000,
    max_queue: Annotated[int, typer.Option(min=1, help="Rows that wait; more get 503.")] = 2000,
    deadline: Annotated[float, typer.Option(min=0.01, help="Seconds to a prediction.")] = 30,
) -> None:
    """Answer over HTTP what RUN predicts: Open Inference Protocol v2, /predict, and a page at /."""
    absent = [name for name in LIBRARIES if importlib.util.find_spec(name) is None]
    if absent:
        raise ConfigError(
            f"serving needs {', '.join(absent)}, which is not installed. "
            "Run `pip install 'multimodal-keras[serve]'`."
        )
    if images is not None and not images.is_dir():
        raise ConfigError(
            f"{images}: no such folder; expected the one that photo paths start from."
        )
    from multimodal.serve.repository import check_source
    from multimodal.serve.server import serve as answer
    from multimodal.serve.settings import Limits, Settings

    check_source(run)
    body = round(max_body * 2**20)
    limits = Limits(
        body=body, rows=max_rows, queue=max_queue, deadline=deadline, bodies=max(16 * body, 2**28)
    )
    settings = Settings(run, images, token_file, limits)
    if settings.token() is None and host not in ("127.0.0.1", "::1", "localhost"):
        say(f"warning: whoever reaches {host} may ask; set --token-file or MULTIMODAL_TOKEN")
    raise typer.Exit(answer(settings, host, port, workers, lambda url: print(url, flush=True)))
