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


@pytest.fixture(scope="module")
def learned() -> tuple[dict[str, Any], keras.Model, dict[str, float]]:
    """Four heads on X alone, trained as one model; the heads, the model and its metrics."""
    keras.utils.set_random_seed(0)
    heads: dict[str, Any] = {
        "binary": BinaryHead(name="binary"),
        "weighted": BinaryHead(learned_weight=True, name="weighted"),
        "class": MulticlassHead(3, name="class"),
        "labels": MultilabelHead(3, name="labels"),
    }
    first = (X[:, 0] > 0).astype("int32")
    y_true = {"binary": first, "weighted": first, "class": X.argmax(axis=1), "labels": X > 0.5}
    y_true["labels"] = y_true["labels"].astype("float32")
    inputs = keras.Input((3,))
    model = keras.Model(inputs, {name: head(inputs) for name, head in heads.items()})
    model.compile(
        keras.optimizers.Adam(0.2),
        {name: head.make_loss() for name, head in heads.items()},
        weighted_metrics={name: head.make_metrics() for name, head in heads.items()},
        jit_compile=keras.backend.backend() == "jax",
    )
    model.fit(X, y_true, epochs=30, batch_size=32, verbose=0)
    return heads, model, model.evaluate(X, y_true, verbose=0, return_dict=True)


def test_binary_gives_both_probabilities() -> None:
    found = array(BinaryHead().decode(np.array([[0.0], [100.0], [-2.0]], "float32")))
    p = 1 / (1 + np.exp(2.0))
    np.testing.assert_allclose(found, [[0.5, 0.5], [0, 1], [1 - p, p]], atol=1e-6)


@pytest.mark.parametrize("name", ["binary", "weighted"])
def test_binary_learns(learned: Any, name: str) -> None:
    assert learned[2][f"{name}_accuracy"] > 0.9


def test_multiclass_learns_and_decodes(learned: Any) -> None:
    heads, model, metrics = learned
    assert metrics["class_accuracy"] > 0.9
    found = array(heads["class"].decode(model(X)["class"]))
    assert found.shape == (64, 3)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    assert (found.argmax(axis=1) == X.argmax(axis=1)).mean() > 0.9


def test_multilabel_learns_and_decodes(learned: Any) -> None:
    heads, model, metrics = learned
    assert metrics["labels_accuracy"] > 0.9 and metrics["labels_jaccard"] > 0.7
    assert ((array(heads["labels"].decode(model(X)["labels"])) > 0.5) == (X > 0.5)).mean() > 0.9


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
