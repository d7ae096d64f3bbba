"""What a fit is made of: schedule, optimizer, precision, compiler options."""

from __future__ import annotations

import math
from pathlib import Path

import keras
import numpy as np
import pytest

from multimodal.core.config import Training
from multimodal.models.training import optimizer as module
from multimodal.models.training.optimizer import (
    WarmupCosine,
    choose_precision,
    compiler_options,
    dtype_policy,
    make_optimizer,
    one_batch_size,
)


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


@pytest.mark.parametrize(
    ("wanted", "flags", "expected"),
    [
        ("auto", "flags: fpu avx512_bf16 sse", "mixed_bfloat16"),
        ("auto", "flags: fpu amx_bf16", "mixed_bfloat16"),
        ("auto", "flags: fpu avx512f", "float32"),
        ("float32", "flags: avx512_bf16", "float32"),
        ("mixed_bfloat16", "flags: fpu", "mixed_bfloat16"),
    ],
)
def test_precision_asks_the_processor(
    wanted: str, flags: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuinfo").write_text(flags)
    monkeypatch.setattr(module, "Path", lambda _: tmp_path / "cpuinfo")
    assert choose_precision(wanted) == expected


def test_precision_without_an_answer_is_float32(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "Path", lambda _: tmp_path / "absent")
    assert choose_precision("auto") == "float32"


def test_dtype_policy_comes_back_after_an_error() -> None:
    before = keras.config.dtype_policy().name
    with pytest.raises(ZeroDivisionError), dtype_policy("mixed_bfloat16"):
        assert keras.layers.Dense(1).dtype_policy.name == "mixed_bfloat16"
        raise ZeroDivisionError
    assert keras.config.dtype_policy().name == before == "float32"


@pytest.mark.parametrize(("backend", "wanted"), [("jax", True), ("tensorflow", False)])
def test_batches_are_of_one_size_where_each_costs_a_compilation(
    backend: str, wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    assert one_batch_size() is wanted


def test_compiler_is_off_on_a_processor() -> None:
    import tensorflow as tf

    expected = bool(tf.config.list_physical_devices("GPU"))
    assert compiler_options() == {"jit_compile": expected}


def test_lowest_precision_names_what_is_used() -> None:
    plain = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    assert module.lowest_precision(plain) == "float32"
    mixed = keras.layers.Dense(1, dtype="mixed_bfloat16")
    assert module.lowest_precision(keras.Sequential([plain, mixed])) == "mixed_bfloat16"
