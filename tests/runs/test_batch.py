"""Files predicted part by part: as the whole, however cut, interrupted and shared."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from runs import FRESH, Command
from tiny import plain_rows, worded_rows

from multimodal.core.errors import DataError, RunError
from multimodal.data.read import parts
from multimodal.data.shards import Worker
from multimodal.runs import batch, raw_rows
from multimodal.runs.batch import predict_files
from multimodal.runs.run import Run, load
from multimodal.runs.tables import write_table

ROWS = plain_rows(50, seed=1).drop(columns=["price", "weight"])


@pytest.fixture(scope="module")
def run(plain_run: Path) -> Run:
    return load(plain_run)


@pytest.fixture(autouse=True)
def small_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a part be of eight rows, in a working directory of its own."""
    monkeypatch.setattr(parts, "PART", 8)
    monkeypatch.chdir(tmp_path)


def plain(path: Path) -> None:
    ROWS.to_csv(path, index=False)


def with_index_and_faults(path: Path) -> None:
    """An index without a name, as `to_csv` writes it, a line too short, and values over lines."""
    frame = ROWS.assign(shop=[f"{shop}\nstreet" if i % 7 == 0 else shop for i, shop in named()])
    lines = frame.to_csv().splitlines(keepends=True)
    path.write_text("".join([*lines[:20], "17,short\n", '18,"1"2,north,3\n', *lines[20:]]))


def named() -> Any:
    return enumerate(ROWS["shop"])


def late_commas(path: Path) -> None:
    """Semicolons, and numbers of which only the last part tells that commas mark decimals."""
    frame = ROWS.assign(size=["1,250"] * 49 + ["1,5"], cost=ROWS["cost"].map(str))
    frame.to_csv(path, sep=";", index=False)


def row_names(path: Path) -> None:
    """A first column without a name whose values differ but for the last two rows: no index."""
    ROWS.set_axis([f"row {i}" for i in range(50)]).to_csv(path)


def empty(path: Path) -> None:
    ROWS.head(0).to_csv(path, index=False)


def late_columns(path: Path) -> None:
    """JSON whose first lines lack a column, hold records among values, or cannot be read."""
    frame = ROWS.assign(extra=[{"a": 1} if i % 3 else None for i in range(50)], size=ROWS["size"])
    lines = frame.to_json(orient="records", lines=True).splitlines()
    lines[:9] = [f'{{"shop": "north", "size": {i}}}' for i in range(9)]
    lines[20] = "{broken"
    lines[30] = '{"shop": {"a": 2}, "size": "3", "cost": 1}'
    path.write_text("\n".join(lines))


def groups(path: Path) -> None:
    """Parquet of uneven row groups, whole numbers beside missing ones, commas in texts."""
    sizes = pa.array([None if i % 5 == 0 else int(i) for i in range(50)], pa.int64())
    cost = pa.array([f"{i},5" for i in range(50)])
    nested = pa.array([{"a": i} for i in range(50)])
    shops = ROWS["shop"].tolist()
    table = pa.table({"nested": nested, "size": sizes, "shop": shops, "cost": cost})
    pq.write_table(table, path, row_group_size=11)


def packed(path: Path) -> None:
    path.write_bytes(gzip.compress(ROWS.to_csv(index=False).encode()))


FILES: dict[str, Callable[[Path], None]] = {
    "plain.csv": plain,
    "faults.csv": with_index_and_faults,
    "commas.csv": late_commas,
    "names.csv": row_names,
    "empty.csv": empty,
    "late.jsonl": late_columns,
    "groups.parquet": groups,
    "packed.csv.gz": packed,
}


def expected(run: Run, file: Path, out: str = "expected.csv") -> bytes:
    """Return what the prediction of the whole file is written as."""
    write_table(run.predict(file, level=0.8).frame, Path(out))
    return Path(out).read_bytes()


