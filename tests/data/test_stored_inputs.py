"""Inputs are the same from memory and from disk, where the config names a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tiny import plain_config, plain_rows

from multimodal.data.features.preprocess import Preprocessor
from multimodal.data.prepare import prepare
from multimodal.data.prepared_sets import stored_inputs
from multimodal.data.shards import ALONE


def test_rows_go_to_the_folder_that_is_named_and_come_back(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    plain_rows().to_csv(path, index=False)
    config = plain_config(linear=False)
    prepared = prepare(path, ["price"], config)
    made = Preprocessor(prepared.spec, prepared.schema)
    kept = prepared.config.merge(data={"prepared": str(tmp_path / "kept")})
    rest = (made, prepared.table, prepared.photo_root, [()] * 80, ALONE)
    memory, caches, folders = stored_inputs(prepared.config, *rest)
    assert folders == [] and caches == {}
    disk, _, (folder,) = stored_inputs(kept, *rest)
    assert folder.parent == tmp_path / "kept"
    assert memory.keys() == disk.keys()
    for key, array in memory.items():
        np.testing.assert_array_equal(array, disk[key], strict=True)
