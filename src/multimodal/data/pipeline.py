"""Arrays and cached photos to tf.data batches `(inputs, targets, weights)`.

An epoch is a function of (seed, epoch): the order of the rows and the augmentation of each photo
follow from the two and the row alone, whatever happened before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from multimodal.data.augment import augment_photos
from multimodal.data.cache import PhotoCache
from multimodal.spec import PADDING, FittedSpec


@dataclass(frozen=True)
class Source:
    """Everything batches are cut from; the first axis of every array is the row.

    `inputs` holds all but the pixels, `caches` the photos by group, `targets` (rows, 1) and
    `weights` (rows,) are by head; `lengths` are the fixed text lengths by input key.
    """

    inputs: Mapping[str, NDArray[Any]]
    caches: Mapping[str, PhotoCache]
    targets: Mapping[str, NDArray[Any]]
    weights: Mapping[str, NDArray[Any]]
    lengths: Mapping[str, Sequence[int]]

    @classmethod
    def of(
        cls,
        spec: FittedSpec,
        inputs: Mapping[str, NDArray[Any]],
        caches: Mapping[str, PhotoCache],
        targets: Mapping[str, NDArray[Any]],
        weights: Mapping[str, NDArray[Any]],
    ) -> Source:
        """Take the text lengths from the spec."""
        lengths = {f"{g.name}_tokens": g.lengths for g in spec.groups if g.lengths}
        return cls(inputs, caches, targets, weights, lengths)

    def only(self, modality: str, spec: FittedSpec) -> Source:
        """Return a source that holds the inputs of one modality, so that no other is decoded."""
        names = [group.name for group in spec.groups if group.modality == modality]
        keys = {key for group in spec.groups if group.name in names for key in group.input_keys}
        return Source(
            {key: array for key, array in self.inputs.items() if key in keys},
            {name: cache for name, cache in self.caches.items() if name in names},
            self.targets,
            self.weights,
            {key: lengths for key, lengths in self.lengths.items() if key in keys},
        )

    @cached_property
    def tensors(self) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        """Inputs, targets and weights as tensors in main memory, made once for all datasets."""
        with tf.init_scope(), tf.device("CPU:0"):
            inputs = {key: tf.constant(array) for key, array in self.inputs.items()}
            targets = {key: tf.constant(array) for key, array in self.targets.items()}
            weights = {key: tf.constant(array) for key, array in self.weights.items()}
        return inputs, targets, weights


def training_dataset(
    source: Source,
    rows: NDArray[np.integer],
    *,
    batch_size: int,
    seed: int,
    epochs: int,
    first_epoch: int = 0,
    augment: bool = True,
) -> tf.data.Dataset:
    """Return the batches of epochs `first_epoch` to `epochs - 1`, one after the other.

    Every epoch holds every row once, in an order of its own, in `ceil(rows / batch_size)` batches.

    Args:
        source: what batches are cut from.
        rows: (N,) positions of the rows to train on.
        batch_size: rows of a batch; the last one of an epoch holds what is left.
        seed: fixes order and augmentation, together with the epoch's number.
        epochs: number of the epoch to stop before.
        first_epoch: number of the epoch to start with.
        augment: whether photos are mirrored and shifted, see `augment_photos`.
    """
    with tf.device("CPU:0"):
        order = tf.constant(rows, tf.int64)
    steps = -(-len(rows) // batch_size)

    def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        shuffled = tf.random.experimental.stateless_shuffle(order, seed=[seed, epoch])
        starts = tf.data.Dataset.range(0, steps * batch_size, batch_size)
        return starts.map(lambda start: (shuffled[start : start + batch_size], epoch))

    def to_batch(chosen: tf.Tensor, epoch: tf.Tensor) -> Any:
        return _batch(source, chosen, (seed, epoch) if augment else None)

    batches = tf.data.Dataset.range(first_epoch, epochs).flat_map(one_epoch)
    return _finish(batches.map(to_batch, num_parallel_calls=2))


def evaluation_dataset(
    source: Source, rows: NDArray[np.integer], *, batch_size: int
) -> tf.data.Dataset:
    """Return the batches of `rows` (N,), once, in order, without augmentation."""
    batches = tf.data.Dataset.from_tensor_slices(np.asarray(rows, np.int64)).batch(batch_size)
    return _finish(batches.map(lambda chosen: _batch(source, chosen, None), num_parallel_calls=2))


def _finish(dataset: tf.data.Dataset) -> tf.data.Dataset:
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return dataset.prefetch(2).with_options(options)


def _batch(source: Source, chosen: tf.Tensor, draw: tuple[int, tf.Tensor] | None) -> Any:
    """Cut the rows `chosen` int64 (B,) out of the source; `draw` is (seed, epoch) or None."""
    inputs, targets, weights = (
        {key: tf.gather(array, chosen) for key, array in part.items()} for part in source.tensors
    )
    for key, lengths in source.lengths.items():
        inputs[key] = _cut(inputs[key], lengths)
    for group, cache in source.caches.items():
        pixels, present = _photos(cache, chosen, draw)
        inputs[f"{group}_pixels"] = tf.ensure_shape(pixels, (None, *cache.photos.shape[1:]))
        inputs[f"{group}_present"] = tf.ensure_shape(present, (None, cache.photos.shape[1]))
    return inputs, targets, weights


def _photos(cache: PhotoCache, chosen: tf.Tensor, draw: tuple[int, tf.Tensor] | None) -> Any:
    """Return pixels and presence of the rows, the pixels augmented where there is a draw."""
    if draw is None:
        return tf.numpy_function(cache.get, [chosen], (tf.uint8, tf.bool))
    seed, epoch = draw

    def augmented(rows: NDArray[np.int64], epoch: np.int64) -> Any:
        pixels, present = cache.get(rows)
        return augment_photos(pixels, (seed, int(epoch)), rows), present

    return tf.numpy_function(augmented, [chosen, epoch], (tf.uint8, tf.bool))


def _cut(tokens: tf.Tensor, lengths: Sequence[int]) -> tf.Tensor:
    """Cut the batch to the smallest fixed length that holds its longest text."""
    longest = tf.reduce_max(tf.reduce_sum(tf.cast(tokens != PADDING, tf.int32), axis=1))
    fixed = tf.constant(lengths, tf.int32)
    position = tf.minimum(tf.searchsorted(fixed, [longest])[0], len(lengths) - 1)
    return tokens[:, : fixed[position]]
