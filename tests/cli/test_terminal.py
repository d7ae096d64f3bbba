"""The terminal: free folders, and how commands end."""

from __future__ import annotations

import importlib.util
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from runs import Command

from multimodal.cli.options import (
    command_line,
    console_on,
    free_folder,
    say,
    show_news,
)
from multimodal.core.errors import RunError
from multimodal.core.interrupted import write_record
from multimodal.runs.tables import written


def test_a_reader_that_has_seen_enough() -> None:
    """`multimodal predict … | head -1` ends quietly."""
    code = (
        "import sys\nfrom multimodal.cli.options import report_errors\n"
        "with report_errors():\n    print('row\\n' * 100_000)\n"
    )
    done = subprocess.run(
        f'{sys.executable} -c "$CODE" | head -1',
        shell=True,
        capture_output=True,
        text=True,
        env={**os.environ, "CODE": code},
    )
    assert (done.stdout, done.stderr) == ("row\n", "")


def test_ctrl_c_without_a_run_exits_with_130(
    command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("multimodal.runs.train.train", stop)
    done = command("train", "rows.csv", "--target", "price", "--out", "run")
    assert done.code == 130
    assert "Traceback" not in done.err


def test_a_full_disk_is_no_traceback(
    command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device", "run/model.keras")

    monkeypatch.setattr("multimodal.runs.train.train", full)
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


def test_the_command_can_be_given_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/bin/multimodal", "train", "my rows.csv"])
    assert command_line() == "multimodal train 'my rows.csv'"


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    told = "rows.csv: cannot be written .No such file.*Name another --out"
    with pytest.raises(RunError, match=told), written(tmp_path / "no" / "rows.csv"):
        (tmp_path / "no" / "rows.csv").write_text("")


def test_news_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    say("[red]rows[/red] :smile: " + "x" * 200)
    say("quiet", console_on(sys.stdout))
    out, err = capsys.readouterr()
    assert (out, err) == ("quiet\n", "[red]rows[/red] :smile: " + "x" * 200 + "\n")


def test_news_of_the_package_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("multimodal.runs.train")
    with show_news():
        logger.info("[red]rows[/red] " + "x" * 200)
        logger.warning("50 % of the rows are duplicates")
        logger.debug("no news")
    assert capsys.readouterr() == (
        "",
        f"[red]rows[/red] {'x' * 200}\nwarning: 50 % of the rows are duplicates\n",
    )
    assert not logging.getLogger("multimodal").handlers
    logger.info("nobody listens")
    assert capsys.readouterr() == ("", "")


def test_control_characters_of_a_table_are_written_out(
    command: Command, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = "\n".join(f"red {i},{i}.5,{i * 2}" for i in range(30))
    Path("t.csv").write_text(f"a,b\x1b[1m,price\n\x1b]0;owned\x07\x1b[2J\u202ex,1,2\n{lines}\n")
    for verb in (["inspect"], ["audit", "--target", "price", "--out", "a"]):
        done = command(verb[0], "t.csv", *verb[1:])
        assert done.code == 0
        for text in (done.out, done.err):
            assert not set(text) & set("\x1b\x07\u202e")
    assert "\\x1b[1m" in done.out
    assert "\x1b" not in command("inspect", "no\x1b[2J.csv").err
    say("\x1b[2Jgone")
    assert capsys.readouterr().err == "\\x1b[2Jgone\n"


@pytest.mark.parametrize("backend", ["torch", "nonsense"])
def test_a_backend_that_is_not_installed_is_one_sentence(backend: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(backend):
        pytest.skip("it is installed")
    done = subprocess.run(
        [sys.executable, "-m", "multimodal", "predict", tmp_path, "rows.csv"],
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_BACKEND": backend},
    )
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert done.stderr.startswith(f"error: KERAS_BACKEND={backend}: Keras cannot be loaded")
    assert "installed: tensorflow" in done.stderr
