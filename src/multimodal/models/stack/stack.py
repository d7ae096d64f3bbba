"""Stack the fold models of a run with a sparse linear model and boosted trees.

All are weighted by rows that none of them has learned from (out of fold).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import keras
import numpy as np

from multimodal.core.arrays import Floats, Ints
from multimodal.core.formatting import listed
from multimodal.data.batches import by_length, evaluation_dataset
from multimodal.data.defaults import validation_is_chosen
from multimodal.data.features.preprocess import Preprocessor
from multimodal.data.prepare import Prepared
from multimodal.data.sparse.blocks import (
    absent_contributions,
    block_length,
)
from multimodal.data.sparse.ngrams import Matrix
from multimodal.heads.labels import encode
from multimodal.layers.stacking import Blend
from multimodal.models.build import assemble, average, blended, decoded
from multimodal.models.stack.boosted_models import fit_boosted_model, fit_projection
from multimodal.models.stack.kernel_regression import FittedKernel, fit_kernel_regression
from multimodal.models.stack.mean_box import raw_boxes, weigh_boxes, worse_than_mean_box
from multimodal.models.stack.sparse_features import known_targets, sparse_features
from multimodal.models.stack.sparse_linear import (
    FeatureBlocks,
    LabelledRows,
    SparseLinearModel,
    fit_sparse_linear,
)
from multimodal.models.stack.weights import (
    StackingGain,
    cross_fitted,
    fit_stacking_weights,
)
from multimodal.models.training.kfold import BATCH
from multimodal.runtime.boosted_models import BoostedModels


@dataclass(frozen=True)
class OutOfFold:
    """Outputs of rows by a model that did not learn from them.

    Attributes:
        rows: Positions of the rows.
        outputs: Outputs by head, (rows, outputs): raw ones of a network, decoded ones of a stack.
        faults: What is wrong with a row's photo, by position; such rows are left out.
    """

    rows: Ints
    outputs: dict[str, Floats]
    faults: dict[int, str]


@dataclass(frozen=True)
class HeadModels:
    """What is stacked with the networks for one head.

    Attributes:
        rows: The rows with the labels.
        linear: The sparse linear model, if there is one.
        kernels: The kernel regressions on frozen features, one for each modality that has any.
    """

    rows: LabelledRows
    linear: SparseLinearModel | None
    kernels: list[FittedKernel] = field(default_factory=list)

    @property
    def out_of_fold(self) -> list[Floats]:
        """Outputs of all rows by each of them out of fold, (rows, outputs), the linear first."""
        linear = [] if self.linear is None else [self.linear.out_of_fold]
        return linear + [kernel.out_of_fold for kernel in self.kernels]


@dataclass(frozen=True)
class LinearModels:
    """What is fitted beside a run's networks, before them.

    Attributes:
        rows: Positions of the rows learned from.
        matrices: Their sparse features, for each block.
        heads: The models of each head that has any, by name.
    """

    rows: Ints
    matrices: list[Matrix]
    heads: dict[str, HeadModels]

    def placed(self, rows: Ints, raw: Floats) -> Floats:
        """Return raw outputs of some rows at their places among all, NaN elsewhere."""
        found = np.full((len(self.rows), *raw.shape[1:]), np.nan)
        found[np.searchsorted(self.rows, rows)] = raw
        return found


@dataclass(frozen=True)
class StackedModel:
    """The model of a run, and what it says of rows that it has not learned from.

    `notes` say how the parts are weighted, head by head. They are no log records, since a search
    or comparison stacks many models whose weights nobody asks for. `findings` say what a report
    must not keep quiet. `linear_models` and `held_out` are what the networks were stacked with, and
    what they said of rows out of fold.
    """

    model: keras.Model
    out_of_fold: OutOfFold
    boosted_models: BoostedModels | None
    notes: list[str]
    findings: list[str]
    linear_models: LinearModels
    held_out: Sequence[OutOfFold]


def fit_linear_models(prepared: Prepared, network: keras.Model) -> LinearModels:
    """Fit what each head is blended with: a sparse linear model, regressions on frozen features.

    Args:
        prepared: Rows, split and spec.
        network: A network of the run, trained or not, for what its heads transform labels to.
    """
    kinds = dict(blended(prepared.config, prepared.spec))
    # Validation rows too: what is fitted here is measured out of fold.
    learned = np.flatnonzero(prepared.splits != "test")
    sparse = bool(kinds) and prepared.spec.terms is not None
    matrices = sparse_features(prepared, learned) if sparse else []
    heads = {}
    for name, kind in kinds.items():
        rows = _labelled(prepared, kind, name, network, matrices, learned)
        linear = _fit_linear(prepared, rows) if sparse and kind != "box" else None
        heads[name] = HeadModels(rows, linear, _fit_kernels(prepared, rows, learned))
    return LinearModels(learned, matrices, heads)


def stack_networks(
    prepared: Prepared,
    networks: Sequence[keras.Model],
    linear_models: LinearModels | None = None,
    held_out: Sequence[OutOfFold] | None = None,
) -> StackedModel:
    """Average the fold models and blend a linear model in, with out-of-fold stacking weights.

    With `training.trees`, gradient boosting is fitted beside the Keras model, and weighted
    likewise.

    A row is out of fold where the networks that predict it did not learn from it: the validation
    rows where they share these, else every row of a fold. The linear model is fitted anew without
    each fold, too. Shared validation rows have chosen the epoch already, and may be few: networks
    have a part where they make the linear model better by more than the standard error.

    Args:
        prepared: Rows, split, config and spec.
        networks: The fold models.
        linear_models: What `fit_linear_models` returned; fitted here by default.
        held_out: What `predict_held_out` returned of each fold model; predicted here by default.
    """
    held_out = held_out or held_out_of(prepared, networks)
    fitted = linear_models or fit_linear_models(prepared, networks[0])
    if not prepared.k_fold:
        held_out = [_where_useful(prepared, fitted, part) for part in held_out]
    rows, raw, faults = joined(held_out)
    boxes = [head.name for head in prepared.spec.heads if head.kind == "box"]
    boxes = [name for name in boxes if name not in fitted.heads]
    notes, findings = list[str](), list[str]()
    for name in boxes:
        raw[name], weight, finding = weigh_boxes(prepared, name, networks, rows, raw[name])
        notes.append(
            f"{name}: stacking weights {weight:.2f} (networks), {1 - weight:.2f} (mean box)"
        )
        findings += [] if finding is None else [finding]
    model = assemble(prepared.config, prepared.spec, networks)
    boosted_models = None
    if prepared.config.training.trees and fitted.matrices:
        boosted_models = _no_trees_yet(prepared, fitted.matrices, fitted.rows)
    for name, head in fitted.heads.items():
        own = fitted.placed(rows, raw[name])
        layer = model.get_layer(name)
        own = _fit_head(prepared, layer, boosted_models, head, own, notes)
        raw[name] = own[np.searchsorted(fitted.rows, rows)]
        if head.rows.kind == "box":
            last = networks[0].get_layer(name)
            finding = worse_than_mean_box(prepared, last, name, rows, raw[name])
            findings += [] if finding is None else [finding]
    outputs = {name: decoded(model, name, each) for name, each in raw.items()}
    out_of_fold = OutOfFold(rows, outputs, faults)
    return StackedModel(model, out_of_fold, boosted_models, notes, findings, fitted, held_out)


def _fit_head(
    prepared: Prepared,
    layer: Blend,
    boosted_models: BoostedModels | None,
    models: HeadModels,
    networks: Floats,
    notes: list[str],
) -> Floats:
    """Weight the base models of a head; return the stack's outputs out of fold."""
    raw, weights = _blend(layer, models, networks)
    names = ["networks"] + ["sparse linear model"] * (models.linear is not None)
    names += [
        f"pretrained features of {_told(keys)}" for keys in layer.features[: len(models.kernels)]
    ]
    told = (f"{weight:.2f} ({name})" for weight, name in zip(weights, names, strict=True))
    notes.append(f"{layer.name}: stacking weights {', '.join(told)}")
    if boosted_models is not None and models.linear is not None:
        learned = prepared.splits != "test"
        inputs = {key: np.asarray(array)[learned] for key, array in prepared.source.inputs.items()}
        seed = prepared.config.training.seed
        # Trees take the kernel regressions along with the networks, by the weights just found.
        others = raw - weights[1] * models.linear.out_of_fold
        beside = np.array([1.0, weights[1]]) if len(weights) > 2 else weights
        given = others if len(weights) > 2 else networks
        found, raw = fit_boosted_model(
            boosted_models, prepared.spec, inputs, models.rows, models.linear, given, beside, seed
        )
        boosted_models.heads[layer.name] = found
        notes.append(f"{layer.name}: stacking weight {found.weights[2]:.2f} (gradient boosting)")
    return raw


