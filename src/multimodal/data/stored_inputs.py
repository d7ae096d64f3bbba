"""The inputs and photos of a prepared table: in memory, or on disk where others find them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from multimodal.core.config import Config
from multimodal.data.batches import Array
from multimodal.data.features.preprocess import Preprocessor
from multimodal.data.photos.cache import PhotoCache
from multimodal.data.photos.checks import Digests
from multimodal.data.prepared_sets import default_folder, store_photos, store_rows
from multimodal.data.read.lazy_text import on_disk
from multimodal.data.read.table import Table
from multimodal.data.shards import Worker


def stored_inputs(
    config: Config, preprocessor: Preprocessor, table: Table, root: Path,
    digests: Digests, worker: Worker,
) -> tuple[dict[str, Array], dict[str, PhotoCache], list[Path]]:  # fmt: skip
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
    for name, photos in preprocessor.photos(table.frame, root).items():
        found = None
        if folder is not None and any(path for row in photos.paths for path in row):
            where, found = store_photos(folder, columns[name], photos, digests, worker)
            folders.append(where)
        caches[name] = PhotoCache(photos, budget=budget, shards=found)
        budget -= caches[name].nbytes if caches[name].in_memory else 0
    return inputs, caches, folders
