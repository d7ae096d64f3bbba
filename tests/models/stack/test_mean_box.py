"""Boxes of networks and the mean box: weighted by rows that no network learned from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from multimodal.core.config import Config
from multimodal.data.labels.boxes import iou
from multimodal.data.prepare import Prepared, prepare
from multimodal.models.build import decoded, fold_models
from multimodal.models.stack.mean_box import weigh_boxes
from multimodal.models.stack.stack import predict_held_out, stack_networks
from multimodal.models.training.kfold import new_network

CORNERS = ["xmin", "ymin", "xmax", "ymax"]
ROWS, SIDE, NETWORKS = 60, 16, 2


def config(weight: Any = 1.0) -> Config:
    encoder = {"name": "convolutional", "options": {"filters": [4], "strides": [2]}}
    encoder["options"]["pool_sizes"] = [1]
    group = {"name": "photos", "modality": "image", "columns": ["photo"], "encoder": encoder}
    head = {"name": "box", "column": CORNERS, "head": "bounding_box", "weight": weight}
    return Config.parse(
        {
            "groups": [group],
            "fusion": {"name": "concat", "options": {"hidden_dims": [8]}},
            "heads": [head],
            "data": {"image_size": SIDE},
            "training": {"fold_models": NETWORKS, "precision": "float32"},
        }
    )


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    folder, rng = tmp_path_factory.mktemp("boxes"), np.random.default_rng(0)
    table = []
    for i in range(ROWS):
        low = rng.integers(0, 8, 2)
        box = dict(zip(CORNERS, (*low, *(low + rng.integers(3, 8, 2))), strict=True))
        Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)).save(folder / f"{i}.png")
        table.append({"photo": f"{i}.png", **{name: float(v) for name, v in box.items()}})
    return folder, pd.DataFrame(table)


def prepared_rows(rows: tuple[Path, pd.DataFrame], weight: Any = 1.0) -> Prepared:
    return prepare(rows[1], CORNERS, config(weight), images=rows[0])


def raw_of(boxes: np.ndarray) -> np.ndarray:
    """Raw outputs whose boxes these are."""
    parts = [(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]]
    fractions = np.concatenate(parts, axis=1).clip(0.01, 0.99)
    return np.log(fractions / (1 - fractions))


def networks_of(prepared: Prepared) -> list[Any]:
    return [new_network(prepared, i)[0] for i in range(NETWORKS)]


def test_networks_that_know_the_boxes_are_believed(rows) -> None:
    prepared = prepared_rows(rows)
    networks, held_out = networks_of(prepared), prepared.rows("train")
    y_true = prepared.labels["box"][held_out]
    before = networks[1].get_weights()
    raw, weight, finding = weigh_boxes(prepared, "box", networks, held_out, raw_of(y_true))
    assert weight == 1 and finding is None
    np.testing.assert_allclose(raw, raw_of(y_true))
    for new, old in zip(networks[1].get_weights(), before, strict=True):
        np.testing.assert_array_equal(new, old)


def test_networks_that_guess_give_way_to_the_mean_box_and_a_sentence_says_so(rows) -> None:
    prepared = prepared_rows(rows)
    networks, held_out = networks_of(prepared), prepared.rows("train")
    wrong = np.random.default_rng(1).permutation(prepared.labels["box"][held_out])
    raw, weight, finding = weigh_boxes(prepared, "box", networks, held_out, raw_of(wrong))
    assert weight == 0 and np.ptp(raw, axis=0).max() == 0
    assert finding is not None and "the mean box is predicted for every photo" in finding
    mean = prepared.labels["box"][prepared.splits != "test"].mean(axis=0)
    for network in networks:
        found = predict_held_out(prepared, network, 0).outputs["box"]
        boxes = decoded(network, "box", found)
        np.testing.assert_allclose(boxes, np.tile(mean, (len(boxes), 1)), atol=1e-5)


@pytest.mark.parametrize("weight", [1.0, "learned"])
def test_a_part_of_the_way_is_that_of_the_networks_and_of_the_stack(rows, weight) -> None:
    prepared = prepared_rows(rows, weight)
    networks, held_out = networks_of(prepared), prepared.rows("train")
    mean = prepared.labels["box"][prepared.splits != "test"].mean(axis=0)
    y_true = prepared.labels["box"][held_out]
    overshot = mean + 2 * (y_true - mean)
    raw = predict_held_out(prepared, networks[0], 0).outputs["box"]
    wide = np.concatenate([raw_of(overshot), np.zeros((len(y_true), raw.shape[1] - 4))], axis=1)
    moved, share, _ = weigh_boxes(prepared, "box", networks, held_out, wide)
    assert 0.2 < share < 0.9
    assert iou(decoded(networks[0], "box", moved), y_true).mean() > iou(overshot, y_true).mean()
    after = predict_held_out(prepared, networks[0], 0).outputs["box"]
    np.testing.assert_allclose(
        after[:, :4], raw_of(mean[None]) * (1 - share) + share * raw[:, :4], atol=1e-4
    )
    np.testing.assert_allclose(after[:, 4:], raw[:, 4:], atol=1e-5)


def test_a_stack_is_never_below_the_mean_box_out_of_fold(rows) -> None:
    """Networks that have learned nothing end as the mean box, in the model that is saved, too."""
    prepared = prepared_rows(rows)
    found = stack_networks(prepared, networks_of(prepared))
    y_true = prepared.labels["box"][found.out_of_fold.rows]
    mean = prepared.labels["box"][prepared.splits != "test"].mean(axis=0)
    own = iou(found.out_of_fold.outputs["box"], y_true).mean()
    assert own >= iou(np.tile(mean, (len(y_true), 1)), y_true).mean() - 1e-6
    assert found.notes == ["box: stacking weights 0.00 (networks), 1.00 (mean box)"]
    assert len(found.findings) == 1 and found.findings[0].startswith("box: the mean box")
    assert all(
        not each.get_layer("box").dense.kernel.numpy().any() for each in fold_models(found.model)
    )
