"""Baselines that a fusion has to beat: a constant, gradient boosting, one modality alone.

Gradient boosting is scikit-learn's, on the table and on SVD features of TF-IDF. One modality alone
is read by a plain `keras.Sequential`. That takes one tensor, so the table is one-hot codes beside
numbers and missing flags, texts are joined, and photos lie side by side.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import pandas as pd
from keras import layers
from numpy.typing import NDArray

from multimodal.core.arrays import Floats
from multimodal.core.config import Head, Modality
from multimodal.core.spec import OUT_OF_VOCABULARY, FittedHead, FittedSpec
from multimodal.data.batches import Source
from multimodal.data.columns.cells import as_text
from multimodal.evaluation.metrics import weighted_quantile
from multimodal.evaluation.records import ModelScore
from multimodal.evaluation.task import Task, measure
from multimodal.layers.base import HeadLayer
from multimodal.layers.pooling import MaxPooling
from multimodal.layers.registry import create, get
from multimodal.models.stack.boosting import few_threads, options_for, uneven

NAMES: dict[Modality, str] = {"tabular": "MLP", "text": "RNN", "image": "CNN"}
INPUT_NAMES: dict[Modality, str] = {
    "tabular": "table",
    "text": "text",
    "image": "photos",
    "series": "series",
}
MAX_CODES = 250  # scikit-learn's trees take at most 255 categories of a column
COMPONENTS = 64
WINDOW = 4  # words that the RNN reads in a step: its steps are nearly all of its time
Matrix = NDArray[np.float32]
# Takes a score, the positions of the rows it is of, and their decoded outputs (rows, width).
Keep = Callable[[ModelScore, NDArray[Any], NDArray[Any]], None]


def sequential(
    modality: Modality, spec: FittedSpec, head: Head, fitted: FittedHead
) -> keras.Sequential:
    """Return the baseline of `modality` for one head.

    Args:
        modality: The modality it reads.
        spec: Fitted spec with at least one group of that modality.
        head: The head to learn.
        fitted: Its statistics.
    """
    layers = [*_BODIES[modality](spec), head_layer(head, fitted)]
    return keras.Sequential(layers, name=f"{modality}_baseline")


def head_layer(head: Head, fitted: FittedHead) -> HeadLayer:
    """Return the layer of a head, not built yet."""
    given = get("head", head.head.name).from_head(fitted)
    layer: HeadLayer = create("head", head.head, name=fitted.name, **given)
    return layer


def table_width(spec: FittedSpec) -> int:
    """Return the width of the table as one tensor."""
    groups = [group for group in spec.groups if group.modality == "tabular"]
    codes = sum(len(column.categories) + 2 for group in groups for column in group.categorical)
    return codes + 2 * sum(len(group.numeric) for group in groups)


@keras.saving.register_keras_serializable(package="multimodal")
class WordWindows(layers.Conv1D):
    """Convolution that reads words in windows side by side, with a mask of those that hold any.

    Padding counts as zeros, and a text may be padded to any length. Keras' own convolutions drop
    the mask.

    Args:
        filters: Features of a window.
        window: Words in it.
        **kwargs: As of `keras.layers.Conv1D`.

    Example:
    >>> layer = WordWindows(8, 4)
    >>> tuple(layer(np.ones((2, 10, 3), "float32")).shape)
    (2, 3, 8)
    """

    def __init__(self, filters: int, window: int, **kwargs: Any) -> None:
        super().__init__(filters, window, strides=window, **kwargs)
        self.window = window
        self.supports_masking = True

    def call(self, inputs: Any, mask: Any = None) -> Any:
        if mask is not None:
            inputs = keras.ops.where(mask[..., None], inputs, 0)
        return super().call(keras.ops.pad(inputs, ((0, 0), (0, self.window - 1), (0, 0))))

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        if mask is None:
            return None
        there = keras.ops.pad(keras.ops.cast(mask, "float32"), ((0, 0), (0, self.window - 1)))
        found = keras.ops.max_pool(there[..., None], self.window, self.window, padding="valid")
        return found[..., 0] > 0.5

    def compute_output_shape(self, input_shape: Any) -> Any:
        batch, words, _ = input_shape
        return batch, None if words is None else -(-words // self.window), self.filters

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        for key in ("kernel_size", "strides"):  # they follow from the window
            del config[key]
        return {**config, "window": self.window}


def _mlp(spec: FittedSpec) -> list[layers.Layer]:
    return [
        keras.Input((table_width(spec),)),
        layers.Dense(128, activation="relu"),
        layers.Dropout(0.1),
        layers.Dense(64, activation="relu"),
    ]


def _rnn(spec: FittedSpec) -> list[layers.Layer]:
    # Ids as `data.batches` joins texts: one padding for all groups, an unknown word for each.
    size = 1 + sum(len(g.vocabulary) + 1 for g in spec.groups if g.modality == "text")
    return [
        keras.Input((None,), dtype="int32"),
        layers.Embedding(size, 32, mask_zero=True),
        layers.SpatialDropout1D(0.1),
        WordWindows(64, WINDOW, activation="relu"),
        layers.Bidirectional(layers.GRU(64, return_sequences=True)),
        MaxPooling(),
        layers.Dense(64, activation="relu"),
    ]


def _cnn(spec: FittedSpec) -> list[layers.Layer]:
    groups = [group for group in spec.groups if group.modality == "image"]
    side, count = groups[0].image_size, sum(group.photos for group in groups)
    return [
        keras.Input((side, side * count, 3), dtype="uint8"),
        layers.Rescaling(1 / 127.5, -1),
        layers.Conv2D(32, 3, strides=2, padding="same", activation="relu"),
        layers.MaxPooling2D(),  # so early that what follows is cheap
        layers.Conv2D(64, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(128, 3, padding="same", activation="relu"),
        layers.GlobalAveragePooling2D(),
        layers.Dense(64, activation="relu"),
    ]


_BODIES: dict[Modality, Callable[[FittedSpec], list[layers.Layer]]] = {
    "tabular": _mlp,
    "text": _rnn,
    "image": _cnn,
}


def forget(score: ModelScore, rows: NDArray[Any], outputs: NDArray[Any]) -> None:
    """Keep nothing."""


def constant_score(
    task: Task,
    y_true: NDArray[Any],
    train: NDArray[Any],
    test: NDArray[Any],
    weight: NDArray[Any],
    keep: Keep = forget,
) -> ModelScore:
    """Score a constant prediction on the test rows, as the training rows suggest it.

    It is the median of a number, the quantiles asked for, the frequencies of classes or labels, the
    mean of boxes. Training and test rows are weighted by `weight` (rows,); rows of weight 0 are
    left out. `keep` is handed the predictions.
    """
    train = train[weight[train] > 0]
    name, prediction = _constant(task, y_true[train], weight[train].astype(np.float64))
    outputs = np.tile(prediction, (len(test), 1))
    metrics = measure(task, y_true[test], outputs, weight[test])
    score = ModelScore(name, "constant", "nothing", metrics)
    keep(score, test, outputs)
    return score


def _constant(task: Task, y_true: NDArray[Any], weight: Floats) -> tuple[str, Floats]:
    if task.kind == "class":
        counts = np.bincount(y_true, weights=weight, minlength=len(task.classes))
        return "Class shares", counts / weight.sum()  # a name in saved metrics
    if task.kind in ("labels", "box"):
        mean = np.average(y_true, axis=0, weights=weight)
        return ("Label shares" if task.kind == "labels" else "Mean box"), mean
    if task.quantiles:
        return "Quantiles", np.array([weighted_quantile(y_true, weight, q) for q in task.quantiles])
    return "Median", np.array([weighted_quantile(y_true, weight, 0.5)])


def serves(task: Task) -> bool:
    """Whether gradient boosting can learn the task: a number, its quantiles, or a class."""
    return task.kind in ("number", "class")


def tree_scores(
    task: Task,
    spec: FittedSpec,
    source: Source,
    frame: pd.DataFrame,
    y_true: NDArray[Any],
    train: NDArray[Any],
    test: NDArray[Any],
    *,
    weight: NDArray[Any],
    log: bool,
    seed: int,
    keep: Keep = forget,
) -> list[ModelScore]:
    """Score histogram gradient boosting on the table, on TF-IDF of the texts, and on both.

    Nothing is scored where trees cannot learn the task, or the training rows have one class only.

    Args:
        task: What the head is asked.
        spec: Fitted spec; its tabular and text groups are used.
        source: Arrays of all rows.
        frame: The same rows, raw.
        y_true: Numbers in the user's units, or classes (rows,).
        train: Positions of the training rows.
        test: Positions of the test rows.
        weight: Row weights (rows,); rows that weigh nothing are not learned from.
        log: Learn the logarithm of the target, as the heads do.
        seed: Seed of the trees and the decomposition.
        keep: Handed the predictions of each score.
    """
    train = train[weight[train] > 0]
    if not serves(task) or (task.kind == "class" and len(np.unique(y_true[train])) < 2):
        return []
    table, categorical = _table(spec, source)
    texts = _tfidf(spec, frame, train, seed)
    inputs = [("table", [table], categorical)] if table is not None else []
    inputs += [("text", [texts], [])] if texts is not None else []
    if table is not None and texts is not None:
        inputs.append(("table + text", [table, texts], categorical))
    scores = []
    for name, parts, columns in inputs:
        start = time.perf_counter()
        features = np.hstack(parts)
        options = {"categorical_features": columns or None, "random_state": seed}
        options |= options_for(len(train))
        known = (features[train], y_true[train], weight[train])
        with few_threads(len(train)):
            if task.kind == "class":
                outputs = _classify(*known, features[test], len(task.classes), options)
            else:
                outputs = _regress(*known, features[test], task.quantiles, log, options)
        metrics = measure(task, y_true[test], outputs, weight[test])
        seconds = time.perf_counter() - start
        scores.append(ModelScore("Gradient boosting", "trees", name, metrics, 0, seconds))
        keep(scores[-1], test, outputs)
    return scores


def _regress(
    features: Matrix,
    y_true: NDArray[Any],
    weight: NDArray[Any],
    asked: Matrix,
    quantiles: Sequence[float],
    log: bool,
    options: dict[str, Any],
) -> Floats:
    """Return the numbers (rows, 1), or their quantiles (rows, Q) in rising order."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    losses: list[dict[str, Any]] = [{"loss": "quantile", "quantile": q} for q in quantiles]
    found = []
    for loss in losses or [{}]:
        model = HistGradientBoostingRegressor(**loss, **options)
        model.fit(features, np.log1p(y_true) if log else y_true, sample_weight=uneven(weight))
        guess = model.predict(asked)
        found.append(np.expm1(guess) if log else guess)
    # Each quantile has a model of its own, so that they may cross.
    return np.sort(np.stack(found, axis=1), axis=1)


