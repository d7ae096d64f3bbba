"""Weights of every tabular encoder and fusion go to the column, category or group they are of."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from tiny import PHOTOS, TABLE, WORDS, spec_of, tiny_config

from multimodal.core.config import Config, Head, Part
from multimodal.core.spec import FittedSpec
from multimodal.encoders import DenseEncoder
from multimodal.layers.registry import names
from multimodal.models.build import build
from multimodal.models.finetune import carry_over, moved, named_axes

BINS = {"x": [-1.0, 0.0, 1.0], "y": [-2.0, 2.0], "z": [0.0, 1.0, 2.0, 3.0]}
ENCODERS: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("dense", {}),
    "linear": ("dense", {"numeric_embedding": "linear", "numeric_embedding_dim": 3}),
    "bins": ("dense", {"numeric_embedding": "piecewise_linear", "numeric_embedding_dim": 3}),
    "periodic": ("dense", {"numeric_embedding": "periodic", "numeric_embedding_dim": 3}),
    "ensemble": ("dense", {"num_members": 2, "num_blocks": 1}),
    "cross": ("cross", {"num_layers": 2}),
    "thin": ("cross", {"num_layers": 2, "rank": 2, "numeric_embedding": "linear"}),
}
SMALL = {"hidden_dims": [6], "embedding_dim": 4, "dropout": 0.0}
FT = {"hidden_dim": 8, "num_heads": 2, "mlp_dim": 4, "num_layers": 1, "dropout": 0.0}


def spec(numbers: str, *, photos: bool = False, sizes: dict[str, list[float]] = BINS) -> FittedSpec:
    """A fitted spec of a table with a colour, texts and, if asked for, photos."""
    table = {
        "columns": [*numbers.split(), "colour"],
        "numeric": [{"name": n, "source": n, "bins": sizes[n]} for n in numbers.split()],
        "categorical": [{"name": "colour", "source": "colour", "categories": ["red", "blue"]}],
    }
    return spec_of(table, ["one", "two"], photos=photos)


def model_of(
    fitted: FittedSpec,
    seed: int,
    encoder: tuple[str, dict[str, Any]] | None = None,
    fusion: str = "concat",
    **options_of_fusion: Any,
) -> keras.Model:
    """A built model whose every weight is a random number of its seed."""
    kind, options = encoder or ENCODERS["plain"]
    given = FT | options if kind == "ft_transformer" else SMALL | options
    table = {**TABLE, "encoder": {"name": kind, "options": given}}
    parts = tiny_config(*[table, WORDS, PHOTOS][: len(fitted.groups)])
    update = {
        "fusion": Part(name=fusion, options=options_of_fusion),
        "heads": [Head.model_validate({"name": "price", "column": "price"})],
    }
    model = build(parts.model_copy(update=update), fitted)
    random = np.random.default_rng(seed)
    model.set_weights([random.normal(size=value.shape) for value in model.get_weights()])
    return model


def values(model: keras.Model) -> dict[str, np.ndarray]:
    return {w.path: keras.ops.convert_to_numpy(w) for w in model.weights}


def table_of(fitted: FittedSpec, x: np.ndarray, y: np.ndarray, **more: np.ndarray) -> Any:
    columns = {"x": x, "y": y, **more}
    numbers = [columns[column.source] for column in fitted.groups[0].numeric]
    codes = np.arange(len(x))[:, None] % 4
    return {
        "numeric": np.stack(numbers, axis=1).astype("float32"),
        "categorical": codes.astype("int32"),
    }


def encoded(model: keras.Model, rows: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(model.get_layer("table_encoder")(rows)))


ALL = {**ENCODERS, "tokens": ("ft_transformer", {"numeric_embedding": "piecewise_linear"})}


@pytest.mark.parametrize("name", ALL)
def test_columns_in_another_order_are_read_as_before(name: str) -> None:
    """The encoder gives every row the same vector, wherever its columns now stand."""
    sizes = {**BINS, "y": [-2.0, 1.0, 2.0]}
    before, after = spec("x y", sizes=sizes), spec("y x", sizes=sizes)
    old, new = model_of(before, 1, ALL[name]), model_of(after, 2, ALL[name])
    notes = carry_over(old, before, new, after)
    assert not [note for note in notes if note.startswith("fresh")], notes
    x, y = np.random.default_rng(0).normal(size=(2, 5))
    first, second = encoded(old, table_of(before, x, y)), encoded(new, table_of(after, x, y))
    if name == "tokens":
        second = second[:, [1, 0, 2]]
    np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ENCODERS)
def test_a_new_column_has_no_effect_yet(name: str) -> None:
    before, after = spec("x y"), spec("x y z", sizes={**BINS, "z": [0.0, 1.0, 2.0]})
    old, new = model_of(before, 1, ENCODERS[name]), model_of(after, 2, ENCODERS[name])
    carry_over(old, before, new, after)
    x, y, z = np.random.default_rng(0).normal(size=(3, 5))
    for filler in (z, z + 9):
        np.testing.assert_allclose(
            encoded(new, table_of(after, x, y, z=filler)),
            encoded(old, table_of(before, x, y)),
            rtol=1e-4,
            atol=1e-4,
        )


@pytest.mark.parametrize("name", ALL)
def test_a_column_in_the_place_of_another_takes_over_nothing_of_it(name: str) -> None:
    """`z` where `y` was: every shape agrees, and still no weight of `y` becomes one of `z`."""
    before, after = spec("x y"), spec("x z", sizes={**BINS, "z": BINS["y"]})
    old, new = model_of(before, 1, ALL[name]), model_of(after, 2, ALL[name])
    fresh = values(new)
    carry_over(old, before, new, after)
    was, now = values(old), values(new)
    if name in ("plain", "ensemble", "cross"):  # a number and its flag, one entry each
        paths, rows = ["dense_0/kernel", "mlp/dense_0/kernel", "cross_0/kernel"], [1, 3]
        paths = [f"table_encoder/{path}" for path in paths if f"table_encoder/{path}" in now]
        assert paths
        for path in paths:
            assert not now[path][rows].any()
            np.testing.assert_array_equal(now[path][0], was[path][0] * (now[path][0] != 0))
    else:
        for path in [path for path in now if "/numbers/" in path]:
            np.testing.assert_array_equal(now[path][0], was[path][0])
            np.testing.assert_array_equal(now[path][1], fresh[path][1])


def test_more_bins_than_before_start_the_numbers_afresh_and_say_so() -> None:
    before, after = spec("x y"), spec("x y z")  # z has three bins, no column had more than two
    old, new = model_of(before, 1, ENCODERS["bins"]), model_of(after, 2, ENCODERS["bins"])
    fresh = values(new)
    notes = carry_over(old, before, new, after)
    path = "table_encoder/numbers/kernel"
    assert f"fresh: {path}" in notes
    np.testing.assert_array_equal(values(new)[path], fresh[path])


def test_another_kind_of_embedding_or_encoder_takes_over_nothing() -> None:
    fitted = spec("x y")
    old = model_of(fitted, 1, ("dense", {}))
    linear = ("dense", {"numeric_embedding": "linear", "numeric_embedding_dim": 2})
    new = model_of(fitted, 2, linear)  # two entries per number, as a number and its flag
    carry_over(old, fitted, new, fitted)
    path = "table_encoder/mlp/dense_0/kernel"
    assert values(new)[path].shape == values(old)[path].shape
    assert not values(new)[path][:4].any()
    cross = model_of(fitted, 3, ENCODERS["cross"])
    fresh = values(cross)
    notes = carry_over(old, fitted, cross, fitted)
    assert any("its encoder starts fresh, since it was of another kind" in n for n in notes)
    for path in (path for path in fresh if path.startswith("table_encoder")):
        np.testing.assert_array_equal(values(cross)[path], fresh[path])


def test_an_encoder_from_outside_is_carried_over_for_the_same_columns_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(DenseEncoder, "__module__", "own.parts")
    for numbers, carried in (("x y", True), ("x z", False)):
        before, after = spec("x y"), spec(numbers, sizes={**BINS, "z": BINS["y"]})
        old, new = model_of(before, 1), model_of(after, 2)
        notes = carry_over(old, before, new, after)
        path = "table_encoder/mlp/dense_0/bias"
        assert np.array_equal(values(old)[path], values(new)[path]) == carried
        assert any("do not tell them apart" in note for note in notes) != carried


@pytest.mark.parametrize("gone", [True, False])
@pytest.mark.parametrize("fusion", names("fusion"))
def test_each_fusion_with_a_group_more_or_less(fusion: str, gone: bool) -> None:
    before, after = spec("x y", photos=gone), spec("x y", photos=not gone)
    old, new = (model_of(each, i, fusion=fusion) for i, each in enumerate([before, after]))
    notes = carry_over(old, before, new, after)
    was, now = values(old), values(new)
    for path in [path for path in now if path.startswith("fusion/")]:
        if "photos" in path:
            assert f"fresh: {path}" in notes
        elif was[path].shape == now[path].shape:
            np.testing.assert_array_equal(was[path], now[path], err_msg=path)
    if fusion == "gated":  # photos (8), table (6), words (4); a score each
        both = (now, was) if not gone else (was, now)
        for path, more, less in (
            ("kernel", np.ix_(range(8, 18), [1, 2]), ...),
            ("bias", [1, 2], ...),
        ):
            large, small = (each[f"fusion/score/{path}"] for each in both)
            np.testing.assert_array_equal(large[more], small[less])
        if not gone:
            assert not now["fusion/score/kernel"][:8].any()


def test_members_of_a_fusion_keep_the_scales_of_the_groups_that_stay() -> None:
    before, after = spec("x y"), spec("x y", photos=True)
    old, new = (model_of(each, i, num_members=3) for i, each in enumerate([before, after]))
    carry_over(old, before, new, after)
    path = "fusion/mlp/dense_0/scale_in"  # photos (8), table (6), words (4)
    assert values(new)[path].shape == (3, 18)
    np.testing.assert_array_equal(values(new)[path][:, 8:], values(old)[path])


def test_a_series_of_other_channels_starts_fresh() -> None:
    def fitted(*channels: str) -> FittedSpec:
        group = {
            "name": "load",
            "modality": "series",
            "columns": channels,
            "steps": 4,
            "channels": [{"name": name, "source": name} for name in channels],
        }
        heads = [{"name": "price", "columns": ["price"]}]
        return FittedSpec.model_validate({"groups": [group], "heads": heads})

    config = Config.parse(
        {
            "groups": [
                {
                    "name": "load",
                    "modality": "series",
                    "columns": ["a", "b"],
                    "encoder": {"name": "convolutional", "options": {"filters": 4}},
                }
            ],
            "heads": [{"name": "price", "column": "price"}],
        }
    )
    old = build(config, fitted("a", "b"))
    for columns, carried in ((("a", "b"), True), (("a", "c"), False)):
        new = build(config, fitted(*columns))
        notes = carry_over(old, fitted("a", "b"), new, fitted(*columns))
        fresh = [note for note in notes if note.startswith("fresh: load_encoder")]
        assert bool(fresh) != carried


def test_moved_moves_both_sides_and_refuses_other_sizes() -> None:
    before = np.arange(6.0).reshape(2, 3)
    old, new = {0: [("a", 0), ("b", 0)]}, {0: [("b", 0), ("c", 0)]}
    fresh = np.full((2, 3), 9.0)
    for path, rest in (("x/bias", 9), ("x/kernel", 0)):
        found = moved(path, before, old, fresh, new)
        np.testing.assert_array_equal(np.asarray(found), [[3, 4, 5], [rest] * 3])
    assert moved("x/kernel", before, old, np.zeros((2, 4)), new) is None
    assert moved("x/kernel", before, {}, fresh, new) is None
    assert moved("x", np.array(2.0), {}, np.array(1.0), {}) == 2.0
    assert named_axes(keras.Sequential(), FittedSpec(groups=[], heads=[])) == {}
