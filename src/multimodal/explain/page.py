"""Explanations as HTML pages: one for each row, self-contained, and one that lists them.

Photos are re-encoded, alone or under a map of scores, so that a page holds no byte of a user's file
as it was.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.core.arrays import Floats
from multimodal.core.errors import DataError
from multimodal.core.formatting import short_number, template
from multimodal.data.photos.read import decode, locate
from multimodal.explain.records import Explanation, Neighbour, PhotoMaps, WordScores
from multimodal.explain.targets import ExplanationTarget
from multimodal.explain.words import GRADIENTS

__all__ = ["INDEX_FILE", "page", "write_pages"]

INDEX_FILE = "index.html"
LEAST = 0.1  # of the strongest word's score: words below it are not coloured
STRONGEST = 8  # words shown as bars
SIDE, SMALL = 288, 96  # pixels of a photo of the row, and of one of a training row like it
ORANGE, BLUE = (213, 94, 0), (0, 114, 178)  # of Okabe and Ito, told apart by colour-blind readers
_KINDS = {"tabular": "table", "text": "text", "image": "photos", "series": "series"}
Context = dict[str, Any]


def write_pages(
    explanations: Sequence[Explanation], folder: Path, root: Path, *, title: str = ""
) -> list[Path]:
    """Write a page for each row and `index.html`, which lists them; return their paths.

    Args:
        explanations: The rows.
        folder: Where to; it must exist.
        root: Folder that the photos of training rows are looked for in.
        title: What the index says above the list.

    Raises:
        OSError: The folder cannot be written.
    """
    paths = [folder / f"row-{each.row}.html" for each in explanations]
    for path, each in zip(paths, explanations, strict=True):
        path.write_text(page(each, root), encoding="utf-8")
    rows = [
        {"file": path.name, **_listed(each)} for path, each in zip(paths, explanations, strict=True)
    ]
    index = folder / INDEX_FILE
    listing = template("explained.html.j2").render(title=title, rows=rows)
    index.write_text(listing, encoding="utf-8")
    return [index, *paths]


def page(explanation: Explanation, root: Path) -> str:
    """Return an explanation as one self-contained page; what comes from the data is escaped."""
    target = explanation.target
    known: Context = {"e": explanation, "groups": [], "texts": [], "columns": [], "photos": []}
    if target is not None:
        known["groups"] = _bars([(g.name, g.score) for g in explanation.groups], target)
        for shown, group in zip(known["groups"], explanation.groups, strict=True):
            shown |= {"kind": _KINDS[group.modality], "there": group.there}
        known["texts"] = [_text(words, target) for words in explanation.words]
        known["photos"] = [_photo(each, explanation) for each in explanation.photos]
        if explanation.columns is not None:
            known["columns"] = _columns(explanation, target)
    known["neighbours"] = [_neighbour(each, root) for each in explanation.neighbours]
    known["head"] = target.task.name if target else ""
    return str(template("explanation.html.j2").render(known))


def _listed(explanation: Explanation) -> Context:
    target = explanation.target
    ranked = sorted(explanation.groups, key=lambda group: -abs(group.score))
    return {
        "place": explanation.place,
        "identifier": explanation.identifier,
        "prediction": explanation.prediction or "–",
        "remarks": "; ".join(explanation.remarks),
        "groups": [(g.name, target.effect(g.score)) for g in ranked] if target else [],
    }


def _bars(scores: Sequence[tuple[str, float]], target: ExplanationTarget) -> list[Context]:
    """Return name, effect and the bar of each score: where it begins and how wide it is, in %."""
    largest = max((abs(score) for _, score in scores), default=0.0) or 1.0
    return [
        {
            "name": name,
            "effect": target.effect(score),
            "up": score > 0,
            "width": f"{50 * abs(score) / largest:.1f}",
            "left": f"{50 - 50 * max(-score, 0.0) / largest:.1f}",
        }
        for name, score in scores
    ]


def _columns(explanation: Explanation, target: ExplanationTarget) -> list[Context]:
    found = explanation.columns
    assert found is not None
    ranked = sorted(found.columns, key=lambda column: -abs(column.score))
    bars = _bars([(column.name, column.score) for column in ranked], target)
    return [
        {**bar, "value": column.value, "typical": column.typical}
        for bar, column in zip(bars, ranked, strict=True)
    ]


def _text(words: WordScores, target: ExplanationTarget) -> Context:
    """Cut a text into pieces, each a word with its colour or what stands between words.

    `near` are the pieces that the networks read, `far` those that only the linear model does.
    """
    largest = float(np.abs(words.scores).max(initial=0.0)) or 1.0
    near: list[Context] = []
    far: list[Context] = []
    last = 0
    for (start, end), score in zip(words.spans, words.scores.tolist(), strict=True):
        share, pieces = abs(score) / largest, near if start < words.read else far
        pieces.append({"text": words.text[last:start]})
        pieces.append(
            {
                "text": words.text[start:end],
                "effect": target.effect(score),
                "up": score > 0,
                "share": f"{share:.2f}" if share >= LEAST else "",
            }
        )
        last = end
    end = len(words.text) if words.beyond else words.read
    (far or near).append({"text": words.text[last:end]})
    order = np.argsort(-np.abs(words.scores), kind="stable")[:STRONGEST]
    strongest = [(words.text[slice(*words.spans[i])], float(words.scores[i])) for i in order]
    whole = words.end - words.start
    return {
        "group": words.group,
        "near": near,
        "far": far,
        "cut": words.text[end:],
        "strongest": _bars(strongest, target),
        "total": target.effect(whole),
        "gradients": words.method == GRADIENTS,
        "linear": words.beyond,
        "rest": f"{words.gap / abs(whole):.0%}" if words.gap > 0.01 * abs(whole) + 1e-4 else "",
    }


def _photo(photo: PhotoMaps, explanation: Explanation) -> Context:
    maps = [
        ("Where the model looks", photo.gradients, "gradients"),
        ("What hiding a patch takes away", photo.hidden, "hidden"),
    ]
    shown = []
    for name, scores, kind in maps:
        if scores is not None:
            largest = _largest(explanation, photo.group, kind)
            shown.append(
                {
                    "name": name,
                    "uri": map_uri(photo.path, scores, largest),
                    "alt": f"{name} in {photo.path.name}: {_places(scores)}.",
                }
            )
    strongest = ""
    if photo.hidden is not None and explanation.target is not None:
        flat = photo.hidden.ravel()
        strongest = explanation.target.effect(float(flat[np.abs(flat).argmax()]))
    return {
        "name": photo.path.name,
        "group": photo.group,
        "fault": photo.fault,
        "maps": shown,
        "uri": "" if photo.fault else photo_uri(photo.path),
        "strongest": strongest,
        "spatial": photo.gradients is not None,
    }


def _largest(explanation: Explanation, group: str, kind: str) -> float:
    """Return the strongest score of a kind of map over all photos of a group."""
    maps = [getattr(each, kind) for each in explanation.photos if each.group == group]
    return max((float(np.abs(each).max()) for each in maps if each is not None), default=1.0)


def _places(scores: np.ndarray[Any, Any]) -> str:
    """Say in words where a map has its highest and its lowest score."""
    height, width = scores.shape

    def place(index: Any) -> str:
        row, column = divmod(int(index), width)
        rows = ("top", "middle", "bottom")[min(3 * row // height, 2)]
        columns = ("left", "centre", "right")[min(3 * column // width, 2)]
        return f"{rows} {columns}"

    raised = f"raised most at the {place(scores.argmax())}" if scores.max() > 0 else ""
    lowered = f"lowered most at the {place(scores.argmin())}" if scores.min() < 0 else ""
    return ", ".join(filter(None, (raised, lowered))) or "no effect"


def _neighbour(near: Neighbour, root: Path) -> Context:
    photos = []
    for name in near.photos[:1]:
        try:
            photos.append(photo_uri(locate(name, root), SMALL))
        except DataError:
            continue
    return {
        "line": near.line,
        "distance": short_number(near.distance, 2),
        "text": near.text,
        "labels": list(near.labels.items()),
        "photo": next(filter(None, photos), ""),
        "name": next(iter(near.photos), ""),
    }


def photo_uri(path: Path, side: int = SIDE) -> str:
    """Return a photo as a data URI of a new JPEG, a square of `side` pixels; "" if unreadable.

    It is stretched to a square, as the model sees it.

    Example:
    >>> photo_uri(Path("absent.jpg"))
    ''
    """
    try:
        return _uri(decode(path, side))
    except DataError:
        return ""


def map_uri(path: Path, scores: Floats, largest: float) -> str:
    """Return a photo in grey under its scores (H, W): orange raises the score, blue lowers it.

    Args:
        path: The photo.
        scores: Scores by place, laid over the whole photo and smoothed.
        largest: The size of a score that has the full colour.
    """
    from PIL import Image

    try:
        pixels = decode(path, SIDE).astype(np.float64)
    except DataError:
        return ""
    grey = pixels @ np.array([0.299, 0.587, 0.114])
    grey = np.repeat((0.75 * grey + 0.25 * 255)[..., None], 3, axis=2)
    small = Image.fromarray(scores.astype(np.float32))
    wide = np.asarray(small.resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.float64)
    share = np.clip(np.abs(wide) / (largest or 1.0), 0, 1)[..., None]
    colour = np.where(wide[..., None] > 0, np.array(ORANGE), np.array(BLUE))
    mixed = grey * (1 - 0.8 * share) + colour * 0.8 * share
    return _uri(mixed.round().clip(0, 255).astype(np.uint8))


def _uri(pixels: NDArray[Any]) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
