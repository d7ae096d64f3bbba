"""Kernel regressions are fitted out of fold, and the layer computes what was fitted."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest

from multimodal.layers import KernelRegression
from multimodal.models.stack.kernel_regression import fit_kernel_regression
from multimodal.models.stack.sparse_linear import FeatureBlocks, LabelledRows

ROWS = 150
RANDOM = np.random.default_rng(0)
FEATURES = RANDOM.normal(size=(ROWS, 2, 6)).astype("float32")
UNIT = FEATURES / np.linalg.norm(FEATURES, axis=2, keepdims=True)
SIGNAL = np.sin(3 * UNIT[:, 0, 0]) + UNIT[:, 1, 1]


def rows_of(kind: str, y_true: np.ndarray, outputs: int) -> LabelledRows:
    folds = np.arange(ROWS) % 5
    return LabelledRows(kind, FeatureBlocks([], []), y_true, np.ones(ROWS), folds, outputs)


KINDS = [
    ("number", SIGNAL, 1),
    ("binary", (SIGNAL > 0).astype(int), 1),
    ("class", np.digitize(SIGNAL, [-0.3, 0.4]), 3),
    ("labels", np.stack([SIGNAL > 0, SIGNAL > 0.5], axis=1).astype(float), 2),
]


@pytest.mark.parametrize(("kind", "y_true", "outputs"), KINDS, ids=[each[0] for each in KINDS])
def test_the_layer_computes_what_was_fitted(kind: str, y_true: np.ndarray, outputs: int) -> None:
    found = fit_kernel_regression([FEATURES], rows_of(kind, y_true, outputs), 100, seed=3)
    assert found is not None and found.out_of_fold.shape == (ROWS, outputs)
    layer = KernelRegression(outputs, 100)
    layer.build([(None, 2, 6)])
    found.give(layer)
    raw = keras.ops.convert_to_numpy(layer([FEATURES]))
    if kind == "number":
        apart = np.corrcoef(found.out_of_fold[:, 0], y_true)[0, 1]
        assert apart > 0.8 and np.corrcoef(raw[:, 0], y_true)[0, 1] > apart
    else:
        told = raw.argmax(axis=1) if kind == "class" else (raw > 0).reshape(y_true.shape)
        assert (told == y_true).mean() > 0.8


def test_a_fold_is_not_learned_from() -> None:
    rows = rows_of("number", SIGNAL, 1)
    before = fit_kernel_regression([FEATURES], rows, 100, seed=3)
    spoiled = np.where(rows.folds == 0, 50.0, SIGNAL)
    after = fit_kernel_regression([FEATURES], replace(rows, y_true=spoiled), 100, seed=3)
    assert before is not None and after is not None
    if before.strength == after.strength:
        own = rows.folds == 0
        np.testing.assert_allclose(before.out_of_fold[own], after.out_of_fold[own])
    assert not np.allclose(before.out_of_fold, after.out_of_fold)


def test_noise_is_shrunk_and_rows_without_a_fold_are_no_measure() -> None:
    noise = np.random.default_rng(1).normal(size=ROWS)
    found = fit_kernel_regression([FEATURES], rows_of("number", noise, 1), 100, seed=3)
    assert found is not None and found.out_of_fold.std() < 0.5
    alone = replace(rows_of("number", SIGNAL, 1), folds=np.full(ROWS, -1))
    assert fit_kernel_regression([FEATURES], alone, 100, seed=3) is None
