"""The space of numbers is that of the heads."""

from __future__ import annotations

import numpy as np
import pytest

from multimodal.core.target_transform import TargetTransform
from multimodal.heads import QuantileHead, RegressionHead, labels
from multimodal.layers.base import HeadLayer


@pytest.mark.parametrize("transform", labels.TRANSFORMS)
def test_it_agrees_with_the_transforms_of_heads(transform: str) -> None:
    head = RegressionHead(transform, mean=2.0, scale=0.5)
    space, values = TargetTransform.of(head), np.array([0.0, 3.5, 12.0])
    raw = space.encode(values)
    expected = labels.encode(values.astype("float32"), transform, 2.0, 0.5)
    np.testing.assert_allclose(raw, np.asarray(expected), rtol=1e-5)
    decoded = np.asarray(head.decode(raw[:, None].astype("float32")))[:, 0]
    np.testing.assert_allclose(space.decode(raw), decoded, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(space.decode(raw), values, atol=1e-9)


def test_a_head_without_transform_works_in_the_users_units() -> None:
    assert TargetTransform.of(HeadLayer()) == TargetTransform()
    assert TargetTransform.of(QuantileHead([0.1, 0.9], transform="none")).transform == "none"


def test_a_price_is_never_below_zero() -> None:
    space = TargetTransform(transform="log1p", mean=1.0, scale=2.0)
    assert space.decode([-9.0, 1e9])[0] == 0.0
    assert np.isfinite(space.decode([1e9])).all()
    assert np.isnan(space.decode([np.nan])).all()
