"""From fitted networks to the whole model: what each row's own networks did not learn decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from multimodal import transforms
from multimodal.blend import Blend
from multimodal.builder import assemble, blended
from multimodal.data.prepare import Prepared
from multimodal.data.preprocessing import Preprocessor
from multimodal.data.term_bags import Matrix
from multimodal.data.terms import absent_contributions, block_matrices, wave_matrix
from multimodal.data.waves import read_cells, wave_targets, waves_of, waves_out_of_fold
from multimodal.expert import Expert, Experts, fit_expert
from multimodal.linear import Linear, fit_linear, fit_shares
from multimodal.members import decoded, members
from multimodal.predictor import Predictor
from multimodal.spec import FittedHead
from multimodal.term_summaries import summarise

Floats = NDArray[np.float64]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Held:
    """Outputs of rows by a model that did not learn from them.

    Attributes:
        rows: Positions of the rows.
        outputs: Decoded outputs by head, (rows, outputs).
        faults: What is wrong with a row's photo, by position; such rows are left out.
    """

    rows: NDArray[np.int64]
    outputs: dict[str, Floats]
    faults: dict[int, str]


@dataclass(frozen=True)
class Whole:
    """The model of a run, and what it says of rows that it has not learned from."""

    model: keras.Model
    held: Held
    experts: Experts | None


def whole_model(prepared: Prepared, networks: Sequence[keras.Model], say: Say) -> Whole:
    """Average the networks and blend a linear model in, with the share that held-out rows show.

    With `training.trees`, gradient boosting is fitted beside the model, and its share found out
    likewise.

    A row is held out where the network that predicts it did not learn from it: the validation rows
    of a single network, else every row of a fold. The linear model is fitted anew without each
    fold, too.
    """
    rows, raw, faults = _held_out(prepared, networks)
    model = assemble(prepared.config, prepared.spec, networks)
    kinds = dict(blended(prepared.config, prepared.spec))
    if kinds:
        learned = np.flatnonzero(prepared.sides != "test")
        matrices = _terms(prepared, learned)
        matrix = sum(matrices[1:], matrices[0])
        places = np.searchsorted(learned, rows)
    experts = None
    if kinds and prepared.config.training.trees:
        assert prepared.spec.terms is not None
        targets = wave_targets(prepared.config.heads, prepared.spec.heads, prepared.truths)
        summary = summarise(
            prepared.spec.terms, matrices, targets[learned], prepared.config.training.seed
        )
        experts = Experts(*summary, heads={})
    for fitted in prepared.spec.heads:
        if fitted.name in kinds:
            kind = kinds[fitted.name]
            linear = _linear(prepared, kind, fitted, matrix, learned, networks[0])
            raw[fitted.name] = _blend(
                prepared, model, kind, fitted.name, linear, rows, places, raw[fitted.name], say
            )
            if experts is not None and linear is not None:
                network = np.full((len(learned), raw[fitted.name].shape[1]), np.nan)
                network[places] = raw[fitted.name]
                expert, found = _expert(
                    prepared, kind, fitted.name, experts, matrix, learned, linear, network, model
                )
                experts.heads[fitted.name] = expert
                raw[fitted.name] = found[places]
                say(f"{fitted.name}: with gradient boosting, that counts {expert.shares[1]:.2f}")
    outputs = {name: _floats(decoded(model, name, each)) for name, each in raw.items()}
    return Whole(model, Held(rows, outputs, faults), experts)


def _floats(values: Any) -> Floats:
    return np.asarray(values, np.float64)


def _preprocessor(prepared: Prepared, *, terms: bool = True) -> Preprocessor:
    spec = prepared.spec if terms else prepared.spec.model_copy(update={"terms": None})
    return Preprocessor(spec, prepared.schema)


def _held_out(
    prepared: Prepared, networks: Sequence[keras.Model]
) -> tuple[NDArray[np.int64], dict[str, Floats], dict[int, str]]:
    """Return the rows held out, their raw outputs by head, and faults of photos."""
    spec = prepared.spec.model_copy(update={"terms": None})
    rows, parts = [], []
    faults: dict[int, str] = {}
    for i, network in enumerate(networks):
        _, held = prepared.member_rows(i)
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


def _terms(prepared: Prepared, rows: NDArray[np.int64]) -> list[Matrix]:
    """Return the terms of rows, (rows, terms) for each block.

    In the waves of a row, its own fold does not tell what its categories mean.
    """
    terms, spec, frame = prepared.spec.terms, prepared.spec, prepared.table.frame.iloc[rows]
    assert terms is not None
    targets = wave_targets(prepared.config.heads, spec.heads, prepared.truths)
    units = _preprocessor(prepared).units
    matrices = list(block_matrices(terms, spec, units, frame))
    for i, block in enumerate(terms.blocks):
        if block.waves is not None:
            group = spec.group(block.group)
            cells = read_cells(group, units, frame)
            moved = waves_out_of_fold(
                block.waves, group, cells, targets[rows], prepared.folds[rows]
            ) - waves_of(block.waves, cells)
            matrices[i] = matrices[i] + wave_matrix(terms, i, moved)
    return matrices


def _linear(
    prepared: Prepared, kind: str, fitted: FittedHead, matrix: Any, learned: NDArray[np.int64],
    network: keras.Model,
) -> Linear | None:  # fmt: skip
    outputs = network.output[fitted.name].shape[-1]
    truth, weight = _labels(prepared, kind, fitted.name, network)
    linear = fit_linear(
        kind, matrix, truth[learned], weight[learned], prepared.folds[learned], outputs
    )
    if linear is None or prepared.spec.terms is None:
        return None
    frame = prepared.table.frame.iloc[learned]
    units = {column.name: column.unit for column in prepared.schema.columns}
    absent = absent_contributions(prepared.spec.terms, prepared.spec, units, frame, linear.kernel)
    for place, contribution in absent.items():
        linear.kernel[place] = contribution
    return linear


def _expert(
    prepared: Prepared, kind: str, name: str, experts: Experts, matrix: Any,
    learned: NDArray[np.int64], linear: Linear, network: Floats, model: keras.Model,
) -> tuple[Expert, Floats]:  # fmt: skip
    truth, weight = _labels(prepared, kind, name, members(model)[0])
    inputs = {key: np.asarray(array)[learned] for key, array in prepared.source.inputs.items()}
    return fit_expert(
        kind, experts, prepared.spec, inputs, matrix, linear, network, truth[learned],
        weight[learned], prepared.folds[learned], prepared.config.training.seed,
    )  # fmt: skip


def _labels(
    prepared: Prepared, kind: str, name: str, network: keras.Model
) -> tuple[NDArray[Any], Floats]:
    """Return the labels as the raw outputs should be, and the weights of the rows."""
    truth = np.asarray(prepared.source.targets[name])
    weight = np.asarray(prepared.source.weights[name], np.float64)
    if kind == "number":
        head = network.get_layer(name)
        space = transforms.encode(
            keras.ops.convert_to_tensor(truth.astype(np.float32)), head.transform, head.mean,
            head.scale,
        )  # fmt: skip
        truth = np.asarray(keras.ops.convert_to_numpy(space), np.float64)[:, 0]
    return truth, weight


def _blend(
    prepared: Prepared, model: keras.Model, kind: str, name: str, linear: Linear | None,
    rows: NDArray[np.int64], places: NDArray[np.int64], raw: Floats, say: Say,
) -> Floats:  # fmt: skip
    """Set the weights of a `Blend` layer; return the raw outputs of the rows held out."""
    layer = model.get_layer(name)
    assert isinstance(layer, Blend)
    shares, kernel, bias = np.array([1.0, 0.0]), None, None
    if linear is not None:
        truth, weight = _labels(prepared, kind, name, model.get_layer("member_0"))
        own = linear.out_of_fold[places]
        scored = (weight[rows] > 0) & np.isfinite(own).all(axis=1) & np.isfinite(raw).all(axis=1)
        if scored.any():
            shares = fit_shares(
                kind, raw[scored], own[scored], truth[rows][scored], weight[rows][scored]
            )
            kernel, bias = linear.kernel, linear.bias
            raw = shares[0] * raw + shares[1] * np.where(np.isfinite(own), own, 0.0)
    units = layer.units
    zeros = np.zeros((layer.num_terms, units))
    top = np.zeros((1, units))
    layer.kernel.assign(np.vstack([top, zeros if kernel is None else kernel]))
    layer.bias.assign(np.zeros(units) if bias is None else bias)
    layer.shares.assign(np.tile(shares[:, None], (1, units)))
    say(f"{name}: networks count {shares[0]:.2f}, the linear model of terms {shares[1]:.2f}")
    return raw
