"""Generated data sets as files to train on, from a checkout of the project."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd

from multimodal.core.arrays import Floats
from multimodal.core.errors import DataError
from multimodal.core.files import cache_folder

TARGET = "price"
CONFIG = {"data": {"split": {"method": "column", "column": "split"}}}
_DATASETS = Path(__file__).resolve().parents[3] / "datasets"


def builder_package(dataset: str = "catalogue") -> ModuleType:
    """Import a folder of `datasets` by its path, under a name that shadows no library.

    Raises:
        DataError: The package was installed without the checkout that holds the folder.
    """
    name, folder = f"multimodal_{dataset}", _DATASETS / dataset
    if name in sys.modules:
        return sys.modules[name]
    if not folder.is_dir():
        raise DataError(
            f"the generated {dataset} comes with the project's source, which is not here. Name a "
            "FILE to train on, or run from a checkout."
        )
    spec = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise DataError(f"{folder}: not a package.")
    module = importlib.util.module_from_spec(spec)
    # Before it runs, as Python's own import does: its modules import each other by this name.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def catalogue(size: str = "default", seed: int = 0) -> tuple[Path, Floats]:
    """Return the catalogue's CSV file and the noise drawn in log price, one value per row.

    The files are written once, to the user's cache folder, and found again from then on.

    Args:
        size: `small` (2,000 rows), `default` (10,000) or `large` (100,000).
        seed: Seed of the drawing.

    Raises:
        DataError: The project's source is not here, or the cache folder cannot be used.
    """
    folder = drawn("catalogue", size, seed)
    noise = pd.read_csv(folder / "truth.csv", usecols=["noise"])["noise"]
    return folder / "catalogue.csv", noise.to_numpy(np.float64)


def faces(size: str = "default", seed: int = 0) -> tuple[Path, Path]:
    """Return the CSV files of the generated faces: (image, age) and (image, emotion).

    No photo is in both files.

    Args:
        size: `small` (300 photos each) or `default` (3,000 each).
        seed: Seed of the drawing.

    Raises:
        DataError: As `catalogue`.
    """
    folder = drawn("faces", size, seed)
    return folder / "ages.csv", folder / "emotions.csv"


def drawn(dataset: str, size: str, seed: int) -> Path:
    """Return the folder of a generated data set below the user's cache, drawn on first use."""
    package = builder_package(dataset)
    folder = cache_folder() / f"{dataset}-{package.VERSION}-{size}-{seed}"
    try:
        package.export(folder, size, seed)
    except OSError as error:
        raise DataError(f"{folder}: the {dataset} cannot be written there. {error}") from None
    return folder
