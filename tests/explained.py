"""Built, untrained runs whose weights are large enough to have something to explain."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from multimodal.core.config import Config
from multimodal.core.spec import FittedGroup, FittedHead, FittedSpec, NumericColumn
from multimodal.explain.attribution import ScoredRow, make_submodels
from multimodal.layers.stacking import Blend
from multimodal.models.build import assemble, build

if TYPE_CHECKING:
    import pandas as pd

    from multimodal.data.prepare import Prepared
    from multimodal.explain.submodels import HeadSubmodels
    from multimodal.runs.run import Run

WORDS, SIDE, PHOTOS = 9, 16, 2
FUSIONS: dict[str, Any] = {
    "concat": {"hidden_dims": [8]},
    "gated": {"hidden_dim": 4},
    "low_rank": {},
    "late": {},
    "transformer": {"hidden_dim": 8, "num_heads": 2, "num_layers": 1, "mlp_dim": 8},
    "cross_attention": {"hidden_dim": 8, "num_heads": 2, "num_layers": 1, "mlp_dim": 8},
}


def stirred_blends(model: keras.Model, seed: int = 0) -> keras.Model:
    """Give the linear models in a model's heads weights, and shares that are not the same."""
    random = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, Blend):
            for weight, width in ((layer.kernel, 1.0), (layer.bias, 0.3)):
                weight.assign(random.normal(0, width, weight.shape).astype("float32"))
            layer.shares.assign(random.uniform(0.4, 0.9, layer.shares.shape).astype("float32"))
    return model


def stir(model: keras.Model, seed: int = 0) -> keras.Model:
    """Move every weight at random, so that no part of the model is silent."""
    random = np.random.default_rng(seed)
    for weight in model.trainable_variables:
        weight.assign(weight + random.normal(0, 0.3, weight.shape).astype("float32"))
    return model


def untrained(prepared: Prepared, count: int = 1) -> Run:
    """Return a run of stirred networks, averaged, with a linear model where the config has one."""
    from multimodal.runs.run import Run

    models = [stir(build(prepared.config, prepared.spec), seed) for seed in range(count)]
    config = prepared.config.merge(training={"fold_models": count})
    model = stirred_blends(assemble(config, prepared.spec, models))
    return Run(config, prepared.schema, prepared.spec, model)


def untrained_on(folder: Path, config: Config, count: int = 1, target: str = "price") -> Run:
    """Return such a run on the tiny catalogue."""
    return untrained(_prepared(folder, config.to_json(), target), count)


@cache
def _prepared(folder: Path, config: str, target: str) -> Prepared:
    """Prepare the tiny catalogue once for all tests that ask for the same of it."""
    from multimodal.data.prepare import prepare

    return prepare(folder / "catalogue.csv", [target], Config.from_json(config))


def submodels_on(
    folder: Path, count: int, linear: bool, rows: int
) -> tuple[Run, pd.DataFrame, HeadSubmodels, Any]:
    """Return such a run over table and words, rows of the catalogue, its submodels and arrays."""
    import pandas as pd
    from tiny import TABLE, WORDS, tiny_config

    from multimodal.explain.submodels import HeadSubmodels

    run = untrained_on(folder, tiny_config(TABLE, WORDS, linear=linear), count)
    frame = pd.read_csv(folder / "catalogue.csv").head(rows)
    return run, frame, HeadSubmodels.of(run, "price"), run.preprocessor.arrays(frame, Path())


def spec_of(*modalities: str, vocabulary: int = 20, head: FittedHead | None = None) -> FittedSpec:
    """Return a spec with one group of each modality: `tabular`, `text`, `image`."""
    known = {
        "tabular": {"numeric": [NumericColumn(name=n, source=n) for n in "ab"]},
        "text": {"vocabulary": [f"w{i}" for i in range(vocabulary)], "lengths": [WORDS]},
        "image": {"photos": PHOTOS, "image_size": SIDE},
    }
    groups = [
        FittedGroup.model_validate(
            {"name": m, "modality": m, "columns": ["c"], "optional": True, **known[m]}
        )
        for m in modalities
    ]
    return FittedSpec(groups=groups, heads=[head or FittedHead(name="price", columns=["price"])])


def model_of(
    spec: FittedSpec,
    parts: dict[str, Any],
    *,
    fusion: Any = "concat",
    pooling: str = "mean",
    seed: int = 0,
) -> keras.Model:
    """Build a model of a spec; `parts` names the encoder of a group where it matters."""
    small: dict[str, Any] = {
        "tabular": {"name": "dense", "options": {"hidden_dims": [4]}},
        "text": {"name": "recurrent", "options": {"hidden_dim": 3, "embedding_dim": 4}},
        "image": {
            "name": "convolutional",
            "options": {"filters": [4, 6], "strides": [1, 1], "pool_sizes": [2, 2]},
        },
    }
    groups = [
        {
            "name": g.name,
            "modality": g.modality,
            "columns": g.columns,
            "pooling": pooling,
            "encoder": parts.get(g.name, small[g.modality]),
        }
        for g in spec.groups
    ]
    head = {"name": "price", "column": "price"}
    config = Config.parse({"groups": groups, "fusion": fusion, "heads": [head]})
    return stir(build(config, spec), seed)


def inputs_of(spec: FittedSpec, seed: int = 0, *, words: int = 6) -> dict[str, Any]:
    """Return the inputs of one row."""
    random = np.random.default_rng(seed)
    found: dict[str, Any] = {}
    for group in spec.groups:
        name = group.name
        if group.modality == "tabular":
            found[f"{name}_numeric"] = random.normal(size=(1, 2)).astype("float32")
        if group.modality == "text":
            ids = random.integers(2, len(group.vocabulary) + 2, (1, WORDS)).astype("int32")
            ids[:, words:] = 0
            found[f"{name}_tokens"] = ids
        if group.modality == "image":
            shape = (1, PHOTOS, SIDE, SIDE, 3)
            found[f"{name}_pixels"] = random.integers(0, 255, shape).astype("uint8")
            found[f"{name}_present"] = np.array([[True, False]])
        else:
            found[f"{name}_present"] = np.array([True])
    return found


def part(kinds: dict[str, Any], name: str) -> dict[str, Any]:
    return {"name": name, "options": kinds[name]}


def row_of(model: keras.Model, spec: Any, inputs: dict[str, Any]) -> ScoredRow:
    parts = make_submodels(model, "price", spec.groups)
    return ScoredRow(parts, inputs, [each.encode(inputs) for each in parts], [1.0])


def number(tensor: Any) -> float:
    return float(keras.ops.convert_to_numpy(tensor).ravel()[0])


def score_of(model: keras.Model, inputs: dict[str, Any]) -> float:
    given = {key: keras.ops.convert_to_tensor(array) for key, array in inputs.items()}
    return number(model(given, training=False)["price"])
