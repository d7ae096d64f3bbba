"""Our encoders inside a subclassed model with a `train_step` of its own.

python scripts/examples/custom_train_step.py
"""

from typing import Any

import keras
import tensorflow as tf
from drawn import descriptions, options

from multimodal.encoders import RecurrentEncoder


class WaterproofModel(keras.Model):
    """Waterproof or not? Adversarial noise on words (Miyato et al., 2017), by TensorFlow's tape."""

    def __init__(self, vocabulary_size: int) -> None:
        super().__init__()
        self.words = RecurrentEncoder(vocabulary_size, 32, pooling="attention")
        self.answer = keras.layers.Dense(1)
        self.supports_masking = True

    def compute_mask(self, *_: Any) -> None:
        """One answer per row: no mask comes out."""

    def call(self, inputs: Any, mask: Any = None, training: bool | None = None) -> Any:
        return self.answer(self.words(inputs, mask=mask, training=training))

    def train_step(self, data: Any) -> dict[str, Any]:
        (x, y), variables = data, self.trainable_variables
        with tf.GradientTape() as tape:
            tape.watch(embedded := self.words.embed(x))
            loss = self.compute_loss(y=y, y_pred=self(embedded, mask=x != 0, training=True))
        noise = 0.1 * tf.math.l2_normalize(tape.gradient(loss, embedded), (1, 2))
        with tf.GradientTape() as tape:
            moved = self(self.words.embed(x) + noise, mask=x != 0, training=True)
            outputs = self(x, training=True), moved
            loss = sum(self.compute_loss(y=y, y_pred=each) for each in outputs)
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return {"loss": loss}


def main() -> None:
    """Train on generated descriptions, print the accuracy on fresh ones."""
    epochs = options(__doc__, epochs=4).epochs
    keras.utils.set_random_seed(0)
    _, y_true, tokens, size = descriptions(3000, 1000)
    y_true, model = y_true[:, None], WaterproofModel(size)
    model(tokens[:1])  # builds the layers
    model.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True))
    model.fit(tokens[:3000], y_true[:3000], batch_size=64, epochs=epochs, verbose=0)
    guess = model.predict(tokens[3000:], verbose=0) > 0
    print(f"own train_step: accuracy {(guess == y_true[3000:]).mean():.3f}")
    print(f"larger class: accuracy {abs(y_true[3000:].mean() - 0.5) + 0.5:.3f}")


if __name__ == "__main__":
    main()