def _told(keys: Sequence[str]) -> str:
    return listed([key.removesuffix("_features") for key in keys])


def predict_held_out(
    prepared: Prepared, network: keras.Model, i: int, on: keras.Model | None = None
) -> OutOfFold:
    """Return raw outputs of the rows that fold model `i` did not learn from.

    Rows whose photo proved unreadable are left out.

    Args:
        prepared: Rows, split and spec.
        network: A network with the weights of fold model `i`, or the average of all where they
            share the validation rows.
        i: Number of the fold model, from 0.
        on: Another network, which takes on the weights meanwhile: its graph is traced once for all.
    """
    if on is not None and on is not network:
        kept = on.get_weights()
        on.set_weights(network.get_weights())
        found = predict_held_out(prepared, on, i)
        on.set_weights(kept)
        return found
    rows = by_length(prepared.source, prepared.fold_rows(i)[1])
    raw = raw_outputs(prepared, network, rows)
    wrong = prepared.source.unreadable
    sound = ~np.isin(rows, list(wrong))
    faults = {int(row): wrong[int(row)] for row in rows[~sound]}
    return OutOfFold(rows[sound], {name: each[sound] for name, each in raw.items()}, faults)


def raw_outputs(prepared: Prepared, network: keras.Model, rows: Ints) -> dict[str, Floats]:
    """Return the raw outputs (len(rows), outputs) of a network by head."""
    # As arrays: JAX's `predict_on_batch` takes no tensors of TensorFlow.
    batches = evaluation_dataset(prepared.source, rows, batch_size=BATCH).as_numpy_iterator()
    raw = [network.predict_on_batch(inputs) for inputs, _, _ in batches]
    return {
        name: np.concatenate([np.asarray(each[name], np.float64) for each in raw])
        for name in network.output_names
    }


