"""The ordinal head: probabilities by hand, thresholds in order, classes learned."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np
import pytest

from multimodal.core.spec import FittedHead
from multimodal.heads import OrdinalHead


def array(tensor: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


@pytest.mark.parametrize("num_classes", [2, 3, 7])
def test_starts_with_equal_probabilities(num_classes: int) -> None:
    head = OrdinalHead(num_classes)
    found = array(head.decode(head(np.zeros((1, 4), "float32"))))
    np.testing.assert_allclose(found, np.full((1, num_classes), 1 / num_classes), rtol=1e-4)


def test_agrees_with_numpy() -> None:
    head = OrdinalHead(4)
    head.build((None, 1))
    head.dense.kernel.assign([[2.0]])
    head.lowest.assign([[-1.0]])
    head.steps.assign([[0.0, 1.0]])
    thresholds = np.cumsum([-1.0, np.log(2), np.log1p(np.e)])
    above = 1 / (1 + np.exp(-(2 * 0.3 - thresholds)))
    expected = -np.diff(np.concatenate([[1], above, [0]]))
    found = array(head.decode(head(np.array([[0.3]], "float32"))))
    np.testing.assert_allclose(found, [expected], rtol=1e-5)


def test_probabilities_are_never_negative_and_sum_to_one() -> None:
    head = OrdinalHead(5)
    random = np.random.default_rng(0)
    head.build((None, 3))
    for weight in head.trainable_weights:
        weight.assign(random.normal(0, 5, weight.shape))
    found = array(head.decode(head(random.normal(0, 5, (100, 3)).astype("float32"))))
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)


def test_learns_ordered_classes() -> None:
    x = np.random.default_rng(0).normal(size=(256, 2)).astype("float32")
    classes = np.digitize(x[:, 0] - x[:, 1], [-1.5, 0.0, 0.5, 2.0])
    head = OrdinalHead(5)
    model = keras.Sequential([keras.Input((2,)), head])
    model.compile(
        keras.optimizers.Adam(0.2),
        head.make_loss(),
        weighted_metrics=head.make_metrics(),
        jit_compile=keras.backend.backend() == "jax",
    )
    history = model.fit(x, classes, epochs=20, batch_size=32, verbose=0).history
    assert float(history["mae_grades"][-1]) < 0.1
    assert float(history["accuracy"][-1]) > 0.9
    likeliest = array(head.decode(model(x))).argmax(axis=1)
    assert (likeliest == classes).mean() > 0.9


def test_the_fitted_head_decides_the_classes() -> None:
    fitted = FittedHead(name="h", columns=["h"], kind="class", classes=["low", "middle", "high"])
    assert OrdinalHead.from_head(fitted) == {"num_classes": 3}


def test_refuses_a_single_class() -> None:
    message = "`num_classes` must be an integer of at least 2. Received: num_classes=1"
    with pytest.raises(ValueError, match=re.escape(message)):
        OrdinalHead(1)
