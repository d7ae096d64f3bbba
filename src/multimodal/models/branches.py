"""The branch of a feature group in a network: inputs, encoder and pooling of its modality."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from multimodal.core.spec import FittedGroup
from multimodal.layers.base import Tensor
from multimodal.layers.photos import AnyPhoto, FoldPhotos, JoinTokens, UnfoldPhotos
from multimodal.layers.pooling import MeanPooling

Branch = tuple[dict[str, Tensor], Tensor, Tensor | None]  # inputs, features, presence


def branch(fitted: FittedGroup, encoder: Any, pool: Any) -> Branch:
    """Return a group's inputs by key, its tokens or vector, and its presence, if it can be absent.

    Args:
        fitted: The group as it was fitted.
        encoder: Its encoder.
        pool: Its pooling; None for a fusion that takes tokens.
    """
    own = _BRANCHES[fitted.modality] if fitted.pretrained is None else _features_branch
    return own(fitted, encoder, pool)


def _rows_branch(fitted: FittedGroup, keys: dict[str, Tensor], tokens: Tensor, pool: Any) -> Branch:
    """Return the branch of a group with one cell per row."""
    present = None
    if fitted.optional:
        key = f"{fitted.name}_present"
        present = keras.Input((), dtype="bool", name=key)
        keys = keys | {key: present}
    return keys, tokens if pool is None else pool(tokens), present


def _tabular_branch(fitted: FittedGroup, encoder: Any, pool: Any) -> Branch:
    columns: dict[str, Tensor] = {}
    for kind, size, dtype in (
        ("numeric", len(fitted.numeric), "float32"),
        ("categorical", len(fitted.categorical), "int32"),
    ):
        if size:
            columns[kind] = keras.Input((size,), dtype=dtype, name=f"{fitted.name}_{kind}")
    inputs = {f"{fitted.name}_{kind}": tensor for kind, tensor in columns.items()}
    return _rows_branch(fitted, inputs, encoder(columns), pool)


def _text_branch(fitted: FittedGroup, encoder: Any, pool: Any) -> Branch:
    key = f"{fitted.name}_tokens"
    tokens = keras.Input((None,), dtype="int32", name=key)
    return _rows_branch(fitted, {key: tokens}, encoder(tokens), pool)


def _series_branch(fitted: FittedGroup, encoder: Any, pool: Any) -> Branch:
    key = f"{fitted.name}_series"
    series = keras.Input((fitted.steps, len(fitted.channels)), dtype="float32", name=key)
    return _rows_branch(fitted, {key: series}, encoder(series), pool)


def _image_branch(fitted: FittedGroup, encoder: Any, pool: Any) -> Branch:
    name, size = fitted.name, fitted.image_size
    pixels = keras.Input((fitted.photos, size, size, 3), dtype="uint8", name=f"{name}_pixels")
    present = keras.Input((fitted.photos,), dtype="bool", name=f"{name}_present")
    folded = FoldPhotos(name=f"{name}_fold")(pixels)
    # Without a mask, Keras' own batch normalization is called.
    always = fitted.photos == 1 and not fitted.optional
    mask = None if always else FoldPhotos(name=f"{name}_fold_present")(present)
    each = encoder(folded, mask=mask)
    each = each if pool is None else pool(each)
    photos = UnfoldPhotos(photos=fitted.photos, name=f"{name}_unfold")(each)
    join = MeanPooling if pool is not None else JoinTokens
    feature = join(name=f"{name}_photos")(photos, mask=present)
    inputs = {f"{name}_pixels": pixels, f"{name}_present": present}
    return inputs, feature, AnyPhoto(name=f"{name}_any")(present)


def _features_branch(fitted: FittedGroup, encoder: Any, pool: Any) -> Branch:
    """Return the branch of a group read as frozen features, a token a photo, its part, or text."""
    assert fitted.pretrained is not None
    key, slots = f"{fitted.name}_features", max(fitted.photos, 1)
    cells = fitted.pretrained.cells
    features = keras.Input((slots * cells, fitted.pretrained.dim), dtype="float32", name=key)
    if fitted.modality != "image":
        return _rows_branch(fitted, {key: features}, encoder(features), pool)
    present = keras.Input((slots,), dtype="bool", name=f"{fitted.name}_present")
    there = present if cells == 1 else keras.ops.repeat(present, cells, axis=1)
    tokens = encoder(features, mask=there)
    feature = tokens if pool is None else pool(tokens, mask=there)
    inputs = {key: features, f"{fitted.name}_present": present}
    return inputs, feature, AnyPhoto(name=f"{fitted.name}_any")(present)


_BRANCHES: dict[str, Callable[[FittedGroup, Any, Any], Branch]] = {
    "tabular": _tabular_branch,
    "text": _text_branch,
    "image": _image_branch,
    "series": _series_branch,
}
