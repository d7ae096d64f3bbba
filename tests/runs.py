"""Fixtures: trained runs that all tests of all workers share, and the command in this process.

Training is what tests wait for, so a run is trained once per session of pytest, by whichever
worker asks first, and read by all (`shared`). Nobody may write into one: take `damaged`, or copy.

| fixture            | what it is                                                                |
|--------------------|---------------------------------------------------------------------------|
| `catalogue_folder` | 120 + 30 + 30 rows with texts and photos, `test.csv`, `truth.csv`         |
| `trained`          | run on it: table, text, photos, baselines, a known limit, explained rows  |
| `plain_run`        | run on `plain_rows()`: a price from a number and a category               |
| `worded_run`       | run on `worded_rows()`: a class from a text and a number; two fold models |
| `partial_run`      | run on `partial_rows()`: a price, and a class that every third row lacks  |
| `saved_run`        | run of an earlier version with photos, `few.csv` beside it; not trained    |
| `only_the_model`   | not a run: trainings of this test write no explanations and no report     |
| `eagerly`          | not a run: Keras fits without graphs in this test                         |

For another run that several tests need, write a session or module fixture around `shared`:

    @pytest.fixture(scope="module")
    def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
        return load(shared(tmp_path_factory, "houses", lambda out: train(rows(), "price", out=out)))
"""

from __future__ import annotations

import fcntl
import json
import logging
import math
import os
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tiny import partial_rows, plain_config, plain_rows, tiny_config, worded_rows

from multimodal.data.generated import builder_package

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


def shared(
    tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]
) -> Path:
    """Return the folder that `make` has written, once for all workers of pytest-xdist.

    `make` is given a path that does not exist yet, below an existing folder. The others wait
    meanwhile. What fails is tried again by the next test that asks.
    """
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # of the session; each worker has one of its own in it
    folder, done = base / "shared" / name, base / "shared" / f"{name}.done"
    folder.parent.mkdir(exist_ok=True)
    with (base / "shared" / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            make(folder)
            done.touch()
    return folder


@pytest.fixture(scope="session")
def catalogue_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 + 30 + 30 rows with photos; `test.csv` holds the test rows."""

    def make(folder: Path) -> None:
        builder_package().export(folder, (120, 30, 30), 3)
        lines = (folder / "catalogue.csv").read_text().splitlines(keepends=True)
        (folder / "test.csv").write_text("".join([lines[0], *lines[151:]]))

    return shared(tmp_path_factory, "catalogue", make)


@pytest.fixture(scope="session")
def trained(catalogue_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A whole run over table, text and photos, with baselines and a known limit."""
    from multimodal.runs.train import train

    def make(folder: Path) -> None:
        noise = pd.read_csv(catalogue_folder / "truth.csv")["noise"].to_numpy()
        with pytest.MonkeyPatch.context() as patch, news() as said:
            patch.setattr("multimodal.runs.example_rows.SECONDS", math.inf)  # on a busy machine
            train(
                catalogue_folder / "catalogue.csv",
                "price",
                out=folder / "run",
                noise=noise,
                config=tiny_config(baselines=True),
                command="multimodal train catalogue.csv",
            )
        (folder / "said.json").write_text(json.dumps(said))

    folder = shared(tmp_path_factory, "trained", make)
    said = json.loads((folder / "said.json").read_text())
    return Trained(folder / "run", catalogue_folder, catalogue_folder / "test.csv", said)


@pytest.fixture(scope="session")
def plain_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on `plain_rows()`: the price, from the size, the shop and the cost; two epochs."""
    from multimodal.runs.train import train

    def make(out: Path) -> None:
        train(plain_rows(), "price", out=out, config=plain_config())

    return shared(tmp_path_factory, "plain_run", make)


@pytest.fixture(scope="session")
def worded_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on `worded_rows()`: the mood, from a review and a size; two fold models."""
    from multimodal.runs.train import train

    def make(out: Path) -> None:
        train(worded_rows(), "mood", out=out, config=plain_config(fold_models=2))

    return shared(tmp_path_factory, "worded_run", make)


@pytest.fixture(scope="session")
def partial_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on `partial_rows()`: the price, and the mood where a row has one."""
    from multimodal.runs.train import train

    heads = [
        {"name": "price", "column": "price"},
        {"name": "mood", "column": "mood", "head": "binary", "partial": True},
    ]

    def make(out: Path) -> None:
        config = plain_config().merge(heads=heads)
        train(partial_rows(), ["price", "mood"], out=out, config=config)

    return shared(tmp_path_factory, "partial_run", make)


@pytest.fixture(scope="session")
def saved_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of table, texts and photos that needs no training; `few.csv` and photos beside it."""

    def make(folder: Path) -> None:
        with zipfile.ZipFile(Path(__file__).parent / "fixtures" / "saved_run.zip") as archive:
            archive.extractall(folder)

    return shared(tmp_path_factory, "saved_run", make) / "run"


@contextmanager
def only_models() -> Iterator[None]:
    """Let trainings write neither importance, explained rows nor the report: half of their time."""
    from multimodal.runs.steps import RunTraining

    with pytest.MonkeyPatch.context() as patch:
        for step in ("_weigh_modalities", "_ablate", "_explain", "_report"):
            patch.setattr(RunTraining, step, lambda *_: None)
        yield


@pytest.fixture
def only_the_model() -> Iterator[None]:
    """Let the trainings of a test write only the model and what it is measured by.

    For tests of weights, splits, checkpoints and measures. Steps before it, and the manifest, stay.
    """
    with only_models():
        yield


@pytest.fixture
def eagerly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Keras fit without graphs: tracing them takes longer than a few steps of a large model."""
    import keras

    compile_model = keras.Model.compile

    def compile_eagerly(model: keras.Model, *parts: Any, **options: Any) -> None:
        compile_model(model, *parts, **{**options, "run_eagerly": True, "jit_compile": False})

    monkeypatch.setattr(keras.Model, "compile", compile_eagerly)


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
