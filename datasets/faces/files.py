"""The faces as ordinary files: one CSV file of ages, one of emotions, and a folder of photos."""

from __future__ import annotations

import csv
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from .rows import VERSION, Face, generate

MANIFEST = "faces.json"
TABLES = {"age": "ages.csv", "emotion": "emotions.csv"}


def export(
    folder: str | os.PathLike[str], size: str | tuple[int, int] = "default", seed: int = 0
) -> Path:
    """Write `ages.csv` (image, age), `emotions.csv` (image, emotion), `photos/` and `faces.json`.

    No photo is in both tables. The files are written to a folder beside `folder`, which is then
    renamed: `folder` is either whole or not there. The same faces are reused.

    Args:
        folder: Where to write; must be missing, empty, or hold the same faces.
        size: A name in `SIZES`, or the two counts.
        seed: Non-negative integer.

    Returns:
        `folder` as a `Path`.

    Raises:
        FileExistsError: If `folder` holds anything else.
    """
    folder = Path(folder)
    wanted = {
        "version": VERSION,
        "size": size if isinstance(size, str) else list(size),
        "seed": seed,
    }
    if folder.exists() and any(folder.iterdir()):
        return _reuse(folder, wanted)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        partial.chmod(0o755)
        _write(partial, size, seed)
        (partial / MANIFEST).write_text(json.dumps(wanted), encoding="utf-8")
        if folder.is_dir():
            folder.rmdir()
        os.rename(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _reuse(folder: Path, wanted: dict[str, Any]) -> Path:
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if found != wanted:
        raise FileExistsError(
            f"`folder` must be missing, empty, or hold the same faces. Received: {folder} with "
            f"{found}, where {wanted} was asked for. Choose another folder or remove this one"
        )
    return folder


def _write(folder: Path, size: str | tuple[int, int], seed: int) -> None:
    rows: dict[str, list[tuple[str, Any]]] = {label: [] for label in TABLES}
    (folder / "photos").mkdir()
    for label, face in generate(size, seed):
        rows[label].append((_photo(folder, face), getattr(face, label)))
    for label, name in TABLES.items():
        with open(folder / name, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerows([("image", label), *rows[label]])


def _photo(folder: Path, face: Face) -> str:
    name = f"photos/{face.id}.jpg"
    (folder / name).write_bytes(face.jpeg())
    return name
