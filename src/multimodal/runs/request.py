"""The request of a run, and its record, by which a training is taken up again."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from multimodal import __version__
from multimodal.core.arrays import Floats
from multimodal.core.config import Config
from multimodal.core.interrupted import digest
from multimodal.data.prepare import Prepared, Rows

PACKAGES = ("keras", "tensorflow", "numpy", "pandas", "scikit-learn")


@dataclass(frozen=True)
class Request:
    """What a training, a comparison or a search is asked for, as the arguments of `train`."""

    data: Rows
    targets: Sequence[str]
    config: Config
    out: Path
    weight: str | None = None
    images: str | Path | None = None
    base: str | Path | None = None
    noise: Floats | None = None
    command: str = ""


def record(request: Request, prepared: Prepared | None = None) -> dict[str, Any]:
    """Return what a run is asked for, and what its data are where they are prepared."""
    asked: dict[str, Any] = {
        "targets": list(request.targets),
        "config": request.config.model_dump(mode="json"),
        "weight": request.weight,
        "from": None if request.base is None else str(request.base),
        "backend": keras.backend.backend(),
        "command": request.command,
    }
    if prepared is None:
        return asked
    source = prepared.source
    weights = np.stack(list(source.weights.values()))
    arrays = {"split": prepared.splits, **source.inputs, **source.targets, "weights": weights}
    found = {n: digest(array) for n, array in arrays.items() if isinstance(array, np.ndarray)}
    stored = [folder.name for folder in prepared.stored]  # each named after what it is made from
    about = {"rows": prepared.table.rows_read, "photos": prepared.photo_digest, "prepared": stored}
    return {**asked, "data": {**about, **found}}


def versions() -> dict[str, str]:
    """Return the versions of Python and of what a run depends on, and the backend."""
    found = {name: importlib.metadata.version(name) for name in PACKAGES}
    own = {"python": platform.python_version(), "multimodal": __version__}
    return {**own, **found, "backend": keras.backend.backend()}
