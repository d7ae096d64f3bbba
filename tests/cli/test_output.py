"""Tables that a command writes: never over its input, whole, in the format of their suffix."""

from __future__ import annotations

import io
import json
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs import Command

from multimodal.cli.output import (
    STANDARD,
    check_output,
    escaped_formula,
    named_input,
    write_table,
)
from multimodal.core.errors import DataError, RunError
from multimodal.data.read.readers import read_table

FRAME = pd.DataFrame(
    {
        "row": [0, 1, 2],
        "id": ["=1+1", "@x", "-5"],
        "price_prediction": [0.1 + 0.2, None, -5.0],
        "note": ["", "-cmd|' /C calc'!A0", "a\tb"],
        "mixed": ["a", 3, None],
    }
)
EXACT = 0.1 + 0.2


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", ["o.csv", "o.tsv", "o.CSV.gz", "o.parquet", "o.pq", "o.jsonl"])
def test_what_is_written_is_what_the_suffix_says(name: str) -> None:
    out = Path(name)
    check_output(out, [])
    write_table(FRAME, out, escape=False)
    if name.endswith((".parquet", ".pq")):
        found = pd.read_parquet(out)
    elif name.endswith("jsonl"):
        found = pd.DataFrame([json.loads(line) for line in out.read_text().splitlines()])
    else:
        packed = "gzip" if name.endswith("gz") else None
        found = pd.read_csv(out, sep="\t" if "tsv" in name else ",", compression=packed)
    assert list(found) == list(FRAME) and found["price_prediction"][0] == EXACT
    assert found["id"].tolist() == ["=1+1", "@x", "-5"] and found["mixed"][:2].astype(
        str
    ).tolist() == ["a", "3"]
    assert [path.name for path in Path().iterdir()] == [name]


@pytest.mark.parametrize("name", ["o.xyz", "o", "o.parquet.old"])
def test_another_suffix_is_refused(name: str) -> None:
    with pytest.raises(RunError, match=f"{name}: cannot tell a format from its name"):
        check_output(Path(name), [])


def test_an_input_is_never_written_over(tmp_path: Path) -> None:
    rows = Path("rows.csv")
    rows.write_text("a\n1\n")
    Path("sub").mkdir()
    Path("link.csv").symlink_to(rows)
    Path("chain.csv").symlink_to("link.csv")
    os.link(rows, "hard.csv")
    Path("folder").symlink_to(tmp_path)
    names = ["rows.csv", "./rows.csv", "sub/../rows.csv", "link.csv", "chain.csv", "hard.csv"]
    for name in [*names, "folder/rows.csv", str(tmp_path / "rows.csv")]:
        for given_as in (rows, tmp_path / "rows.csv", Path("link.csv")):
            with pytest.raises(RunError, match="is an input of this command"):
                check_output(Path(name), [Path("other.csv"), given_as])
    Path("dangling.csv").symlink_to("nowhere.csv")
    for name in ("new.csv", "dangling.csv", "-"):
        check_output(Path(name), [rows])


def test_a_pipe_is_not_replaced_by_a_file() -> None:
    os.mkfifo("pipe.csv")
    with pytest.raises(RunError, match=r"pipe\.csv: expected a file or a new name"):
        check_output(Path("pipe.csv"), [])


def test_a_full_disk_leaves_what_lay_there() -> None:
    for name in ("o.csv", "o.parquet", "o.jsonl"):
        Path(name).write_text("of yesterday")
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
        try:
            with pytest.raises(RunError, match=f"{name}: cannot be written"):
                write_table(pd.DataFrame({"a": [f"{i:x}" * 9 for i in range(9999)]}), Path(name))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert Path(name).read_text() == "of yesterday"
    assert len(list(Path().iterdir())) == 3


def test_a_link_is_followed_and_permissions_stay() -> None:
    Path("dated.csv").write_text("old")
    Path("dated.csv").chmod(0o600)
    Path("latest.csv").symlink_to("dated.csv")
    Path("partial-dated.csv").write_text("of the user")
    write_table(FRAME, Path("latest.csv"))
    assert Path("latest.csv").is_symlink() and Path("dated.csv").read_text().startswith("row,")
    assert Path("dated.csv").stat().st_mode & 0o777 == 0o600
    assert Path("partial-dated.csv").read_text() == "of the user"


@given(st.text(alphabet="=+-@\t0123456789.,eE ax'\"|＝", max_size=8))
def test_no_text_in_csv_begins_a_formula(text: str) -> None:
    found = escaped_formula(text)
    assert found in (text, f"'{text}")
    try:
        float(text.replace(",", "") or "x")
    except ValueError:
        assert not found.startswith(("=", "+", "-", "@", "\t", "＝"))


def test_formulas_are_escaped_in_csv_alone(capsys: pytest.CaptureFixture[str]) -> None:
    write_table(FRAME, STANDARD)
    found = pd.read_csv(io.StringIO(capsys.readouterr().out), dtype=str)
    assert found["id"].tolist() == ["'=1+1", "'@x", "-5"]
    assert found["note"][1] == "'-cmd|' /C calc'!A0" and found["price_prediction"][2] == "-5.0"
    write_table(FRAME, STANDARD, escape=False)
    assert "\n0,=1+1," in capsys.readouterr().out
    write_table(FRAME, Path("o.parquet"))
    assert pd.read_parquet("o.parquet")["id"][0] == "=1+1"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_cells_do_not_rule_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pd.DataFrame({"id": ["\x1b[2Jred\x07"]})
    for stream, wanted in ((Terminal(), "id\n\\x1b[2Jred\\x07\n"), (io.StringIO(), "id\n\x1b[2J")):
        monkeypatch.setattr(sys, "stdout", stream)
        write_table(frame, STANDARD)
        assert stream.getvalue().startswith(wanted)


Piped = Callable[[bytes], None]


@pytest.fixture
def piped(monkeypatch: pytest.MonkeyPatch) -> Piped:
    def give(content: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    return give


def test_standard_input_is_a_table(piped: Piped, tmp_path: Path) -> None:
    FRAME[["row", "note"]].to_parquet("t.parquet")
    contents = [b"row,note\n0,a\n", b'{"row": 0, "note": "a"}\n', Path("t.parquet").read_bytes()]
    for content in contents:
        piped(content)
        with named_input(STANDARD) as path:
            assert list(read_table(path).frame) == ["row", "note"]
        assert not path.exists()
    piped(b"")
    with pytest.raises(DataError, match="^standard input: "), named_input(STANDARD) as path:
        read_table(path)
    with named_input(Path("t.parquet")) as path:
        assert path == Path("t.parquet")


def test_predict_from_standard_input(piped: Piped, command: Command, plain_run: Path) -> None:
    from tiny import plain_rows

    rows = plain_rows().head(3).assign(shop=["=1+1", "west", "west"])
    rows.to_csv("rows.csv", index=False)
    wanted = command("predict", plain_run, "rows.csv")
    piped(Path("rows.csv").read_bytes())
    found = command("predict", plain_run, "-", "--out", "-")
    assert (found.code, found.out) == (0, wanted.out)
    for out in ("rows.csv", plain_run / "predictions.csv"):
        refused = command("predict", plain_run, "rows.csv", "--out", out)
        assert refused.code == 2 and f"{out}: is an input of this command" in refused.err
    done = command("predict", plain_run, "rows.csv", "--out", "o.parquet")
    assert done.err.endswith("3 rows written to o.parquet\n")
    assert len(pd.read_parquet("o.parquet")) == 3
