"""The catalogue as ordinary files: two CSV files and a folder of JPEG photos."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .records import CATALOGUE_COLUMNS, TRUTH_COLUMNS, catalogue_record, truth_record
from .rows import NO_SHIFT, SPLITS, Row, Shift, check_seed, generate, split_counts
from .world import VERSION

MANIFEST = "catalogue.json"
TABLES = ("catalogue.csv", "truth.csv")
ABANDONED_AFTER_S = 3600.0
"""An unfinished folder that nothing has been written to for so long is removed."""


def export(
    folder: str | os.PathLike[str],
    size: str | tuple[int, int, int] = "default",
    seed: int = 0,
    *,
    shift: Shift | None = None,
) -> Path:
    """Write a catalogue as `catalogue.csv`, `y_true.csv`, `photos/` and `catalogue.json`.

    The files are written to a folder beside `folder`, which is then renamed: `folder` is either
    whole or not there. A whole catalogue of the same version, size, seed and shift is reused.

    Args:
        folder: Where to write; must be missing, empty, or the same catalogue.
        size: A name in `SIZES`, or the rows in each of the three splits.
        seed: Non-negative integer.
        shift: See `generate`.

    Returns:
        `folder` as a `Path`.

    Raises:
        ValueError: If `size` or `seed` is not as `generate` accepts.
        FileExistsError: If `folder` holds anything else.

    Example:
        >>> import pandas as pd  # doctest: +SKIP
        >>> pd.read_csv(export("catalogue", "small") / "catalogue.csv")  # doctest: +SKIP
    """
    folder = Path(folder)
    wanted = _identity(size, seed, shift)
    if not _is_free(folder):
        return _reuse(folder, wanted)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(folder)
    partial = Path(
        tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent)
    )
    try:
        partial.chmod(0o755)
        _write(partial, generate(size, seed, shift=shift), wanted)
        return _publish(partial, folder, wanted)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def is_complete(folder: str | os.PathLike[str]) -> bool:
    """Whether `folder` holds a finished catalogue with all its files, none of them altered.

    The CSV files are compared by SHA-256, the photos by number and total size.
    """
    manifest = _read_manifest(Path(folder))
    try:
        return manifest is not None and manifest["files"] == _inventory(Path(folder))
    except OSError:
        return False


def _identity(size: str | tuple[int, int, int], seed: int, shift: Shift | None) -> dict[str, Any]:
    check_seed(seed)
    return {
        "version": VERSION,
        "rows": dict(zip(SPLITS, split_counts(size), strict=True)),
        "seed": seed,
        "shift": dataclasses.asdict(shift or NO_SHIFT),
    }


def _is_free(folder: Path) -> bool:
    return not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))


def _reuse(folder: Path, wanted: dict[str, Any]) -> Path:
    manifest = _read_manifest(folder) if folder.is_dir() else None
    if manifest is None:
        raise FileExistsError(
            f"`folder` must be missing, empty, or a catalogue. Received: {folder}, which holds "
            "something else"
        )
    found = {name: manifest.get(name) for name in wanted}
    if found != wanted:
        raise FileExistsError(
            f"`folder` must not hold another catalogue. Received: {folder} with {found}, where "
            f"{wanted} was asked for. Choose another folder or remove this one"
        )
    if not is_complete(folder):
        raise FileExistsError(
            f"{folder} holds this catalogue, but files of it were changed or removed since it was "
            "written. Choose another folder or remove this one"
        )
    return folder


def _write(folder: Path, rows: Iterable[Row], identity: dict[str, Any]) -> None:
    catalogue_path, truth_path = (folder / name for name in TABLES)
    with (
        open(catalogue_path, "w", encoding="utf-8", newline="") as catalogue_file,
        open(truth_path, "w", encoding="utf-8", newline="") as truth_file,
    ):
        catalogue = csv.DictWriter(catalogue_file, CATALOGUE_COLUMNS, lineterminator="\n")
        y_true = csv.DictWriter(truth_file, TRUTH_COLUMNS, lineterminator="\n")
        catalogue.writeheader()
        y_true.writeheader()
        for row in rows:
            record = catalogue_record(row)
            _write_photo(folder / record["image"], row.jpeg())
            catalogue.writerow(record)
            y_true.writerow(truth_record(row))
    with open(folder / MANIFEST, "w", encoding="utf-8") as file:
        json.dump({**identity, "files": _inventory(folder)}, file, indent=2)
        file.flush()
        os.fsync(file.fileno())


def _write_photo(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _publish(partial: Path, folder: Path, wanted: dict[str, Any]) -> Path:
    try:
        if folder.is_dir():
            folder.rmdir()
        os.rename(partial, folder)
    except OSError:
        if _is_free(folder):
            raise
        return _reuse(folder, wanted)
    return folder


def _remove_abandoned(folder: Path) -> None:
    for partial in folder.parent.glob(f".{folder.name}.*.partial"):
        try:
            written = max(path.stat().st_mtime for path in (partial, *partial.iterdir()))
        except OSError:
            continue
        if time.time() - written > ABANDONED_AFTER_S:
            shutil.rmtree(partial, ignore_errors=True)


def _read_manifest(folder: Path) -> dict[str, Any] | None:
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) and "files" in manifest else None


def _inventory(folder: Path) -> dict[str, Any]:
    tables = {name: _sha256(folder / name) for name in TABLES}
    sizes = [photo.stat().st_size for photo in folder.glob("photos/*/*.jpg")]
    return {**tables, "photos": len(sizes), "photo_bytes": sum(sizes)}


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
