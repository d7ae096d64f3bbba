"""Stack the fold models of a run with a sparse linear model and boosted trees.

All are weighted by rows that none of them has learned from (out of fold).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
from multimodal.models.stack.boosted_models import (
    BoostedModels,
    fit_boosted_model,
    fit_projection,
)
from multimodal.models.stack.sparse_linear import (
    FeatureBlocks,
    LabelledRows,
    SparseLinearModel,
    fit_sparse_linear,
)
from multimodal.models.stack.weights import fit_stacking_weights


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
    out_of_fold: OutOfFold
    boosted_models: BoostedModels | None
    notes: list[str]


def stack_networks(prepared: Prepared, networks: Sequence[keras.Model]) -> StackedModel:
    """Average the fold models and blend a linear model in, with out-of-fold stacking weights.

    With `training.trees`, gradient boosting is fitted beside the Keras model, and weighted
    likewise.

    A row is out of fold where the networks that predict it did not learn from it: the validation
    rows where they share these, else every row of a fold. The linear model is fitted anew without
    each fold, too.
    """
    rows, raw, faults = _predict_out_of_fold(prepared, networks)
    model = assemble(prepared.config, prepared.spec, networks)
    kinds = dict(blended(prepared.config, prepared.spec))
    boosted_models, notes = None, list[str]()
    if kinds:
        learned = np.flatnonzero(prepared.splits != "test")
        matrices, places = _sparse_features(prepared, learned), np.searchsorted(learned, rows)
        if prepared.config.training.trees:
            boosted_models = _no_trees_yet(prepared, matrices, learned)
        for name, kind in kinds.items():
            labelled = _labelled(prepared, kind, name, networks[0], matrices, learned)
            own = np.full((len(learned), labelled.outputs), np.nan)
            own[places] = raw[name]
            own = _fit_head(prepared, model.get_layer(name), boosted_models, labelled, own, notes)
            raw[name] = own[places]
    outputs = {name: decoded(model, name, each) for name, each in raw.items()}
    return StackedModel(model, OutOfFold(rows, outputs, faults), boosted_models, notes)


def _fit_head(
    prepared: Prepared,
    layer: Blend,
    boosted_models: BoostedModels | None,
    rows: LabelledRows,
    networks: Floats,
    notes: list[str],
) -> Floats:
    """Fit the base models of a head beside the networks; return the stack's outputs out of fold."""
    linear = _fit_linear(prepared, rows)
    raw, weights = _blend(layer, rows, linear, networks)
    notes.append(
        f"{layer.name}: stacking weights {weights[0]:.2f} (networks), "
        f"{weights[1]:.2f} (sparse linear model)"
    )
    if boosted_models is not None and linear is not None:
        learned = prepared.splits != "test"
        inputs = {key: np.asarray(array)[learned] for key, array in prepared.source.inputs.items()}
        seed = prepared.config.training.seed
        found, raw = fit_boosted_model(
            boosted_models, prepared.spec, inputs, rows, linear, networks, weights, seed
        )
        boosted_models.heads[layer.name] = found
        notes.append(f"{layer.name}: stacking weight {found.weights[2]:.2f} (gradient boosting)")
    return raw


def _predict_out_of_fold(
    prepared: Prepared, networks: Sequence[keras.Model]
) -> tuple[Ints, dict[str, Floats], dict[int, str]]:
    """Return the rows out of fold, their raw outputs by head, and faults of photos."""
    spec = prepared.spec.model_copy(update={"terms": None})
    preprocessor = Preprocessor(spec, prepared.schema)
    rows, parts = [], []
    faults: dict[int, str] = {}
    for i, network in enumerate(networks if prepared.k_fold else [average(networks)]):
        _, own = prepared.fold_rows(i)
        arrays = preprocessor.arrays(prepared.table.frame.iloc[own], prepared.photo_root)
        found, wrong = Predictor(network, spec, raw=True).predict(arrays)
        sound = ~np.isin(np.arange(len(own)), list(wrong))
        faults |= {int(own[row]): why for row, why in wrong.items()}
        rows.append(own[sound])
        parts.append({name: values[sound] for name, values in found.items()})
    order = np.argsort(np.concatenate(rows), kind="stable")
    raw = {name: np.concatenate([part[name] for part in parts])[order] for name in parts[0]}
    return np.concatenate(rows)[order], raw, faults


