"""Build, train, stack, average and fine-tune models.

Importing it registers every layer, loss and metric of the project with Keras, so that
`keras.models.load_model("run/model.keras")` finds them.
"""

from multimodal.models.build import build, decoded

__all__ = ["build", "decoded"]
