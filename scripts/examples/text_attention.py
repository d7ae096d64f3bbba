"""Attention over text: which words decide? A transformer whose pooling can be read.

    python scripts/examples/text_attention.py

Does a description say that the product is waterproof? It may deny it. A bag of words cannot tell
"not waterproof" from "not heavy, waterproof"; TF-IDF with logistic regression stands beside.
"""

from __future__ import annotations

import keras
import numpy as np
from drawn import descriptions, options
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from multimodal.data.features.text import words
from multimodal.encoders import TransformerTextEncoder
from multimodal.heads import BinaryHead
from multimodal.layers.pooling import AttentionPooling


def main() -> None:
    """Train on 3,000 descriptions, print the accuracy on 1,000, and one description's weights."""
    epochs = options(__doc__, epochs=8).epochs
    keras.utils.set_random_seed(0)
    texts, y, tokens, size = descriptions(3000, 1000)
    inputs = keras.Input((None,), dtype="int32")
    encoder = TransformerTextEncoder(size, 32, num_layers=2)
    pooling, head = AttentionPooling(num_heads=1), BinaryHead()
    model = keras.Model(inputs, head(pooling(encoder(inputs))))
    model.compile(keras.optimizers.Adam(2e-3), head.make_loss())
    model.fit(tokens[:3000], y[:3000], batch_size=64, epochs=epochs, verbose=0)
    guess = model.predict(tokens[3000:], verbose=0)[:, 0] > 0
    linear = make_pipeline(TfidfVectorizer(), LogisticRegression(C=10)).fit(texts[:3000], y[:3000])
    print(f"transformer: accuracy {np.mean(guess == y[3000:]):.3f}")
    print(f"TF-IDF + logistic regression: accuracy {linear.score(texts[3000:], y[3000:]):.3f}")
    print(f"larger class: accuracy {np.bincount(y[3000:]).max() / 1000:.3f}")
    shown = words(texts[3000])
    scores = keras.ops.softmax(pooling.score(encoder(tokens[3000:3001]))[0, : len(shown), 0])
    weights = keras.ops.convert_to_numpy(scores)
    for i in np.argsort(-weights)[:5]:
        print(f"  {shown[i]}: weight {weights[i]:.2f}")


if __name__ == "__main__":
    main()