@pytest.mark.parametrize("name", FILES)
def test_a_file_in_parts_is_the_file_as_a_whole(name: str, run: Run) -> None:
    FILES[name](Path(name))
    done = predict_files(run, [name], "out.csv", level=0.8)
    assert Path("out.csv").read_bytes() == expected(run, Path(name))
    whole = run.predict(name, level=0.8)
    assert (done.rows, done.finished) == (len(whole.frame), True)
    assert {k: n for k, n in done.counts.items() if n} == {
        k: n for k, n in whole.counts.items() if n
    }
    assert done.unused_columns == whole.unused_columns
    assert not Path("out.csv.parts").exists()


@pytest.mark.parametrize("out", ["out.parquet", "out.jsonl", "out.tsv", "out.csv.gz"])
def test_every_format_holds_the_same(out: str, worded_run: Path) -> None:
    rows = worded_rows(20, seed=2).assign(size=lambda frame: frame["size"].mask(frame.index == 3))
    rows.to_csv("rows.csv", index=False)
    run = load(worded_run)
    predict_files(run, ["rows.csv"], out)
    expected = run.predict("rows.csv").frame
    if out.endswith("parquet"):
        found = pd.read_parquet(out)
    elif out.endswith("jsonl"):
        found = pd.DataFrame([json.loads(line) for line in Path(out).read_text().splitlines()])
    else:
        found = pd.read_csv(out, sep="\t" if "tsv" in out else ",", keep_default_na=False)
    assert list(found) == list(expected) and found["note"].tolist() == expected["note"].tolist()
    for name in ("row", "mood_prediction", "mood_probability_glad"):
        assert found[name].tolist() == expected[name].tolist()


def test_it_goes_on_after_an_interruption(
    run: Run, monkeypatch: pytest.MonkeyPatch, said: list[str]
) -> None:
    plain(Path("rows.csv"))
    predicted: list[int] = []
    predict = raw_rows.predict_part

    def part(*given: Any) -> Any:
        if len(predicted) == 3:
            raise KeyboardInterrupt
        predicted.append(given[-1])
        return predict(*given)

    monkeypatch.setattr(raw_rows, "predict_part", part)
    monkeypatch.setattr(batch, "TELL_SECONDS", 0)
    Path("out.csv").write_text("of yesterday")
    with pytest.raises(KeyboardInterrupt):
        predict_files(run, ["rows.csv"], "out.csv", level=0.8)
    assert Path("out.csv").read_text() == "of yesterday"
    with pytest.raises(RunError, match=r"out.csv.parts: .* level was 0.8, is null"):
        predict_files(run, ["rows.csv"], "out.csv")
    predicted.append(-1)  # no further interruption
    predict_files(run, ["rows.csv"], "out.csv", level=0.8)
    assert predicted == [0, 8, 16, -1, 24, 32, 40, 48]
    assert any("going on with 3 of 7 parts" in line for line in said)
    assert any("26 of 26 rows" in line and "a second" in line for line in said)
    assert Path("out.csv").read_bytes() == expected(run, Path("rows.csv"))


