"""Base models of a stack: what each reads, what it says out of fold, and its refits on less.

Each kind is a function that returns a `BaseModel`; what weights and compares them need not know
which kinds there are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, reduce
from operator import add

import keras
import numpy as np
from numpy.typing import NDArray

from multimodal.core.arrays import Floats
from multimodal.core.config import Config, Modality
from multimodal.data.features.preprocess import Preprocessor
from multimodal.data.prepare import Prepared
from multimodal.data.sparse.blocks import block_matrices
from multimodal.data.sparse.ngrams import Matrix
from multimodal.models.build import build
from multimodal.models.finetune import carry_over
from multimodal.models.stack.kernel_regression import FittedKernel
from multimodal.models.stack.sparse_linear import (
    FeatureBlocks,
    LabelledRows,
    SparseLinearModel,
    fit_sparse_linear,
)
from multimodal.models.stack.stack import (
    HeadModels,
    LinearModels,
    OutOfFold,
    held_out_of,
    joined,
    raw_outputs,
)
from multimodal.models.training.fit import TrainingState
from multimodal.models.training.kfold import (
    Callbacks,
    fit_network,
    network_seed,
    network_to_fit,
)
from multimodal.models.training.progress import EpochSeconds

# Of the epochs of the run, for networks that go on from its weights without some groups. Those that
# still read photos cost most: of k folds they take one, and half of the epochs.
SHARE, PHOTO_SHARE, LEAST_EPOCHS = 1 / 4, 1 / 8, 2
NETWORKS, LINEAR = "networks", "sparse linear model"
Modalities = frozenset[Modality]
Features = NDArray[np.float32]
ByHead = Mapping[str, Floats]


@dataclass(frozen=True)
class BaseModel:
    """A base model of a stack.

    Attributes:
        name: What it is called.
        modalities: What it reads.
        raw: Raw outputs by head of all rows but the test rows, (rows, outputs), each by a model
            that has not learned from the row; NaN where there is none.
        refit: Returns the same model, refitted on some of its modalities, None where it cannot
            learn from these alone. Takes the modalities and Keras callbacks.
        predict: Returns the raw outputs of the test rows, by head.
        parameters: The number of its weights.
        networks: How many networks were trained on for it; 0 where none had to be.
        epochs: How many epochs each of them had at most.
        epoch_seconds: Seconds of an epoch of a network; None where that is not known.
        time_epoch: Measures them for some of the modalities, by a short fit of one network; None
            for a model without networks.
    """

    name: str
    modalities: Modalities
    raw: ByHead
    refit: Callable[[Modalities, Callbacks], BaseModel | None]
    predict: Callable[[], ByHead]
    parameters: int = 0
    networks: int = 0
    epochs: int = 0
    epoch_seconds: float | None = None
    time_epoch: Callable[[Modalities, Callbacks], float | None] | None = None


def linear_base_model(
    prepared: Prepared,
    fitted: LinearModels,
    modalities: Modalities | None = None,
    test_matrices: Callable[[], list[Matrix]] | None = None,
) -> BaseModel:
    """Return the sparse linear models of all heads as one base model.

    Args:
        prepared: Rows, split and spec.
        fitted: The models.
        modalities: Those whose features they read; all that have features by default.
        test_matrices: Makes the features of the test rows, for each block.
    """
    known = {name: (each.rows, each.linear) for name, each in fitted.heads.items() if each.linear}
    matrices = test_matrices or cache(lambda: _test_matrices(prepared))
    reads = _linear_modalities(prepared) if modalities is None else modalities

    def refit(kept: Modalities, callbacks: Callbacks) -> BaseModel | None:
        if reads <= kept:
            return model
        places = _places(prepared, kept)
        if not places:
            return None
        heads = {
            name: HeadModels(rows, _fit_on_blocks(rows, places))
            for name, (rows, _) in known.items()
        }
        return linear_base_model(prepared, replace(fitted, heads=heads), kept, matrices)

    def predict() -> ByHead:
        features = reduce(add, (matrices()[i] for i in _places(prepared, reads)))
        pairs = known.items()
        return {n: np.asarray(features @ m.kernel + m.bias, np.float64) for n, (_, m) in pairs}

    raw = {name: model.out_of_fold for name, (_, model) in known.items()}
    size = sum(model.kernel.size + model.bias.size for _, model in known.values())
    model = BaseModel(LINEAR, reads, raw, refit, predict, size)
    return model


def _fit_on_blocks(rows: LabelledRows, places: Sequence[int]) -> SparseLinearModel | None:
    """Fit the linear model on some feature blocks; its kernel is of all features."""
    blocks = [rows.features.blocks[place] for place in places]
    lengths = [rows.features.lengths[place] for place in places]
    # Solvers take most of their time for columns, those without an entry included.
    columns = np.unique(np.concatenate([block.indices for block in blocks]))
    features = FeatureBlocks([block[:, columns] for block in blocks], lengths)
    fitted = fit_sparse_linear(replace(rows, features=features))
    if fitted is None:
        return None
    kernel = np.zeros((blocks[0].shape[1], fitted.kernel.shape[1]))
    kernel[columns] = fitted.kernel
    return replace(fitted, kernel=kernel)


def kernel_base_models(prepared: Prepared, fitted: LinearModels) -> list[BaseModel]:
    """Return the kernel regressions on frozen features, one base model for each modality.

    Each reads one modality, so that none has to be fitted anew without another.
    """
    spec, test = prepared.spec, prepared.rows("test")
    groups = {f"{group.name}_features": group.modality for group in spec.groups}
    found = []
    for i, keys in enumerate(spec.frozen_inputs):
        kernels = {n: each.kernels[i] for n, each in fitted.heads.items() if each.kernels}
        if kernels:
            features = [np.asarray(prepared.source.inputs[key], np.float32)[test] for key in keys]
            boxes = {name for name in kernels if fitted.heads[name].rows.kind == "box"}
            found.append(_kernel_base_model(groups[keys[0]], kernels, features, boxes))
    return found


def _kernel_base_model(
    modality: Modality,
    kernels: Mapping[str, FittedKernel],
    features: Sequence[Features],
    boxes: Collection[str],
) -> BaseModel:
    def refit(kept: Modalities, callbacks: Callbacks) -> BaseModel | None:
        return model if modality in kept else None

    def predict() -> ByHead:
        return {n: kernel.raw(features, maps=n in boxes) for n, kernel in kernels.items()}

    raw = {name: kernel.out_of_fold for name, kernel in kernels.items()}
    size = sum(kernel.kernel.size + kernel.places.size for kernel in kernels.values())
    name = f"kernel regression on {modality}"
    model = BaseModel(name, frozenset({modality}), raw, refit, predict, size)
    return model


def _linear_modalities(prepared: Prepared) -> Modalities:
    spec = prepared.spec
    blocks = spec.terms.blocks if spec.terms else []
    return frozenset(spec.group(block.group).modality for block in blocks)


def _places(prepared: Prepared, modalities: Modalities) -> list[int]:
    """Return the places of the feature blocks of some modalities."""
    spec = prepared.spec
    blocks = enumerate(spec.terms.blocks if spec.terms else [])
    return [i for i, block in blocks if spec.group(block.group).modality in modalities]


def _test_matrices(prepared: Prepared) -> list[Matrix]:
    assert prepared.spec.terms is not None
    readings = Preprocessor(prepared.spec, prepared.schema).readings
    frame = prepared.table.frame.iloc[prepared.rows("test")]
    return list(block_matrices(prepared.spec.terms, prepared.spec, readings, frame))


def network_base_model(
    prepared: Prepared,
    networks: Sequence[keras.Model],
    held_out: Sequence[OutOfFold],
    epoch_seconds: float | None = None,
    *,
    trained_on: int = 0,
) -> BaseModel:
    """Return the networks of a run, averaged, as a base model.

    Refitted on some of the modalities, they go on from the weights that they have, for fewer
    epochs: that takes little time, and the seeds of two trainings add little to what the missing
    modality makes. Networks that still read photos are those of the first fold alone.

    Args:
        prepared: Rows, split, config and spec.
        networks: The fold models.
        held_out: What they say of the rows that they did not learn from; may be empty for a model
            that is only to be refitted.
        epoch_seconds: Seconds of an epoch, where they were measured.
        trained_on: How many epochs they were trained on, for a refit.
    """
    reads = frozenset(group.modality for group in prepared.spec.groups)

    def refit(kept: Modalities, callbacks: Callbacks) -> BaseModel | None:
        boxes = any(head.kind == "box" for head in prepared.spec.heads)
        if not kept & reads or (boxes and "image" not in kept):
            return None
        epochs = _epochs(prepared.config, PHOTO_SHARE if reads_pixels(prepared, kept) else SHARE)
        return _refitted(prepared, networks, kept, epochs, callbacks)

    def time_epoch(kept: Modalities, callbacks: Callbacks) -> float | None:
        return _refitted(prepared, networks[:1], kept, LEAST_EPOCHS, callbacks).epoch_seconds

    def predict() -> ByHead:
        return _predict_test(prepared, networks)

    return BaseModel(
        NETWORKS,
        reads,
        _placed(prepared, held_out),
        refit,
        predict,
        sum(network.count_params() for network in networks),
        len(networks) if trained_on else 0,
        trained_on,
        epoch_seconds,
        time_epoch,
    )


def _refitted(
    prepared: Prepared,
    networks: Sequence[keras.Model],
    kept: Modalities,
    epochs: int,
    callbacks: Callbacks,
) -> BaseModel:
    count = 1 if reads_pixels(prepared, kept) and prepared.k_fold else len(networks)
    own = prepared.only(kept)
    own = replace(own, config=_to_go_on(prepared, own.config, epochs))
    fitted_on, timer = network_to_fit(own), EpochSeconds()
    found = []
    for i, network in enumerate(networks[:count]):
        keras.utils.set_random_seed(network_seed(own.config.training.seed, i))
        model, state = build(own.config, own.spec), TrainingState()
        carry_over(network, prepared.spec, model, own.spec)
        fit_network(model, own, i, state, fitted_on=fitted_on, callbacks=[timer, *callbacks])
        if state.interrupted:
            raise KeyboardInterrupt
        found.append(model)
    held_out = held_out_of(own, found)
    return network_base_model(own, found, held_out, timer.median(), trained_on=epochs)


def reads_pixels(prepared: Prepared, modalities: Modalities) -> bool:
    """Tell whether networks on some modalities read photos themselves, not their features."""
    caches = prepared.source.caches
    return any(g.modality in modalities and g.name in caches for g in prepared.spec.groups)


def _epochs(config: Config, share: float) -> int:
    return max(math.ceil(share * int(config.training.epochs)), LEAST_EPOCHS)


def _to_go_on(prepared: Prepared, config: Config, epochs: int) -> Config:
    """Return the config of networks that go on; encoders that were frozen to the end stay so."""
    training, groups = prepared.config.training, prepared.config.groups
    pairs = zip(groups, prepared.spec.groups, strict=True)
    frozen = {
        fitted.name
        for group, fitted in pairs
        if training.unfreeze_epoch is None and {group.name, fitted.name} & {*training.freeze}
    }
    return config.merge(
        training={
            "epochs": epochs,
            "freeze": [group.name for group in config.groups if group.name in frozen],
            "unfreeze_epoch": None,
        }
    )


def _placed(prepared: Prepared, held_out: Sequence[OutOfFold]) -> ByHead:
    """Return raw outputs at the places of their rows among all but the test rows."""
    if not held_out:
        return {}
    rows, raw, _ = joined(held_out)
    learned = np.flatnonzero(prepared.splits != "test")
    found = {}
    for name, each in raw.items():
        found[name] = np.full((len(learned), *each.shape[1:]), np.nan)
        found[name][np.searchsorted(learned, rows)] = each
    return found


def _predict_test(prepared: Prepared, networks: Sequence[keras.Model]) -> ByHead:
    """Return the mean raw outputs of the test rows."""
    found = [raw_outputs(prepared, network, prepared.rows("test")) for network in networks]
    return {name: np.mean([each[name] for each in found], axis=0) for name in found[0]}