def _classify(
    features: Matrix,
    y_true: NDArray[Any],
    weight: NDArray[Any],
    asked: Matrix,
    classes: int,
    options: dict[str, Any],
) -> Floats:
    """Return the probabilities (rows, classes); without early stopping where a class is alone."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    rounds = max(500 // classes, 100)  # each round grows one tree per class
    options = {**options, "learning_rate": 0.1, "max_iter": rounds}
    if np.unique(y_true, return_counts=True)[1].min() < 2:
        options = {**options, "early_stopping": False, "max_iter": 100}
    model = HistGradientBoostingClassifier(**options)
    model.fit(features, y_true, sample_weight=uneven(weight))
    # A class without a training row is not in `classes_`; its probability stays 0.
    result = np.zeros((len(asked), classes))
    result[:, model.classes_.astype(int)] = model.predict_proba(asked)
    return result


def _table(spec: FittedSpec, source: Source) -> tuple[Matrix | None, list[int]]:
    """Return numbers and category codes (rows, F), and which columns hold codes."""
    parts: list[Matrix] = []
    categorical: list[int] = []
    for group in spec.groups:
        if f"{group.name}_numeric" in source.inputs:
            parts.append(np.asarray(source.inputs[f"{group.name}_numeric"]))
        if f"{group.name}_categorical" in source.inputs:
            codes = np.asarray(source.inputs[f"{group.name}_categorical"])
            first = sum(part.shape[1] for part in parts)
            categorical += range(first, first + codes.shape[1])
            parts.append(np.where(codes < MAX_CODES, codes, OUT_OF_VOCABULARY).astype(np.float32))
    return (np.hstack(parts), categorical) if parts else (None, [])


def _tfidf(spec: FittedSpec, frame: pd.DataFrame, train: NDArray[Any], seed: int) -> Matrix | None:
    """Return TF-IDF of words and pairs of words, reduced to 64 components per text group."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    parts = []
    # Fitted on the training rows alone: words of the test rows must not decide what is read.
    for group in (group for group in spec.groups if group.modality == "text"):
        columns = [as_text(frame[name]) for name in group.columns]
        texts = [" ".join(cell or "" for cell in row) for row in zip(*columns, strict=True)]
        vectorizer = TfidfVectorizer(
            ngram_range=(1, 2), min_df=3, max_features=50_000, sublinear_tf=True
        )
        try:
            known = vectorizer.fit_transform([texts[i] for i in train])
        except ValueError:  # no word occurs three times
            continue
        size = min(COMPONENTS, known.shape[1] - 1)
        if size < 1:
            continue
        svd = TruncatedSVD(size, random_state=seed).fit(known)
        parts.append(svd.transform(vectorizer.transform(texts)).astype(np.float32))
    return np.hstack(parts) if parts else None