def held_out_of(prepared: Prepared, networks: Sequence[keras.Model]) -> list[OutOfFold]:
    """Return what each fold model says of its fold, or their average of the validation rows."""
    if not prepared.k_fold:
        return [predict_held_out(prepared, average(networks), 0)]
    pairs = enumerate(networks)
    return [predict_held_out(prepared, network, i, on=networks[0]) for i, network in pairs]


def networks_gain(
    linear_models: LinearModels, held_out: Sequence[OutOfFold], *, crossed: bool = False
) -> list[StackingGain]:
    """Return what networks add to the linear model of each head, on rows that neither learned from.

    Args:
        linear_models: The linear models.
        held_out: Raw outputs of the fold models so far.
        crossed: Whether the stacking weights of a row are fitted without its fold. By default they
            are fitted on all these rows, so that the gain is rather too high.
    """
    rows, raw, _ = joined(held_out)
    found = []
    for name, head in linear_models.heads.items():
        if not head.out_of_fold:
            continue
        models = [linear_models.placed(rows, raw[name]), *head.out_of_fold]
        scored = head.rows.scored(*models)
        if scored.any():
            known = head.rows.y_true[scored], head.rows.weight[scored]
            parts = [each[scored] for each in models]
            folds = head.rows.folds[scored] if crossed else None
            found.append(StackingGain.of(name, head.rows.kind, parts, *known, folds))
    return found


def _where_useful(prepared: Prepared, fitted: LinearModels, part: OutOfFold) -> OutOfFold:
    """Return what networks say of validation rows, zeros of heads that they make no better.

    Where that is all of them, the linear model is measured on all rows, unless the validation rows
    were chosen to be like those to come.
    """
    gains = networks_gain(fitted, [part], crossed=True)
    useless = {gain.head for gain in gains if gain.mean <= gain.error}
    chosen = validation_is_chosen(prepared.config, prepared.table)
    if useless == set(part.outputs) and not chosen:
        return without_networks(prepared, fitted)
    outputs = {n: np.zeros_like(o) if n in useless else o for n, o in part.outputs.items()}
    return replace(part, outputs=outputs)


def without_networks(prepared: Prepared, linear_models: LinearModels) -> OutOfFold:
    """Return zeros in place of what networks say of all rows that have a fold.

    Stacking then gives the networks the weight 0, and the linear model 1.
    """
    rows = linear_models.rows[prepared.folds[linear_models.rows] >= 0]
    faults = prepared.source.unreadable
    rows = rows[~np.isin(rows, list(faults))]
    heads = linear_models.heads.items()
    return OutOfFold(
        rows, {n: np.zeros((len(rows), head.rows.outputs)) for n, head in heads}, faults
    )


