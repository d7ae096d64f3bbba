"""The command: its help, and a real Ctrl-C."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from runs import FRESH, Command
from tiny import plain_rows

from multimodal.evaluation.records import RunMetrics
from multimodal.runs.run import load


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
        sys.executable,
        "-m",
        "multimodal",
        "train",
        "rows.csv",
        "--target",
        "price",
        "--config",
        "long.yaml",
        "--out",
        "run",
    ]
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
