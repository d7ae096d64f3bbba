"""Models of every part and published network, written by one backend and checked by another.

    KERAS_BACKEND=tensorflow python tests/exchange.py save FOLDER
    KERAS_BACKEND=jax python tests/exchange.py load FOLDER [FOLDER ...]

`save` writes a `.keras` file per part, with inputs and outputs beside it. `load` reads them on
its own backend and exits with 1 where an output differs by more than 1e-4, naming the parts.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import keras
import numpy as np
from cases import CASES, VARIANTS
from checks import Case, as_array, functional
from keras import tree

from multimodal.layers import efficientnet_lite, registry
from multimodal.layers.bert import BertSizes, bert_encoder
from multimodal.layers.vision_transformer import VisionSizes, vision_transformer

TOLERANCE = 1e-4


def parts() -> Iterator[tuple[str, Any, Case]]:
    """Yield a file's stem, the class and the case of every part and variant."""
    for (kind, name), case in CASES.items():
        if name in registry.names(kind):
            yield f"{kind}-{name}", registry.get(kind, name), case
    for label, (kind, name, case) in VARIANTS.items():
        if name in registry.names(kind):
            yield f"{kind}-{name}-{label.replace(' ', '_')}", registry.get(kind, name), case


def networks() -> Iterator[tuple[str, keras.Model, list[np.ndarray]]]:
    """Yield a file's stem, a model and inputs of every network for published weights, in tiny."""
    random = np.random.default_rng(1)
    ids, mask = random.integers(0, 20, (2, 5)), np.array([[1] * 5, [1, 1, 0, 0, 0]])
    photos = random.integers(0, 256, (2, 32, 32, 3)).astype("float32")
    sizes = VisionSizes(patch=16, grid=2, dim=8, blocks=1, heads=2, mlp_dim=12)
    scale = ([1 / 255] * 3, [0.0, -0.1, 0.2])
    bert = bert_encoder(BertSizes(20, 6, 8, blocks=1, heads=2, mlp_dim=12))
    found = {"bert": (bert, [ids.astype("int32"), mask.astype("int32")])}
    for pooling in ("class", "query"):
        found[f"vision_{pooling}"] = vision_transformer(sizes, pooling, scale), [photos]
    with patch.object(efficientnet_lite, "STAGES", efficientnet_lite.STAGES[:2]):
        found["efficientnet_lite"] = efficientnet_lite.efficientnet_lite0(), [photos]
    for name, (model, inputs) in found.items():
        yield f"network-{name}", keras.Model(list(model.inputs), model.output), inputs


def built() -> Iterator[tuple[str, keras.Model, list[np.ndarray]]]:
    """Yield a file's stem, a model and its inputs."""
    for stem, cls, case in parts():
        keras.utils.set_random_seed(0)
        yield stem, *functional(cls(**case.arguments, name="part"), case)
    yield from networks()


def arrays_of(outputs: Any) -> list[np.ndarray]:
    return [as_array(each) for each in tree.flatten(outputs)]


def save(folder: Path) -> None:
    """Write every part's model with its inputs and outputs; no weight is left at zero."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    for stem, model, inputs in built():
        for weight in model.weights:
            shift = random.uniform(0.01, 0.1, weight.shape).astype("float32")
            weight.assign(as_array(weight) + shift)
        model.save(folder / f"{stem}.keras")
        given = {f"input_{i:02}": array for i, array in enumerate(inputs)}
        found = {f"output_{i:02}": array for i, array in enumerate(arrays_of(model(inputs)))}
        np.savez(folder / f"{stem}.npz", **given, **found)


def difference(path: Path) -> str:
    """Return what is wrong with one model on this backend, or nothing."""
    saved = np.load(path.with_suffix(".npz"))
    inputs = [saved[name] for name in sorted(saved) if name.startswith("input")]
    wanted = [saved[name] for name in sorted(saved) if name.startswith("output")]
    try:
        found = arrays_of(keras.models.load_model(path)(inputs))
        for expected, array in zip(wanted, found, strict=True):
            np.testing.assert_allclose(array, expected, rtol=TOLERANCE, atol=TOLERANCE)
    except Exception as error:  # every part is tried, and reported at the end
        return f"{type(error).__name__}: {error}"
    return ""


def load(folders: list[Path]) -> int:
    """Check every model of the folders; return the number of those that differ."""
    backend, wrong, total = keras.backend.backend(), 0, 0
    for folder in folders:
        paths = sorted(folder.glob("*.keras"))
        assert paths, f"no models in {folder}"
        for path in paths:
            message = difference(path)
            wrong, total = wrong + bool(message), total + 1
            if message:
                print(f"{path.stem} of {folder.name} on {backend}: {message}")
    print(f"{backend}: {total - wrong} of {total} models agree")
    return wrong


def main() -> None:
    """Save or load, as the command says."""
    order, *folders = sys.argv[1:]
    if order == "save":
        save(Path(folders[0]))
    else:
        sys.exit(int(load([Path(folder) for folder in folders]) > 0))


if __name__ == "__main__":
    main()
