"""Hand-made gradient boosting in the harness: what an hour's work on a table with texts comes to.

    python run_boosting.py FILE TARGET --folds FOLDS --out answers.csv ...

See `harness.py` for the arguments. LightGBM reads numbers, codes of digits as numbers, the greatest
number of each text, what each category means for the target (out of fold), 100 singular vectors of
TF-IDF, and what a linear model of TF-IDF says (out of fold); the linear model has the share beside
it that rows out of fold show. Photos are left out. Where the target is a class, the linear model
predictions alone. `--variant table` leaves the texts out.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import scipy.sparse as sparse
from harness import Columns, LogScale, main
from scipy.optimize import nnls
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold

PRIOR, FOLDS, SEEDS = 10.0, 5, 3
TREES = {
    "n_estimators": 600,
    "learning_rate": 0.02,
    "num_leaves": 15,
    "min_child_samples": 10,
    "subsample": 0.8,
    "subsample_freq": 1,
    "colsample_bytree": 0.3,
    "verbose": -1,
    "n_jobs": 1,
}


def greatest_number(texts: pd.Series) -> Any:
    """Return the greatest number in each text, such as a size or a year, NaN without one."""
    numbers = texts.str.extractall(r"(\d+(?:\.\d+)?)")[0].astype(float)
    return numbers.groupby(level=0).max().reindex(texts.index).to_numpy(float)


class BoostingPeer:
    """LightGBM and a linear model behind the harness's two methods."""

    def words(self, frame: pd.DataFrame, fit: bool = False) -> Any:
        """Return TF-IDF of words and pairs of all texts and categories, sparse."""
        parts = []
        for name in self.columns.texts + self.columns.categories if self.reads else []:
            if fit:
                self.counted[name] = TfidfVectorizer(
                    ngram_range=(1, 2),
                    min_df=5 if self.columns.classes else 2,
                    sublinear_tf=True,
                    token_pattern=r"\b\w+\b",
                ).fit(frame[name])
            parts.append(self.counted[name].transform(frame[name]))
        return sparse.hstack(parts).tocsr() if parts else None

    def means(self, known: pd.DataFrame, y_true: Any, asked: pd.DataFrame) -> Any:
        """Return what the categories of `asked` mean for the target in `known`."""
        found = []
        for name in self.columns.categories:
            by = pd.Series(y_true, known.index).groupby(known[name])
            mean = (by.sum() + PRIOR * y_true.mean()) / (by.count() + PRIOR)
            found.append(asked[name].map(mean).fillna(y_true.mean()).to_numpy())
        return np.array(found).reshape(len(found), len(asked)).T

    def cells(self, frame: pd.DataFrame) -> Any:
        """Return numbers, and codes of digits as numbers."""
        found = [frame[name].to_numpy(float) for name in self.columns.numbers]
        found += [
            pd.to_numeric(frame[name], errors="coerce").to_numpy(float)
            for name in self.columns.categories
        ]
        if self.reads:
            found += [greatest_number(frame[name]) for name in self.columns.texts]
        return np.array(found).reshape(len(found), len(frame)).T

    def features(self, frame: pd.DataFrame, means: Any, words: Any, said: Any) -> Any:
        """Return what the trees read."""
        summed = [] if words is None else [self.svd.transform(words), said[:, None]]
        return np.hstack([self.cells(frame), means, *summed])

    def fit(
        self,
        train: pd.DataFrame,
        validation: pd.DataFrame,
        root: Path,
        columns: Columns,
        options: argparse.Namespace,
    ) -> list[float]:
        """Fit on all rows: nothing here is stopped early."""
        start = time.perf_counter()
        rows = pd.concat([train, validation], ignore_index=True)
        self.columns, self.reads = columns, options.variant != "table"
        self.counted: dict[str, Any] = {}
        words = self.words(rows, fit=True)
        if columns.classes:
            self.linear = LogisticRegression(C=100.0, max_iter=1000)
            self.linear.fit(words, rows[columns.target])
        else:
            self.scale = LogScale(rows[columns.target])
            self.fit_numbers(rows, words, self.scale.scaled(rows[columns.target]).astype(float))
        return [time.perf_counter() - start]

    def fit_numbers(self, rows: pd.DataFrame, words: Any, y_true: Any) -> None:
        """Fit the linear model, then the trees on what it says of rows it has not seen."""
        said, means = np.zeros(len(rows)), np.zeros((len(rows), len(self.columns.categories)))
        parts = list(KFold(FOLDS, shuffle=True, random_state=0).split(rows))
        for known, own in parts:
            means[own] = self.means(rows.iloc[known], y_true[known], rows.iloc[own])
            if words is not None:
                said[own] = Ridge(1.0).fit(words[known], y_true[known]).predict(words[own])
        if words is not None:
            self.linear = Ridge(1.0).fit(words, y_true)
            size = min(100, len(rows) - 1, words.shape[1] - 1)
            self.svd = TruncatedSVD(size, random_state=0).fit(words)
        features, guess = self.features(rows, means, words, said), np.zeros(len(rows))
        self.trees = []
        for known, own in parts:
            for seed in range(SEEDS):
                model = lightgbm.LGBMRegressor(random_state=seed, **TREES)
                model.fit(features[known], y_true[known])
                guess[own] += model.predict(features[own]) / SEEDS
                self.trees.append(model)
        self.shares = np.array([1.0, 0.0])
        if words is not None:
            self.shares = nnls(np.stack([guess, said], axis=1), y_true)[0]
        self.rows, self.y_true = rows, y_true

    def predict(self, frame: pd.DataFrame) -> Any:
        """Return prices or classes of raw rows."""
        words = self.words(frame)
        if self.columns.classes:
            return self.linear.predict(words)
        said = np.zeros(len(frame)) if words is None else self.linear.predict(words)
        means = self.means(self.rows, self.y_true, frame)
        features = self.features(frame, means, words, said)
        guess = np.mean([model.predict(features) for model in self.trees], axis=0)
        return self.scale.price(self.shares[0] * guess + self.shares[1] * said)


if __name__ == "__main__":
    main(BoostingPeer)
