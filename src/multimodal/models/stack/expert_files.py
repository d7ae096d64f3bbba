"""Gradient boosting of a run as one `.npz` file, without pickle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.core.array_files import damage_told, read_arrays
from multimodal.core.files import replace_file
from multimodal.core.spec import FIRST_CODE, FittedSpec
from multimodal.models.stack.boosted_heads import Expert, Experts, codes_as_numbers
from multimodal.models.stack.boosting import Forest

TREES = "trees.npz"
MOST_BYTES = 1 << 30


def write_experts(path: Path, experts: Experts) -> None:
    """Write the trees of a run into one `.npz` file, whole or not at all.

    Raises:
        OSError: The disk is full or cannot be written.
    """
    arrays: dict[str, NDArray[Any]] = {"columns": experts.columns, "summaries": experts.summaries}
    for head, expert in experts.heads.items():
        arrays |= {f"{head}/shares": expert.shares, f"{head}/meanings": expert.meanings}
        arrays |= {
            f"{head}/{field.name}": getattr(expert.forest, field.name) for field in fields(Forest)
        }
    with replace_file(path) as beside, beside.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def read_experts(path: Path, spec: FittedSpec, widths: Mapping[str, int]) -> Experts:
    """Return the trees in a file.

    Args:
        path: The file.
        spec: The spec of the run.
        widths: By head, the number of raw outputs.

    Raises:
        RunError: The file is damaged, or holds trees of another run.
    """
    with damage_told(path, "of another run", "Copy the run directory again, or train anew."):
        return _checked(read_arrays(path, total=MOST_BYTES), spec, widths)


def _checked(
    arrays: Mapping[str, NDArray[Any]], spec: FittedSpec, widths: Mapping[str, int]
) -> Experts:
    columns, summaries = arrays["columns"].astype(np.int64), arrays["summaries"].astype(np.float32)
    count = 0 if spec.terms is None else spec.terms.num_terms
    if columns.ndim != 1 or summaries.shape[:1] != columns.shape or summaries.ndim != 2:
        raise ValueError("'summaries' has another shape")
    if ((columns < 0) | (columns >= count)).any() or not np.isfinite(summaries).all():
        raise ValueError("'columns' or 'summaries' is out of range")
    categories = [
        len(c.categories) + FIRST_CODE for group in spec.groups for c in group.categorical
    ]
    numbers = sum(len(group.numeric) for group in spec.groups) + len(codes_as_numbers(spec))
    heads = {}
    for head in sorted({name.split("/")[0] for name in arrays if "/" in name}):
        width = widths[head]
        types = {"start": np.float64, "threshold": np.float64, "value": np.float64,
                 "missing_left": np.bool_}  # fmt: skip
        forest = Forest(**{
            field.name: arrays[f"{head}/{field.name}"].astype(types.get(field.name, np.int64))
            for field in fields(Forest)
        })  # fmt: skip
        forest.check(numbers + (len(categories) + 1) * width + summaries.shape[1], width)
        shares, meanings = (
            arrays[f"{head}/{name}"].astype(np.float64) for name in ("shares", "meanings")
        )
        if shares.shape != (3,) or meanings.shape != (sum(categories), width):
            raise ValueError(f"'{head}' has shares or meanings of another shape")
        if not (np.isfinite(shares).all() and np.isfinite(meanings).all()):
            raise ValueError(f"'{head}' has shares or meanings that are no numbers")
        heads[head] = Expert(forest, shares, meanings)
    return Experts(columns, summaries, heads)
