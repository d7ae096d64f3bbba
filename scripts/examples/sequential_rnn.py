"""Sequential is enough: a recurrent network on the sentiment of film reviews.

    python scripts/examples/sequential_rnn.py --data reviews.csv

The file has the columns `sentiment` and `text` (2,000 reviews; Pang and Lee, 2004). A fifth of the
rows is for testing; TF-IDF with logistic regression stands beside the network.
"""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pandas as pd
from drawn import options
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from multimodal.data.features.text import fit_vocabulary, index, pad, word_ids
from multimodal.encoders import RecurrentEncoder
from multimodal.heads import BinaryHead

LENGTH = 400


def main() -> None:
    """Train on four fifths of the reviews, print the accuracy on the rest."""
    arguments = options(__doc__, data=Path, epochs=8)
    keras.utils.set_random_seed(0)
    table = pd.read_csv(arguments.data)
    labels = (table["sentiment"] == "pos").to_numpy("int32")
    train, test = train_test_split(
        np.arange(len(table)), stratify=labels, test_size=0.2, random_state=0
    )
    texts = table["text"].to_numpy()
    vocabulary = fit_vocabulary(texts[train], size=20_000, min_count=3)
    ids = index(vocabulary)
    tokens = pad([word_ids(text, ids, LENGTH) for text in texts], LENGTH)
    head = BinaryHead()
    encoder = RecurrentEncoder(
        len(vocabulary) + 2, 32, embedding_dim=64, dropout=0.4, pooling="max"
    )
    model = keras.Sequential([keras.Input((None,), dtype="int32"), encoder, head])
    model.compile(keras.optimizers.AdamW(3e-3), head.make_loss())
    model.fit(tokens[train], labels[train], batch_size=32, epochs=arguments.epochs, verbose=0)
    guess = model.predict(tokens[test], verbose=0)[:, 0] > 0
    linear = make_pipeline(TfidfVectorizer(sublinear_tf=True), LogisticRegression(C=10))
    linear.fit(texts[train], labels[train])
    print(f"Sequential RNN: accuracy {np.mean(guess == labels[test]):.3f}")
    print(f"TF-IDF + logistic regression: accuracy {linear.score(texts[test], labels[test]):.3f}")
    print(f"one class: accuracy {np.bincount(labels[test]).max() / len(test):.3f}")


if __name__ == "__main__":
    main()