def _sparse_features(prepared: Prepared, rows: Ints) -> list[Matrix]:
    """Return the sparse features of rows, (rows, features) for each block.

    In the random Fourier features of a row, its own fold does not tell what its categories mean.
    """
    features, spec, frame = prepared.spec.terms, prepared.spec, prepared.table.frame.iloc[rows]
    assert features is not None
    targets = _targets(prepared, rows)
    units = Preprocessor(spec, prepared.schema).units
    matrices = list(block_matrices(features, spec, units, frame))
    for i, block in enumerate(features.blocks):
        if block.waves is not None:
            group = spec.group(block.group)
            cells = read_cells(group, units, frame)
            moved = random_features_out_of_fold(
                block.waves, group, cells, targets, prepared.folds[rows]
            ) - random_features_of(block.waves, cells)
            matrices[i] = matrices[i] + random_feature_matrix(features, i, moved)
    return matrices


def _targets(prepared: Prepared, rows: Ints) -> Floats:
    heads, fitted = prepared.config.heads, prepared.spec.heads
    return random_feature_targets(heads, fitted, prepared.labels)[rows]


def _no_trees_yet(prepared: Prepared, matrices: Sequence[Matrix], learned: Ints) -> BoostedModels:
    """Return the projection of sparse features that trees read, as yet without any."""
    assert prepared.spec.terms is not None
    targets, seed = _targets(prepared, learned), prepared.config.training.seed
    return BoostedModels(*fit_projection(prepared.spec.terms, matrices, targets, seed), heads={})


def _labelled(
    prepared: Prepared,
    kind: str,
    name: str,
    network: keras.Model,
    matrices: Sequence[Matrix],
    learned: Ints,
) -> LabelledRows:
    """Return the sparse features of rows with the labels as the raw outputs should be."""
    y_true = np.asarray(prepared.source.targets[name])[learned]
    weight = np.asarray(prepared.source.weights[name], np.float64)[learned]
    if kind == "number":
        head = network.get_layer(name)
        numbers = keras.ops.convert_to_tensor(y_true.astype(np.float32))
        space = encode(numbers, head.transform, head.mean, head.scale)
        y_true = np.asarray(keras.ops.convert_to_numpy(space), np.float64)[:, 0]
    assert prepared.spec.terms is not None
    lengths = [block_length(block) for block in prepared.spec.terms.blocks]
    outputs, folds = network.output[name].shape[-1], prepared.folds[learned]
    return LabelledRows(kind, FeatureBlocks(matrices, lengths), y_true, weight, folds, outputs)


def _fit_linear(prepared: Prepared, rows: LabelledRows) -> SparseLinearModel | None:
    linear, features = fit_sparse_linear(rows), prepared.spec.terms
    if linear is None or features is None:
        return None
    frame = prepared.table.frame[prepared.splits != "test"]
    units = Preprocessor(prepared.spec, prepared.schema).units
    absent = absent_contributions(features, prepared.spec, units, frame, linear.kernel)
    for place, contribution in absent.items():
        linear.kernel[place] = contribution
    return linear


def _blend(
    layer: Blend, rows: LabelledRows, linear: SparseLinearModel | None, networks: Floats
) -> tuple[Floats, Floats]:
    """Set the weights of a head's last layer; return its raw outputs and the stacking weights.

    `networks` has raw outputs of the networks (N, outputs), NaN where a row is in no fold.
    """
    raw, weights = networks, np.array([1.0, 0.0])
    kernel, bias = np.zeros((layer.num_terms, layer.units)), np.zeros(layer.units)
    if linear is not None:
        own = linear.out_of_fold
        scored = rows.scored(own, networks)
        if scored.any():
            known = rows.y_true[scored], rows.weight[scored]
            parts = [networks[scored], own[scored]]
            weights = fit_stacking_weights(rows.kind, parts, *known, prior_model=1)
            kernel, bias = linear.kernel, linear.bias
            raw = weights[0] * networks + weights[1] * np.where(np.isfinite(own), own, 0.0)
    layer.kernel.assign(np.vstack([np.zeros((1, layer.units)), kernel]))  # id 0 is padding
    layer.bias.assign(bias)
    layer.shares.assign(np.tile(weights[:, None], (1, layer.units)))
    return raw, weights
