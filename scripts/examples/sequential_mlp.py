"""Sequential is enough: a multilayer perceptron on one table of numbers.

    python scripts/examples/sequential_mlp.py

Breast-cancer biopsies, 569 rows of 30 numbers (Wolberg, Street and Mangasarian, 1995; it comes with
scikit-learn): benign or malignant, against the larger class and a logistic regression.
"""

from __future__ import annotations

import keras
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from multimodal.encoders import DenseEncoder
from multimodal.heads import BinaryHead


def main() -> None:
    """Train on three quarters of the rows, print the accuracy on the rest."""
    keras.utils.set_random_seed(0)
    numbers, labels = load_breast_cancer(return_X_y=True)
    train, test, learned, y_true = train_test_split(
        numbers.astype("float32"), labels.astype("int32"), stratify=labels, random_state=0
    )
    mean, scale = train.mean(0), train.std(0)
    train, test = (train - mean) / scale, (test - mean) / scale
    head = BinaryHead()
    model = keras.Sequential(
        [keras.Input((train.shape[1],)), DenseEncoder(hidden_dims=[64, 32], pooling="mean"), head]
    )
    model.compile(keras.optimizers.AdamW(2e-3), head.make_loss())
    model.fit(train, learned, batch_size=32, epochs=30, verbose=0)
    malignant = keras.ops.convert_to_numpy(head.decode(model.predict(test, verbose=0)))[:, 1]
    linear = LogisticRegression(max_iter=1000).fit(train, learned)
    print(f"Sequential MLP: accuracy {np.mean((malignant > 0.5) == y_true):.3f}")
    print(f"logistic regression: accuracy {linear.score(test, y_true):.3f}")
    print(f"larger class: accuracy {max(y_true.mean(), 1 - y_true.mean()):.3f}")


if __name__ == "__main__":
    main()
