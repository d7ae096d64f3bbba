"""The optimizer of a fit: warm-up and cosine decay, clipping, what does not decay."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest

from multimodal.core.config import Training
from multimodal.models.training.fit import WarmupCosine, make_optimizer


@pytest.mark.parametrize(
    ("step", "expected"),
    [(0, 0.5), (1, 1.0), (2, 1.0), (6, 0.5), (10, 0.0), (99, 0.0)],
)
def test_schedule_rises_and_falls(step: int, expected: float) -> None:
    schedule = WarmupCosine(2.0, warmup_steps=2, steps=10)
    assert float(schedule(step)) == pytest.approx(2 * expected, abs=1e-6)


def test_schedule_between_the_ends_is_half_a_cosine() -> None:
    schedule = WarmupCosine(1.0, warmup_steps=0, steps=8)
    found = [float(schedule(step)) for step in range(9)]
    expected = [(1 + math.cos(math.pi * step / 8)) / 2 for step in range(9)]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_schedule_survives_serialization() -> None:
    schedule = WarmupCosine(0.5, warmup_steps=2, steps=10)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    assert again.get_config() == schedule.get_config()


def test_optimizer_follows_the_config() -> None:
    options = Training(learning_rate=0.01, weight_decay=0.3, clip_norm=2.0, warmup=0.25)
    optimizer = make_optimizer(options, 40)
    assert isinstance(optimizer, keras.optimizers.AdamW)
    assert (optimizer.weight_decay, optimizer.global_clipnorm) == (0.3, 2.0)
    assert optimizer._learning_rate.get_config() == {"peak": 0.01, "warmup_steps": 10, "steps": 40}


def test_biases_and_embeddings_do_not_decay() -> None:
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Embedding(4, 2),
            keras.layers.Flatten(),
            keras.layers.Dense(2),
            keras.layers.BatchNormalization(),
        ]
    )
    optimizer = make_optimizer(Training(), 10)
    optimizer.build(model.trainable_variables)
    decayed = [v.name for v in model.trainable_variables if optimizer._use_weight_decay(v)]
    assert decayed == ["kernel"]
