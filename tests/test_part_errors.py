"""Wrong inputs, options and targets are refused in one line, before anything runs."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np
import pytest
from cases import CASES
from keras import tree

from multimodal.heads import BoundingBoxHead, MulticlassHead, RegressionHead
from multimodal.layers import registry
from multimodal.layers.base import check_fraction


def floats(*shape: int) -> np.ndarray:
    return np.zeros(shape, "float32")


def words(*shape: int) -> np.ndarray:
    return np.full(shape, "word")


def rows(numeric: Any, categorical: Any) -> dict[str, Any]:
    return {"numeric": numeric, "categorical": categorical}


CODES = np.zeros((2, 2), "int32")
WRONG: dict[str, list[Any]] = {
    "tabular_encoder": [
        rows(floats(2), CODES),
        rows(floats(2, 2), CODES[0]),
        rows(floats(2, 2), CODES[:, :1]),
        rows(words(2, 2), CODES),
        rows(floats(2, 2), words(2, 2)),
        rows(floats(2, 2) > 0, CODES),
        {"number": floats(2, 2)},
        {},
        "table",
        None,
    ],
    "text_encoder": [CODES[0], floats(2, 3, 7), words(2, 3), CODES > 0, {"x": CODES}, "a", None],
    "image_encoder": [
        floats(8, 8, 3),
        floats(2, 8, 8, 1),
        words(2, 8, 8, 3),
        floats(2, 8, 8, 3) > 0,
        floats(2, 0, 8, 3),
        {"photo": floats(2, 8, 8, 3)},
        None,
    ],
    "series_encoder": [
        floats(2, 3),
        floats(2, 3, 4, 5),
        CODES[None],
        words(2, 3, 4),
        {"a": floats(2, 3, 4)},
        None,
    ],
    "pooling": [floats(2, 3), floats(2, 3, 4, 5), words(2, 9, 4), floats(2, 9, 4) > 0, None],
    "head": [floats(2), floats(2, 3, 4), words(2, 3), floats(2, 3) > 0, [floats(2, 3)], None],
}
PARTS = [(kind, name) for kind, name in CASES if kind in WRONG]


def symbolic(given: Any) -> Any:
    return tree.map_structure(
        lambda array: keras.Input(array.shape[1:], dtype=str(array.dtype)), given
    )


def one_line(error: pytest.ExceptionInfo[Exception]) -> str:
    message = str(error.value)
    assert "\n" not in message and "Received: " in message and "`" in message, message
    return message


@pytest.mark.parametrize(("kind", "name"), PARTS)
def test_wrong_inputs(kind: str, name: str) -> None:
    cls, case = registry.get(kind, name), CASES[kind, name]
    for given in WRONG[kind]:
        with pytest.raises((TypeError, ValueError)) as error:
            cls(**case.arguments)(given)
        one_line(error)
        arrays = tree.flatten(given)
        if arrays and all(
            getattr(array, "dtype", None) in ("float32", "int32") for array in arrays
        ):
            with pytest.raises((TypeError, ValueError)) as error:
                cls(**case.arguments)(symbolic(given))
            one_line(error)


@pytest.mark.parametrize(
    ("kind", "name", "option"),
    [
        (kind, name, option)
        for (kind, name), case in CASES.items()
        for option in case.arguments
        if option not in ("seed", "backbone", "activation", "mean")
        and (name, option) != ("pretrained", "weights")  # any path may be one
    ],
)
def test_options_out_of_range(kind: str, name: str, option: str) -> None:
    arguments = {**CASES[kind, name].arguments, option: "nonsense"}
    with pytest.raises((TypeError, ValueError)) as error:
        registry.get(kind, name)(**arguments)
    if option == "pooling":
        assert "unknown pooling 'nonsense'. Valid" in str(error.value)
    else:
        assert f"`{option}`" in one_line(error)


@pytest.mark.parametrize("mask", [floats(2, 9), floats(2, 4) > 0, floats(2) > 0])
@pytest.mark.parametrize("name", registry.names("pooling"))
def test_masks_that_do_not_fit(name: str, mask: np.ndarray) -> None:
    with pytest.raises((TypeError, ValueError), match="`mask` must ") as error:
        registry.get("pooling", name)()(floats(2, 16, 4), mask=mask)
    one_line(error)


@pytest.mark.parametrize(
    ("head", "targets", "expected"),
    [
        (RegressionHead(), floats(4, 3), "targets must have shape (batch, 1)"),
        (MulticlassHead(3), floats(4, 3), "targets must be class ids of shape (batch,)"),
        (BoundingBoxHead(), floats(4, 2), "targets must have shape (batch, 4)"),
    ],
)
def test_targets_of_another_shape_stop_fit(head: Any, targets: np.ndarray, expected: str) -> None:
    model = keras.Sequential([keras.Input((3,)), head])
    model.compile("sgd", head.make_loss(), jit_compile=False)
    with pytest.raises(ValueError, match=re.escape(expected)):
        model.fit(floats(4, 3), targets, batch_size=2, verbose=0)


def test_the_message_names_what_came() -> None:
    with pytest.raises(ValueError, match=re.escape("`dropout` must be in [0, 1). Received: ")):
        check_fraction(dropout=1.0)
