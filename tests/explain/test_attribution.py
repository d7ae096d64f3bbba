"""A model is cut at its fusion, and its groups add up, for every fusion and for ensembles."""

from __future__ import annotations

import numpy as np
import pytest
from explained import FUSIONS, inputs_of, model_of, number, part, row_of, score_of, spec_of

from multimodal.explain.attribution import Part, cut, group_values, raw_outputs
from multimodal.models.build import average


@pytest.mark.parametrize("fusion", FUSIONS)
def test_parts_compute_what_the_model_does(fusion: str) -> None:
    spec = spec_of("tabular", "text", "image")
    inputs = inputs_of(spec)
    model = model_of(spec, {}, fusion=part(FUSIONS, fusion))
    row = row_of(model, spec, inputs)
    assert number(raw_outputs(row.parts, row.encoded)) == pytest.approx(
        score_of(model, inputs), rel=1e-4
    )
    again = row.scores(inputs, [group.name for group in spec.groups])
    assert number(again) == pytest.approx(score_of(model, inputs), rel=1e-4)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("fusion", ["concat", "transformer"])
def test_groups_add_up_from_nothing(fusion: str, count: int) -> None:
    spec = spec_of("tabular", "text", "image")
    inputs = inputs_of(spec)
    empty = {key: np.zeros_like(array) for key, array in inputs.items()}
    each = [model_of(spec, {}, fusion=part(FUSIONS, fusion), seed=seed) for seed in range(count)]
    model = average(each)
    row = row_of(model, spec, inputs)
    bare = [one.encode(empty) for one in row.parts]
    found = group_values(row, bare, {group.name: [group.name] for group in spec.groups})
    assert set(found) == {"tabular", "text", "image"}
    total = sum(map(number, found.values()))
    assert total == pytest.approx(score_of(model, inputs) - score_of(model, empty), abs=1e-4)
    joined = group_values(row, bare, {"a": ["tabular", "text"], "b": ["image"]})
    assert sum(map(number, joined.values())) == pytest.approx(total, abs=1e-4)


def test_an_unknown_head_is_named() -> None:
    spec = spec_of("tabular", "text")
    with pytest.raises(ValueError, match="`head` must be one of .*price.*Received: head='rent'"):
        cut(model_of(spec, {}), "rent", spec.groups)


def test_a_part_is_cut_once_per_member() -> None:
    spec = spec_of("tabular", "text")
    parts = cut(average([model_of(spec, {}, seed=s) for s in (0, 1, 2)]), "price", spec.groups)
    assert len(parts) == 3 and all(isinstance(each, Part) for each in parts)
