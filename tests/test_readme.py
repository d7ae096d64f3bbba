"""Every block of README and of the pages for users runs as it is written, in a fresh process.

Pages are read in this order, in one folder with such files: a page may use what one before it
leaves there.

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

ROOT = Path(__file__).parents[1]
PAGES = ["README.md"] + [
    f"docs/{name}.md" for name in ("tables", "explain", "fine_tune", "own_models", "sklearn")
]
EVERY_PAGE = [
    "README.md",
    *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/**/*.md")),
]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
RUN = ("sh", "bash", "python")  # the other kinds show a file, or what is printed


def blocks_of(page: str) -> list[tuple[str, str]]:
    """Return the kind and the text of each block of a page."""
    text = (ROOT / page).read_text("utf-8")
    return [(found.group(1), found.group(2)) for found in FENCE.finditer(text)]


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
INSTALLS = "-q -e"  # such a block is not run: it is how this test came to run
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
    """Write the files that the pages name: tables, their photos, one photo by name."""
    (folder / "photos").mkdir(parents=True)
    random = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        for i in range(4):
            pixels = np.clip(np.array(colour) + random.integers(-30, 30, (16, 16, 3)), 0, 255)
            Image.fromarray(pixels.astype("uint8")).save(folder / "photos" / f"{name}-{i}.jpg")
    shutil.copy(folder / "photos" / "red-0.jpg", folder / "42.jpg")
    # 120: intervals at level 0.9 take nine rows to calibrate on
    rows(120, 0).to_csv(folder / "products.csv", index=False)
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
    """Run the blocks one after the other, as on the pages; return those that were run."""
    write_files(folder)
    done = []
    for kind, block in BLOCKS:
        if kind not in RUN or INSTALLS in block:
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


@pytest.mark.parametrize("page", ["docs/config.md", "docs/large.md"])
def test_configs_are_configs(page: str) -> None:
    configs = [yaml.safe_load(block) for kind, block in blocks_of(page) if kind == "yaml"]
    assert configs
    for config in configs:
        Config.parse(config)


def test_pages_have_the_blocks_that_are_looked_for() -> None:
    text = "".join(block for _, block in BLOCKS)
    for words in ("multimodal train", "multimodal.train(", "load_model(", "keras.Sequential("):
        assert words in text


@pytest.mark.parametrize("page", EVERY_PAGE)
def test_links_lead_to_files(page: str) -> None:
    links = LINK.findall((ROOT / page).read_text("utf-8"))
    named = [link.partition("#")[0] for link in links if not link.startswith("https:")]
    assert not [each for each in named if not ((ROOT / page).parent / each).exists()]
