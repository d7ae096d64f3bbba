"""scikit-learn estimators: DataFrames in, `fit`, `predict`, and all that takes an estimator.

`cross_val_score`, `GridSearchCV`, `Pipeline`, `clone` and pickles work as with any other. The rows
may hold texts and photos' paths or bytes beside numbers and categories, so the estimator stands at
the end of a pipeline, or alone: it needs no encoder before it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from multimodal.core.arrays import Floats, Ints
from multimodal.core.config import Config, Kind, LabelKind
from multimodal.core.errors import ConfigError, DataError
from multimodal.core.formatting import joined
from multimodal.core.presets import ConfigLike, as_config
from multimodal.data.photos.locate import Images
from multimodal.evaluation.metrics import best_class
from multimodal.integrations.estimator_inputs import (
    check_infinite,
    checked_target,
    checked_weights,
    class_names,
    free_name,
)
from multimodal.integrations.kept_run import KeptRun
from multimodal.runs.rows import Predictions
from multimodal.runs.run import Run
from multimodal.runs.train import label_kinds, train

__all__ = ["MultimodalClassifier", "MultimodalRegressor"]

LEAST_ROWS = 10  # that can be split to train and to validate


class _MultimodalEstimator(BaseEstimator):
    """What both estimators share: arguments, checks, training and prediction."""

    _target_kind: ClassVar[Kind]
    _label_kind: ClassVar[LabelKind]

    def __init__(
        self,
        *,
        config: ConfigLike = None,
        preset: str | None = None,
        images: Images = None,
        epochs: int | None = None,
        minutes: float | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.config = config
        self.preset = preset
        self.images = images
        self.epochs = epochs
        self.minutes = minutes
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None = None,
        *,
        images: Images = None,
    ) -> Self:
        """Train on all rows; those that validate and choose weights are among them.

        Args:
            X: DataFrame (of pandas, or one that has `to_pandas`), or array, (rows, columns), of
                numbers, categories, dates, texts, photos. NaN and None are missing.
            y: (rows,), numbers, or classes of a classifier. A name that a Series has names the
                target in `run_`.
            sample_weight: (rows,), each at least 0; rows of weight 0 are left out.
            images: Folder that photo paths are relative to, in place of the estimator's; it holds
                for predictions, too.

        Raises:
            ValueError: What is wrong with the rows, where, and how to mend it.
        """
        frame = self._frame(X, reset=True)
        if y is None:
            told = f"This {type(self).__name__} estimator requires y to be passed"
            raise ValueError(f"{told}, but the target y is None.")
        name = getattr(y, "name", None)
        target = free_name(name if isinstance(name, str) and name.strip() else "target", frame)
        labels = self._labels(checked_target(y, len(frame)))
        weight = free_name("sample_weight", frame, target)
        kept = np.ones(len(frame), bool)
        table = frame.assign(**{target: labels})
        if sample_weight is not None:
            weights = checked_weights(sample_weight, len(frame))
            kept = weights > 0
            table = table.assign(**{weight: weights})
        self._check_rows(int(kept.sum()), labels[kept])
        self.images_ = self.images if images is None else images
        config = self._train_config(target)
        fitted = KeptRun()
        with _told(self.verbose):
            train(
                table[kept].reset_index(drop=True),
                target,
                out=fitted.path,
                config=config,
                weight=None if sample_weight is None else weight,
                images=self.images_,
            )
        self._fitted = fitted
        return self

    @property
    def run_(self) -> Run:
        """The run of the fit, for what else it can do: `run_.explain`, `run_.predict` with notes.

        Its directory, `run_.path`, is deleted with the estimator: copy what is to stay.
        """
        check_is_fitted(self)
        return self._fitted.run

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_fitted")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        tags.target_tags.required = True
        return tags

    def _labels(self, y: NDArray[Any]) -> NDArray[Any]:
        """Return the labels (rows,) as the table of the training holds them."""
        raise NotImplementedError

    def _check_rows(self, rows: int, labels: NDArray[Any]) -> None:
        """Raise ValueError where too few rows are left to learn from."""
        if rows < LEAST_ROWS:
            raise ValueError(
                f"Found array with {rows} sample(s) whose weight is not zero while a minimum of "
                f"{LEAST_ROWS} is required by {type(self).__name__}, some of them to validate."
            )

    def _train_config(self, target: str) -> Config:
        """Return the config of the training: all rows learn, nothing is measured or shown."""
        seed = self.random_state
        if seed is not None and not isinstance(seed, Integral):
            seed = check_random_state(seed).randint(2**31 - 1)
        config = as_config(
            self.config,
            self.preset,
            data={"columns": {target: self._target_kind}, "split": {"test": 0.0}},
            epochs=self.epochs,
            minutes=self.minutes,
            seed=None if seed is None else int(seed),
            baselines=False,
            explanations=False,
            report=False,
        )
        if not config.heads:
            return config
        head = config.heads[0]
        if len(config.heads) > 1 or label_kinds().get(head.head.name) != self._label_kind:
            raise ConfigError(
                f"`config` declares {len(config.heads)} head(s), the first '{head.name}' with "
                f"'{head.head.name}'; {type(self).__name__} has one, which learns a "
                f"{self._label_kind}. Leave `heads` out, or use `multimodal.train`."
            )
        return config.model_copy(update={"heads": [head.model_copy(update={"column": target})]})

    def _frame(self, X: Any, *, reset: bool) -> pd.DataFrame:
        """Return the rows as a frame of named columns, checked; learn the names with `reset`."""
        if hasattr(X, "to_pandas"):  # of polars, Arrow
            X = X.to_pandas()
        if isinstance(X, pd.DataFrame):
            frame = X.reset_index(drop=True)
            sparse = {c: t.subtype for c, t in X.dtypes.items() if isinstance(t, pd.SparseDtype)}
            frame = frame.astype(sparse) if sparse else frame
            check_infinite(frame)
        else:
            options = {"ensure_min_samples": 0, "ensure_min_features": 0}
            X = check_array(X, dtype=None, ensure_all_finite="allow-nan", estimator=self, **options)
            frame = pd.DataFrame(X).infer_objects()
        validate_data(self, X, reset=reset, skip_check_array=True)
        for number, what, least in zip(
            frame.shape, ("sample", "feature"), (LEAST_ROWS if reset else 0, 1), strict=True
        ):
            if number < least:
                raise ValueError(
                    f"Found array with {number} {what}(s) (shape={frame.shape}) while a minimum of "
                    f"{least} is required by {type(self).__name__}."
                )
        if reset:
            named = isinstance(X, pd.DataFrame)
            self._columns = [str(c) if named else f"x{i}" for i, c in enumerate(frame.columns)]
        return frame.set_axis(self._columns, axis=1)

    def _predictions(self, X: Any, images: Images, level: float | None = None) -> Predictions:
        """Return the predictions of all rows; raise DataError where a row has none."""
        check_is_fitted(self)
        frame = self._frame(X, reset=False)
        images = self.images_ if images is None else images
        found = self.run_.predict(frame, images=images, level=level)
        (outputs,) = found.outputs.values()
        gone = np.flatnonzero(~np.isfinite(outputs).all(axis=1))
        if len(gone):
            notes = [f"row {row}: {found.frame['note'].iloc[row]}" for row in gone[:3]]
            raise DataError(
                f"{len(gone):,} of {len(frame):,} rows have no prediction: {joined(notes, 3)}. "
                "Mend them or leave them out; `run_.predict` leaves them blank."
            )
        return found


class MultimodalRegressor(RegressorMixin, _MultimodalEstimator):
    """Predict a number from rows of numbers, categories, dates, texts and photos.

    Trains as `multimodal.train` does, on all rows given: a k-fold ensemble of networks stacked with
    a linear model of sparse features. See `fit` for what rows may hold.

    Args:
        config: What is trained, as for `multimodal.train`: a Config, its sections as a dict, or
            the path of a YAML or JSON file. One head may be declared; it learns `y`, whatever
            column it names. Nothing is tested, explained or reported, whatever it says.
        preset: `fast`, `balanced` or `best`, in place of a config.
        images: Folder that photo paths are relative to; the working directory by default.
        epochs: Most epochs to train; the config's by default.
        minutes: All that a fit may take; the config's by default.
        random_state: Seed of everything random: a number, or a `RandomState` that one is drawn
            from. None is the seed of the config, 0 by default: a fit is reproducible.
        verbose: 1 logs what training says to standard error.

    Attributes:
        run_: The run of the fit, a `multimodal.Run`.
        n_features_in_: Number of columns.
        feature_names_in_: Their names, where all are strings.
        images_: Folder of the photos.

    Example:
        model = MultimodalRegressor(images="photos", epochs=10)
        cross_val_score(model, products.drop(columns="price"), products["price"], cv=3)
        model.fit(X, y).predict_interval(X_new, level=0.9)
    """

    _target_kind = "number"
    _label_kind = "number"

    def predict(self, X: Any, *, images: Images = None) -> Floats:
        """Return the predicted numbers (rows,), in the units of `y`.

        Args:
            X: Rows with the columns of `fit`.
            images: Folder that photo paths are relative to; that of the fit by default.

        Raises:
            ValueError: The columns are others, or a row cannot be predicted.
        """
        (found,) = self._predictions(X, images).outputs.values()
        (task,) = self.run_.tasks
        return np.ascontiguousarray(found[:, task.middle])

    def predict_interval(self, X: Any, level: float = 0.9, *, images: Images = None) -> Floats:
        """Return lower and upper ends (rows, 2) of conformal prediction intervals.

        Args:
            X: Rows with the columns of `fit`.
            level: The fraction of rows like those of the fit whose truth lies in the interval, at
                least.
            images: Folder that photo paths are relative to; that of the fit by default.

        Raises:
            ValueError: As `predict`, or the fit had too few rows for so high a level.
        """
        frame = self._predictions(X, images, level).frame
        ends = [name for name in frame if str(name).endswith(("_low", "_high"))]
        return frame[ends].to_numpy(np.float64)

    def _labels(self, y: NDArray[Any]) -> NDArray[Any]:
        if y.dtype.kind in "OUS":
            try:
                y = y.astype(np.float64)
            except (TypeError, ValueError):
                raise ValueError(f"Unknown label type: y holds {y.dtype}, not numbers.") from None
        elif y.dtype.kind not in "iufb":
            raise ValueError(f"Unknown label type: y holds {y.dtype}, not numbers.")
        values = y.astype(np.float64)
        if np.isinf(values).any():
            raise ValueError("Input y contains infinity or a value too large for dtype('float64').")
        return values


class MultimodalClassifier(ClassifierMixin, _MultimodalEstimator):
    """Predict a class from rows of numbers, categories, dates, texts and photos.

    Trains as `multimodal.train` does, on all rows given: a k-fold ensemble of networks stacked with
    a linear model of sparse features. Probabilities are calibrated on rows out of fold. See `fit`
    for what rows may hold.

    Args:
        config: What is trained, as for `multimodal.train`: a Config, its sections as a dict, or
            the path of a YAML or JSON file. One head may be declared; it learns `y`, whatever
            column it names. Nothing is tested, explained or reported, whatever it says.
        preset: `fast`, `balanced` or `best`, in place of a config.
        images: Folder that photo paths are relative to; the working directory by default.
        epochs: Most epochs to train; the config's by default.
        minutes: All that a fit may take; the config's by default.
        random_state: Seed of everything random: a number, or a `RandomState` that one is drawn
            from. None is the seed of the config, 0 by default: a fit is reproducible.
        verbose: 1 logs what training says to standard error.

    Attributes:
        classes_: The classes, sorted, of the type they have in `y`.
        run_: The run of the fit, a `multimodal.Run`.
        n_features_in_: Number of columns.
        feature_names_in_: Their names, where all are strings.
        images_: Folder of the photos.

    Example:
        model = make_pipeline(TableVectorizer(), MultimodalClassifier(preset="fast"))
        model.fit(X, y).predict_proba(X_new)
    """

    _target_kind = "category"
    _label_kind = "class"

    def predict(self, X: Any, *, images: Images = None) -> NDArray[Any]:
        """Return the likeliest class (rows,) of each row.

        Args:
            X: Rows with the columns of `fit`.
            images: Folder that photo paths are relative to; that of the fit by default.

        Raises:
            ValueError: The columns are others, or a row cannot be predicted.
        """
        found, codes = self._probabilities(X, images)
        (task,) = self.run_.tasks
        chosen = codes[best_class(found, ordered=task.ordered)]
        return np.asarray(self.classes_[chosen])

    def predict_proba(self, X: Any, *, images: Images = None) -> Floats:
        """Return the probability (rows, classes) of each class, in the order of `classes_`.

        Args:
            X: Rows with the columns of `fit`.
            images: Folder that photo paths are relative to; that of the fit by default.

        Raises:
            ValueError: As `predict`.
        """
        found, codes = self._probabilities(X, images)
        result = np.zeros((len(found), len(self.classes_)))
        result[:, codes] = found
        return result

    def _probabilities(self, X: Any, images: Images) -> tuple[Floats, Ints]:
        """Return the probabilities of the classes of the run, and which of `classes_` they are."""
        (found,) = self._predictions(X, images).outputs.values()
        (task,) = self.run_.tasks
        names = class_names(self.classes_)
        return found, np.array([names.index(name) for name in task.classes])

    def _labels(self, y: NDArray[Any]) -> NDArray[Any]:
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        return np.array(class_names(self.classes_), object)[codes]

    def _check_rows(self, rows: int, labels: NDArray[Any]) -> None:
        if len(labels) and len(set(labels)) < 2:
            raise ValueError(
                f"{type(self).__name__} needs rows of at least two classes, but the data hold one "
                f"class only: {labels[0]!r}."
            )
        super()._check_rows(rows, labels)


@contextmanager
def _told(verbose: int) -> Iterator[None]:
    """Log the news of the package to standard error, unless somebody listens already."""
    logger = logging.getLogger("multimodal")
    level, handler = logger.level, None
    if verbose:
        logger.setLevel(logging.INFO)
        if not logger.hasHandlers():
            handler = logging.StreamHandler()
            logger.addHandler(handler)
    try:
        yield
    finally:
        logger.setLevel(level)
        if handler is not None:
            logger.removeHandler(handler)