def test_another_file_is_not_gone_on_with(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    plain(Path("rows.csv"))
    predict_files(run, ["rows.csv"], "out.csv", worker=Worker(0, 2))
    os.utime("rows.csv", ns=(1, 1))
    with pytest.raises(RunError, match=r"files.rows.csv.modified was"):
        predict_files(run, ["rows.csv"], "out.csv", worker=Worker(1, 2))


def test_workers_share_the_parts_and_the_last_one_joins_them(run: Run) -> None:
    groups(Path("rows.parquet"))
    done = [predict_files(run, ["rows.parquet"], "out.csv", worker=Worker(i, 3)) for i in (2, 0, 1)]
    assert [(each.finished, each.parts, each.of) for each in done] == [
        (False, 3, 7),
        (False, 5, 7),
        (True, 7, 7),
    ]
    shared = Path("out.csv").read_bytes()
    predict_files(run, ["rows.parquet"], "out.csv")
    assert Path("out.csv").read_bytes() == shared


def test_folders_and_patterns_name_files(run: Run) -> None:
    Path("in").mkdir()
    ROWS.head(10).to_csv("in/a.csv", index=False)
    ROWS.tail(5).to_parquet("in/b.parquet", index=False)
    Path("in/notes.md").write_text("none")
    predict_files(run, ["in"], "out.csv")
    predict_files(run, ["in/*.csv", "in/b.parquet"], "again.csv")
    found = pd.read_csv("out.csv")
    assert Path("out.csv").read_bytes() == Path("again.csv").read_bytes()
    assert found["file"].tolist() == ["in/a.csv"] * 10 + ["in/b.parquet"] * 5
    assert found["row"].tolist() == [*range(10), *range(5)]
    last = run.predict("in/b.parquet").frame["price_prediction"]
    np.testing.assert_allclose(found["price_prediction"][10:], last, rtol=1e-12)
    Path("empty").mkdir()
    for named, why in (
        (["empty"], "a folder without any table"),
        (["in/*.xlsx"], "no file is named so"),
        (["in", "in/a.csv"], "named twice"),
    ):
        with pytest.raises(DataError, match=why):
            predict_files(run, named, "out.csv")


def test_what_cannot_be_predicted_leaves_nothing(run: Run) -> None:
    ROWS.drop(columns="shop").to_csv("rows.csv", index=False)
    with pytest.raises(DataError, match=r"rows.csv: columns missing: shop"):
        predict_files(run, ["rows.csv"], "out.csv")
    with pytest.raises(RunError, match="is an input"):
        predict_files(run, ["rows.csv"], "rows.csv")
    assert [path.name for path in Path().iterdir()] == ["rows.csv"]


def test_the_same_share_is_not_written_twice(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    plain(Path("rows.csv"))
    seen: list[str] = []

    def meanwhile(*given: Any) -> Any:
        monkeypatch.undo()
        monkeypatch.setattr(parts, "PART", 8)
        with pytest.raises(RunError, match="another process writes the same share"):
            predict_files(run, [path], out)
        seen.append("refused")
        raise KeyboardInterrupt

    path, out = Path("rows.csv").absolute(), Path("out.csv").absolute()
    monkeypatch.setattr(raw_rows, "predict_part", meanwhile)
    with pytest.raises(KeyboardInterrupt):
        predict_files(run, [path], out)
    assert seen == ["refused"] and not Path(f"{out}.parts").exists()


def test_the_command_streams_to_a_file(command: Command, plain_run: Path, run: Run) -> None:
    plain(Path("rows.csv"))
    done = command("predict", plain_run, "rows.csv", "--out", "out.csv", "--level", "0.8")
    assert done.code == 0 and "50 rows written to out.csv" in done.err
    assert Path("out.csv").read_bytes() == expected(run, Path("rows.csv"))
    done = command("predict", plain_run, "rows.csv", "--out", "two.csv", "--worker", "2/2")
    assert "4 of 7 parts are there; two.csv is written when other workers" in done.err
    done = command("predict", plain_run, "rows.csv", "--worker", "1/2")
    assert done.code == 2 and "need an --out" in done.err


@pytest.mark.large
def test_a_killed_process_is_gone_on_with(run: Run, plain_run: Path) -> None:
    plain(Path("rows.csv"))
    code = (
        "import os, signal, sys; from multimodal.data.read import parts; parts.PART = 8\n"
        "from multimodal.runs import batch; from multimodal.runs.run import load\n"
        "keep, done = batch._Job._keep, []\n"
        "def kept(*given):\n"
        "    keep(*given); done.append(1)\n"
        "    len(done) == 3 and os.kill(os.getpid(), signal.SIGKILL)\n"
        "batch._Job._keep = kept\n"
        "batch.predict_files(load(sys.argv[1]), ['rows.csv'], 'out.csv', level=0.8)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, plain_run], env=FRESH, timeout=300)
    assert done.returncode == -signal.SIGKILL and not Path("out.csv").exists()
    assert len(list(Path("out.csv.parts").glob("part-*"))) == 3
    predict_files(run, ["rows.csv"], "out.csv", level=0.8)
    assert Path("out.csv").read_bytes() == expected(run, Path("rows.csv"))
