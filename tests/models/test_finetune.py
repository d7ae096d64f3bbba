"""What is carried over from a run, row by row, and a whole run that starts from another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from runs import Trained
from tiny import PHOTOS, TABLE, WORDS, digests, plain_config, plain_rows, spec_of, tiny_config

from multimodal.core.config import Config, Head
from multimodal.core.errors import ConfigError
from multimodal.core.spec import FittedHead, FittedSpec
from multimodal.data.generated import builder_package
from multimodal.data.prepare import Prepared, prepare
from multimodal.evaluation.records import RunMetrics
from multimodal.models.build import build, fold_models
from multimodal.models.finetune import carry_over, check_frozen, continue_config, freeze_groups
from multimodal.models.fitted import FittedModel
from multimodal.models.training.fit import TrainingState
from multimodal.models.training.kfold import fit_network, new_network
from multimodal.runs.run import load
from multimodal.runs.train import train

HEADS = [{"name": "price", "column": "price"}]


def spec(
    numbers: str = "x y",
    colours: str = "red blue",
    words: str = "one two",
    photos: bool = True,
    shops: str = "",
) -> FittedSpec:
    """A fitted spec with a table, texts and, if asked for, photos."""
    columns = {"colour": colours.split()} | ({"shop": shops.split()} if shops else {})
    table = {
        "columns": [*numbers.split(), *columns],
        "numeric": [{"name": name, "source": name} for name in numbers.split()],
        "categorical": [
            {"name": name, "source": name, "categories": found} for name, found in columns.items()
        ],
    }
    return spec_of(table, words.split(), photos=photos)


def model_of(fitted: FittedSpec, seed: int) -> keras.Model:
    """A built model whose every weight is a random number of its seed."""
    groups = [group for group in (TABLE, WORDS, PHOTOS)][: len(fitted.groups)]
    heads = [Head.model_validate(head) for head in HEADS]
    model = build(tiny_config(*groups).model_copy(update={"heads": heads}), fitted)
    random = np.random.default_rng(seed)
    model.set_weights([random.normal(size=value.shape) for value in model.get_weights()])
    return model


def values(model: keras.Model) -> dict[str, np.ndarray]:
    return {weight.path: np.asarray(weight) for weight in model.weights}


def carried(
    before: FittedSpec, after: FittedSpec
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, np.ndarray], list[str]]:
    """Return the weights before, the fresh ones, those carried over, and what was said."""
    old, new = model_of(before, 1), model_of(after, 2)
    fresh = values(new)
    notes = carry_over(old, before, new, after)
    return values(old), fresh, values(new), notes


def test_the_same_spec_carries_everything() -> None:
    old, _, new, notes = carried(spec(), spec())
    assert old.keys() == new.keys()
    for path, value in old.items():
        np.testing.assert_array_equal(new[path], value, err_msg=path)
    assert not [note for note in notes if note.startswith("fresh")]
    assert "group 'words': 2 words known, 0 new" in notes
    assert "column 'colour': 2 categories known, 0 new" in notes


def test_known_words_stay_and_new_ones_start_as_unknown() -> None:
    old, _, new, notes = carried(spec(words="one two"), spec(words="one two six"))
    path = "words_encoder/embedding/embeddings"
    np.testing.assert_array_equal(new[path][:4], old[path])
    np.testing.assert_array_equal(new[path][4], old[path][1])
    assert "group 'words': 2 words known, 1 new" in notes


def test_known_categories_stay_and_new_ones_start_as_unknown() -> None:
    old, fresh, new, notes = carried(
        spec(colours="red blue"), spec(colours="red blue pink", shops="north")
    )
    path = "table_encoder/embedding/embeddings"
    np.testing.assert_array_equal(new[path][:4], old[path])
    np.testing.assert_array_equal(new[path][4], old[path][1])
    np.testing.assert_array_equal(new[path][5:], fresh[path][5:])  # a column never seen
    assert "group 'table': columns new: shop" in notes
    assert "column 'colour': 2 categories known, 1 new" in notes


def test_rows_of_the_first_kernel_follow_their_columns() -> None:
    old, _, new, notes = carried(spec("x y"), spec("y z", shops="north"))
    path = "table_encoder/mlp/dense_0/kernel"
    width = 4  # values of x and y, then their flags, then the embedded colour
    assert old[path].shape[0] == 2 * 2 + width
    np.testing.assert_array_equal(new[path][0], old[path][1])
    np.testing.assert_array_equal(new[path][2], old[path][3])
    np.testing.assert_array_equal(new[path][4 : 4 + width], old[path][4:])
    for row in (1, 3, *range(4 + width, 4 + 2 * width)):  # z and shop: without effect as yet
        assert not new[path][row].any()
    assert "group 'table': columns gone: x" in notes
    assert "group 'table': columns new: shop, z" in notes


@pytest.mark.parametrize("gone", [True, False])
def test_rows_of_the_fusion_follow_their_groups(gone: bool) -> None:
    old, fresh, new, notes = carried(spec(photos=gone), spec(photos=not gone))
    path = "fusion/mlp/dense_0/kernel"
    names = {True: ["photos"] * 8 + ["table"] * 8 + ["words"] * 4}  # sorted, by pooled width
    names[False] = names[True][8:]
    before, after = np.array(names[gone]), np.array(names[not gone])
    assert (len(before), len(after)) == (len(old[path]), len(new[path]))
    for group in ("table", "words"):
        np.testing.assert_array_equal(new[path][after == group], old[path][before == group])
    assert not new[path][after == "photos"].any()
    assert f"group 'photos' is {'gone' if gone else 'new'}" in notes
    if not gone:
        kernels = [name for name in new if name.startswith("photos_encoder")]
        assert all(np.array_equal(new[name], fresh[name]) for name in kernels)
        assert {f"fresh: {name}" for name in kernels} <= set(notes)


def test_columns_of_like_names_are_kept_apart() -> None:
    """`Size` and `size` have one slug, but rows of their own."""

    def twins(first: str, second: str) -> FittedSpec:
        plain = spec()
        table = plain.groups[0].model_dump()
        table["numeric"] = [{"name": "size", "source": name} for name in (first, second)]
        table["categorical"] = []
        groups = [table, *(group.model_dump() for group in plain.groups[1:])]
        heads = [head.model_dump() for head in plain.heads]
        return FittedSpec.model_validate({"groups": groups, "heads": heads})

    old, _, new, _ = carried(twins("Size", "size"), twins("size", "Size"))
    path = "table_encoder/mlp/dense_0/kernel"
    np.testing.assert_array_equal(new[path], old[path][[1, 0, 3, 2]])


def test_freezing_by_name_or_slug() -> None:
    fitted = spec()
    model = model_of(fitted, 0)
    given = tiny_config({**TABLE, "name": "Table"}, WORDS, PHOTOS)
    for name in ("Table", "table"):
        freeze_groups(model, given, fitted, [name])
        assert not model.get_layer("table_encoder").trainable_weights
        assert model.get_layer("photos_encoder").trainable_weights
        check_frozen(given.merge(training={"freeze": [name]}), fitted)
    freeze_groups(model, given, fitted, [])
    assert model.get_layer("table_encoder").trainable_weights
    with pytest.raises(ConfigError, match="cannot freeze group 'phots'. Did you mean 'photos'"):
        check_frozen(given.merge(training={"freeze": ["phots"]}), fitted)


def test_what_the_config_of_a_continued_run_is(tmp_path: Path) -> None:
    before = tiny_config().model_copy(update={"heads": [Head.model_validate(HEADS[0])]})
    empty: Any = None
    origin = FittedModel(before, empty, empty, empty)
    found = continue_config(origin, Config.parse({"training": {"epochs": 3}}), ["price"])
    assert (found.groups, found.fusion, found.heads) == (before.groups, before.fusion, before.heads)
    assert found.training.epochs == 3
    assert found.data.image_size == before.data.image_size != Config().data.image_size
    assert found.data.model_copy(update={"image_size": 64}) == Config().data
    assert continue_config(origin, before, ["price"]).fusion == before.fusion
    worded = [group.model_copy(update={"vectors": "gone.txt"}) for group in before.groups]
    trained_on = FittedModel(before.model_copy(update={"groups": worded}), empty, empty, empty)
    assert continue_config(trained_on, Config(), ["price"]).groups == before.groups
    assert continue_config(origin, Config(), ["cost"]).heads == []  # another target, another head


@pytest.fixture(scope="module")
def shifted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows of another catalogue: no year, a new column, new brands and words."""
    package = builder_package()
    folder = tmp_path_factory.mktemp("shifted") / "data"
    package.export(folder, (60, 20, 20), 9, shift=package.Shift())
    rows = pd.read_csv(folder / "catalogue.csv").drop(columns=["year"])
    rows["finish"] = ["matt", "gloss"] * (len(rows) // 2)
    rows.to_csv(folder / "shifted.csv", index=False)
    return folder / "shifted.csv"


def test_a_whole_run_from_another(
    trained: Trained, shifted: Path, tmp_path: Path, said: list[str]
) -> None:
    before = digests(trained.run)
    config = Config.parse(
        {
            "data": {"split": {"method": "column", "column": "split"}, "min_count": 1},
            "training": {
                "epochs": 1,
                "batch_size": 32,
                "precision": "float32",
                "baselines": False,
                "freeze": ["photos"],
            },
        }
    )
    tuned = train(
        shifted,
        "price",
        out=tmp_path / "tuned",
        config=config,
        base=trained.run,
    )
    origin = load(trained.run)
    assert digests(trained.run) == before
    for part in ("encoder", "pooling"):
        name = f"photos_{part}"
        old, new = (
            fold_models(run.model)[0].get_layer(name).get_weights() for run in (origin, tuned)
        )
        assert all(np.array_equal(a, b) for a, b in zip(old, new, strict=True))
    old, new = origin.spec.group("table"), tuned.spec.group("table")
    assert "year" not in new.columns
    assert "finish" in new.columns
    assert [c for c in old.numeric if c.source == "weight_g"] == [
        c for c in new.numeric if c.source == "weight_g"
    ]
    for before_column, column in zip(old.categorical, new.categorical, strict=False):
        known = before_column.categories
        assert column.categories[: len(known)] == known
    words = origin.spec.group("words").vocabulary
    assert tuned.spec.group("words").vocabulary[: len(words)] == words
    assert len(tuned.spec.group("words").vocabulary) > len(words)
    assert tuned.spec.group("photos").image_size == 16
    notes = RunMetrics.read(tuned.path).notes
    assert set(notes) <= set(said)
    assert any(note.startswith("carried over ") for note in notes)
    assert any(note.startswith("group 'table': columns gone: ") for note in notes)
    assert any(note.startswith("group 'words': ") and note.endswith(" new") for note in notes)
    found = tuned.predict(shifted).frame["price_prediction"]
    assert found.notna().all()
    assert load(tuned.path).evaluate(shifted)["price"]["n"] == 100


def continued(
    base: Path, rows: pd.DataFrame, target: str, config: Config, **options: Any
) -> tuple[Prepared, keras.Model, list[str]]:
    """Prepare rows for a run that starts from another; return its network before it is fitted."""
    origin = load(base)
    wanted = continue_config(origin, config, [target])
    prepared = prepare(rows, target, wanted, base=(origin.schema, origin.spec), **options)
    return prepared, *new_network(prepared, 0, origin)


def test_a_group_may_disappear(trained: Trained) -> None:
    rows = pd.read_csv(trained.folder / "catalogue.csv").drop(columns="image")
    config = Config.parse({"data": {"split": {"method": "column", "column": "split"}}})
    prepared, network, notes = continued(trained.run, rows, "price", config)
    assert [group.name for group in prepared.spec.groups[:2]] == ["table", "words"]
    assert "group 'photos' is gone" in notes
    assert not [name for name in network.input if name.startswith("photos")]


class Watch(keras.callbacks.Callback):
    """Keep the weights of the table's encoder after every epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[list[np.ndarray]] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seen.append(self.model.get_layer("table_encoder").get_weights())


def test_frozen_groups_learn_from_unfreeze_epoch_on(plain_run: Path) -> None:
    config = plain_config(epochs=3, freeze=["table"], unfreeze_epoch=1)
    prepared, network, _ = continued(plain_run, plain_rows(), "price", config)
    start, watch, state = network.get_layer("table_encoder").get_weights(), Watch(), TrainingState()
    origin = fold_models(load(plain_run).model)[0].get_layer("table_encoder").get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(start, origin, strict=True))
    fit_network(network, prepared, 0, state, callbacks=[watch])
    same = [
        all(np.array_equal(a, b) for a, b in zip(start, seen, strict=True)) for seen in watch.seen
    ]
    assert same == [True, False, False]
    assert [entry["epoch"] for entry in state.log] == [1, 2, 3]


def test_another_target_gets_a_head_of_its_own(plain_run: Path) -> None:
    rows = plain_rows().rename(columns={"price": "other"})
    rows["value"] = rows["other"] * 2
    prepared, network, _ = continued(plain_run, rows, "value", plain_config())
    assert [head.name for head in prepared.spec.heads] == ["value"]
    assert list(network.output) == ["value"]


def test_photos_may_come_to_a_run_without(plain_run: Path, tmp_path: Path) -> None:
    rows, random = plain_rows(), np.random.default_rng(0)
    for i in range(len(rows)):
        noise = random.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{i}.png")
    wider = rows.assign(photo=[f"{i}.png" for i in range(len(rows))])
    config = plain_config().merge(data={"image_size": 16})
    prepared, network, notes = continued(plain_run, wider, "price", config, images=tmp_path)
    assert "group 'photos' is new" in notes
    assert [group.name for group in prepared.spec.groups] == ["table", "photos"]
    assert "photos_pixels" in network.input


def test_class_outputs_are_carried_over_by_name() -> None:
    def classes(*names: str) -> FittedSpec:
        head = {"name": "mood", "columns": ["m"], "kind": "class", "classes": names}
        return spec(photos=False).model_copy(update={"heads": [FittedHead.model_validate(head)]})

    def mood(fitted: FittedSpec, seed: int) -> keras.Model:
        head = Head.model_validate({"name": "mood", "column": "m", "head": "multiclass"})
        model = build(tiny_config(TABLE, WORDS).model_copy(update={"heads": [head]}), fitted)
        random = np.random.default_rng(seed)
        model.set_weights([random.normal(size=value.shape) for value in model.get_weights()])
        return model

    before, after = classes("calm", "glad", "sad"), classes("angry", "sad", "calm")
    old, new = mood(before, 1), mood(after, 2)
    fresh = values(new)["mood/dense/kernel"]
    notes = carry_over(old, before, new, after)
    was, found = (values(model)["mood/dense/kernel"] for model in (old, new))
    np.testing.assert_array_equal(found[:, 1:], was[:, [2, 0]])
    np.testing.assert_array_equal(found[:, 0], fresh[:, 0])
    bias_was, bias = (values(model)["mood/dense/bias"] for model in (old, new))
    np.testing.assert_array_equal(bias[1:], bias_was[[2, 0]])
    assert "head 'mood': 2 classes known, 1 new" in notes
    number = spec(photos=False).model_copy(
        update={"heads": [FittedHead(name="mood", columns=["m"])]}
    )
    other = mood(after, 3)
    kept = values(other)["mood/dense/kernel"]
    notes = carry_over(old, number, other, after)
    np.testing.assert_array_equal(values(other)["mood/dense/kernel"], kept)
    assert "head 'mood' learns another kind of label and starts fresh" in notes
