"""The generated catalogue as a file to train on, from a checkout of the project."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from multimodal.errors import DataError

TARGET = "price"
CONFIG = {"data": {"split": {"method": "column", "column": "split"}}}
_FOLDER = Path(__file__).resolve().parents[2] / "datasets" / "catalogue"
_NAME = "multimodal_catalogue"


def builder_package() -> ModuleType:
    """Import `datasets/catalogue` by its path, under a name that shadows no library.

    Raises:
        DataError: The package was installed without the checkout that holds the folder.
    """
    if _NAME in sys.modules:
        return sys.modules[_NAME]
    if not _FOLDER.is_dir():
        raise DataError(
            "the generated catalogue comes with the project's source, which is not here. Name a "
            "FILE to train on, or run from a checkout."
        )
    spec = importlib.util.spec_from_file_location(
        _NAME, _FOLDER / "__init__.py", submodule_search_locations=[str(_FOLDER)]
    )
    if spec is None or spec.loader is None:
        raise DataError(f"{_FOLDER}: not a package.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[_NAME] = module
    spec.loader.exec_module(module)
    return module


def catalogue(size: str = "default", seed: int = 0) -> tuple[Path, NDArray[np.float64]]:
    """Return the catalogue's CSV file and the noise drawn in log price, one value per row.

    The files are written once, to the user's cache folder, and found again from then on.

    Args:
        size: `small` (2,000 rows), `default` (10,000) or `large` (100,000).
        seed: Seed of the drawing.

    Raises:
        DataError: The project's source is not here, or the cache folder cannot be used.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    package = builder_package()
    folder = cache / "multimodal" / f"catalogue-{package.VERSION}-{size}-{seed}"
    try:
        package.export(folder, size, seed)
    except OSError as error:
        raise DataError(f"{folder}: the catalogue cannot be written there. {error}") from None
    noise = pd.read_csv(folder / "truth.csv", usecols=["noise"])["noise"]
    return folder / "catalogue.csv", noise.to_numpy(np.float64)
