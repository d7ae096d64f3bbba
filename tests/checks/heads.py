"""What heads promise: float32, losses and metrics, missing labels, wrong targets, saving."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from .case import Case, as_array, functional, random_targets
from .parts import frozen_stays


def head_is_float32_and_complete(cls: Any, case: Case, _: Path) -> None:
    layer = cls(**case.arguments, dtype="mixed_bfloat16", name="part")
    raw = layer(case.inputs)
    assert keras.backend.standardize_dtype(raw.dtype) == "float32"
    assert isinstance(layer.make_loss(), keras.losses.Loss)
    assert layer.make_loss().reduction == "mean_with_sample_weight"
    metrics = layer.make_metrics()
    assert metrics and all(isinstance(metric, keras.metrics.Metric) for metric in metrics)
    decoded = as_array(layer.decode(raw))
    assert len(decoded) == len(case.inputs) and np.isfinite(decoded).all()


def _head_model(cls: Any, case: Case) -> tuple[Any, keras.Model, list[np.ndarray]]:
    layer = cls(**case.arguments, name="part")
    model, arrays = functional(layer, case)
    model.compile(
        keras.optimizers.SGD(0.1),
        loss=layer.make_loss(),
        weighted_metrics=layer.make_metrics(),
        run_eagerly=keras.backend.backend() != "jax",  # `one_training_step` is compiled
        jit_compile=False,
    )
    return layer, model, arrays


def missing_labels_teach_nothing(cls: Any, case: Case, _: Path) -> None:
    layer, model, arrays = _head_model(cls, case)
    targets, start = random_targets(layer, case).copy(), model.get_weights()
    weights = np.array([1.0] * (len(targets) - 1) + [0.0], "float32")
    garbage = (0, -7, 99) if targets.dtype.kind == "i" else (0, -7, np.inf, np.nan)
    results = []
    for value in garbage:
        model.set_weights(start)
        model.reset_metrics()
        targets[-1] = value
        logs = model.train_on_batch(arrays, targets, sample_weight=weights, return_dict=True)
        results.append([float(each) for each in logs.values()] + model.get_weights())
    for found in results:
        for expected, each in zip(results[0], found, strict=True):
            assert np.isfinite(each).all()
            np.testing.assert_array_equal(each, expected)


def no_label_at_all_teaches_nothing(cls: Any, case: Case, _: Path) -> None:
    layer, model, arrays = _head_model(cls, case)
    targets, start = random_targets(layer, case), model.get_weights()
    assert model.train_on_batch(arrays, targets, np.zeros(len(targets), "float32"))[0] == 0
    for old, new in zip(start, model.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


def targets_of_a_wrong_shape_are_refused(cls: Any, case: Case, _: Path) -> None:
    layer = cls(**case.arguments)
    raw, targets = layer(case.inputs), random_targets(layer, case)
    wrong = np.concatenate([targets.reshape(len(targets), -1)] * 3, axis=1)
    for each in (layer.make_loss(), *layer.make_metrics()):
        with pytest.raises(ValueError, match="targets must .*Received: shape=") as refusal:
            each(wrong, raw)
        assert "\n" not in str(refusal.value)


def inputs_of_a_wrong_rank_are_refused(cls: Any, case: Case, _: Path) -> None:
    for wrong in (np.zeros((2, 3, 4), "float32"), keras.Input((3, 4))):
        with pytest.raises(ValueError, match="`inputs` must have shape") as refusal:
            cls(**case.arguments)(wrong)
        assert "\n" not in str(refusal.value)


def compiled_model_survives_saving(cls: Any, case: Case, folder: Path) -> None:
    layer, model, arrays = _head_model(cls, case)
    targets = random_targets(layer, case)
    weights = np.arange(len(targets), dtype="float32")
    model.train_on_batch(arrays, targets, weights)
    model.save(folder / "model.keras")
    again = keras.models.load_model(folder / "model.keras")
    expected = model.test_on_batch(arrays, targets, weights)
    np.testing.assert_allclose(again.test_on_batch(arrays, targets, weights), expected, rtol=1e-5)
    assert np.isfinite(again.train_on_batch(arrays, targets, weights)).all()


HEAD = (
    frozen_stays,
    head_is_float32_and_complete,
    missing_labels_teach_nothing,
    no_label_at_all_teaches_nothing,
    targets_of_a_wrong_shape_are_refused,
    inputs_of_a_wrong_rank_are_refused,
    compiled_model_survives_saving,
)
