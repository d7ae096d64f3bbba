"""`scripts/benchmark_serving.py` measures, and its soak tells good requests from hostile ones."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from runs import FRESH
from tiny import plain_rows

SCRIPT = Path(__file__).parents[2] / "scripts" / "benchmark_serving.py"


@pytest.mark.large
def test_it_measures_and_soaks(plain_run: Path, tmp_path: Path) -> None:
    plain_rows(12, seed=5).to_csv(tmp_path / "rows.csv", index=False)
    command = [str(SCRIPT), str(plain_run), str(tmp_path / "rows.csv"), "--requests", "40"]
    done = subprocess.run(
        [sys.executable, *command, "--clients", "1", "4", "--soak", "400"],
        capture_output=True,
        text=True,
        env=FRESH,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    figures = re.findall(r"serve, (\d+) clients: (\d+) requests/s, p50 ([\d.]+) ms", done.stdout)
    assert [int(clients) for clients, *_ in figures] == [1, 4]
    assert re.search(r"\d+ good: 200", done.stdout)
    assert re.search(r"hostile .*: 4\d\d", done.stdout)
