"""Nearest training rows, by what decides a prediction; their vectors are kept in the run.

Where the networks decide, these are the vectors that enter their heads; else what each part of the
stacked model adds to the raw outputs of the first head. `neighbours.npz` holds those of up to 2,000
training rows as float16, `neighbours.json` what the rows are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, StringConstraints

from multimodal.core.arrays import Floats, damage_told, read_arrays
from multimodal.core.errors import RunError
from multimodal.core.files import replace_file, write_text
from multimodal.core.manifest import check_manifest
from multimodal.core.records import Record, read_if_there
from multimodal.explain.records import Neighbour
from multimodal.explain.submodels import EncodedRow, HeadSubmodels

VECTORS_FILE, ROWS_FILE = "neighbours.npz", "neighbours.json"
MOST_ROWS, MOST_BYTES, SHORT = 2000, 1 << 25, 160
SHOWN = 5  # neighbours of a row
UNIT = "1 is the median distance of two training rows."
FUSED = f"Distances are between the vectors that enter the heads of the networks; {UNIT}"
ADDED = (
    "Distances are between what each part of the stacked model (feature blocks of the linear "
    f"model, groups of frozen features, the networks) adds to the raw outputs; {UNIT}"
)
NETWORKS_ALONE = (
    "The nearest training rows are left out: the run holds the vectors of its networks alone, "
    "which have less than half of the stacking weights, so that they would not tell what decided."
)
OTHER_HEAD = (
    "The nearest training rows are left out: the run holds what decides '{}' alone, not this head."
)
_Short = Annotated[str, StringConstraints(max_length=SHORT)]
_LARGEST = float(np.finfo(np.float16).max)


class NearRow(Record):
    """A training row: its line in the source, its labels by head, its photos, its text."""

    line: int = Field(ge=0)
    labels: dict[_Short, _Short]
    photos: list[Annotated[str, StringConstraints(max_length=1024)]] = Field([], max_length=64)
    text: _Short = ""


class _Rows(Record):
    rows: list[NearRow] = Field([], max_length=MOST_ROWS)
    head: _Short = ""  # runs of before hold fused vectors


@dataclass(frozen=True)
class Neighbours:
    """Vectors (N, D) of training rows, and what the rows are.

    With a `head`, the vectors are what each part of its model adds to its raw outputs; without
    one they are what enters the heads of the networks.

    Example:
    >>> rows = [NearRow(line=i, labels={"price": str(i)}) for i in range(3)]
    >>> known = Neighbours(np.array([[0.0], [1.0], [5.0]]), rows)
    >>> [each.line for each in known.nearest(np.array([4.0]), 2)]
    [2, 1]
    """

    vectors: Floats
    rows: Sequence[NearRow]
    head: str = ""

    def nearest(self, vector: Floats, count: int = SHOWN) -> list[Neighbour]:
        """Return the nearest rows to a vector (D,), nearest first.

        What is added to raw outputs counts as it is, every feature of networks by its standard
        deviation over the training rows; distances are in units of the median distance of two
        training rows.

        Raises:
            RunError: The vector has another size.
        """
        if vector.shape != self.vectors.shape[1:]:
            raise RunError(
                f"{VECTORS_FILE}: holds vectors of {self.vectors.shape[1]} numbers; those of the "
                f"model have {len(vector)}. Copy the run directory again, or train anew."
            )
        deviation = self.vectors.std(axis=0)
        kept = deviation > 0
        units = np.ones(int(kept.sum())) if self.head else deviation[kept]
        known = self.vectors[:, kept] / units
        away = np.linalg.norm(known - vector[kept] / units, axis=1)
        pairs = known - np.roll(known, 1 + len(known) // 3, axis=0)
        typical = float(np.median(np.linalg.norm(pairs, axis=1))) or 1.0
        return [
            Neighbour(
                self.rows[i].line,
                float(away[i]) / typical,
                dict(self.rows[i].labels),
                list(self.rows[i].photos),
                self.rows[i].text,
            )
            for i in np.argsort(away, kind="stable")[:count]
        ]


def near_rows(
    known: Neighbours, submodels: HeadSubmodels, head: str, row: EncodedRow
) -> tuple[list[Neighbour], str]:
    """Return the nearest rows by what decides a head, and a sentence on how, or why none.

    Args:
        known: Training rows.
        submodels: The model of the head.
        head: Name of the head.
        row: The row, encoded.

    Raises:
        RunError: The vectors of the rows are another model's.
    """
    if known.head:
        if known.head != head[:SHORT]:
            return [], OTHER_HEAD.format(known.head)
        return known.nearest(submodels.contributions(row)[0]), ADDED
    if not submodels.networks_decide:
        return [], NETWORKS_ALONE
    return known.nearest(submodels.fused(row)), FUSED


def save(folder: Path, vectors: NDArray[Any], rows: Sequence[NearRow], head: str = "") -> None:
    """Write vectors as float16 and rows as JSON, each whole or not at all.

    Args:
        folder: Where to.
        vectors: One line for each row.
        rows: What the rows are.
        head: The head that vectors of what is added to raw outputs are of; "" for fused ones.

    Raises:
        OSError: The disk is full or cannot be written.
    """
    most = max(MOST_BYTES // (4 * max(vectors.shape[1], 1)), 1)
    kept = min(len(rows), MOST_ROWS, most)
    # Beyond, float16 is infinite, which `load` takes for damage.
    numbers = np.clip(vectors[:kept], -_LARGEST, _LARGEST).astype(np.float16)
    with replace_file(folder / VECTORS_FILE) as beside, beside.open("wb") as file:
        np.savez(file, vectors=numbers)
    write_text(
        folder / ROWS_FILE, _Rows(rows=list(rows[:kept]), head=head[:SHORT]).model_dump_json()
    )


def load(folder: Path) -> Neighbours | None:
    """Read what `save` wrote; None where the run holds none.

    Raises:
        RunError: A file is damaged, changed, too large, or the two do not belong together.
    """
    paths = [folder / VECTORS_FILE, folder / ROWS_FILE]
    if not any(path.exists() for path in paths):
        return None
    check_manifest(folder, [path.name for path in paths])
    read = read_if_there(_Rows, paths[1], most=MOST_BYTES)
    rows = read.rows
    with damage_told(paths[0], "of another run", "Copy the run directory again, or train anew."):
        vectors = _checked(read_arrays(paths[0], total=MOST_BYTES))
    if len(rows) != len(vectors) or not rows:
        raise RunError(f"{paths[0]}: holds {len(vectors)} rows, {ROWS_FILE} {len(rows)}.")
    return Neighbours(vectors.astype(np.float64), rows, read.head)


def _checked(arrays: dict[str, NDArray[Any]]) -> NDArray[np.float16]:
    """Return the vectors (N, D); raise ValueError for anything else."""
    vectors = arrays.get("vectors", np.zeros(()))
    if len(arrays) != 1 or vectors.dtype != np.float16 or vectors.ndim != 2:
        raise ValueError("expected float16 numbers, one line for each row")
    if not np.isfinite(vectors).all():
        raise ValueError("a number is not finite")
    return vectors
