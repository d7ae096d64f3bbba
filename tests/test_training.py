"""Fitting: schedule, early stopping, interruption, NaN, precision."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from multimodal import training as module
from multimodal.config import Config, Training
from multimodal.spec import FittedGroup, FittedHead, FittedSpec, NumericColumn
from multimodal.training import (
    Fitted,
    TrainingError,
    WarmupCosine,
    choose_precision,
    compiler_options,
    dtype_policy,
    fit,
    fit_compiled,
    make_optimizer,
    one_batch_size,
)

X = np.linspace(-1, 1, 16, dtype="float32")[:, None]
Y = 3 * X + 1


def linear(learning_rate: float = 0.1) -> keras.Model:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="zeros")])
    model.compile(keras.optimizers.SGD(learning_rate), "mse", jit_compile=False)
    return model


def batches(x: np.ndarray = X, y: np.ndarray = Y, epochs: int = 50) -> Any:
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices((x, y)).batch(8).repeat(epochs)


def fit_linear(
    model: keras.Model, training: Training, *, valid_y: Any = Y, **options: Any
) -> Fitted:
    validation = batches(X, valid_y, 1)
    return fit_compiled(model, training, batches(), validation, steps_per_epoch=2, **options)


class Recorder(keras.callbacks.Callback):
    """Keeps the weights of each epoch; optionally raises after one."""

    def __init__(self, interrupt_after: int = 10**9) -> None:
        super().__init__()
        self.weights: list[list[np.ndarray]] = []
        self.interrupt_after = interrupt_after

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.weights.append(self.model.get_weights())

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if len(self.weights) >= self.interrupt_after:
            raise KeyboardInterrupt


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
        [keras.Input((3,)), keras.layers.Embedding(4, 2), keras.layers.Flatten(),
         keras.layers.Dense(2), keras.layers.BatchNormalization()]
    )  # fmt: skip
    optimizer = make_optimizer(Training(), 10)
    optimizer.build(model.trainable_variables)
    decayed = [v.name for v in model.trainable_variables if optimizer._use_weight_decay(v)]
    assert decayed == ["kernel"]


def test_early_stopping_keeps_the_best_weights() -> None:
    model, recorder = linear(0.5), Recorder()
    # the training target leads away from what validation wants after the first epochs
    result = fit_linear(
        model, Training(epochs=30, patience=3), valid_y=0.3 * Y, callbacks=[recorder]
    )
    losses = [epoch["val_loss"] for epoch in result.log]
    best = int(np.argmin(losses))
    assert result.best_epoch == best + 1
    assert len(losses) == best + 1 + 3 < 30
    for found, expected in zip(model.get_weights(), recorder.weights[best], strict=True):
        np.testing.assert_array_equal(found, expected)
    assert not result.interrupted and result.seconds > 0
    assert [epoch["epoch"] for epoch in result.log] == list(range(1, len(losses) + 1))


def test_interruption_keeps_the_best_weights() -> None:
    model, recorder = linear(0.5), Recorder(interrupt_after=5)
    result = fit_linear(
        model, Training(epochs=30, patience=9), valid_y=0.3 * Y, callbacks=[recorder]
    )
    assert result.interrupted
    assert len(result.log) == 5
    best = int(np.argmin([epoch["val_loss"] for epoch in result.log]))
    assert result.best_epoch == best + 1 < 5
    for found, expected in zip(model.get_weights(), recorder.weights[best], strict=True):
        np.testing.assert_array_equal(found, expected)


def test_interruption_in_the_first_epoch_leaves_a_model() -> None:
    model = linear()
    result = fit_linear(model, Training(epochs=3), callbacks=[Recorder(interrupt_after=0)])
    assert result.interrupted and result.log == [] and result.best_epoch == 0
    assert np.isfinite(np.array(model(X))).all()


def test_a_later_stage_counts_on() -> None:
    result = fit_linear(linear(), Training(epochs=5, patience=9), first_epoch=3)
    assert [epoch["epoch"] for epoch in result.log] == [4, 5]
    assert result.best_epoch in (4, 5)


def test_nan_is_an_error_one_can_mend() -> None:
    model = linear()
    with pytest.raises(TrainingError, match="loss is not a number .*`training.learning_rate`"):
        fit_compiled(
            model, Training(epochs=3), batches(X * np.nan), batches(epochs=1), steps_per_epoch=2
        )


def test_other_errors_pass() -> None:
    class Failing(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        fit_linear(linear(), Training(epochs=2), callbacks=[Failing()])


def test_fit_compiles_what_the_builder_made() -> None:
    from multimodal.builder import build

    config = Config.parse(
        {
            "groups": [{"name": "t", "modality": "tabular", "columns": ["w"], "encoder": "dense"}],
            "heads": [{"name": "price", "column": "p"}],
            "training": {"epochs": 2, "learning_rate": 0.01},
        }
    )
    number = NumericColumn(name="w", source="w")
    spec = FittedSpec(
        groups=[FittedGroup(name="t", modality="tabular", columns=["w"], numeric=[number])],
        heads=[FittedHead(name="price", columns=["p"], mean=1, scale=2)],
    )
    import tensorflow as tf

    rows = ({"t_numeric": X}, {"price": Y}, {"price": np.ones(16, "float32")})
    data = tf.data.Dataset.from_tensor_slices(rows).batch(8)
    result = fit(build(config, spec), config, data.repeat(2), data, steps_per_epoch=2)
    names = {"loss", "mae", "rmse"}
    expected = {"epoch", *names, *(f"val_{name}" for name in names)}
    assert [set(epoch) for epoch in result.log] == [expected, expected]


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
