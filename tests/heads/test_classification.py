"""Binary, multi-class and multi-label head: what they mean, and what they refuse."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np
import pytest

from multimodal.core.spec import FittedHead
from multimodal.heads import BinaryHead, MulticlassHead, MultilabelHead

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(64, 3)).astype("float32")


def array(tensor: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


def trained(head: Any, targets: np.ndarray) -> dict[str, float]:
    """Fit `head` alone on X; return loss and metrics."""
    model = keras.Sequential([keras.Input((3,)), head])
    model.compile(
        keras.optimizers.Adam(0.05),
        head.make_loss(),
        weighted_metrics=head.make_metrics(),
        jit_compile=keras.backend.backend() == "jax",
    )
    history = model.fit(X, targets, epochs=60, batch_size=32, verbose=0).history
    return {name: float(values[-1]) for name, values in history.items()}


def test_binary_gives_both_probabilities() -> None:
    found = array(BinaryHead().decode(np.array([[0.0], [100.0], [-2.0]], "float32")))
    p = 1 / (1 + np.exp(2.0))
    np.testing.assert_allclose(found, [[0.5, 0.5], [0, 1], [1 - p, p]], atol=1e-6)


@pytest.mark.parametrize("learned_weight", [False, True])
def test_binary_learns(learned_weight: bool) -> None:
    found = trained(BinaryHead(learned_weight=learned_weight), (X[:, 0] > 0).astype("int32"))
    assert found["accuracy"] > 0.9


def test_multiclass_learns_and_decodes() -> None:
    head = MulticlassHead(3)
    assert trained(head, X.argmax(axis=1))["accuracy"] > 0.9
    found = array(head.decode(head(X)))
    assert found.shape == (64, 3)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    assert (found.argmax(axis=1) == X.argmax(axis=1)).mean() > 0.9


def test_multilabel_learns_and_decodes() -> None:
    head = MultilabelHead(3)
    found = trained(head, (X > 0.5).astype("float32"))
    assert found["accuracy"] > 0.9 and found["jaccard"] > 0.7
    assert ((array(head.decode(head(X))) > 0.5) == (X > 0.5)).mean() > 0.9


def test_smoothing_reaches_the_loss() -> None:
    loss = MulticlassHead(3, label_smoothing=0.25).make_loss()
    assert loss.get_config()["label_smoothing"] == 0.25


@pytest.mark.parametrize("head", [MulticlassHead, MultilabelHead])
def test_the_fitted_head_decides_the_classes(head: Any) -> None:
    fitted = FittedHead(name="h", columns=["h"], kind="class", classes=["a", "b", "c"])
    assert head.from_head(fitted) == {"num_classes": 3}


def test_a_binary_head_wants_two_classes() -> None:
    three = FittedHead(name="mood", columns=["m"], kind="class", classes=["a", "b", "c"])
    message = (
        "`classes` of the binary head 'mood' must be two; for more take `multiclass` or `ordinal`. "
        "Received: classes=['a', 'b', 'c']"
    )
    with pytest.raises(ValueError, match="^" + re.escape(message) + "$"):
        BinaryHead.from_head(three)
    two = FittedHead(name="mood", columns=["m"], kind="class", classes=["a", "b"])
    assert BinaryHead.from_head(two) == BinaryHead.from_head(FittedHead(name="", columns=[])) == {}


def test_label_kinds() -> None:
    kinds = [head.label_kind for head in (BinaryHead, MulticlassHead, MultilabelHead)]
    assert kinds == ["class", "class", "labels"]


@pytest.mark.parametrize(
    ("create", "message"),
    [
        (
            lambda: MulticlassHead(1),
            "`num_classes` must be an integer of at least 2. Received: num_classes=1",
        ),
        (
            lambda: MulticlassHead(0),
            "`num_classes` must be an integer of at least 2. Received: num_classes=0",
        ),
        (
            lambda: MulticlassHead(2.0),  # type: ignore[arg-type]
            "`num_classes` must be an integer of at least 2. Received: num_classes=2.0",
        ),
        (
            lambda: MultilabelHead(0),
            "`num_classes` must be an integer of at least 1. Received: num_classes=0",
        ),
        (
            lambda: MulticlassHead(3, label_smoothing=1),
            "`label_smoothing` must be in [0, 1). Received: label_smoothing=1",
        ),
        (
            lambda: MulticlassHead(3)(np.zeros((2, 3, 4))),
            "`inputs` must have shape (batch, features). Received: shape=(2, 3, 4)",
        ),
    ],
)
def test_refuses(create: Any, message: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(message) + "$"):
        create()
