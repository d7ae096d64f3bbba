"""What fusions promise: absent groups, masked tokens and the groups' order change nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import tree

from .case import Case, as_array, built, call, compiled, functional, random_targets, symbol
from .parts import frozen_stays


def absent_groups_change_nothing(cls: Any, case: Case, _: Path) -> None:
    layer = built(cls, case)
    model, _arrays = functional(layer, case)
    expected = call(layer, case)
    for garbage in (1e6, np.nan):
        inputs = {name: array.copy() for name, array in case.inputs.items()}
        for name, there in case.extras["presence"].items():
            inputs[name][~there] = garbage
        found = layer(inputs, **case.extras)
        np.testing.assert_array_equal(as_array(found), expected)
    assert getattr(model.output, "_keras_mask", None) is None


def absent_groups_teach_nothing(cls: Any, case: Case, _: Path) -> None:
    layer = cls(**case.arguments)
    model, _arrays = compiled(layer, case)
    variables = [*model.variables, *model.optimizer.variables]  # the states of dropout, too
    start, results = [keras.ops.convert_to_numpy(each) for each in variables], []
    for garbage in (0.0, np.nan):
        for variable, value in zip(variables, start, strict=True):
            variable.assign(value)
        inputs = {name: array.copy() for name, array in case.inputs.items()}
        for name, there in case.extras["presence"].items():
            inputs[name][~there] = garbage
        model.train_on_batch(tree.flatten((inputs, case.extras)), random_targets(layer, case))
        results.append([as_array(weight) for weight in layer.trainable_weights])
    for expected, found in zip(*results, strict=True):
        np.testing.assert_array_equal(found, expected)


def masked_tokens_change_nothing(cls: Any, case: Case, _: Path) -> None:
    if not cls.takes_tokens:
        return
    layer = built(cls, case)
    expected = call(layer, case)
    for garbage in (1e6, np.nan):
        inputs = dict(case.inputs)
        for name, keep in case.extras["mask"].items():
            inputs[name] = np.where(keep[..., None], inputs[name], np.float32(garbage))
        np.testing.assert_array_equal(as_array(layer(inputs, **case.extras)), expected)
    for name, keep in case.extras["mask"].items():  # longer padding
        inputs = {**case.inputs, name: np.pad(case.inputs[name], ((0, 0), (0, 3), (0, 0)))}
        extras = {**case.extras, "mask": {name: np.pad(keep, ((0, 0), (0, 3)))}}
        np.testing.assert_allclose(as_array(layer(inputs, **extras)), expected, atol=1e-5)


def nothing_at_all_is_finite(cls: Any, case: Case, _: Path) -> None:
    layer = built(cls, case)
    nowhere = np.zeros(case.output[0], bool)
    extras = {**case.extras, "presence": {name: nowhere for name in case.inputs}}
    found = as_array(layer(case.inputs, **extras))
    assert np.isfinite(found).all() and found.shape == case.output
    np.testing.assert_allclose(found, np.broadcast_to(found[:1], found.shape), atol=1e-6)


def what_cannot_be_fused_is_refused(cls: Any, case: Case, _: Path) -> None:
    name = sorted(case.inputs)[0]
    array, there = case.inputs[name], np.ones(case.output[0], bool)
    wrong: list[tuple[Any, Any, str]] = [
        ({}, {}, "with at least one group"),
        (array, {}, "must be a dict of group name"),
        ({name: array[:, 0]}, {}, f"`inputs['{name}']` must have shape (batch, "),
        ({name: array.astype("int32")}, {}, f"`inputs['{name}']` must be float. Received: "),
        (case.inputs, {"other": there}, "`presence` must name groups of `inputs`"),
        (case.inputs, {name: there[:, None]}, f"`presence['{name}']` must have shape (batch,)"),
        (case.inputs, {name: there.astype("float32")}, f"`presence['{name}']` must be bool"),
    ]
    for inputs, presence, message in wrong:
        for given in ((inputs, presence), tree.map_structure(symbol, (inputs, presence))):
            with pytest.raises((TypeError, ValueError)) as error:
                cls(**case.arguments)(*given)
            assert message in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(ValueError, match="must hold the groups that the fusion was built for"):
        built(cls, case)({name: array})


def order_of_groups_is_nothing(cls: Any, case: Case, _: Path) -> None:
    layer = built(cls, case)
    expected = call(layer, case)
    backwards = dict(reversed(case.inputs.items()))
    np.testing.assert_array_equal(as_array(layer(backwards, **case.extras)), expected)


FUSION = (
    frozen_stays,
    absent_groups_change_nothing,
    absent_groups_teach_nothing,
    masked_tokens_change_nothing,
    nothing_at_all_is_finite,
    what_cannot_be_fused_is_refused,
    order_of_groups_is_nothing,
)
