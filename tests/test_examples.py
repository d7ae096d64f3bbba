"""The example scripts run as they stand, on fewer rows and epochs, and beat what stands beside."""

from __future__ import annotations

import os
import re
import runpy
import sys
from pathlib import Path

import keras
import pytest

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


def test_two_branches_know_more_than_one(run) -> None:
    found = run("examples/two_branches.py", "--epochs", 8)
    assert found["sensors + history"] < 0.25
    assert min(found["sensors"], found["history"]) > 0.35


def test_mlp(run) -> None:
    found = run("examples/sequential_mlp.py")
    assert found["Sequential MLP"] > 0.93 > found["larger class"]


def test_own_parts(run) -> None:
    found = run("examples/own_parts.py", "--epochs", 25)
    assert found["own encoder"] < 0.6 * found["mean"]


def test_own_train_step(run) -> None:
    if keras.backend.backend() != "tensorflow":
        pytest.skip("its gradient tape is TensorFlow's")
    found = run("examples/custom_train_step.py")
    assert found["own train_step"] > 0.9 > found["larger class"]


def test_attention_reads_negation(run) -> None:
    found = run("examples/text_attention.py", "--epochs", 4)
    assert found["transformer"] > found["TF-IDF + logistic regression"] > found["larger class"]


def test_residual_and_inception(run) -> None:
    found = run("examples/residual_and_inception.py", "--epochs", 1, "--rows", 256)
    assert set(found) == {"residual", "inception", "plain CNN", "largest class"}


@pytest.mark.large
def test_residual_and_inception_learn(run) -> None:
    found = run("examples/residual_and_inception.py")
    assert min(found["residual"], found["inception"]) > 0.8


def test_autoencoder(run) -> None:
    found = run("examples/autoencoder.py", "--epochs", 2)
    assert found["autoencoder"] < found["mean face"]


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
def test_cnn_on_digits(run) -> None:
    found = run(
        "examples/sequential_cnn.py",
        "--data",
        real("mnist/mnist.npz"),
        "--rows",
        6000,
        "--epochs",
        3,
    )
    assert found["Sequential CNN"] > 0.93


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("airline-passengers.csv", ["--season", 12, "--window", 24, "--epochs", 200, "--log", 1]),
        ("daily-min-temperatures.csv", ["--season", 365, "--epochs", 5]),
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
