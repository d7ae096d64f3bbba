"""Small generated data, and the command line, that the examples share."""

from __future__ import annotations

import argparse
import io
from typing import Any

import keras
import numpy as np
from PIL import Image

from multimodal.data.features.text import fit_vocabulary, index, pad, word_ids
from multimodal.data.generated import builder_package


def options(description: str | None, **arguments: Any) -> argparse.Namespace:
    """Read `--name value` for each argument: a default, or the type of one that must be given."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawTextHelpFormatter
    )
    for name, value in arguments.items():
        required = isinstance(value, type)
        kind, default = (value, None) if required else (type(value), value)
        parser.add_argument(f"--{name}", type=kind, default=default, required=required)
    return parser.parse_args()


def cosine(rate: float, rows: int, batch_size: int, epochs: int) -> Any:
    """Return a learning rate that falls from `rate` to 0 over the epochs."""
    steps = epochs * -(-rows // batch_size)
    return keras.optimizers.schedules.CosineDecay(rate, steps)


def pixels(content: bytes) -> np.ndarray:
    """Return a JPEG's pixels, uint8 (height, width, 3)."""
    return np.asarray(Image.open(io.BytesIO(content)))


def numbers(names: list[str]) -> np.ndarray:
    """Return each name's position among the sorted different names, int32."""
    return np.unique(names, return_inverse=True)[1].astype("int32")


def designs(rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return photos (rows, 80, 80, 3) of products, their form (of 4) and design (of 12)."""
    products = list(builder_package().generate((rows, 0, 0)))
    forms = [product.factors.shape for product in products]
    both = [product.factors.shape + product.factors.pattern for product in products]
    return np.stack([pixels(p.jpeg()) for p in products]), numbers(forms), numbers(both)


def emotions(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return photos (rows, 64, 64, 3) of faces and their emotion (of 5)."""
    faces = [builder_package("faces").make_face(0, number) for number in range(rows)]
    return np.stack([pixels(face.jpeg()) for face in faces]), numbers([f.emotion for f in faces])


def descriptions(train: int, test: int) -> tuple[list[str], np.ndarray, np.ndarray, int]:
    """Return product descriptions, whether each claims "waterproof", word ids, vocabulary size.

    The first `train` rows are for training. Word ids are int32 (rows, 60), 0 = padding.
    """
    products = list(builder_package().generate((train, 0, test)))
    texts = [product.description for product in products]
    vocabulary = fit_vocabulary(texts[:train], size=5000, min_count=2)
    tokens = pad([word_ids(text, index(vocabulary), 60) for text in texts], 60)
    claims = np.array([product.factors.waterproof for product in products], "int32")
    return texts, claims, tokens, len(vocabulary) + 2


def products(train: int, test: int, length: int, size: int) -> dict[str, np.ndarray]:
    """Return photos, word ids and, as (rows, 1), the log price less its mean, and scratches."""
    rows = list(builder_package().generate((train, 0, test)))
    vocabulary = fit_vocabulary((r.description for r in rows[:train]), size=size - 2, min_count=2)
    ids = index(vocabulary)
    price = np.log([[row.price] for row in rows])
    return {
        "photo": np.stack([pixels(row.jpeg()) for row in rows]),
        "words": pad([word_ids(row.description, ids, length) for row in rows], length),
        "price": (price - price[:train].mean()).astype("float32"),
        "scratches": np.array([[row.factors.wear] for row in rows], "float32"),
    }