def joined(parts: Sequence[OutOfFold]) -> tuple[Ints, dict[str, Floats], dict[int, str]]:
    """Return the rows out of fold, in order, their raw outputs by head, and faults of photos."""
    rows = np.concatenate([part.rows for part in parts])
    order = np.argsort(rows, kind="stable")
    raw = {
        name: np.concatenate([part.outputs[name] for part in parts])[order]
        for name in parts[0].outputs
    }
    return rows[order], raw, {row: why for part in parts for row, why in part.faults.items()}


def _no_trees_yet(prepared: Prepared, matrices: Sequence[Matrix], learned: Ints) -> BoostedModels:
    """Return the projection of sparse features that trees read, as yet without any."""
    assert prepared.spec.terms is not None
    targets, seed = known_targets(prepared, learned), prepared.config.training.seed
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
    if kind == "box":
        y_true = raw_boxes(y_true)
    terms = prepared.spec.terms
    lengths = [] if terms is None else [block_length(block) for block in terms.blocks]
    outputs, folds = network.output[name].shape[-1], prepared.folds[learned]
    return LabelledRows(kind, FeatureBlocks(matrices, lengths), y_true, weight, folds, outputs)


def _fit_linear(prepared: Prepared, rows: LabelledRows) -> SparseLinearModel | None:
    linear, features = fit_sparse_linear(rows), prepared.spec.terms
    if linear is None or features is None:
        return None
    frame = prepared.table.frame[prepared.splits != "test"]
    readings = Preprocessor(prepared.spec, prepared.schema).readings
    absent = absent_contributions(features, prepared.spec, readings, frame, linear.kernel)
    for place, contribution in absent.items():
        linear.kernel[place] = contribution
    return linear


def _fit_kernels(prepared: Prepared, rows: LabelledRows, learned: Ints) -> list[FittedKernel]:
    """Return the kernel regression of each modality that is read as frozen features."""
    spec, seed, found = prepared.spec, prepared.config.training.seed, []
    for keys in spec.frozen_inputs:
        features = [np.asarray(prepared.source.inputs[key], np.float32)[learned] for key in keys]
        kernel = fit_kernel_regression(features, rows, spec.landmarks, seed)
        if kernel is not None:
            found.append(kernel)
    return found


def _blend(layer: Blend, models: HeadModels, networks: Floats) -> tuple[Floats, Floats]:
    """Set the weights of a head's last layer; return its raw outputs and the stacking weights.

    `networks` has raw outputs of the networks (N, outputs), NaN where a row is in no fold.
    """
    others, rows = models.out_of_fold, models.rows
    weights = np.eye(1, 1 + len(others))[0]
    scored = rows.scored(networks, *others)
    raw = networks
    if others and scored.any():
        known = rows.y_true[scored], rows.weight[scored]
        parts = [each[scored] for each in (networks, *others)]
        weights = fit_stacking_weights(rows.kind, parts, *known, prior_model=1)
        weights *= [np.any(each) for each in parts]  # of zeros alone, exactly 0
        if len(others) == 1 and not weights[0]:  # alone, a model stays as it is
            weights = np.array([0.0, 1.0])
        finite = [np.where(np.isfinite(each), each, 0.0) for each in others]
        pairs = zip(weights[1:], finite, strict=True)
        raw = sum((weight * each for weight, each in pairs), weights[0] * networks)
        if np.count_nonzero(weights) > 1:  # what calibrates must be as wrong as on new rows
            raw[scored] = cross_fitted(rows.kind, parts, *known, rows.folds[scored], prior_model=1)
    _give(layer, models, weights)
    return raw, weights


def _give(layer: Blend, models: HeadModels, weights: Floats) -> None:
    """Set the weights of a head's last layer: the models, where there are any, and theirs."""
    if layer.num_terms:
        kernel, bias = np.zeros((layer.num_terms, layer.units)), np.zeros(layer.units)
        if models.linear is not None:
            kernel, bias = models.linear.kernel, models.linear.bias
        layer.kernel.assign(np.vstack([np.zeros((1, layer.units)), kernel]))  # id 0 is padding
        layer.bias.assign(bias)
    for regression, fitted in zip(layer.kernel_regressions, models.kernels, strict=False):
        fitted.give(regression)
    # A model that could not be fitted has no place among the weights, but one in the layer.
    places = np.zeros(layer.shares.shape[0])
    there = [True, *[models.linear is not None] * bool(layer.num_terms)]
    there += [bool(models.kernels)] * len(layer.features)
    places[there] = weights
    layer.shares.assign(np.tile(places[:, None], (1, layer.units)))
