"""What every metric does: labelled rows alone count, over any number of batches."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from multimodal.heads.metrics import BinaryAccuracy, HeadMetric, MulticlassAccuracy


def test_rows_without_a_label_do_not_count() -> None:
    metric = MulticlassAccuracy()
    raw = np.eye(3, dtype="float32")
    metric.update_state(np.array([0, 2, -7]), raw, np.array([1.0, 1.0, 0.0]))
    assert float(metric.result()) == 0.5
    metric.update_state(np.array([np.nan, 1, 9]), raw, np.array([0.0, 2.0, 0.0]))
    assert float(metric.result()) == 0.75


def test_nothing_labelled_is_zero() -> None:
    metric = BinaryAccuracy()
    metric.update_state(np.array([np.nan]), np.ones((1, 1), "float32"), np.zeros(1))
    assert float(metric.result()) == 0


def test_survives_serialization() -> None:
    metric = BinaryAccuracy(learned_weight=True, name="own")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    assert again.get_config() == metric.get_config() and again.learned_weight


def test_what_a_metric_must_write() -> None:
    with pytest.raises(NotImplementedError):
        HeadMetric().update_state(np.ones(1), np.ones((1, 1)))
