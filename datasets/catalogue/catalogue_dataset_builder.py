"""TFDS builder of the generated catalogue."""

from __future__ import annotations

import dataclasses
import io
import math
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds
from etils import epath

from . import rows, world
from .records import FACTOR_COLUMNS, PART_COLUMNS, TABLE_COLUMNS, catalogue_record, truth_record

_FACTOR_DTYPES: dict[str, Any] = {
    "weight_z": np.float32,
    "dims_z": np.float32,
    "pieces": np.int32,
    "wear": np.int32,
    "waterproof": np.bool_,
    "refurbished": np.bool_,
}


@dataclasses.dataclass(eq=False)
class CatalogueConfig(tfds.core.BuilderConfig):
    """One size of the catalogue.

    Args:
        rows: Rows in the training, validation and test split.
        seed: Seed of the rows.
        shift: How the catalogue differs from the usual one; None for not at all.
    """

    rows: tuple[int, int, int] = rows.SIZES["default"]
    seed: int = 0
    shift: rows.Shift | None = None


class Builder(tfds.core.GeneratorBasedBuilder):
    """Products with a table, a description and a photo, and a price of known make-up.

    A row follows from (seed, split, number) alone, so any process can draw any rows. For millions
    of them, an Apache Beam runner writes the shards side by side. In a subclass, let
    `_generate_examples` return

        beam = tfds.core.lazy_imports.apache_beam
        return beam.Create(range(count)) | beam.Map(
            functools.partial(numbered_example, self.builder_config, split)
        )

    and name the runner where it is built, after `pip install apache-beam`, which this project does
    without:

        options = apache_beam.options.pipeline_options.PipelineOptions(["--runner=DirectRunner"])
        config = tfds.download.DownloadConfig(beam_options=options)
        BeamBuilder(data_dir=folder).download_and_prepare(download_config=config)
    """

    VERSION: ClassVar = tfds.core.Version(world.VERSION)
    RELEASE_NOTES: ClassVar = {world.VERSION: "Initial release."}
    BUILDER_CONFIGS: ClassVar = [
        CatalogueConfig(name=name, description=f"{sum(counts):,} rows.", rows=counts)
        for name, counts in rows.SIZES.items()
    ]
    DEFAULT_BUILDER_CONFIG_NAME: ClassVar = "default"
    pkg_dir_path: ClassVar = epath.Path(__file__).parent

    def _info(self) -> tfds.core.DatasetInfo:
        side = world.PHOTO_SIZE
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "id": tfds.features.Text(),
                    **{name: _table_feature(name) for name in TABLE_COLUMNS},
                    "description": tfds.features.Text(),
                    "image": tfds.features.Image(shape=(side, side, 3), encoding_format="jpeg"),
                    "price": np.float32,
                    "truth": {
                        **dict.fromkeys(PART_COLUMNS, np.float32),
                        **{
                            name: _FACTOR_DTYPES.get(name, tfds.features.Text())
                            for name in FACTOR_COLUMNS
                        },
                    },
                }
            ),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        del dl_manager  # Nothing is downloaded.
        counts = self.builder_config.rows
        return {
            split: self._generate_examples(split, count)
            for split, count in zip(rows.SPLITS, counts, strict=True)
        }

    def _generate_examples(self, split: str, count: int) -> Iterator[tuple[int, dict[str, Any]]]:
        for number in range(count):
            yield numbered_example(self.builder_config, split, number)


def numbered_example(
    config: CatalogueConfig, split: str, number: int
) -> tuple[int, dict[str, Any]]:
    """Return a row's key and example; it can be pickled, for a process elsewhere."""
    return number, _example(rows.make_row(config.seed, split, number, config.shift))


def _table_feature(name: str) -> Any:
    if name == "category":
        return tfds.features.ClassLabel(names=[category.name for category in world.CATEGORIES])
    if name == "brand":
        return tfds.features.Text()
    return np.int32 if name == "year" else np.float32


def _example(row: rows.Row) -> dict[str, Any]:
    """One example; an empty cell is NaN, or "" in a column of text."""
    record, y_true = catalogue_record(row), truth_record(row)
    table = {name: record[name] for name in TABLE_COLUMNS}
    for name, value in table.items():
        if value is None:
            table[name] = "" if name == "brand" else math.nan
    return {
        "id": row.id,
        **table,
        "description": row.description,
        "image": io.BytesIO(row.jpeg()),
        "price": row.price,
        "truth": {name: _or_empty(y_true[name]) for name in (*PART_COLUMNS, *FACTOR_COLUMNS)},
    }


def _or_empty(value: Any) -> Any:
    return "" if value is None else value
