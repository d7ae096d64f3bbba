"""Two inputs of 32 and 128 numbers through a branch each, merged, one output.

    python scripts/examples/two_branches.py

The target is a product of what either input holds, so neither knows it alone: a Sequential model,
which takes one input, is given each in turn for comparison.
"""

from __future__ import annotations

import keras
import numpy as np
from drawn import options

from multimodal.encoders import DenseEncoder

SIZES = {"sensors": 32, "history": 128}


def draw(rows: int, rng: np.random.Generator) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return both inputs and the target (rows, 1), noise of standard deviation 0.1."""
    inputs = {name: rng.normal(size=(rows, n)).astype("float32") for name, n in SIZES.items()}
    left, right = (
        array[:, : n // 4].mean(1) * (n // 4) ** 0.5
        for array, n in zip(inputs.values(), SIZES.values(), strict=True)
    )
    target = np.tanh(left) * np.tanh(right) + rng.normal(0, 0.1, rows)
    return inputs, target.astype("float32")[:, None]


def build(names: list[str]) -> keras.Model:
    """Return one branch per input, joined by a small dense network."""
    inputs = {name: keras.Input((SIZES[name],), name=name) for name in names}
    branches = [DenseEncoder(hidden_dims=[64, 16], pooling="mean")(x) for x in inputs.values()]
    x = keras.layers.Concatenate()(branches) if len(branches) > 1 else branches[0]
    return keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Dense(64, "relu")(x)))


def main() -> None:
    """Train both branches together and each alone, and print their errors."""
    epochs = options(__doc__, epochs=20).epochs
    keras.utils.set_random_seed(0)
    inputs, target = draw(12_000, np.random.default_rng(0))
    train, test = slice(0, 10_000), slice(10_000, None)
    for names in (["sensors", "history"], ["sensors"], ["history"]):
        model = build(names)
        model.compile(keras.optimizers.Adam(2e-3), "mse")
        chosen = {name: inputs[name][train] for name in names}
        model.fit(chosen, target[train], batch_size=128, epochs=epochs, verbose=0)
        guess = model.predict({name: inputs[name][test] for name in names}, verbose=0)
        rmse = np.sqrt(np.mean((guess - target[test]) ** 2))
        print(f"{' + '.join(names)}: RMSE {rmse:.3f}")
    print(f"mean: RMSE {target[test].std():.3f}\nlimit: RMSE 0.100")


if __name__ == "__main__":
    main()
