"""What the token fusions share: one sequence of all groups, with the mask of what counts."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np
import pytest

from multimodal.fusion.tokens import TokenFusion

RANDOM = np.random.default_rng(0)
INPUTS = {
    "text": RANDOM.normal(size=(3, 2, 4)).astype("float32"),
    "table": RANDOM.normal(size=(3, 5)).astype("float32"),
}
MASK = {"text": np.array([[1, 0], [1, 1], [1, 1]], bool)}
THERE = {"text": np.array([True, True, False])}


class Watched(TokenFusion):
    """Keep what `read` is given."""

    def read(self, tokens: Any, mask: Any, training: bool | None) -> Any:
        self.seen = [keras.ops.convert_to_numpy(each) for each in (tokens, mask)]
        return tokens[:, 0]


def test_groups_are_projected_and_joined() -> None:
    fusion = Watched(6, 2)
    fusion(INPUTS, THERE, mask=MASK)
    fusion.missing["text"].assign([1.0, 2.0, 3.0, 4.0])
    fusion(INPUTS, THERE, mask=MASK)
    tokens, mask = fusion.seen
    assert mask.tolist() == [[True, True, False], [True, True, True], [True, True, False]]
    (table, table_bias), (text, text_bias) = (
        [keras.ops.convert_to_numpy(weight) for weight in dense.weights]
        for dense in fusion.projections
    )
    np.testing.assert_allclose(tokens[:, 0], INPUTS["table"] @ table + table_bias, atol=1e-5)
    np.testing.assert_allclose(tokens[1, 1:], INPUTS["text"][1] @ text + text_bias, atol=1e-5)
    np.testing.assert_allclose(tokens[2, 1], [1, 2, 3, 4] @ text + text_bias, atol=1e-5)
    np.testing.assert_allclose(tokens[0, 2], text_bias, atol=1e-6)  # padding counts as zeros


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hidden_dim": 0}, "`hidden_dim` must be an integer of at least 1"),
        ({"num_heads": 0}, "`num_heads` must be an integer of at least 1"),
        ({"num_layers": 0}, "`num_layers` must be an integer of at least 1"),
        ({"mlp_dim": 0}, "`mlp_dim` must be an integer of at least 1"),
        ({"dropout": 1}, "`dropout` must be in [0, 1)"),
        (
            {"hidden_dim": 6, "num_heads": 4},
            "`hidden_dim` must be a multiple of `num_heads`. Received: hidden_dim=6, num_heads=4",
        ),
    ],
)
def test_refuses_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        TokenFusion(**arguments)


def test_a_subclass_must_write_read() -> None:
    with pytest.raises(NotImplementedError):
        TokenFusion().read(None, None, None)
