"""Prepared data on disk: inputs as arrays and photos as pixels, each in a set of shards.

A set is named after all it is made from, so whoever prepares the same finds it again, and a change
of a row, a photo, the schema or the spec makes another. Without a set, inputs stay in memory.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from numpy.typing import NDArray

from multimodal import __version__
from multimodal.core.config import Config
from multimodal.core.files import cache_folder
from multimodal.data.batches import Array
from multimodal.data.features.preprocess import Preprocessor
from multimodal.data.photos.cache import PhotoCache, decode_shard, unique_paths
from multimodal.data.photos.checks import Digests
from multimodal.data.photos.locate import PhotoRoot
from multimodal.data.photos.read import PhotoPaths
from multimodal.data.read.lazy_text import on_disk
from multimodal.data.read.table import Table
from multimodal.data.shards import (
    INDEX,
    Make,
    ShardedArray,
    Worker,
    drop_unused,
    fingerprint,
    open_shards,
    write_shards,
)

StoredSet = tuple[Path, dict[str, ShardedArray] | None]


def default_folder() -> Path:
    """Return the folder for prepared data below the user's cache folder."""
    return cache_folder() / "prepared"


def store_rows(
    folder: Path,
    source: Path,
    preprocessor: Preprocessor,
    table: Table,
    root: PhotoRoot,
    worker: Worker,
) -> StoredSet:
    """Return the set of the input arrays of all rows but pixels, written where it is missing.

    Args:
        folder: What holds the sets.
        source: The file that the rows are of; its bytes name the set.
        preprocessor: Rows to arrays.
        table: The rows.
        root: Folder of the photos.
        worker: This process.

    Returns:
        The set's folder, and its arrays by input key; None in their place as long as other
        processes have not written theirs.
    """
    with source.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    groups = [group.model_dump_json() for group in preprocessor.spec.groups]
    name = fingerprint(
        "rows", __version__, content, table.rows, preprocessor.schema.to_json(), *groups
    )
    texts = [group.token_lengths.items() for group in preprocessor.spec.groups]
    lengths = {key: each[-1] for items in texts for key, each in items}

    def make(start: int, stop: int) -> dict[str, NDArray[Any]]:
        arrays = preprocessor.arrays(table.frame.iloc[start:stop], root).inputs
        return {key: _widened(array, lengths.get(key)) for key, array in arrays.items()}

    return _stored(folder / name, make, len(table.frame), worker)


def store_photos(
    folder: Path,
    columns: Sequence[str],
    photos: PhotoPaths,
    digests: Digests,
    worker: Worker,
) -> StoredSet:
    """Return the set of a group's decoded photos, each once, written where it is missing.

    Args:
        folder: What holds the sets.
        columns: The group's columns.
        photos: The paths and the size.
        digests: Digests of the bytes of each row's photos, these among them.
        worker: This process.

    Returns:
        As `store_rows`; `pixels` uint8 (photos, size, size, 3) and `readable` bool (photos,).
    """
    paths, index = unique_paths(photos)
    # Another version of Pillow may decode or resize to other pixels.
    made_by = "photos", __version__, PIL.__version__, str(photos.size)
    name = fingerprint(*made_by, json.dumps(list(columns)), index, json.dumps(digests))

    def make(start: int, stop: int) -> Mapping[str, NDArray[Any]]:
        return decode_shard(paths[start:stop], photos.size)

    return _stored(folder / name, make, len(paths), worker)


def _stored(folder: Path, make: Make, rows: int, worker: Worker) -> StoredSet:
    found = open_shards(folder)
    for _ in range(2):  # a shard that fails its checksum is written anew
        if found is None:
            # a first row is made to learn how large rows are
            row_bytes = sum(array.nbytes for array in make(0, 1).values())
            if write_shards(folder, make, rows, row_bytes, worker):
                found = open_shards(folder)
    drop_unused(folder.parent)
    return folder, found


def is_complete(folder: Path) -> bool:
    """Whether all shards of a set are there."""
    return (folder / INDEX).exists()


def set_bytes(folder: Path) -> int:
    """Return the bytes of all files in a folder and below."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _widened(array: NDArray[Any], length: int | None) -> NDArray[Any]:
    """Pad the words of a block to the greatest fixed length."""
    gap = 0 if length is None else length - array.shape[1]
    return np.pad(array, ((0, 0), (0, gap))) if gap else array


def stored_inputs(
    config: Config,
    preprocessor: Preprocessor,
    table: Table,
    root: PhotoRoot,
    digests: Digests,
    worker: Worker,
) -> tuple[dict[str, Array], dict[str, PhotoCache], list[Path]]:
    """Return inputs and photos, from disk where they are prepared there, and those folders."""
    large, named = bool(on_disk(table.frame)), config.data.prepared
    folder = Path(named).expanduser() if named else default_folder() if large else None
    inputs: dict[str, Array] = {}
    folders = []
    if folder is None or table.source is None:
        inputs |= preprocessor.arrays(table.frame, root).inputs
    else:
        where, shards = store_rows(folder, table.source, preprocessor, table, root, worker)
        folders.append(where)
        for key, array in (shards or {}).items():
            inputs[key] = array if large else np.asarray(array)
    budget, caches = config.data.cache_mb * 2**20, {}
    columns = {group.name: group.columns for group in preprocessor.spec.groups}
    frozen = [group.name for group in preprocessor.spec.groups if group.pretrained is not None]
    for name, photos in preprocessor.photos(table.frame, root).items():
        if name in frozen:  # no network reads its pixels
            continue
        found = None
        if folder is not None and any(path for row in photos.paths for path in row):
            where, found = store_photos(folder, columns[name], photos, digests, worker)
            folders.append(where)
        caches[name] = PhotoCache(photos, budget=budget, shards=found)
        budget -= caches[name].nbytes if caches[name].in_memory else 0
    return inputs, caches, folders
