"""What fitted models answer, kept on disk: one file per fit, whole or not there, without pickle."""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.errors import RunError
from multimodal.files import replace_file

FACTS = "facts"
MOST_FACTS, HEADER = 1 << 20, 256  # bytes of the facts, and of an array's description
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Fit:
    """What a fitted model answers, and what it cost.

    `outputs` are decoded outputs float64 (rows, width) by head, `parameters` the model's weights (0
    where they are not counted), `seconds` the wall time, `epochs` those of the fit.
    """

    outputs: dict[str, Floats]
    parameters: int = 0
    seconds: float = 0.0
    epochs: int = 0


def write_fits(path: Path, fits: Mapping[str, Fit]) -> None:
    """Write fits by the name of their model into one `.npz` file, with its folder.

    Raises:
        OSError: The disk is full or cannot be written; no file is left in part.

    Example:
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "fits", "0.npz")
    >>> write_fits(path, {"median": Fit({"price": np.ones((3, 1))}, seconds=0.5)})
    >>> read_fits(path, {"price": (3, 1)})["median"].seconds
    0.5
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, NDArray[Any]] = {}
    facts: dict[str, Any] = {}
    for name, fit in fits.items():
        costs = {"parameters": fit.parameters, "seconds": fit.seconds, "epochs": fit.epochs}
        places = {head: f"array_{len(arrays) + i}" for i, head in enumerate(fit.outputs)}
        arrays |= {places[head]: np.asarray(v, np.float64) for head, v in fit.outputs.items()}
        facts[name] = {**costs, "outputs": places}
    text = np.frombuffer(json.dumps(facts).encode(), np.uint8)
    with replace_file(path) as beside, beside.open("wb") as file:
        np.savez(file, allow_pickle=False, **{FACTS: text, **arrays})


def read_fits(path: Path, shapes: Mapping[str, tuple[int, int]]) -> dict[str, Fit]:
    """Return the fits in a file by the name of their model.

    Args:
        path: The file.
        shapes: By head, the rows and the width that outputs must have.

    Raises:
        RunError: The file is damaged, or holds something else than finite outputs of these shapes.
    """
    try:
        _check_size(path, shapes)
        with np.load(path, allow_pickle=False) as content:
            facts = json.loads(content[FACTS].tobytes())
            return {str(name): _fit(content, fact, shapes) for name, fact in facts.items()}
    except Exception as error:  # a reader met with damaged bytes may raise anything
        reason = next(iter(str(error).splitlines()), type(error).__name__)[:200]
        raise RunError(
            f"{path}: damaged, or not what this comparison writes ({reason}). Remove the file; the "
            "same command fits it anew."
        ) from None


def _check_size(path: Path, shapes: Mapping[str, tuple[int, int]]) -> None:
    """Raise ValueError for an array larger than any that may be there, before it is read."""
    largest = 8 * max(rows * width for rows, width in shapes.values()) + HEADER
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            most = MOST_FACTS if entry.filename.startswith(FACTS) else largest
            if entry.file_size > most:
                raise ValueError(f"{entry.filename} has {entry.file_size:,} bytes")


def _fit(content: Any, fact: Mapping[str, Any], shapes: Mapping[str, tuple[int, int]]) -> Fit:
    outputs = {}
    for head, place in fact["outputs"].items():
        values = content[str(place)]
        if head not in shapes or values.shape != shapes[head] or values.dtype != np.float64:
            raise ValueError(f"head '{head}': outputs of shape {values.shape}")
        if not np.isfinite(values).all():
            raise ValueError(f"head '{head}': outputs that are not finite")
        outputs[str(head)] = values
    seconds = float(fact["seconds"])
    if not math.isfinite(seconds):
        raise ValueError("seconds that are not finite")
    return Fit(outputs, int(fact["parameters"]), seconds, int(fact["epochs"]))
