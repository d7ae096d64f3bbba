"""`scripts/train_price.py`: short, public, and the same as the command."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from tiny import plain_rows

from multimodal.cli import report_errors
from multimodal.core.config import Config
from multimodal.data import defaults
from multimodal.data.generated import builder_package
from multimodal.evaluation.records import RunMetrics

SCRIPT = Path(__file__).parents[1] / "scripts" / "train_price.py"
QUICK = "training: {batch_size: 32, precision: float32, baselines: false}\n"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The script as a module, in a working directory of its own."""
    spec = importlib.util.spec_from_file_location("train_price", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.chdir(tmp_path)
    Path("quick.yaml").write_text(QUICK + "data: {image_size: 16}\n")
    return module


def start(script: ModuleType, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["scripts/train_price.py", *arguments])
    try:
        with report_errors():
            script.main()
    except SystemExit as end:
        return int(str(end.code or 0))
    return 0


def test_it_is_short_and_uses_public_names() -> None:
    text = SCRIPT.read_text()
    assert len(text.splitlines()) < 100
    names = [
        name.name
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom | ast.Import)
        for name in node.names
    ]
    assert not [name for name in names if name.startswith("_")]


@pytest.mark.usefixtures("only_the_model")
def test_ones_own_table(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plain_rows().rename(columns={"price": "[cost]"}).to_csv("rows.csv", index=False)
    arguments = ["--data", "rows.csv", "--target", "[cost]", "--config", "quick.yaml"]
    assert start(script, monkeypatch, *arguments, "--epochs", "2", "--seed", "5") == 0
    record = RunMetrics.read(Path("runs/price"))
    assert (record.training.epochs, record.training.seed) == (2, 5)
    assert record.command.startswith("python scripts/train_price.py --data rows.csv")
    out = capsys.readouterr().out
    assert "epoch 2/2" in out
    assert "report: runs/price/report.html" in out
    assert start(script, monkeypatch, *arguments, "--epochs", "1") == 0  # the next free name
    assert RunMetrics.read(Path("runs/price-2")).training.epochs == 1


@pytest.mark.usefixtures("only_the_model")
def test_quick_draws_the_small_catalogue(
    script: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    package = builder_package()
    export, sizes = package.export, {"small": (60, 20, 20)}
    monkeypatch.setattr(package, "export", lambda at, size, seed: export(at, sizes[size], seed))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(defaults, "LEAST_ROWS", 10)  # enough rows for several networks
    arguments = ["--quick", "--config", "quick.yaml", "--epochs", "1", "--out", "run"]
    assert start(script, monkeypatch, *arguments) == 0
    record = RunMetrics.read(Path("run"))
    assert record.data.test == 20
    assert Config.from_json((Path("run") / "config.json").read_text()).training.fold_models == 1
    assert record.limit["price"]["log_rmse"] > 0
    assert "known limit" in capsys.readouterr().out


def test_an_error_has_no_traceback(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert start(script, monkeypatch, "--data", "none.csv") == 2
    assert capsys.readouterr().err.startswith("error: none.csv: no such file")
    assert not Path("runs").exists()
