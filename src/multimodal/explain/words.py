"""How much each word of a text moved the score of a row: gradients, or words left out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from multimodal.core.arrays import Bools, Floats
from multimodal.core.spec import PADDING, FittedGroup
from multimodal.data.features.text import tokenise
from multimodal.explain.attribution import ScoredRow, estimate_shapley_values, floats
from multimodal.explain.gradients import word_scores
from multimodal.explain.linear import LinearScores
from multimodal.explain.records import WordScores

GRADIENTS = "integrated gradients"
SAMPLED = "words left out in random orders"
LINEAR = "the sparse linear model alone"


def explain_words(
    row: ScoredRow, group: FittedGroup, text: str, linear: LinearScores | None = None
) -> WordScores | None:
    """Return the scores of a group's words, None where the row has none.

    Where the encoders take word vectors, they are integrated gradients; of a backbone that takes
    ids alone, Shapley values of leaving words out, from random orders. Both add up to the
    difference between the score of the row and that without its words. The linear model's part of
    each word comes on top; it reads the words that are too many for the networks, too.

    Args:
        row: The row, encoded.
        group: A text group.
        text: The text of the row.
        linear: What the sparse linear model adds to the row's score, where there is one.
    """
    if group.pretrained is not None:
        return _of_linear_model(group, text, linear)
    tokens = np.asarray(row.inputs[f"{group.name}_tokens"])
    count = int((tokens != PADDING).sum())
    if not count:
        return None
    found = tokenise(text)
    if all(hasattr(each.encoders[group.name], "embed") for each in row.submodels):
        moved = 0.0 if linear is None else linear.groups([group.name])
        path = word_scores(row, group.name, beside=moved)
        # what follows is padding
        scores = floats(path.scores)[:count]
        start, end, method = path.start, path.end, GRADIENTS
    else:
        scores, start, end = _left_out(row, group.name, tokens, count)
        method = SAMPLED
    read = found[count].start if len(found) > count else len(text)
    if linear is None:
        found = found[:count]
    else:
        each = linear.words(group, text)
        scores = np.pad(scores, (0, len(each) - count)) + each
        start, end = start + linear.total - float(each.sum()), end + linear.total
    spans = [(word.start, word.end) for word in found]
    beyond = linear is not None
    return WordScores(group.name, text, spans, scores, start, end, read, method, beyond)


def _of_linear_model(
    group: FittedGroup, text: str, linear: LinearScores | None
) -> WordScores | None:
    """Return what the linear model says of each word; frozen features are of the whole text."""
    found = tokenise(text)
    if linear is None or not found:
        return None
    scores, spans = linear.words(group, text), [(word.start, word.end) for word in found]
    start, end = linear.total - float(scores.sum()), linear.total
    return WordScores(group.name, text, spans, scores, start, end, len(text), LINEAR, True)


def _left_out(
    row: ScoredRow, group: str, tokens: NDArray[np.int32], count: int
) -> tuple[Floats, float, float]:
    """Return Shapley values of the words, and the scores without any and with all of them."""
    keys = row.submodels[0].keys[group]
    ends: list[float] = []

    def function(who: Bools) -> Floats:
        variants = {key: np.repeat(np.asarray(row.inputs[key]), len(who), axis=0) for key in keys}
        kept = np.zeros((len(who), tokens.shape[1]), bool)
        kept[:, :count] = who
        variants[f"{group}_tokens"] = np.where(kept, tokens, PADDING).astype(np.int32)
        return floats(row.scores(variants, [group]))

    for who in (np.zeros((1, count), bool), np.ones((1, count), bool)):
        ends.append(float(function(who)[0]))
    return estimate_shapley_values(function, count)[0], ends[0], ends[1]
