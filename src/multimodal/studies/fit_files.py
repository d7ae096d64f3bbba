"""What fitted models answer, kept on disk: one file per fit, whole or not there, without pickle."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.core.array_files import damage_told, read_arrays
from multimodal.core.files import replace_file

FACTS = "facts"
MOST_FACTS, HEADER = 1 << 20, 256  # bytes of the facts, and of an array's description
Floats = NDArray[np.float64]
Shape = tuple[int, int]


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


def read_fits(path: Path, shapes: Mapping[str, Shape]) -> dict[str, Fit]:
    """Return the fits in a file by the name of their model.

    Args:
        path: The file.
        shapes: By head, the rows and the width that outputs must have.

    Raises:
        RunError: The file is damaged, or holds something else than finite outputs of these shapes.
    """
    largest = 8 * max(rows * width for rows, width in shapes.values()) + HEADER
    again = "Remove the file; the same command fits it anew."
    with damage_told(path, "not what this comparison writes", again):
        arrays = read_arrays(path, each=lambda name: MOST_FACTS if name == FACTS else largest)
        facts = json.loads(arrays[FACTS].tobytes())
        return {str(name): _fit(arrays, fact, shapes) for name, fact in facts.items()}


def _fit(
    arrays: Mapping[str, NDArray[Any]], fact: Mapping[str, Any], shapes: Mapping[str, Shape]
) -> Fit:
    outputs = {}
    for head, place in fact["outputs"].items():
        values = arrays[str(place)]
        if head not in shapes or values.shape != shapes[head] or values.dtype != np.float64:
            raise ValueError(f"head '{head}': outputs of shape {values.shape}")
        if not np.isfinite(values).all():
            raise ValueError(f"head '{head}': outputs that are not finite")
        outputs[str(head)] = values
    seconds = float(fact["seconds"])
    if not math.isfinite(seconds):
        raise ValueError("seconds that are not finite")
    return Fit(outputs, int(fact["parameters"]), seconds, int(fact["epochs"]))
