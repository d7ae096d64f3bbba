"""Nearest training rows in the space that the heads read; their vectors are kept in the run.

`neighbours.npz` holds the fused vectors of up to 2,000 training rows as float16, `neighbours.json`
what the rows are.
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

VECTORS_FILE, ROWS_FILE = "neighbours.npz", "neighbours.json"
MOST_ROWS, MOST_BYTES, SHORT = 2000, 1 << 25, 160
SHOWN = 5  # neighbours of a row
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


@dataclass(frozen=True)
class Neighbours:
    """Vectors (N, D) of training rows as they enter the heads, and what the rows are.

    Example:
    >>> rows = [NearRow(line=i, labels={"price": str(i)}) for i in range(3)]
    >>> known = Neighbours(np.array([[0.0], [1.0], [5.0]]), rows)
    >>> [each.line for each in known.nearest(np.array([4.0]), 2)]
    [2, 1]
    """

    vectors: Floats
    rows: Sequence[NearRow]

    def nearest(self, vector: Floats, count: int = SHOWN) -> list[Neighbour]:
        """Return the nearest rows to a vector (D,), nearest first.

        Every feature counts by its standard deviation over the training rows; distances are in
        units of the median distance of two training rows.

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
        known = self.vectors[:, kept] / deviation[kept]
        away = np.linalg.norm(known - vector[kept] / deviation[kept], axis=1)
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


def save(folder: Path, vectors: NDArray[Any], rows: Sequence[NearRow]) -> None:
    """Write vectors as float16 and rows as JSON, each whole or not at all.

    Raises:
        OSError: The disk is full or cannot be written.
    """
    most = max(MOST_BYTES // (4 * max(vectors.shape[1], 1)), 1)
    kept = min(len(rows), MOST_ROWS, most)
    numbers = np.clip(vectors[:kept], -_LARGEST, _LARGEST).astype(np.float16)
    with replace_file(folder / VECTORS_FILE) as beside, beside.open("wb") as file:
        np.savez(file, vectors=numbers)
    write_text(folder / ROWS_FILE, _Rows(rows=list(rows[:kept])).model_dump_json())


def load(folder: Path) -> Neighbours | None:
    """Read what `save` wrote; None where the run holds none.

    Raises:
        RunError: A file is damaged, changed, too large, or the two do not belong together.
    """
    paths = [folder / VECTORS_FILE, folder / ROWS_FILE]
    if not any(path.exists() for path in paths):
        return None
    check_manifest(folder, [path.name for path in paths])
    rows = read_if_there(_Rows, paths[1], most=MOST_BYTES).rows
    with damage_told(paths[0], "of another run", "Copy the run directory again, or train anew."):
        vectors = _checked(read_arrays(paths[0], total=MOST_BYTES))
    if len(rows) != len(vectors) or not rows:
        raise RunError(f"{paths[0]}: holds {len(vectors)} rows, {ROWS_FILE} {len(rows)}.")
    return Neighbours(vectors.astype(np.float64), rows)


def _checked(arrays: dict[str, NDArray[Any]]) -> NDArray[np.float16]:
    """Return the vectors (N, D); raise ValueError for anything else."""
    vectors = arrays.get("vectors", np.zeros(()))
    if len(arrays) != 1 or vectors.dtype != np.float16 or vectors.ndim != 2:
        raise ValueError("expected float16 numbers, one line for each row")
    if not np.isfinite(vectors).all():
        raise ValueError("a number is not finite")
    return vectors
