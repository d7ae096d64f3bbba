"""The builder: names and inputs of the graph, absence, losses and metrics, error messages."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np
import pytest

from multimodal.core.config import Config
from multimodal.core.errors import ConfigError
from multimodal.core.spec import (
    CategoricalColumn,
    FittedGroup,
    FittedHead,
    FittedSpec,
    NumericColumn,
)
from multimodal.models.build import build, check_parts, compile_model

TABLE: dict[str, Any] = {
    "name": "table",
    "modality": "tabular",
    "columns": ["w", "b"],
    "encoder": {"name": "dense", "options": {"hidden_dims": [4]}},
}
TITLE: dict[str, Any] = {
    "name": "title",
    "modality": "text",
    "columns": ["t"],
    "encoder": {"name": "recurrent", "options": {"hidden_dim": 2, "embedding_dim": 2}},
}
PHOTOS: dict[str, Any] = {
    "name": "photos",
    "modality": "image",
    "columns": ["p"],
    "encoder": {
        "name": "convolutional",
        "options": {
            "filters": [2],
            "strides": [2],
            "pool_sizes": [1],
            "normalization": "batch",
        },
    },
}
LOG = {"name": "regression", "options": {"transform": "log1p"}}
PRICE: dict[str, Any] = {"name": "price", "column": "p", "head": LOG}
SERIES: dict[str, Any] = {
    "name": "sales",
    "modality": "series",
    "columns": ["s"],
    "encoder": {"name": "recurrent", "options": {"hidden_dim": 3}},
}
TOKENS = {
    "name": "transformer",
    "options": {"hidden_dim": 4, "num_heads": 2, "num_layers": 1, "mlp_dim": 4, "dropout": 0.0},
}
FITTED = {
    "tabular": {
        "numeric": [NumericColumn(name="w", source="w")],
        "categorical": [CategoricalColumn(name="b", source="b", categories=["x", "y"])],
    },
    "text": {"vocabulary": ["red", "blue"], "lengths": [3]},
    "image": {"photos": 2, "image_size": 6},
    "series": {"steps": 5, "channels": [NumericColumn(name="s", source="s")]},
}


def config_of(*groups: dict[str, Any], heads: Any = (PRICE,), **sections: Any) -> Config:
    small = {"name": "concat", "options": {"hidden_dims": [4], "dropout": 0.0}}
    values = {"groups": list(groups), "heads": list(heads), "fusion": small, **sections}
    return Config.parse(values)


def spec_of(config: Config, optional: Any = (), **changes: Any) -> FittedSpec:
    groups = [
        FittedGroup.model_validate(
            {
                "name": group.name,
                "modality": group.modality,
                "columns": group.columns,
                "optional": group.name in optional,
                **FITTED[group.modality],
                **changes.get(group.name, {}),
            }
        )
        for group in config.groups
    ]
    heads = [
        FittedHead(name=h.name, columns=h.columns, mean=2, scale=1.5, minimum=0, maximum=6)
        for h in config.heads
    ]
    return FittedSpec(groups=groups, heads=heads)


def batch_of(spec: FittedSpec, rows: int = 4, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    made = {}
    for group in spec.groups:
        side, photos = group.image_size, group.photos
        made |= {
            f"{group.name}_numeric": rng.normal(size=(rows, 1)).astype("float32"),
            f"{group.name}_categorical": rng.integers(0, 4, (rows, 1)).astype("int32"),
            f"{group.name}_tokens": rng.integers(1, 4, (rows, 3)).astype("int32"),
            f"{group.name}_pixels": rng.integers(0, 256, (rows, photos, side, side, 3)).astype(
                "uint8"
            ),
            f"{group.name}_series": rng.normal(size=(rows, group.steps, 1)).astype("float32"),
            f"{group.name}_present": np.ones((rows, photos) if photos else rows, bool),
        }
    return {key: made[key] for key in spec.input_keys}


def build_for(*groups: dict[str, Any], optional: Any = ()) -> tuple[keras.Model, FittedSpec]:
    config = config_of(*groups)
    spec = spec_of(config, optional)
    return build(config, spec), spec


def predict(model: keras.Model, batch: dict[str, np.ndarray]) -> np.ndarray:
    return keras.ops.convert_to_numpy(model(batch)["price"])


@pytest.mark.parametrize("optional", [(), ("table", "title", "photos")])
def test_inputs_are_exactly_those_of_the_spec(optional: Any) -> None:
    model, spec = build_for(TABLE, TITLE, PHOTOS, optional=optional)
    assert sorted(tensor.name for tensor in model.inputs) == sorted(spec.input_keys)
    assert {key: tensor.name for key, tensor in model.input.items()} == {
        key: key for key in spec.input_keys
    }
    dtypes = {tensor.name: tensor.dtype for tensor in model.inputs}
    kinds = {"numeric": "float32", "categorical": "int32", "tokens": "int32", "pixels": "uint8"}
    assert dtypes == {k: kinds.get(k.split("_")[1], "bool") for k in spec.input_keys}
    assert model.output_names == ["price"]
    assert predict(model, batch_of(spec)).shape == (4, 1)


def test_it_is_a_plain_functional_model_with_named_layers() -> None:
    model, _ = build_for(TABLE, TITLE, PHOTOS)
    assert type(model).__module__.startswith("keras.")
    loose = [op for op in model.operations if not isinstance(op, keras.layers.Layer)]
    assert [type(op).__name__ for op in loose] == ["NotEqual"]  # the mask of the words
    for name in ("table", "title", "photos"):
        encoder, pooling = model.get_layer(f"{name}_encoder"), model.get_layer(f"{name}_pooling")
        assert len(encoder.output.shape) == 3
        assert pooling.output.shape[1:] == encoder.output.shape[2:]
    assert model.get_layer("fusion").output.shape == (None, 4)
    assert model.get_layer("price").output.dtype == "float32"


def test_several_groups_of_one_modality_have_encoders_of_their_own() -> None:
    model, spec = build_for(TITLE, {**TITLE, "name": "story"}, {**TABLE, "name": "facts"})
    assert spec.input_keys == ["title_tokens", "story_tokens", "facts_numeric", "facts_categorical"]
    before = predict(model, batch_of(spec))
    batch = batch_of(spec)
    batch["title_tokens"], batch["story_tokens"] = batch["story_tokens"], batch["title_tokens"]
    assert np.abs(predict(model, batch) - before).max() > 0
    paths = {weight.path for weight in model.weights}
    assert {"title_encoder/embedding/embeddings", "story_encoder/embedding/embeddings"} < paths


def test_all_photos_go_through_one_call_of_one_encoder() -> None:
    model, spec = build_for(PHOTOS)
    encoder = model.get_layer("photos_encoder")
    assert len(encoder._inbound_nodes) == 1
    batch = batch_of(spec)
    swapped = {**batch, "photos_pixels": batch["photos_pixels"][:, ::-1]}
    np.testing.assert_allclose(predict(model, swapped), predict(model, batch), atol=1e-5)


def test_absent_photos_are_no_part_of_the_mean() -> None:
    model, spec = build_for(PHOTOS)
    batch = batch_of(spec)
    batch["photos_present"][:, 1] = False
    twice = {**batch, "photos_pixels": batch["photos_pixels"][:, [0, 0]]}
    twice["photos_present"] = np.ones_like(batch["photos_present"])
    np.testing.assert_allclose(predict(model, batch), predict(model, twice), atol=1e-5)


@pytest.mark.parametrize("optional", [(), ("photos",)])
def test_garbage_in_an_absent_photo_changes_nothing(optional: Any) -> None:
    results = []
    for seed in (1, 2):
        keras.utils.set_random_seed(0)
        config = config_of(PHOTOS)
        spec = spec_of(config, optional)
        model = build(config, spec)
        compile_model(model, config, keras.optimizers.SGD(0.1))
        batch = batch_of(spec)
        batch["photos_present"][:2, 1] = False
        batch["photos_pixels"][:2, 1] = batch_of(spec, seed=seed)["photos_pixels"][:2, 1]
        outputs = [predict(model, batch)]
        model.train_on_batch(batch, {"price": np.ones((4, 1), "float32")})
        results.append([*outputs, *model.get_weights()])
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", ["table", "title", "photos"])
def test_garbage_in_an_absent_group_changes_nothing(name: str) -> None:
    model, spec = build_for(TABLE, TITLE, PHOTOS, optional=(name,))
    batch = batch_of(spec)
    batch[f"{name}_present"][0] = False
    garbage = {
        key: batch_of(spec, seed=9)[key] if key.startswith(name) else array
        for key, array in batch.items()
    }
    garbage[f"{name}_present"] = batch[f"{name}_present"]
    one, other = predict(model, batch), predict(model, garbage)
    np.testing.assert_array_equal(one[0], other[0])
    assert np.abs(one[1:] - other[1:]).max() > 0


def test_a_group_that_is_never_absent_gets_no_missing_vector() -> None:
    model, _ = build_for(TABLE, TITLE, optional=("title",))
    missing = [weight.path for weight in model.weights if "missing" in weight.path]
    assert missing == ["fusion/missing_title"]


def test_low_precision_is_for_encoders_that_gain() -> None:
    config = config_of(TABLE, PHOTOS)
    model = build(config, spec_of(config), precision="mixed_bfloat16")
    policies = {layer.name: layer.dtype_policy.name for layer in model.layers}
    assert policies["photos_encoder"] == "mixed_bfloat16"
    assert policies["table_encoder"] == policies["fusion"] == policies["price"] == "float32"


def two_heads() -> tuple[keras.Model, Config, FittedSpec]:
    plain = {"name": "rent", "column": "r", "weight": 0.5}
    config = config_of(TABLE, heads=(PRICE, plain))
    return build(config, spec_of(config)), config, spec_of(config)


def test_loss_and_metrics_agree_with_numpy() -> None:
    model, config, spec = two_heads()
    compile_model(model, config, keras.optimizers.SGD(0.0))
    batch = batch_of(spec)
    price = np.array([[10.0], [0.0], [500.0], [30.0]], "float32")  # the second label is missing
    rent = np.array([[1.0], [2.0], [3.0], [4.0]], "float32")
    weights = {"price": np.array([1, 0, 2, 1.0]), "rent": np.array([1, 1, 1, 3.0])}
    raw = {name: keras.ops.convert_to_numpy(each) for name, each in model(batch).items()}
    found = model.evaluate(
        batch, {"price": price, "rent": rent}, sample_weight=weights, verbose=0, return_dict=True
    )

    def mean(name: str, values: np.ndarray) -> float:
        return float((weights[name] * values[:, 0]).sum() / weights[name].sum())

    losses = {
        "price": mean("price", ((np.log1p(price) - 2) / 1.5 - raw["price"]) ** 2),
        "rent": mean("rent", ((rent - 2) / 1.5 - raw["rent"]) ** 2),
    }
    money = np.expm1(np.clip(raw["price"] * 1.5 + 2, -1.5, 7.5))
    expected = {
        "loss": losses["price"] + 0.5 * losses["rent"],
        "price_loss": losses["price"],
        "rent_loss": losses["rent"],
        "price_mae": mean("price", np.abs(money - price)),
        "price_rmse": mean("price", (money - price) ** 2) ** 0.5,
        "rent_mae": mean("rent", np.abs(raw["rent"] * 1.5 + 2 - rent)),
        "rent_rmse": mean("rent", (raw["rent"] * 1.5 + 2 - rent) ** 2) ** 0.5,
    }
    assert found == pytest.approx(expected, rel=1e-4)


def test_a_batch_without_any_label_of_a_head_is_finite() -> None:
    model, config, spec = two_heads()
    compile_model(model, config, keras.optimizers.Adam(0.1))
    zeros = np.zeros((4, 1), "float32")
    weights = {"price": np.zeros(4, "float32"), "rent": np.ones(4, "float32")}
    loss = model.train_on_batch(
        batch_of(spec), {"price": zeros, "rent": zeros}, sample_weight=weights, return_dict=True
    )
    assert all(np.isfinite(value) for value in loss.values())
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_it_survives_saving(tmp_path: Any) -> None:
    model, spec = build_for(TABLE, TITLE, PHOTOS, optional=("table", "title", "photos"))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    batch = batch_of(spec)
    np.testing.assert_array_equal(predict(again, batch), predict(model, batch))
    assert [w.path for w in again.weights] == [w.path for w in model.weights]


def test_loss_metrics_and_optimizer_survive_saving(tmp_path: Any) -> None:
    model, spec = build_for(TABLE)
    compile_model(model, config_of(TABLE), keras.optimizers.AdamW(0.01))
    batch, target = batch_of(spec), {"price": np.ones((4, 1), "float32")}
    model.train_on_batch(batch, target)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    expected = model.evaluate(batch, target, verbose=0, return_dict=True)
    assert again.evaluate(batch, target, verbose=0, return_dict=True) == pytest.approx(expected)
    assert set(expected) == {"loss", "rmse", "mae"}


@pytest.mark.parametrize("name", ["fusion", "table_encoder", "table_numeric", "photos_any"])
def test_a_head_with_the_name_of_a_layer_is_refused(name: str) -> None:
    config = config_of(TABLE, PHOTOS, heads=({**PRICE, "name": name},))
    message = f"head '{name}' has the name of a layer of the model; give it another name."
    with pytest.raises(ConfigError, match=re.escape(message)):
        build(config, spec_of(config, optional=("photos",)))


def test_config_and_spec_must_belong_together() -> None:
    config = config_of(TABLE, TITLE)
    with pytest.raises(ConfigError, match="config and spec do not belong together"):
        build(config, spec_of(config_of(TITLE, TABLE)))


@pytest.mark.parametrize(
    ("group", "changes", "message"),
    [
        (
            TABLE,
            {"encoder": "dens"},
            "unknown tabular_encoder 'dens'. Did you mean 'dense'? Valid: ",
        ),
        (
            TABLE,
            {"encoder": {"name": "dense", "options": {"hidden_dim": [3]}}},
            "tabular_encoder 'dense' has no option 'hidden_dim'. Did you mean 'hidden_dims'?",
        ),
        (
            TABLE,
            {"encoder": {"name": "dense", "options": {"cardinalities": [3]}}},
            "tabular_encoder 'dense' has no option 'cardinalities'",
        ),
        (
            TABLE,
            {"encoder": {"name": "dense", "options": {"pooling": "mean"}}},
            "tabular_encoder 'dense' has no option 'pooling'",
        ),
        (TABLE, {"pooling": "sum"}, "unknown pooling 'sum'"),
        (
            TABLE,
            {"pooling": {"name": "mean", "options": {"axis": 1}}},
            "pooling 'mean' has no option 'axis'. Valid: (none).",
        ),
        (TITLE, {"encoder": "dense"}, "unknown text_encoder 'dense'"),
    ],
)
def test_unknown_parts_and_options(group: Any, changes: Any, message: str) -> None:
    config = config_of({**group, **changes})
    for attempt in (lambda: check_parts(config), lambda: build(config, spec_of(config))):
        with pytest.raises(ConfigError, match=re.escape(message)):
            attempt()


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"fusion": "concatenate"}, "unknown fusion 'concatenate'"),
        ({"heads": [{**PRICE, "head": "regresion"}]}, "unknown head 'regresion'. Did you mean"),
        (
            {"heads": [{**PRICE, "head": {"name": "regression", "options": {"mean": 3}}}]},
            "head 'regression' has no option 'mean'. Valid: ",
        ),
    ],
)
def test_unknown_fusions_and_heads(sections: Any, message: str) -> None:
    config = config_of(TABLE, **sections)
    for attempt in (lambda: check_parts(config), lambda: build(config, spec_of(config))):
        with pytest.raises(ConfigError, match=re.escape(message)):
            attempt()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"encoder": {"name": "dense", "options": {"dropout": 2}}},
            "tabular_encoder 'dense': `dropout` must be in [0, 1). Received: dropout=2",
        ),
        (
            {"pooling": {"name": "attention", "options": {"num_heads": 3}}},
            "the parts do not fit together: `num_heads` must divide the token size",
        ),
    ],
)
def test_values_that_do_not_fit(changes: Any, message: str) -> None:
    config = config_of({**TABLE, **changes})
    check_parts(config)
    with pytest.raises(ConfigError, match=re.escape(message)):
        build(config, spec_of(config))


def test_a_series_is_one_more_branch() -> None:
    model, spec = build_for(TABLE, SERIES, optional=("sales",))
    assert model.input["sales_series"].shape == (None, 5, 1)
    batch = batch_of(spec)
    batch["sales_series"][0, 2] = np.nan
    batch["sales_present"][1] = False
    before = predict(model, batch)
    assert np.isfinite(before).all()
    batch["sales_series"] += 1
    after = predict(model, batch)
    assert after[1] == before[1] and (after[2:] != before[2:]).any()


# Fusions that take tokens

GROUPS = (TABLE, TITLE, PHOTOS, SERIES)


def token_model(
    *groups: dict[str, Any], optional: Any = (), fusion: Any = TOKENS
) -> tuple[keras.Model, FittedSpec, Config]:
    config = config_of(*groups, fusion=fusion)
    spec = spec_of(config, optional)
    return build(config, spec), spec, config


def test_tokens_come_with_their_masks_and_without_poolings() -> None:
    model, spec, _ = token_model(*GROUPS)
    names = {layer.name for layer in model.layers}
    assert not any(name.endswith("_pooling") for name in names)
    assert sorted(tensor.name for tensor in model.inputs) == sorted(spec.input_keys)
    photos = model.get_layer("photos_photos").output
    assert photos.shape == (None, 18, 2)  # two photos of nine tokens
    assert photos._keras_mask.shape == (None, 18)
    assert getattr(model.get_layer("fusion").output, "_keras_mask", None) is None
    assert predict(model, batch_of(spec)).shape == (4, 1)


@pytest.mark.parametrize("name", ["transformer", "cross_attention"])
def test_longer_padding_changes_nothing(name: str) -> None:
    model, spec, _ = token_model(TABLE, TITLE, optional=("title",), fusion=name)
    batch = batch_of(spec)
    batch["title_tokens"][0, 1:] = 0
    longer = {**batch, "title_tokens": np.pad(batch["title_tokens"], ((0, 0), (0, 4)))}
    np.testing.assert_allclose(predict(model, longer), predict(model, batch), atol=1e-5)


def test_an_absent_photo_has_no_tokens() -> None:
    model, spec, _ = token_model(*GROUPS)
    batch = batch_of(spec)
    batch["photos_present"][:, 1] = False
    other = {**batch, "photos_pixels": batch["photos_pixels"].copy()}
    other["photos_pixels"][:, 1] = 7
    np.testing.assert_array_equal(predict(model, other), predict(model, batch))
    batch["photos_present"][:, 1] = True
    assert np.abs(predict(model, batch) - predict(model, other)).max() > 1e-6


@pytest.mark.parametrize("name", ["table", "title", "photos", "sales"])
def test_garbage_in_absent_tokens_changes_nothing(name: str) -> None:
    model, spec, _ = token_model(*GROUPS, optional=(name,))
    batch = batch_of(spec)
    batch[f"{name}_present"][0] = False
    other = batch_of(spec, seed=9)
    garbage = {key: other[key] if key.startswith(name) else a for key, a in batch.items()}
    garbage[f"{name}_present"] = batch[f"{name}_present"]
    one, two = predict(model, batch), predict(model, garbage)
    np.testing.assert_array_equal(one[0], two[0])
    assert np.abs(one[1:] - two[1:]).max() > 0


def test_a_model_with_tokens_trains_and_survives_saving(tmp_path: Any) -> None:
    model, spec, config = token_model(*GROUPS, optional=("table", "title", "photos", "sales"))
    compile_model(model, config, keras.optimizers.Adam(0.01), jit_compile=False)
    batch = batch_of(spec)
    assert np.isfinite(model.train_on_batch(batch, {"price": np.ones((4, 1), "float32")})).all()
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(predict(again, batch), predict(model, batch), atol=1e-6)


# Weights of heads


def test_weights_of_heads_follow_their_names() -> None:
    heads = ({**PRICE, "name": "rent", "weight": 3.0}, PRICE, {**PRICE, "name": "a"})
    config = config_of(TABLE, heads=heads)
    model = build(config, spec_of(config))
    compile_model(model, config, keras.optimizers.SGD(0.1))
    shares = model._compile_loss._user_loss_weights
    assert shares == {"rent": 3.0, "price": 1.0, "a": 1.0}


def test_a_learned_weight_is_an_option_of_the_head_and_not_of_the_loss() -> None:
    config = config_of(TABLE, heads=({**PRICE, "weight": "learned"}, {**PRICE, "name": "rent"}))
    model = build(config, spec_of(config))
    assert model.get_layer("price").learned_weight and not model.get_layer("rent").learned_weight
    compile_model(model, config, keras.optimizers.SGD(0.1))
    assert model._compile_loss._user_loss_weights == {"price": 1.0, "rent": 1.0}


def test_a_head_that_learns_from_no_column_is_refused() -> None:
    config = config_of(TABLE, heads=({**PRICE, "head": "reconstruction"},))
    message = "head 'reconstruction' learns from no column of a table; use it in a model of your"
    for attempt in (lambda: check_parts(config), lambda: build(config, spec_of(config))):
        with pytest.raises(ConfigError, match=re.escape(message)):
            attempt()
