"""The example scripts run: each learns from a few rows here, and prints all its figures.

`large`: on fewer rows and epochs than by default, or as they stand, they beat what stands beside.
"""

from __future__ import annotations

import os
import re
import runpy
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import multimodal
from multimodal.layers import registry

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
EXAMPLES = SCRIPTS / "examples"
LINE = re.compile(r"^(.+?): (?:accuracy|RMSE|MAE) ([\d.]+)", re.MULTILINE)
Figures = dict[str, float]


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> object:
    """Return a function that runs a script with arguments and returns the figures it prints."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    parts = {kind: dict(classes) for kind, classes in registry._PARTS.items()}
    monkeypatch.setattr(registry, "_PARTS", parts)  # what a script registers goes with its test
    for folder in (SCRIPTS, EXAMPLES):
        monkeypatch.syspath_prepend(str(folder))

    def once(script: str, *arguments: object) -> Figures:
        monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
        runpy.run_path(str(SCRIPTS / script), run_name="__main__")
        return {name: float(value) for name, value in LINE.findall(capsys.readouterr().out)}

    return once


def real(path: str) -> Path:
    """Return a file or folder of the real data; skip loudly where it is not there."""
    folder = os.environ.get("MULTIMODAL_DATA")
    if not folder or not (Path(folder) / path).exists():
        pytest.skip(f"needs {path} below the folder that MULTIMODAL_DATA names")
    return Path(folder) / path


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch, eagerly: None) -> None:
    """Let a script learn from the first rows and predict them: that it runs, not what it learns."""
    fit, predict, train = keras.Model.fit, keras.Model.predict, multimodal.train

    def predict_few(model: keras.Model, x: Any, **options: Any) -> Any:
        rows = len(keras.tree.flatten(x)[0])
        found = predict(model, keras.tree.map_structure(lambda a: a[:64], x), **options)
        return keras.tree.map_structure(lambda a: np.resize(a, (rows, *a.shape[1:])), found)

    def fit_few(
        model: keras.Model, x: Any, y: Any = None, sample_weight: Any = None, **options: Any
    ) -> Any:
        if y is not None:  # not the batches of `train`
            x, y = keras.tree.map_structure(lambda array: array[:64], (x, y))
            if sample_weight is not None:
                sample_weight = {name: array[:64] for name, array in sample_weight.items()}
        return fit(model, x, y, sample_weight=sample_weight, **options)

    monkeypatch.setattr(keras.Model, "fit", fit_few)
    monkeypatch.setattr(keras.Model, "predict", predict_few)
    monkeypatch.setattr(multimodal, "train", lambda rows, *a, **k: train(rows[:150], *a, **k))


SHORT = ["--epochs", 1]
SCRIPTS_OF_FEW: list[tuple[str, list[object], set[str]]] = [
    ("own_parts", SHORT, {"own encoder", "mean"}),
    ("custom_train_step", SHORT, {"own train_step", "larger class"}),
    (
        "text_attention",
        SHORT,
        {"transformer", "TF-IDF + logistic regression", "larger class"},
    ),
    (
        "residual_and_inception",
        [*SHORT, "--rows", 64],
        {"residual", "inception", "plain CNN", "largest class"},
    ),
    ("autoencoder", SHORT, {"autoencoder", "principal components", "mean face"}),
]


@pytest.mark.usefixtures("few", "only_the_model")
@pytest.mark.parametrize(
    ("script", "options", "figures"), SCRIPTS_OF_FEW, ids=[name for name, *_ in SCRIPTS_OF_FEW]
)
def test_a_script_runs(run, script: str, options: list[object], figures: set[str]) -> None:
    found = run(f"examples/{script}.py", *options)
    assert set(found) == figures


def test_mlp(run) -> None:
    found = run("examples/sequential_mlp.py")
    assert found["Sequential MLP"] > 0.93 > found["larger class"]


def test_two_branches_know_more_than_one(run) -> None:
    found = run("examples/two_branches.py", "--epochs", 8)
    assert found["sensors + history"] < 0.25
    assert min(found["sensors"], found["history"]) > 0.35


@pytest.mark.large
def test_own_parts(run) -> None:
    found = run("examples/own_parts.py", "--epochs", 25)
    assert found["own encoder"] < 0.6 * found["mean"]


@pytest.mark.large
def test_own_train_step(run) -> None:
    found = run("examples/custom_train_step.py")
    assert found["own train_step"] > 0.9 > found["larger class"]


@pytest.mark.large
def test_attention_reads_negation(run) -> None:
    found = run("examples/text_attention.py", "--epochs", 4)
    assert found["transformer"] > found["TF-IDF + logistic regression"] > found["larger class"]


@pytest.mark.large
def test_residual_and_inception_learn(run) -> None:
    found = run("examples/residual_and_inception.py")
    assert min(found["residual"], found["inception"]) > 0.8


@pytest.mark.large
def test_autoencoder_beats_the_linear_one(run) -> None:
    found = run("examples/autoencoder.py")
    assert found["autoencoder"] < found["principal components"]


@pytest.mark.large
def test_siamese(run) -> None:
    found = run("examples/siamese.py")
    assert found["Siamese network"] > 0.9 > 0.7 > found["distance of pixels"]


@pytest.mark.large
def test_an_auxiliary_category_helps(run) -> None:
    found = run("examples/coarse_and_fine.py")
    assert found["fine + coarse"] > found["fine alone"] > found["largest class"]


@pytest.mark.real_data
def test_cnn_on_few_digits(run) -> None:
    found = run(
        "examples/sequential_cnn.py",
        *("--data", real("mnist/mnist.npz"), "--rows", 1500, "--epochs", 4),
    )
    assert found["Sequential CNN"] > 0.5


@pytest.mark.real_data
@pytest.mark.large
def test_cnn_on_digits(run) -> None:
    found = run(
        "examples/sequential_cnn.py",
        *("--data", real("mnist/mnist.npz"), "--rows", 6000, "--epochs", 3),
    )
    assert found["Sequential CNN"] > 0.93


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "options"),
    [
        pytest.param(
            "airline-passengers.csv",
            ["--season", 12, "--window", 24, "--epochs", 200, "--log", 1],
            marks=pytest.mark.large,
        ),
        pytest.param(
            "daily-min-temperatures.csv",
            ["--season", 365, "--epochs", 5],
            marks=pytest.mark.large,
        ),
    ],
)
def test_series(run, name: str, options: list[object]) -> None:
    found = run("examples/series_forecast.py", "--data", real(f"series/{name}"), *options)
    assert found["Sequential RNN"] < min(found["last value"], found["one season ago"])


@pytest.mark.real_data
@pytest.mark.large
def test_rnn_on_reviews(run) -> None:
    found = run("examples/sequential_rnn.py", "--data", real("reviews/reviews.csv"))
    assert found["Sequential RNN"] > 0.7 > found["one class"]


@pytest.mark.usefixtures("few")
def test_what_sequential_cannot_express(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in (SCRIPTS, EXAMPLES):
        monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(sys, "argv", ["compare_apis.py", "--epochs", "1", "--rows", "192"])
    runpy.run_path(str(SCRIPTS / "compare_apis.py"), run_name="__main__")
    rows = [line for line in capsys.readouterr().out.splitlines() if "tial" in line]
    assert [("cannot" in row) for row in rows if "Sequential" in row][:1] == [False]
    assert sum("cannot" in row for row in rows) == 3
