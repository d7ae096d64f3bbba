"""Batches, fixed lengths and faults of the compiled predictor."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from tiny import PHOTOS, TABLE, WORDS, tiny_config

from multimodal.core.config import Head
from multimodal.core.spec import FittedSpec
from multimodal.data.features.preprocess import Arrays
from multimodal.data.photos.read import PhotoPaths
from multimodal.models import predictor as module
from multimodal.models.build import average, build
from multimodal.models.predictor import Predictor
from multimodal.runtime.batches import BATCH

SPEC = FittedSpec.model_validate(
    {
        "groups": [
            {
                "name": "table",
                "modality": "tabular",
                "columns": ["x", "c"],
                "numeric": [{"name": "x", "source": "x"}],
                "categorical": [{"name": "c", "source": "c", "categories": ["a", "b"]}],
            },
            {
                "name": "words",
                "modality": "text",
                "columns": ["t"],
                "optional": True,
                "vocabulary": ["one", "two", "three"],
                "lengths": [8, 16],
            },
            {
                "name": "photos",
                "modality": "image",
                "columns": ["i"],
                "photos": 2,
                "image_size": 16,
                "optional": True,
            },
        ],
        "heads": [
            {
                "name": "price",
                "columns": ["price"],
                "mean": 3.0,
                "scale": 2.0,
                "minimum": -9.0,
                "maximum": 99.0,
            },
        ],
    }
)


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(0)
    config = tiny_config(TABLE, WORDS, PHOTOS)
    heads = [Head.model_validate({"name": "price", "column": "price"})]
    return build(config.model_copy(update={"heads": heads}), SPEC)


@pytest.fixture(scope="module")
def predictor(model: keras.Model) -> Predictor:
    return Predictor(model, SPEC)


def arrays(rows: int, words: int = 16) -> Arrays:
    """Rows whose longest text has `words` words; they name no photo."""
    random = np.random.default_rng(rows)
    tokens = np.zeros((rows, 16), np.int32)
    tokens[:, :words] = random.integers(1, 5, (rows, words))
    return Arrays(
        {
            "table_numeric": random.normal(size=(rows, 1)).astype(np.float32),
            "table_categorical": random.integers(0, 4, (rows, 1)).astype(np.int32),
            "words_tokens": tokens,
            "words_present": np.ones(rows, bool),
        },
        {"photos": PhotoPaths([[None, None]] * rows, 16)},
    )


def by_hand(model: keras.Model, found: Arrays) -> np.ndarray:
    """Raw outputs of the model, in the user's units."""
    rows = found.rows
    inputs = {
        **found.inputs,
        "photos_pixels": np.zeros((rows, 2, 16, 16, 3), np.uint8),
        "photos_present": np.zeros((rows, 2), bool),
    }
    return np.asarray(model(inputs, training=False)["price"]) * 2.0 + 3.0


@pytest.mark.parametrize("rows", [1, 2, BATCH, BATCH + 1, 2 * BATCH + 7])
def test_rows_agree_with_the_model(rows: int, model: keras.Model, predictor: Predictor) -> None:
    found = arrays(rows)
    predictions, faults = predictor.predict(found)
    assert not faults
    assert predictions["price"].dtype == np.float64
    assert predictions["price"].shape == (rows, 1)
    np.testing.assert_allclose(predictions["price"], by_hand(model, found), rtol=1e-4, atol=1e-5)


def test_no_rows(predictor: Predictor) -> None:
    predictions, faults = predictor.predict(arrays(0))
    assert predictions["price"].shape == (0, 1)
    assert not faults


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize(("words", "length"), [(0, 8), (3, 8), (8, 8), (9, 16), (16, 16)])
def test_texts_are_cut_to_the_smallest_fixed_length(
    words: int, length: int, rows: int, predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = watched(predictor, monkeypatch)
    predictor.predict(arrays(rows, words))
    assert [batch["words_tokens"].shape for batch in seen] == [(rows, length)]


def test_padding_of_the_last_batch_changes_nothing(predictor: Predictor) -> None:
    found = arrays(BATCH + 1)
    whole = predictor.predict(found)[0]["price"]
    part = Arrays(
        {key: array[:3] for key, array in found.inputs.items()},
        {"photos": PhotoPaths([[None, None]] * 3, 16)},
    )
    np.testing.assert_allclose(predictor.predict(part)[0]["price"], whole[:3], rtol=1e-5)


def watched(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, np.ndarray]]:
    """The batches that a predictor will run."""
    seen: list[dict[str, np.ndarray]] = []
    run = predictor._run
    monkeypatch.setattr(predictor, "_run", lambda batch: seen.append(batch) or run(batch))
    return seen


