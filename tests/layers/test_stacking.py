from __future__ import annotations

import keras
import numpy as np
import pytest

from multimodal.heads import RegressionHead
from multimodal.layers.stacking import Blend


def test_the_sum_by_hand():
    layer = Blend(2, 3)
    network = np.array([[1.0, 2.0]], "float32")
    ids, weights = np.array([[1, 3, 0]]), np.array([[2.0, 0.5, 9.0]], "float32")
    layer([network, network, ids, weights])
    layer.kernel.assign([[0, 0], [1, 10], [7, 7], [4, 40]])
    layer.bias.assign([0.5, 0.0])
    layer.shares.assign([[0.25, 1.0], [2.0, 0.1]])
    found = keras.ops.convert_to_numpy(layer([network, 3 * network, ids, weights]))
    linear = np.array([2 * 1 + 0.5 * 4 + 0.5, 2 * 10 + 0.5 * 40])
    np.testing.assert_allclose(found[0], [0.25 * 2 + 2 * linear[0], 4 + 0.1 * linear[1]])


def test_it_decodes_as_its_head_does():
    head = RegressionHead(transform="log1p", name="price")
    layer = Blend(1, 3, keras.saving.serialize_keras_object(head))
    raw = np.array([[0.0], [2.0]], "float32")
    for each in (layer, Blend.from_config(layer.get_config())):
        found = keras.ops.convert_to_numpy(each.decode(raw))
        np.testing.assert_allclose(found, keras.ops.convert_to_numpy(head.decode(raw)))
    with pytest.raises(ValueError, match="`decode` needs the `head`"):
        Blend(1, 3).decode(raw)
