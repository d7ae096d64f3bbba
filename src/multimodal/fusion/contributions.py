"""Exact Shapley values of a few groups of inputs, on any function of them.

On tensors, so that one call serves all rows and all outputs of a head on every backend;
`explain.attribution` has the sampled values of many players, on NumPy and one score.
"""

from __future__ import annotations

from collections.abc import Callable
from math import factorial
from typing import Any

from keras import ops, tree

Rows = dict[str, dict[str, Any]]
MAX_GROUPS = 10  # 1,024 coalitions, each a forward pass
BACKGROUND_ROWS = 8  # each multiplies the rows of every pass


def shapley_values(
    function: Callable[[Rows], Any], rows: Rows, background: Rows | None = None
) -> Any:
    """Return how much each group moved each row's output, averaged over background rows.

    The value of a coalition is the mean output of a row that keeps the groups of the coalition and
    takes the others from background rows (interventional Shapley values). All 2**G coalitions are
    computed, so the values are exact: for each row they add up to its output less the mean output
    of its background.

    Args:
        function: Rows to outputs: a tensor `(B, ...)`, or any nest of such tensors.
        rows: Dict of group -> dict of tensors, each with the same B rows.
        background: The same for R rows, with each of which every row is compared. None compares a
            row with up to eight others of the batch, spread evenly.

    Returns:
        The nest of `function` with tensors `(G, B, ...)`, groups in sorted order.

    Raises:
        ValueError: More than ten groups, or one row without a background.

    Example:
    >>> import numpy as np
    >>> rows = {g: {"x": np.array([0.0, 1.0], "float32")} for g in ("a", "b")}
    >>> def function(given):
    ...     return given["a"]["x"] + 3 * given["b"]["x"]
    >>> ops.convert_to_numpy(shapley_values(function, rows)).tolist()
    [[-1.0, 1.0], [-3.0, 3.0]]

    References:
        Shapley, A Value for n-Person Games, 1953; Lundberg and Lee, A Unified Approach to
        Interpreting Model Predictions, 2017; Janzing et al., Feature Relevance Quantification in
        Explainable AI: A Causal Problem, 2020.
    """
    groups = sorted(rows)
    if len(groups) > MAX_GROUPS:
        raise ValueError(
            f"contributions are exact over 2**groups coalitions, so at most {MAX_GROUPS} groups "
            f"can be compared. Received: {len(groups)} groups"
        )
    mine, others, count = _pairs(rows, background)
    outputs = []
    for coalition in range(2 ** len(groups)):
        given = {g: (mine if coalition >> i & 1 else others)[g] for i, g in enumerate(groups)}
        outputs.append(tree.map_structure(lambda each: _mean(each, count), function(given)))
    weights = ops.convert_to_tensor(shapley_weights(len(groups)), dtype="float32")

    def combine(*values: Any) -> Any:
        return ops.tensordot(weights, ops.cast(ops.stack(values), "float32"), axes=1)

    return tree.map_structure(combine, *outputs)


def filled(rows: Rows, others: Rows) -> Rows:
    """Return `rows` with what `others` hold besides: presence, masks and room for longer texts.

    A presence or mask that only the others have is True everywhere here.
    """
    result: Rows = {}
    for group, tensors in rows.items():
        inputs, other = tensors["inputs"], others[group]
        count, tokens = inputs.shape[0], len(inputs.shape) == 3
        result[group] = {"inputs": inputs}
        if "presence" in tensors or "presence" in other:
            result[group]["presence"] = tensors.get("presence", ops.ones((count,), "bool"))
        room = max(other["inputs"].shape[1] - inputs.shape[1], 0) if tokens else 0
        if tokens and ("mask" in tensors or "mask" in other or room):
            mask = tensors.get("mask", ops.ones(inputs.shape[:2], "bool"))
            result[group]["mask"] = ops.pad(mask, ((0, 0), (0, room)))
        if room:
            result[group]["inputs"] = ops.pad(inputs, ((0, 0), (0, room), (0, 0)))
    return result


def _pairs(rows: Rows, background: Rows | None) -> tuple[Rows, Rows, int]:
    """Return rows and backgrounds side by side, all pairs on the batch axis, and their number."""
    rows, background = tree.map_structure(ops.convert_to_tensor, (rows, background or {}))
    size = tree.flatten(rows)[0].shape[0]
    order = ops.arange(size, dtype="int32")
    if not background:
        if size < 2:
            raise ValueError(
                "`background` must be given for a batch of one row, which has no other rows to be "
                "compared with. Received: background=None"
            )
        count = min(BACKGROUND_ROWS, size - 1)
        shifts = [1 + i * (size - 1) // count for i in range(count)]
        # Never 0, which would compare a row with itself.
        theirs = ops.concatenate([(order + shift) % size for shift in shifts])
    else:
        count = tree.flatten(background)[0].shape[0]
        theirs = ops.repeat(ops.arange(count, dtype="int32"), size)
    mine = ops.tile(order, (count,))
    return _take(rows, mine), _take(background or rows, theirs), count


def _take(rows: Rows, index: Any) -> Rows:
    taken: Rows = tree.map_structure(lambda tensor: ops.take(tensor, index, axis=0), rows)
    return taken


def _mean(output: Any, count: int) -> Any:
    """Return the mean `(B, ...)` over the background rows of outputs `(R * B, ...)`."""
    # Nobody asks for gradients, and PyTorch would keep those of every coalition's pass.
    output = ops.stop_gradient(output)
    return ops.mean(ops.reshape(output, (count, -1, *output.shape[1:])), axis=0)


def shapley_weights(players: int) -> list[list[float]]:
    """Return, by player, the weight of each coalition's value in the player's Shapley value.

    Bit p of a coalition's position in `range(2**players)` says whether player p belongs to it.
    """
    rows = []
    for player in range(players):
        row = []
        for coalition in range(2**players):
            inside = coalition >> player & 1
            size = coalition.bit_count() - inside
            weight = factorial(size) * factorial(players - size - 1) / factorial(players)
            row.append(weight if inside else -weight)
        rows.append(row)
    return rows
