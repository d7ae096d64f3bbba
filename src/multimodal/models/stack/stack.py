"""From fitted networks to the whole model: what each row's own networks did not learn decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from multimodal.core.arrays import Floats, Ints
from multimodal.data.features.preprocess import Preprocessor
from multimodal.data.prepare import Prepared
from multimodal.data.sparse.blocks import (
    absent_contributions,
    block_length,
    block_matrices,
    random_feature_matrix,
)
from multimodal.data.sparse.ngrams import Matrix
from multimodal.data.sparse.random_features import (
    random_feature_targets,
    random_features_of,
    random_features_out_of_fold,
    read_cells,
)
from multimodal.heads.labels import encode
from multimodal.layers.stacking import Blend
from multimodal.models.build import assemble, average, blended, decoded
from multimodal.models.predictor import Predictor
from multimodal.models.stack.blend import fit_stacking_weights
from multimodal.models.stack.boosted_heads import BoostedModels, fit_boosted_model, summarise
from multimodal.models.stack.sparse_linear import Labelled, Linear, Terms, fit_linear


@dataclass(frozen=True)
class OutOfFold:
    """Outputs of rows by a model that did not learn from them.

    Attributes:
        rows: Positions of the rows.
        outputs: Decoded outputs by head, (rows, outputs).
        faults: What is wrong with a row's photo, by position; such rows are left out.
    """

    rows: Ints
    outputs: dict[str, Floats]
    faults: dict[int, str]


@dataclass(frozen=True)
class StackedModel:
    """The model of a run, and what it says of rows that it has not learned from.

    `notes` say how the parts are weighted, head by head. They are no log records, since a search
    or comparison stacks many models whose weights nobody asks for.
    """

    model: keras.Model
    held: OutOfFold
    boosted_models: BoostedModels | None
    notes: list[str]


def stack_networks(prepared: Prepared, networks: Sequence[keras.Model]) -> StackedModel:
    """Average the networks and blend a linear model in, with the share that held-out rows show.

    With `training.trees`, gradient boosting is fitted beside the model, and its share found out
    likewise.

    A row is held out where the networks that predict it did not learn from it: the validation rows
    where they share these, else every row of a fold. The linear model is fitted anew without each
    fold, too.
    """
    held, raw, faults = _held_out(prepared, networks)
    model = assemble(prepared.config, prepared.spec, networks)
    kinds = dict(blended(prepared.config, prepared.spec))
    boosted_models, notes = None, list[str]()
    if kinds:
        learned = np.flatnonzero(prepared.splits != "test")
        matrices, places = _terms(prepared, learned), np.searchsorted(learned, held)
        if prepared.config.training.trees:
            boosted_models = _boosted_models(prepared, matrices, learned)
        for name, kind in kinds.items():
            rows = _labelled(prepared, kind, name, networks[0], matrices, learned)
            own = np.full((len(learned), rows.outputs), np.nan)
            own[places] = raw[name]
            raw[name] = _fit_head(prepared, model, boosted_models, name, rows, own, notes)[places]
    outputs = {name: _floats(decoded(model, name, each)) for name, each in raw.items()}
    return StackedModel(model, OutOfFold(held, outputs, faults), boosted_models, notes)


def _fit_head(
    prepared: Prepared,
    model: keras.Model,
    boosted_models: BoostedModels | None,
    name: str,
    rows: Labelled,
    raw: Floats,
    notes: list[str],
) -> Floats:
    """Fit what counts beside the networks in a head; return the raw outputs of all out of fold."""
    linear = _linear(prepared, rows)
    networks = raw
    raw, shares = _blend(model.get_layer(name), rows, linear, networks)
    notes.append(
        f"{name}: networks count {shares[0]:.2f}, the linear model of terms {shares[1]:.2f}"
    )
    if boosted_models is not None and linear is not None:
        learned = prepared.splits != "test"
        inputs = {key: np.asarray(array)[learned] for key, array in prepared.source.inputs.items()}
        seed = prepared.config.training.seed
        boosted_model, raw = fit_boosted_model(
            boosted_models, prepared.spec, inputs, rows, linear, networks, shares, seed
        )
        boosted_models.heads[name] = boosted_model
        notes.append(f"{name}: with gradient boosting, that counts {boosted_model.shares[2]:.2f}")
    return raw


def _floats(values: Any) -> Floats:
    return np.asarray(values, np.float64)


def _preprocessor(prepared: Prepared, *, terms: bool = True) -> Preprocessor:
    spec = prepared.spec if terms else prepared.spec.model_copy(update={"terms": None})
    return Preprocessor(spec, prepared.schema)


def _held_out(
    prepared: Prepared, networks: Sequence[keras.Model]
) -> tuple[Ints, dict[str, Floats], dict[int, str]]:
    """Return the rows held out, their raw outputs by head, and faults of photos."""
    spec = prepared.spec.model_copy(update={"terms": None})
    rows, parts = [], []
    faults: dict[int, str] = {}
    for i, network in enumerate(networks if prepared.k_fold else [average(networks)]):
        _, held = prepared.fold_rows(i)
        frame = prepared.table.frame.iloc[held]
        arrays = _preprocessor(prepared, terms=False).arrays(frame, prepared.photo_root)
        found, wrong = Predictor(network, spec, raw=True).predict(arrays)
        whole = ~np.isin(np.arange(len(held)), list(wrong))
        faults |= {int(held[row]): why for row, why in wrong.items()}
        rows.append(held[whole])
        parts.append({name: values[whole] for name, values in found.items()})
    order = np.argsort(np.concatenate(rows), kind="stable")
    raw = {name: np.concatenate([part[name] for part in parts])[order] for name in parts[0]}
    return np.concatenate(rows)[order], raw, faults


def _terms(prepared: Prepared, rows: Ints) -> list[Matrix]:
    """Return the terms of rows, (rows, terms) for each block.

    In the waves of a row, its own fold does not tell what its categories mean.
    """
    terms, spec, frame = prepared.spec.terms, prepared.spec, prepared.table.frame.iloc[rows]
    assert terms is not None
    targets = random_feature_targets(prepared.config.heads, spec.heads, prepared.labels)
    units = _preprocessor(prepared).units
    matrices = list(block_matrices(terms, spec, units, frame))
    for i, block in enumerate(terms.blocks):
        if block.waves is not None:
            group = spec.group(block.group)
            cells = read_cells(group, units, frame)
            moved = random_features_out_of_fold(
                block.waves, group, cells, targets[rows], prepared.folds[rows]
            ) - random_features_of(block.waves, cells)
            matrices[i] = matrices[i] + random_feature_matrix(terms, i, moved)
    return matrices


def _boosted_models(prepared: Prepared, matrices: Sequence[Matrix], learned: Ints) -> BoostedModels:
    """Return how terms are summed up for trees, as yet without any."""
    assert prepared.spec.terms is not None
    targets = random_feature_targets(prepared.config.heads, prepared.spec.heads, prepared.labels)[
        learned
    ]
    seed = prepared.config.training.seed
    return BoostedModels(*summarise(prepared.spec.terms, matrices, targets, seed), heads={})


def _labelled(
    prepared: Prepared,
    kind: str,
    name: str,
    network: keras.Model,
    matrices: Sequence[Matrix],
    learned: Ints,
) -> Labelled:
    """Return the terms of rows with the labels as the raw outputs should be."""
    y_true = np.asarray(prepared.source.targets[name])[learned]
    weight = np.asarray(prepared.source.weights[name], np.float64)[learned]
    if kind == "number":
        head = network.get_layer(name)
        space = encode(
            keras.ops.convert_to_tensor(y_true.astype(np.float32)),
            head.transform,
            head.mean,
            head.scale,
        )
        y_true = np.asarray(keras.ops.convert_to_numpy(space), np.float64)[:, 0]
    assert prepared.spec.terms is not None
    lengths = [block_length(block) for block in prepared.spec.terms.blocks]
    outputs, folds = network.output[name].shape[-1], prepared.folds[learned]
    return Labelled(kind, Terms(matrices, lengths), y_true, weight, folds, outputs)


def _linear(prepared: Prepared, rows: Labelled) -> Linear | None:
    linear, terms = fit_linear(rows), prepared.spec.terms
    if linear is None or terms is None:
        return None
    frame = prepared.table.frame[prepared.splits != "test"]
    units = _preprocessor(prepared).units
    absent = absent_contributions(terms, prepared.spec, units, frame, linear.kernel)
    for place, contribution in absent.items():
        linear.kernel[place] = contribution
    return linear


def _blend(
    layer: Blend, rows: Labelled, linear: Linear | None, raw: Floats
) -> tuple[Floats, Floats]:
    """Set the weights of a head's last layer; return its raw outputs (N, outputs) and the shares.

    `raw` are those of the networks, NaN where none has held the row out.
    """
    shares = np.array([1.0, 0.0])
    kernel, bias = np.zeros((layer.num_terms, layer.units)), np.zeros(layer.units)
    if linear is not None:
        own = linear.out_of_fold
        scored = (rows.weight > 0) & np.isfinite(own).all(axis=1) & np.isfinite(raw).all(axis=1)
        if scored.any():
            labels = rows.y_true[scored], rows.weight[scored]
            shares = fit_stacking_weights(rows.kind, [raw[scored], own[scored]], *labels, trusted=1)
            kernel, bias = linear.kernel, linear.bias
            raw = shares[0] * raw + shares[1] * np.where(np.isfinite(own), own, 0.0)
    layer.kernel.assign(np.vstack([np.zeros((1, layer.units)), kernel]))
    layer.bias.assign(bias)
    layer.shares.assign(np.tile(shares[:, None], (1, layer.units)))
    return raw, shares