def test_a_backend_that_compiles_each_shape_gets_few_of_them(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictor, "_any_shape", False)
    seen = watched(predictor, monkeypatch)
    predictor.warm()
    found = arrays(1, words=2)
    found.inputs["words_tokens"] = found.inputs["words_tokens"][:, :8]
    one = predictor.predict(found)[0]["price"]
    assert [batch["words_tokens"].shape for batch in seen] == [(1, 16), (1, 16)]
    assert {k: v.dtype for k, v in seen[0].items()} == {k: v.dtype for k, v in seen[1].items()}
    assert {k: v.shape for k, v in seen[0].items()} == {k: v.shape for k, v in seen[1].items()}
    few = predictor.predict(arrays(3, words=2))[0]["price"]
    assert seen[2]["words_tokens"].shape == (BATCH, 8) and few.shape == (3, 1)
    monkeypatch.undo()
    np.testing.assert_allclose(predictor.predict(found)[0]["price"], one, rtol=1e-5)


def test_networks_of_one_structure_are_traced_once(model: keras.Model) -> None:
    networks = [keras.models.clone_model(model) for _ in range(2)]
    networks[0].set_weights(model.get_weights())
    networks[1].set_weights([weight + 0.1 for weight in model.get_weights()])
    found = arrays(5)
    wanted = np.mean([by_hand(network, found) for network in networks], axis=0)
    predictor = Predictor(average(networks), SPEC)
    np.testing.assert_allclose(predictor.predict(found)[0]["price"], wanted, rtol=1e-4)
    if keras.backend.backend() == "tensorflow":
        assert predictor._forward.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("most", [0, 2**18])
def test_constants_of_a_graph_change_nothing(
    most: int, model: keras.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_CONSTANT", most)
    found = arrays(3)
    raw = Predictor(model, SPEC).predict(found)[0]["price"]
    np.testing.assert_allclose(raw, by_hand(model, found), rtol=1e-4, atol=1e-5)


def test_faults_keep_their_rows_across_batches(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = arrays(BATCH + 3)
    paths: list[list[str | None]] = [[None, None] for _ in range(BATCH + 3)]
    paths[1], paths[BATCH + 2] = ["gone.jpg", None], [None, "lost.jpg"]
    found.photos["photos"] = PhotoPaths(paths, 16)
    _, faults = predictor.predict(found)
    assert faults == {1: "gone.jpg: no such photo", BATCH + 2: "lost.jpg: no such photo"}


def test_other_backends_predict_without_tensorflow(
    model: keras.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.keras.backend, "backend", lambda: "torch")
    predictor = Predictor(model, SPEC)
    found = arrays(2)
    predictions = predictor.predict(found)[0]["price"]
    monkeypatch.undo()
    np.testing.assert_allclose(predictions, by_hand(model, found), rtol=1e-5)


@pytest.mark.parametrize("rows", [1, 2 * BATCH + 3])
def test_a_watcher_sees_every_row_once_with_its_inputs(predictor: Predictor, rows: int) -> None:
    given, seen = arrays(rows), np.zeros(rows, int)

    def watch(places: np.ndarray, batch: dict[str, np.ndarray]) -> None:
        seen[places] += 1
        np.testing.assert_array_equal(batch["table_numeric"], given.inputs["table_numeric"][places])
        assert batch["photos_pixels"].shape == (len(places), 2, 16, 16, 3)

    watched, _ = predictor.predict(given, watch)
    assert seen.tolist() == [1] * rows
    np.testing.assert_allclose(watched["price"], predictor.predict(given)[0]["price"], rtol=1e-6)
