"""Arrays and cached photos to tf.data batches `(inputs, targets, weights)`.

An epoch is a function of (seed, epoch): the order of the rows and the augmentation of each photo
follow from the two and the row alone, whatever happened before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from multimodal.data.cache import PhotoCache
from multimodal.spec import PADDING, FittedSpec

MAX_SHIFT = 1 / 16


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
    """
    order, source = tf.constant(rows, tf.int64), _on_device(source)

    def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        shuffled = tf.random.experimental.stateless_shuffle(order, seed=[seed, epoch])
        batches = tf.data.Dataset.from_tensor_slices(shuffled).batch(batch_size)
        return batches.map(lambda chosen: (chosen, epoch))

    def to_batch(chosen: tf.Tensor, epoch: tf.Tensor) -> Any:
        batch = _gather(source, chosen)
        return _augmented(batch, source, chosen, epoch, seed) if augment else batch

    steps = tf.data.Dataset.range(first_epoch, epochs).flat_map(one_epoch)
    return _finish(steps.map(to_batch, num_parallel_calls=2))


def evaluation_dataset(
    source: Source, rows: NDArray[np.integer], *, batch_size: int
) -> tf.data.Dataset:
    """Return the batches of `rows`, once, in order, without augmentation."""
    source = _on_device(source)
    batches = tf.data.Dataset.from_tensor_slices(np.asarray(rows, np.int64)).batch(batch_size)
    return _finish(batches.map(lambda chosen: _gather(source, chosen), num_parallel_calls=2))


def _finish(dataset: tf.data.Dataset) -> tf.data.Dataset:
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return dataset.prefetch(2).with_options(options)


def _on_device(source: Source) -> Source:
    """Return the source with tensors for arrays, so that a graph refers to them by handle."""
    inputs = {key: tf.constant(array) for key, array in source.inputs.items()}
    targets = {key: tf.constant(array) for key, array in source.targets.items()}
    weights = {key: tf.constant(array) for key, array in source.weights.items()}
    return Source(inputs, source.caches, targets, weights, source.lengths)


def _gather(source: Source, chosen: tf.Tensor) -> Any:
    inputs = {key: tf.gather(array, chosen) for key, array in source.inputs.items()}
    for key, lengths in source.lengths.items():
        inputs[key] = _cut(inputs[key], lengths)
    for group, cache in source.caches.items():
        pixels, present = tf.numpy_function(cache.get, [chosen], (tf.uint8, tf.bool))
        inputs[f"{group}_pixels"] = tf.ensure_shape(pixels, (None, *cache.photos.shape[1:]))
        inputs[f"{group}_present"] = tf.ensure_shape(present, (None, cache.photos.shape[1]))
    targets = {head: tf.gather(array, chosen) for head, array in source.targets.items()}
    weights = {head: tf.gather(array, chosen) for head, array in source.weights.items()}
    return inputs, targets, weights


def _cut(tokens: tf.Tensor, lengths: Sequence[int]) -> tf.Tensor:
    """Cut the batch to the smallest fixed length that holds its longest text."""
    longest = tf.reduce_max(tf.reduce_sum(tf.cast(tokens != PADDING, tf.int32), axis=1))
    fixed = tf.constant(lengths, tf.int32)
    position = tf.minimum(tf.searchsorted(fixed, [longest])[0], len(lengths) - 1)
    return tokens[:, : fixed[position]]


def _augmented(batch: Any, source: Source, chosen: tf.Tensor, epoch: tf.Tensor, seed: int) -> Any:
    inputs, targets, weights = batch
    inputs = dict(inputs)
    for group in source.caches:
        key = f"{group}_pixels"
        inputs[key] = augment_photos(inputs[key], tf.stack([seed, epoch]), chosen)
    return inputs, targets, weights


def augment_photos(pixels: tf.Tensor, seed: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Mirror each row's photos at random and shift them by up to a sixteenth of their side.

    Args:
        pixels: uint8 (B, K, H, W, 3).
        seed: Two integers, (seed, epoch).
        rows: int64 (B,); the draw of a row depends on the seed and its first row's number.

    Returns:
        uint8 of the same shape; the border is repeated where the shift bares it.
    """
    shape = tf.shape(pixels)
    batch, slots, side = shape[0], shape[1], shape[2]
    start = tf.stack([tf.cast(seed[0], tf.int64) * 1_000_003 + tf.cast(seed[1], tf.int64), rows[0]])
    draw = tf.random.stateless_uniform((3, batch * slots), seed=start)
    reach = tf.cast(side, tf.float32) * MAX_SHIFT
    shift = tf.cast(tf.round((draw[:2] * 2 - 1) * reach), tf.int32)
    line = tf.range(side)[tf.newaxis]
    down = tf.clip_by_value(line + shift[0][:, tf.newaxis], 0, side - 1)
    across = tf.clip_by_value(line + shift[1][:, tf.newaxis], 0, side - 1)
    across = tf.where(draw[2][:, tf.newaxis] < 0.5, across, side - 1 - across)
    flat = tf.reshape(pixels, (batch * slots, side, side, 3))
    moved = tf.gather(tf.gather(flat, down, axis=1, batch_dims=1), across, axis=2, batch_dims=1)
    return tf.reshape(moved, shape)
