"""Every block of README runs as it is written, in a fresh process, in a folder with such files.

`.ci/run` asks for the quicker of the two `large` tests, too.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from runs import FRESH

from multimodal.core.config import Config

README = Path(__file__).parents[1] / "README.md"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = [(found.group(1), found.group(2)) for found in FENCE.finditer(README.read_text("utf-8"))]
# What a block says that is not run here, and why.
NOT_HERE = {
    "-q -e": "installs the project; that is how this test came to run",
    "--minutes 60": "an hour; tests/studies runs both commands",
}
COLOURS = {"red": (220, 40, 40), "green": (40, 200, 60), "blue": (40, 60, 220)}


def rows(count: int, seed: int) -> pd.DataFrame:
    """Products whose price follows from brand, words and the colour in the photo."""
    random = np.random.default_rng(seed)
    brands, woods = random.choice(["Acme", "Bolt"], count), random.choice(["oak", "pine"], count)
    colours = random.choice(list(COLOURS), count)
    price = 20 + 10 * (brands == "Acme") + 8 * (woods == "oak") + 5 * (colours == "red")
    return pd.DataFrame(
        {
            "brand": brands,
            "description": [f"a sturdy {wood} table, number {i}" for i, wood in enumerate(woods)],
            "image": [f"photos/{colour}-{i % 4}.jpg" for i, colour in enumerate(colours)],
            "price": (price + random.normal(0, 1, count)).round(2),
        }
    )


def write_files(folder: Path) -> None:
    """Write the files that README names: tables, their photos, one photo by name."""
    (folder / "photos").mkdir(parents=True)
    random = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        for i in range(4):
            pixels = np.clip(np.array(colour) + random.integers(-30, 30, (16, 16, 3)), 0, 255)
            Image.fromarray(pixels.astype("uint8")).save(folder / "photos" / f"{name}-{i}.jpg")
    shutil.copy(folder / "photos" / "red-0.jpg", folder / "42.jpg")
    rows(60, 0).to_csv(folder / "products.csv", index=False)
    rows(60, 1).to_csv(folder / "new.csv", index=False)
    rows(20, 2).to_csv(folder / "holdout.csv", index=False)
    for name in ("tomorrow.csv", "rows.csv"):
        rows(4, 3).drop(columns="price").to_csv(folder / name, index=False)


def start(kind: str, block: str, folder: Path) -> None:
    """Run a block as a person would paste it: into a shell, or into a file of its own."""
    words = [sys.executable, "-c", block] if kind == "python" else ["bash", "-ec", block]
    paths = os.pathsep.join([str(Path(sys.executable).parent), FRESH["PATH"]])
    done = subprocess.run(
        words,
        cwd=folder,
        env={**FRESH, "PATH": paths, "PYTHONWARNINGS": "default"},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, f"{block}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"


def run_blocks(folder: Path, *, trainings: bool) -> list[str]:
    """Run the blocks one after the other, as in README; return those that were run."""
    write_files(folder)
    done = []
    for kind, block in BLOCKS:
        if any(words in block for words in NOT_HERE) or kind == "yaml":
            continue
        if not trainings and "multimodal train " in block:
            continue
        if 'out="run"' in block or "--out run\n" in block:  # each of these starts anew
            shutil.rmtree(folder / "run", ignore_errors=True)
        start(kind, block, folder)
        done.append(block)
    return done


@pytest.mark.large
def test_blocks_run_as_they_are_written(tmp_path: Path) -> None:
    assert len(run_blocks(tmp_path / "home", trainings=False)) >= 5


@pytest.mark.large
def test_blocks_that_train_on_the_command_line_run_too(tmp_path: Path) -> None:
    assert sum(
        "multimodal train " in each for each in run_blocks(tmp_path / "home", trainings=True)
    )


def test_the_config_is_one() -> None:
    (block,) = [block for kind, block in BLOCKS if kind == "yaml"]
    assert Config.parse(yaml.safe_load(block)).fusion.name == "gated"


def test_readme_has_the_blocks_that_are_looked_for() -> None:
    text = "".join(block for _, block in BLOCKS)
    for words in ("multimodal train", "multimodal.train(", "load_model(", "keras.Sequential("):
        assert words in text
