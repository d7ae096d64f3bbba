"""`scripts/benchmark.py`: what is measured, in which order, and what a row of the table says."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
from script_files import load_script


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script("benchmark")


@pytest.fixture
def benchmark(script: ModuleType, tmp_path: Path) -> object:
    versions = [script.Version(name, sys.executable) for name in ("before", "after", "twin")]
    return script.Benchmark(versions, tmp_path)


def test_versions_take_turns_and_a_row_shows_medians_and_ratios(
    script: ModuleType, benchmark: object, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds = iter([8.0, 4.0, 5.0, 9.0, 3.0, 5.0, 7.0, 4.0, 5.0])
    order = []

    def measure(version: object) -> dict[str, float]:
        order.append(version.name)  # type: ignore[attr-defined]
        return {"cpu": next(seconds)}

    found = benchmark.in_turn(measure, 3)  # type: ignore[attr-defined]
    assert order == ["before", "after", "twin"] * 3
    benchmark.show("load, CPU-ms", found, "cpu", 1e-3)  # type: ignore[attr-defined]
    printed = capsys.readouterr().out
    assert printed.startswith("load, CPU-ms")
    assert printed.split()[2:] == ["8,000", "4,000", "5,000", "0.50", "1.25"]


def test_a_process_is_measured_with_all_its_threads_and_children(
    script: ModuleType, tmp_path: Path
) -> None:
    burn = "import time\nwhile time.process_time() < 0.5: pass\nbytearray(300 * 2**20)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}])"
    found = script.Version("after", sys.executable).run(["-c", code], tmp_path / "log")
    assert found["cpu"] >= 0.5 and found["wall"] > 0 and found["peak"] > 300 * 2**20
    with pytest.raises(SystemExit, match="after: -c raise .* failed; see"):
        script.Version("after", sys.executable).run(["-c", "raise ValueError"], tmp_path / "log")
    assert "ValueError" in (tmp_path / "log").read_text()


def test_a_larger_table_has_other_rows_and_the_same_photos(
    script: ModuleType, tmp_path: Path
) -> None:
    rows = pd.DataFrame(
        {
            "id": [f"p{i}" for i in range(6)],
            "split": ["train", "test"] * 3,
            "description": ["a stool of oak and steel, not new"] * 5 + [None],
            "image": [f"photos/{i}.jpg" for i in range(6)],
            **{column: [10.0 + i for i in range(6)] for column in script.JITTERED},
        }
    )
    rows.to_csv(tmp_path / "rows.csv", index=False)
    case = script.Case("rows", tmp_path / "rows.csv", tmp_path, "price", "split")
    large = pd.read_csv(case.enlarged(100, tmp_path).file)
    assert len(large) == 100 and large["id"].is_unique and set(large["image"]) == set(rows["image"])
    assert large["description"].nunique() > 50 and large["price"].nunique() > 50
    assert large["split"].tolist()[:6] == rows["split"].tolist()
    assert pd.read_csv(case.enlarged(4, tmp_path).file).equals(rows.head(4))


def test_of_a_real_set_fold_0_is_for_testing(script: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "books"
    folder.mkdir(parents=True)
    (folder / "books.csv").write_text("title,Price\nA,3\nB,4\nC,5\n")
    (folder / "folds.csv").write_text("id,fold\n0,1\n1,0\n2,4\n")
    case = script.Case.of("books", tmp_path / "data", tmp_path)
    rows = pd.read_csv(case.file)
    assert list(rows) == ["title", "price", "part"]
    assert rows["part"].tolist() == ["train", "test", "train"]
    with pytest.raises(SystemExit, match="MULTIMODAL_DATA must name"):
        script.Case.of("books", None, tmp_path)
