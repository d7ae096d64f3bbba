"""The command: its four verbs, its exit codes, and one clear error for each bad input."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest
from runs import Answer, Trained
from tiny import digests, plain_rows

from multimodal.catalogue import builder_package
from multimodal.cli import free_folder
from multimodal.config import Config
from multimodal.data.audit_records import Audit
from multimodal.data.schema import Schema
from multimodal.evaluation import RunMetrics
from multimodal.members import members
from multimodal.run import load
from multimodal.unfinished import write_record

Command = Callable[..., Answer]
FRESH = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
QUICK = """
fusion: {name: concat, options: {hidden_dims: [8]}}
training: {batch_size: 32, precision: float32, baselines: false}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An own working directory with `rows.csv` and a config for it."""
    monkeypatch.chdir(tmp_path)
    plain_rows().to_csv("rows.csv", index=False)
    Path("quick.yaml").write_text(QUICK)
    return tmp_path


def test_train_then_evaluate_and_predict(command: Command, folder: Path) -> None:
    done = command(
        "train", "rows.csv", "--target", "price", "--target", "cost", "--weight", "weight",
        "--config", "quick.yaml", "--epochs", 3, "--seed", 7, "--out", "run",
    )  # fmt: skip
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
        "unseen in 'shop': 5", "rows unlike the training rows: 5", "columns not used: extra",
        "5 rows written to prices.csv",
    ]  # fmt: skip
    assert len(pd.read_csv("prices.csv")) == 5


def test_report_is_written_anew(command: Command, trained: Trained, tmp_path: Path) -> None:
    run = shutil.copytree(trained.run, tmp_path / "run")
    (run / "report.html").unlink()
    done = command("report", run, trained.folder / "catalogue.csv")
    assert (done.code, done.out, done.err) == (0, "", f"report: {run}/report.html\n")
    assert (run / "report.html").is_file() and (run / "model_card.md").is_file()
    done = command("report", run)
    assert done.code == 0 and "without FILE, the page shows no texts" in done.err
    done = command("report", tmp_path / "absent")
    assert done.code == 2 and "no such run directory" in done.err


def test_from_and_freeze(command: Command, folder: Path) -> None:
    common = ["--target", "price", "--config", "quick.yaml", "--epochs", 1]
    assert command("train", "rows.csv", *common, "--out", "base").code == 0
    done = command(
        "train", "rows.csv", *common, "--from", "base", "--freeze", "table", "--out", "tuned"
    )
    assert done.code == 0
    assert "carried over " in done.err
    base, tuned = load("base"), load("tuned")
    for old, new in zip(
        members(base.model)[0].get_layer("table_encoder").get_weights(),
        members(tuned.model)[0].get_layer("table_encoder").get_weights(),
        strict=True,
    ):
        assert (old == new).all()
    done = command("train", "rows.csv", *common, "--from", "base", "--freeze", "tabel")
    assert done.code == 2
    assert "error: cannot freeze group 'tabel'. Did you mean 'table'?" in done.err
    done = command("train", "rows.csv", *common, "--from", "nowhere")
    assert (done.code, "nowhere: no such run directory" in done.err) == (2, True)
    assert not (folder / "runs").exists()


def test_inspect_prints_the_table(command: Command, folder: Path) -> None:
    rows = plain_rows(40)
    rows["remark"] = ["[red]as[/b] new :smile:", "worn", "[/] open", "sealed"] * 10
    rows.to_csv("odd[1].csv", index=False)
    done = command("inspect", "odd[1].csv", "--target", "price", "--out", "schema.json")
    assert done.code == 0
    shown = " ".join(done.out.split())
    assert "odd[1].csv: 40 rows, 0 set aside" in shown
    for word in ("price", "target", "size", "number", "shop", "category", "[red]as[/b]"):
        assert word in shown
    assert ":smile:" in shown
    assert done.err == "schema saved to schema.json\n"
    assert Schema.load("schema.json").column("price").kind == "target"
    done = command("inspect", "rows.csv", "--out", "no/where.json")
    assert (done.code, "no/where.json: cannot be written" in done.err) == (2, True)


def test_inspect_tells_which_rows_it_set_aside(command: Command, folder: Path) -> None:
    lines = Path("rows.csv").read_text().splitlines()
    lines[3:15] = ["1.0,north"] * 12
    Path("short.csv").write_text("\n".join(lines) + "\n")
    done = command("inspect", "short.csv")
    assert "80 rows, 12 set aside" in " ".join(done.out.split())
    told = done.err.splitlines()
    assert told[0].startswith("short.csv, line 4: ")
    assert told[-1] == "… and 2 more rows set aside"


def test_audit(command: Command, folder: Path) -> None:
    rows = plain_rows().astype({"price": object})
    rows.to_csv("fine.csv", index=False)
    done = command("audit", "fine.csv", "--strict")
    assert "no errors, no warnings" in done.out and done.code == 0
    rows.loc[3, "price"] = "[red]ask"
    rows.to_csv("rows.csv", index=False)
    done = command("audit", "rows.csv", "--target", "price", "--out", "new/audit")
    assert (done.code, done.err) == (0, "page: new/audit/audit.html\n")
    assert "set aside, line 5: column 'price': expected a number, got '[red]ask'" in done.out
    found = Audit.read_file(folder / "new/audit/audit.json")
    assert found is not None and (found.read, found.quarantined) == (len(rows), 1)
    assert Path("new/audit/quarantine.csv").read_text().count("\n") == 2
    assert "<table>" in Path("new/audit/audit.html").read_text()
    assert command("audit", "rows.csv", "--target", "price", "--strict").code == 1
    again = command("audit", "new/audit/quarantine.csv")
    assert "1 rows read, 1 kept" in again.out


def test_audit_errors(command: Command, folder: Path) -> None:
    rows = plain_rows()
    rows.assign(price=3).to_csv("rows.csv", index=False)
    done = command("audit", "rows.csv", "--target", "price")
    assert done.code == 2
    assert "error: rows.csv: target 'price' is 3 in every row" in " ".join(done.out.split())
    for arguments, reason in (
        (["none.csv"], "none.csv: no such file"),
        (["rows.csv", "--target", "prise"], "Did you mean 'price'"),
        (["rows.csv", "--images", "none"], "none: no such folder"),
        (["rows.csv", "--out", "rows.csv"], "rows.csv: cannot be written"),
    ):
        done = command("audit", *arguments)
        assert (done.code, reason in done.err, "Traceback" in done.err) == (2, True, False)


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
        (["rows.csv"], bad_photos, ["80 of 80 rows cannot be used", "0.jpg: no such photo"]),
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
    rest = [word for name, value in defaults.items() if name not in arguments
            for word in (name, value)]  # fmt: skip
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


@pytest.mark.parametrize("verb", ["predict", "evaluate"])
def test_a_run_that_is_none(verb: str, command: Command, folder: Path, trained: Trained) -> None:
    shutil.copytree(trained.run, "cut")
    content = Path("cut/model.keras").read_bytes()
    Path("cut/model.keras").write_bytes(content[: len(content) // 3])
    shutil.copytree(trained.run, "part")
    Path("part/spec.json").unlink()
    Path("empty").mkdir()
    for name, reason in {
        "none": "none: no such run directory",
        "rows.csv": "rows.csv: a file, not a run directory",
        "empty": "empty/config.json: cannot be read (no such file)",
        "cut": "cut/model.keras: changed since manifest.json was written",
        "part": "part/spec.json: cannot be read",
    }.items():
        done = command(verb, name, "rows.csv")
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith(f"error: {reason}")
        assert "Traceback" not in done.err


def test_bad_input_to_predict(command: Command, folder: Path, trained: Trained) -> None:
    for arguments, reason in (
        (["none.csv"], "none.csv: no such file"),
        (["rows.csv"], "rows.csv: columns missing: category, brand"),
        ([trained.test, "--images", "none"], "none: no such folder"),
        ([trained.test, "--out", "no/prices.csv"], "no/prices.csv: no such folder"),
        ([trained.test, "--out", "."], ".: cannot be written"),
    ):
        done = command("predict", trained.run, *arguments)
        assert (done.code, done.out) == (2, "")
        assert f"error: {reason}" in done.err
    done = command("evaluate", trained.run, "rows.csv")
    assert (done.code, "columns missing" in done.err) == (2, True)


def test_no_rows_to_predict(command: Command, folder: Path, trained: Trained) -> None:
    Path("none.csv").write_text(trained.test.read_text().splitlines()[0] + "\n")
    done = command("predict", trained.run, "none.csv")
    assert (done.code, done.out) == (0, "row,id,price_prediction,note,unusual\n")


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


def test_no_command_and_no_such_command(command: Command) -> None:
    assert command("--help").code == 0
    done = command("tran")
    assert (done.code, "No such command" in done.err) == (2, True)


def test_help_loads_no_backend() -> None:
    code = (
        "import sys\nsys.argv = ['multimodal', 'train', '--help']\n"
        "from multimodal.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "print(sorted({'tensorflow', 'keras', 'pandas', 'numpy', 'sklearn'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--freeze" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_real_ctrl_c_leaves_a_usable_run(folder: Path) -> None:
    Path("long.yaml").write_text(
        "training: {epochs: 100000, patience: 100000, baselines: false, precision: float32}\n"
    )
    words = [
        sys.executable, "-m", "multimodal", "train", "rows.csv", "--target", "price",
        "--config", "long.yaml", "--out", "run",
    ]  # fmt: skip
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=FRESH) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("epoch 3/"):
                break
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=120)[1]
    assert process.returncode == 0, said
    assert "interrupted; the best weights so far are kept" in said
    assert "Traceback" not in said
    assert RunMetrics.read(folder / "run").training.interrupted
    assert load(folder / "run").predict(plain_rows(3)).frame["price_prediction"].notna().all()


def test_a_reader_that_has_seen_enough() -> None:
    """`multimodal predict … | head -1` ends quietly."""
    code = (
        "import sys\nfrom multimodal.cli import report_errors\n"
        "with report_errors():\n    print('row\\n' * 100_000)\n"
    )
    done = subprocess.run(
        f"{sys.executable} -c \"$CODE\" | head -1", shell=True, capture_output=True, text=True,
        env={**os.environ, "CODE": code},
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("row\n", "")


def test_ctrl_c_without_a_run_exits_with_130(
    command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("multimodal.workflow.train", stop)
    done = command("train", "rows.csv", "--target", "price", "--out", "run")
    assert done.code == 130
    assert "Traceback" not in done.err


def test_a_full_disk_is_no_traceback(
    command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device", "run/model.keras")

    monkeypatch.setattr("multimodal.workflow.train", full)
    done = command("train", "rows.csv", "--target", "price", "--out", "run")
    assert done.code == 2
    assert "error: [Errno 28] No space left on device: 'run/model.keras'" in done.err


def test_free_folder(tmp_path: Path) -> None:
    wanted = tmp_path / "run"
    assert free_folder(wanted, "a") == wanted
    wanted.mkdir()
    (tmp_path / "run-2").mkdir()
    assert free_folder(wanted, "a") == tmp_path / "run-3"
    write_record(tmp_path / "run-2", {"command": "a"})
    assert free_folder(wanted, "a") == tmp_path / "run-2"
    assert free_folder(wanted, "b") == tmp_path / "run-3"


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


def test_compare_prints_a_table_and_goes_on(command: Command, folder: Path) -> None:
    plain_rows().drop(columns=["cost", "weight"]).to_csv("rows.csv", index=False)
    asked = ("compare", "rows.csv", "--target", "price", "--config", "quick.yaml", "--folds", 2,
             "--seeds", 1)  # fmt: skip
    Path("quick.yaml").write_text(QUICK.replace("{batch_size", "{epochs: 1, batch_size"))
    done = command(*asked)
    assert done.code == 0
    assert "price: 80 rows out of fold, 2 folds, 1 seed" in done.out
    assert "For price, concat on table is" in done.out
    assert done.err.splitlines()[-1] == "table, picture and every answer: runs/comparison"
    again = command(*asked)
    assert "going on: 8 of 8 fits are there" in again.err
    assert again.out == done.out
    assert not Path("runs/comparison-2").exists()
    done = command(*asked[:-1], 2, "--minutes", 0)
    assert done.code == 0 and Path("runs/comparison-2").exists()
    assert "left out: always one answer: 4 of 4 fits" in done.out


def test_tune_writes_a_config_to_train_with(command: Command, folder: Path) -> None:
    pytest.importorskip("optuna")
    Path("quick.yaml").write_text(QUICK.replace("{batch_size", "{epochs: 1, batch_size"))
    done = command(
        "tune", "rows.csv", "--target", "price", "--config", "quick.yaml", "--minutes", 0
    )
    assert done.code == 0
    assert "1 trial: nothing was better than the config it started with." in done.out
    assert done.err.splitlines()[-1] == "to train with: --config runs/tuned/best.yaml"
    done = command("train", "rows.csv", "--target", "price", "--config", "runs/tuned/best.yaml")
    assert done.code == 0
