"""TFDS builder of the generated faces."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds
from etils import epath

from . import drawing, rows


@dataclasses.dataclass(eq=False)
class FacesConfig(tfds.core.BuilderConfig):
    """One size of the faces.

    Args:
        counts: Photos with an age and photos with an emotion.
        seed: Seed of the faces.
    """

    counts: tuple[int, int] = rows.SIZES["default"]
    seed: int = 0


class Builder(tfds.core.GeneratorBasedBuilder):
    """Portraits in two splits, `age` and `emotion`; each face carries both truths."""

    VERSION: ClassVar = tfds.core.Version(rows.VERSION)
    RELEASE_NOTES: ClassVar = {rows.VERSION: "Initial release."}
    BUILDER_CONFIGS: ClassVar = [
        FacesConfig(name=name, description=f"{sum(counts):,} faces.", counts=counts)
        for name, counts in rows.SIZES.items()
    ]
    DEFAULT_BUILDER_CONFIG_NAME: ClassVar = "default"
    pkg_dir_path: ClassVar = epath.Path(__file__).parent

    def _info(self) -> tfds.core.DatasetInfo:
        side = drawing.SIZE
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "id": tfds.features.Text(),
                    "image": tfds.features.Image(shape=(side, side, 3), encoding_format="jpeg"),
                    "age": np.int32,
                    "emotion": tfds.features.ClassLabel(names=list(rows.EMOTIONS)),
                    "strength": np.float32,
                }
            ),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        del dl_manager  # Nothing is downloaded.
        return {label: self._generate_examples(label) for label in ("age", "emotion")}

    def _generate_examples(self, wanted: str) -> Iterator[tuple[int, dict[str, Any]]]:
        config = self.builder_config
        for number, (label, face) in enumerate(rows.generate(config.counts, config.seed)):
            if label == wanted:
                yield number, _example(face)


def _example(face: rows.Face) -> dict[str, Any]:
    return {
        "id": face.id,
        "image": io.BytesIO(face.jpeg()),
        "age": face.age,
        "emotion": face.emotion,
        "strength": face.strength,
    }
