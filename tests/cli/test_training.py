"""Train and prepare: what they write and say, and one clear error for each bad input."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest
from runs import QUICK, Command
from tiny import digests, plain_rows, worded_rows

from multimodal.core.config import Config
from multimodal.data.generated import builder_package
from multimodal.evaluation.records import RunMetrics
from multimodal.models.build import fold_models
from multimodal.runs.run import load


def test_train_then_evaluate_and_predict(command: Command, folder: Path) -> None:
    done = command(
        "train",
        "rows.csv",
        "--target",
        "price",
        "--target",
        "cost",
        "--weight",
        "weight",
        "--config",
        "quick.yaml",
        "--epochs",
        3,
        "--seed",
        7,
        "--out",
        "run",
    )
    assert (done.code, done.out) == (0, "")
    assert "epoch 3/3  loss " in done.err
    assert "price: the test rows, best model first" in done.err
    assert "report: run/report.html" in done.err
    record = RunMetrics.read(folder / "run")
    assert (record.training.epochs, record.training.seed) == (3, 7)
    assert record.command.startswith("multimodal train rows.csv --target price --target cost")
    assert list(record.heads) == ["price", "cost"]
    config = Config.from_json((folder / "run" / "config.json").read_text())
    assert config.training.batch_size == 32

    done = command("evaluate", "run", "rows.csv")
    assert done.code == 0
    lines = done.out.splitlines()
    assert [line.split()[:3] for line in lines] == [["price:", "n", "80"], ["cost:", "n", "80"]]

    done = command("predict", "run", "rows.csv")
    assert done.code == 0
    frame = pd.read_csv(StringIO(done.out))
    assert list(frame) == ["row", "price_prediction", "cost_prediction", "note", "unusual"]
    assert done.err == ""
    plain_rows(5).assign(shop="east", extra=1).to_csv("new.csv", index=False)
    done = command("predict", "run", "new.csv", "--out", "prices.csv")
    assert (done.code, done.out) == (0, "")
    assert done.err.splitlines() == [
        "unseen in 'shop': 5",
        "rows unlike the training rows: 5",
        "columns not used: extra",
        "5 rows written to prices.csv",
    ]
    assert len(pd.read_csv("prices.csv")) == 5


@pytest.mark.usefixtures("only_the_model")
def test_from_and_freeze(command: Command, folder: Path, plain_run: Path) -> None:
    common = ["--target", "price", "--config", "quick.yaml", "--epochs", 1]
    done = command(
        "train", "rows.csv", *common, "--from", plain_run, "--freeze", "table", "--out", "tuned"
    )
    assert done.code == 0
    assert "carried over " in done.err
    base, tuned = load(plain_run), load("tuned")
    for old, new in zip(
        fold_models(base.model)[0].get_layer("table_encoder").get_weights(),
        fold_models(tuned.model)[0].get_layer("table_encoder").get_weights(),
        strict=True,
    ):
        assert (old == new).all()
    done = command("train", "rows.csv", *common, "--from", plain_run, "--freeze", "tabel")
    assert done.code == 2
    assert "error: cannot freeze group 'tabel'. Did you mean 'table'?" in done.err
    done = command("train", "rows.csv", *common, "--from", "nowhere")
    assert (done.code, "nowhere: no such run directory" in done.err) == (2, True)
    assert not (folder / "runs").exists()


def test_a_run_without_pages_says_what_other_commands_miss(command: Command, folder: Path) -> None:
    worded_rows().to_csv("moods.csv", index=False)
    without = ("--no-report", "--no-explanations", "--no-baselines")
    asked = ("train", "moods.csv", "--target", "mood", "--config", "quick.yaml", "--epochs", 1)
    done = command(*asked, *without, "--out", "run")
    assert done.code == 0 and done.err.splitlines()[-1] == "run: run"
    kept = Config.from_json(Path("run/config.json").read_text()).training
    assert (kept.report, kept.explanations, kept.baselines) == (False, False, False)
    assert not [*Path("run").glob("*.html"), *Path("run").glob("*.md"), *Path("run").glob("*.png")]
    done = command("explain", "run", "--importance")
    assert (done.code, done.out) == (2, "")
    assert "error: run/importance.json: not there; the training was interrupted, or" in done.err
    done = command("explain", "run", "moods.csv", "--limit", 1, "--out", "why")
    assert done.code == 0 and "the training left explanations out" in done.err
    done = command("report", "run", "moods.csv")
    assert done.code == 0 and Path("run/report.html").is_file()


Change = Callable[[], None]


def text_prices() -> None:
    rows = plain_rows().astype({"price": object})
    rows.loc[::5, "price"] = "on request"
    rows.to_csv("rows.csv", index=False)


def negative_prices() -> None:
    plain_rows().assign(price=lambda rows: rows["price"] - 50).to_csv("rows.csv", index=False)
    head = "{name: price, column: price, head: {name: regression, options: {transform: log1p}}}"
    Path("quick.yaml").write_text(QUICK + f"heads: [{head}]\n")


def yaml_of(text: str) -> Change:
    return lambda: Path("quick.yaml").write_text(text) and None


def no_rows() -> None:
    Path("rows.csv").write_text("size,shop,price\n")


def bad_photos() -> None:
    plain_rows().assign(photo=[f"{i}.jpg" for i in range(80)]).to_csv("rows.csv", index=False)


def photo_outside() -> None:
    rows = plain_rows().assign(photo=[f"{i}.jpg" for i in range(80)])
    rows.loc[3, "photo"] = "../secret.jpg"
    rows.to_csv("rows.csv", index=False)


def used_out() -> None:
    Path("run").mkdir()
    Path("run/notes.txt").write_text("mine")


def nothing() -> None:
    pass


GROUP = "groups: [{name: t, modality: tabular, columns: [size], encoder: %s}]"


@pytest.mark.parametrize(
    ("arguments", "change", "reasons"),
    [
        (["none.csv"], nothing, ["none.csv: no such file"]),
        (["quick.yaml"], nothing, ["quick.yaml", ".csv"]),
        (["rows.csv", "--target", "prize"], nothing, ["rows.csv", "Did you mean 'price'?"]),
        (["rows.csv", "--weight", "wait"], nothing, ["Did you mean 'weight'?"]),
        (["rows.csv"], no_rows, ["rows.csv: no data rows"]),
        (["rows.csv"], text_prices, ["line 2: column 'price'", "'on request'", "16 of 80 rows"]),
        (["rows.csv"], negative_prices, ["column 'price' holds -", "log1p", "standardise"]),
        (["rows.csv"], bad_photos, ["none of its 80 photos can be used", "0.jpg: no such photo"]),
        (["rows.csv"], photo_outside, ["rows.csv, line 5, column 'photo'", "leads out of"]),
        (["rows.csv", "--images", "none"], nothing, ["none: no such folder"]),
        (["rows.csv", "--images", "rows.csv"], nothing, ["rows.csv: no such folder"]),
        (["rows.csv"], used_out, ["run: already there and not empty", "--out"]),
        (["rows.csv", "--out", "rows.csv"], nothing, ["rows.csv: already there and not empty"]),
        (["rows.csv", "--out", "rows.csv/run"], nothing, ["rows.csv is a file, not a folder"]),
        (["rows.csv", "--config", "none.yaml"], nothing, ["none.yaml: cannot be read"]),
        (["rows.csv"], yaml_of("training: {epoch: 3}"), ["'training.epoch'", "'epochs'?"]),
        (["rows.csv"], yaml_of("trainin: {}"), ["unknown key 'trainin'", "'training'?"]),
        (["rows.csv"], yaml_of("training: ["), ["quick.yaml: not valid YAML"]),
        (["rows.csv"], yaml_of("training: {epochs: many}"), ["`training.epochs`", "'many'"]),
        (["rows.csv"], yaml_of("data: {columns: {sise: number}}"), ["Did you mean 'size'?"]),
        (["none.csv"], yaml_of(GROUP % "dens"), ["unknown tabular_encoder 'dens'", "'dense'?"]),
        (
            ["none.csv"],  # told before the file is looked for
            yaml_of(GROUP % "{name: dense, options: {hiden_dims: [8]}}"),
            ["tabular_encoder 'dense' has no option 'hiden_dims'. Did you mean 'hidden_dims'?"],
        ),
        (
            ["rows.csv"],
            yaml_of(GROUP % "{name: dense, options: {hidden_dims: [-8]}}"),
            ["`hidden_dims` must be a list of integers of at least 1"],
        ),
        (["none.csv"], yaml_of("fusion: konkat"), ["unknown fusion 'konkat'", "'concat'?"]),
        (["rows.csv", "--epochs", "0"], nothing, ["--epochs"]),
    ],
)
def test_bad_input_gives_one_clear_error(
    arguments: list[str], change: Change, reasons: list[str], command: Command, folder: Path
) -> None:
    change()
    before = digests(folder)
    defaults = {"--target": "price", "--config": "quick.yaml", "--out": "run"}
    rest = [
        word for name, value in defaults.items() if name not in arguments for word in (name, value)
    ]
    done = command("train", *arguments, *rest)
    assert done.code == 2
    if "Usage" not in done.err:
        assert done.err.count("error: ") == 1
        assert [line for line in done.err.splitlines() if line.startswith("error: ")]
    for reason in reasons:
        assert reason in done.err
    assert "Traceback" not in done.err
    assert done.out == ""
    assert digests(folder) == before


def test_train_without_target(command: Command, folder: Path) -> None:
    done = command("train", "rows.csv")
    assert done.code == 2
    assert "error: --target is missing" in done.err
    assert "multimodal inspect rows.csv" in done.err


@pytest.mark.usefixtures("only_the_model")
def test_the_generated_catalogue_is_the_default(
    command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = builder_package()
    export = package.export
    tiny = {"default": (60, 20, 20)}
    monkeypatch.setattr(package, "export", lambda at, size, seed: export(at, tiny[size], seed))
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    Path("quick.yaml").write_text(QUICK + "data: {image_size: 16}\n")
    done = command("train", "--config", "quick.yaml", "--epochs", 1)
    assert done.code == 0
    assert "known limit" in done.err
    record = RunMetrics.read(folder / "runs" / "run")
    assert (record.data.train, record.data.validation, record.data.test) == (60, 20, 20)
    assert 0 < record.limit["price"]["log_rmse"] < 0.5


@pytest.mark.usefixtures("only_the_model")
def test_prepare_in_shares_then_train_from_it(command: Command, folder: Path) -> None:
    Path("quick.yaml").write_text(f"{QUICK}data: {{prepared: kept}}\n")
    asked = ("prepare", "rows.csv", "--target", "price", "--config", "quick.yaml")
    done = command(*asked, "--worker", "2/2")
    assert (done.code, done.out) == (0, "")
    assert "other workers have not finished" in done.err
    done = command(*asked, "--worker", "1/2")
    assert done.code == 0 and done.err.splitlines()[-1].endswith(": whole")
    (kept,) = Path("kept").iterdir()
    before = {path.name: path.stat().st_mtime_ns for path in kept.iterdir()}
    done = command(
        "train", "rows.csv", "--target", "price", "--config", "quick.yaml", "--epochs", 1
    )
    assert done.code == 0 and f"MB in {kept}" in done.err
    assert {path.name: path.stat().st_mtime_ns for path in kept.iterdir()} == before


def test_what_prepare_cannot_do(command: Command, folder: Path) -> None:
    done = command("prepare", "rows.csv", "--target", "price")
    assert done.code == 2 and "`data: {prepared: FOLDER}`" in done.err
    done = command("prepare", "rows.csv", "--target", "price", "--worker", "3/2")
    assert done.code == 2 and "expected a share such as 2/4, got '3/2'" in done.err
