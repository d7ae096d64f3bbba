"""A layer and an encoder of your own, registered, then used by name in a config.

python scripts/examples/own_parts.py
"""

import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from drawn import options

import multimodal
from multimodal.layers.base import Encoder
from multimodal.layers.registry import register


@register("layer", "snake")
class Snake(keras.layers.Layer):
    def call(self, inputs: Any) -> Any:  # Ziyin, Hartwig and Ueda, 2020
        return inputs + keras.ops.sin(inputs) ** 2


@register("tabular_encoder", "snake_network")
class SnakeEncoder(Encoder):
    def __init__(self, units: int = 32, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units, self.dense, self.snake = units, keras.layers.Dense(units), Snake()

    def encode(self, inputs: Any, mask: Any, training: Any) -> Any:
        return self.snake(self.dense(keras.ops.nan_to_num(inputs["numeric"])))[:, None]

    def token_shape(self, shape: Any) -> Any:
        return (None, 1, self.units)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


def main() -> None:
    """Train on a wave, with the encoder named in the config; print error and baseline."""
    epochs, rng = options(__doc__, epochs=60).epochs, np.random.default_rng(0)
    hours, noise = rng.uniform(-6, 6, 2500), rng.normal(0, 0.1, 2500)
    table = pd.DataFrame({"hour": hours, "load": np.sin(2 * hours) + noise})
    group = {
        "name": "table",
        "modality": "tabular",
        "columns": ["hour"],
        "encoder": {"name": "snake_network", "options": {"units": 64}},
    }
    training = {"epochs": epochs, "learning_rate": 0.01, "patience": epochs, "baselines": False}
    config = multimodal.Config.parse({"groups": [group], "training": training})
    with tempfile.TemporaryDirectory() as folder:
        run = multimodal.train(table[:1500], "load", out=Path(folder) / "run", config=config)
        rmse = run.evaluate(table[1500:])["load"]["rmse"]
    print(f"own encoder: RMSE {rmse:.3f}\nmean: RMSE {table['load'].std():.3f}")


if __name__ == "__main__":
    main()
