"""Fixtures: one tiny catalogue, one whole run on it, and the command in this process."""

from __future__ import annotations

import logging
import math
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pytest
from tiny import plain_rows, tiny_config

from multimodal.data.generated import builder_package

os.environ.setdefault("OMP_NUM_THREADS", "1")  # a hundred rows need no threads for their trees
FRESH = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}  # the environment of a new process
QUICK = """
fusion: {name: concat, options: {hidden_dims: [8]}}
training: {batch_size: 32, precision: float32, baselines: false}
"""


@dataclass(frozen=True)
class Trained:
    """A run directory, the catalogue it was trained on, the test rows alone, what was said."""

    run: Path
    folder: Path
    test: Path
    said: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Answer:
    """What a command answered."""

    code: int
    out: str
    err: str


Command = Callable[..., Answer]


@contextmanager
def news() -> Iterator[list[str]]:
    """Collect what the package logs as the command line shows it: warnings are marked."""
    said: list[str] = []
    handler, logger = logging.Handler(), logging.getLogger("multimodal")
    marks = {logging.INFO: "", logging.WARNING: "warning: "}
    handler.emit = lambda record: said.append(marks[record.levelno] + record.getMessage())
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield said
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)


@pytest.fixture(scope="session")
def catalogue_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 + 30 + 30 rows with photos; `test.csv` holds the test rows."""
    folder = tmp_path_factory.mktemp("data") / "catalogue"
    builder_package().export(folder, (120, 30, 30), 3)
    lines = (folder / "catalogue.csv").read_text().splitlines(keepends=True)
    (folder / "test.csv").write_text("".join([lines[0], *lines[151:]]))
    return folder


@pytest.fixture(scope="session")
def trained(catalogue_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A whole run over table, text and photos, with baselines and a known limit."""
    from multimodal.runs.train import train

    noise = pd.read_csv(catalogue_folder / "truth.csv")["noise"].to_numpy()
    out = tmp_path_factory.mktemp("runs") / "run"
    with pytest.MonkeyPatch.context() as patch, news() as said:
        patch.setattr("multimodal.runs.example_rows.SECONDS", math.inf)  # however busy the machine
        train(
            catalogue_folder / "catalogue.csv",
            "price",
            out=out,
            noise=noise,
            config=tiny_config(baselines=True),
            command="multimodal train catalogue.csv",
        )
    return Trained(out, catalogue_folder, catalogue_folder / "test.csv", said)


@pytest.fixture
def said() -> Iterator[list[str]]:
    """What the package logs during a test: news and warnings, as they come."""
    with news() as messages:
        yield messages


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the `multimodal` command in this process."""
    from multimodal.cli import main

    def run(*arguments: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["multimodal", *map(str, arguments)])
        code: object = 0
        capsys.readouterr()
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        out, err = capsys.readouterr()
        return Answer(int(str(code)), out, err)

    return run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An own working directory with `rows.csv` and a config for it."""
    monkeypatch.chdir(tmp_path)
    plain_rows().to_csv("rows.csv", index=False)
    Path("quick.yaml").write_text(QUICK)
    return tmp_path


@pytest.fixture
def damaged(trained: Trained, tmp_path: Path) -> Path:
    """A copy of the run to damage."""
    return Path(shutil.copytree(trained.run, tmp_path / "run"))
