"""Every registered part's model, written by one backend and checked by another.

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

import keras
import numpy as np
from checks import Case, as_array, functional
from keras import tree
from test_registered import CASES, VARIANTS

from multimodal.layers import registry

TOLERANCE = 1e-4


def parts() -> Iterator[tuple[str, Any, Case]]:
    """Yield a file's stem, the class and the case of every part and variant."""
    for (kind, name), case in CASES.items():
        if name in registry.names(kind):
            yield f"{kind}-{name}", registry.get(kind, name), case
    for label, (kind, name, case) in VARIANTS.items():
        if name in registry.names(kind):
            yield f"{kind}-{name}-{label.replace(' ', '_')}", registry.get(kind, name), case


def arrays_of(outputs: Any) -> list[np.ndarray]:
    return [as_array(each) for each in tree.flatten(outputs)]


def save(folder: Path) -> None:
    """Write every part's model with its inputs and outputs; no weight is left at zero."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    for stem, cls, case in parts():
        keras.utils.set_random_seed(0)
        model, inputs = functional(cls(**case.arguments, name="part"), case)
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
