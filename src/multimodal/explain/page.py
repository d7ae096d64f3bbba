"""Explanations as HTML pages: one for each row, self-contained, and one that lists them.

Photos are re-encoded, alone or under a map of scores, so that a page holds no byte of a user's file
as it was.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.core.arrays import Floats
from multimodal.core.errors import DataError
from multimodal.core.formatting import listed, short_number, template
from multimodal.data.photos.locate import PhotoRoot, locate
from multimodal.data.photos.names import Photo, file_name
from multimodal.data.photos.read import decode
from multimodal.explain.records import ColumnScores, Explanation, Neighbour, PhotoMaps, WordScores
from multimodal.explain.targets import ExplanationTarget

__all__ = ["INDEX_FILE", "page", "write_pages"]

INDEX_FILE = "index.html"
LEAST = 0.1  # of full colour: words below it are not coloured
DIGIT = 0.01  # of a factor; of amounts, this part of the largest: full colour is no less
STRONGEST = 8  # words shown as bars
SIDE, SMALL = 288, 96  # pixels of a photo of the row, and of one of a training row like it
ORANGE, BLUE = (213, 94, 0), (0, 114, 178)  # of Okabe and Ito, told apart by colour-blind readers
_KINDS = {"tabular": "table", "text": "text", "image": "photos", "series": "series"}
Context = dict[str, Any]


@dataclass(frozen=True)
class Scale:
    """The scores that have the full colour and the full width of a bar, for the whole page."""

    colour: float
    width: float


def write_pages(
    explanations: Sequence[Explanation], folder: Path, root: PhotoRoot, *, title: str = ""
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


def page(explanation: Explanation, root: PhotoRoot) -> str:
    """Return an explanation as one self-contained page; what comes from the data is escaped."""
    target = explanation.target
    known: Context = {"e": explanation, "groups": [], "texts": [], "columns": [], "photos": []}
    if target is not None:
        scale = scale_of(explanation, target)
        known["colour"], known["width"] = (
            f"{target.effect(full)} or {target.effect(-full)}"
            for full in (scale.colour, scale.width)
        )
        known["groups"] = _bars([(g.name, g.score) for g in explanation.groups], target, scale)
        for shown, group in zip(known["groups"], explanation.groups, strict=True):
            shown |= {"kind": _KINDS[group.modality], "there": group.there}
        known["texts"] = [
            _text(words, target, scale)
            | {"apart": _apart(explanation, [words.group], words.end - words.start)}
            for words in explanation.words
        ]
        known["photos"] = [_photo(each, target, scale) for each in explanation.photos]
        known["mapped"] = any(each["maps"] for each in known["photos"])
        if explanation.columns is not None:
            known["columns"] = _columns(explanation.columns, target, scale)
            tables = [g.name for g in explanation.groups if g.modality == "tabular" and g.there]
            moved = explanation.columns.end - explanation.columns.start
            known["apart"] = _apart(explanation, tables, moved)
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


def scale_of(explanation: Explanation, target: ExplanationTarget) -> Scale:
    """Return the scale of a page: what its colours and bars are a part of.

    Full colour is the strongest word, column or place in a photo, full width the largest effect,
    groups included. No colour stands for what moves nothing worth a digit.
    """
    columns = [] if explanation.columns is None else explanation.columns.columns
    bars = [abs(column.score) for column in columns if not column.counts_as]
    bars += [float(np.abs(words.scores).max(initial=0.0)) for words in explanation.words]
    maps = [scores for each in explanation.photos for scores in (each.gradients, each.hidden)]
    places = [float(np.abs(scores).max()) for scores in maps if scores is not None]
    width = max([*bars, *(abs(group.score) for group in explanation.groups)], default=0.0)
    digit = DIGIT * width if target.unit == "amount" else DIGIT / target.scale
    return Scale(max([*bars, *places, digit]) or 1.0, width or 1.0)


def _bars(
    scores: Sequence[tuple[str, float]], target: ExplanationTarget, scale: Scale
) -> list[Context]:
    """Return name, effect and the bar of each score: where it begins and how wide it is, in %."""
    return [
        {
            "name": name,
            "effect": target.effect(score),
            "up": score > 0,
            "width": f"{50 * abs(score) / scale.width:.1f}",
            "left": f"{50 - 50 * max(-score, 0.0) / scale.width:.1f}",
        }
        for name, score in scores
    ]


def _columns(found: ColumnScores, target: ExplanationTarget, scale: Scale) -> list[Context]:
    ranked = sorted(found.columns, key=lambda column: -abs(column.score))
    bars = _bars([(column.name, column.score) for column in ranked], target, scale)
    return [
        {**bar, "value": column.value, "typical": column.typical, "counts_as": column.counts_as}
        for bar, column in zip(bars, ranked, strict=True)
    ]


def _apart(explanation: Explanation, names: Sequence[str], moved: float) -> Context | None:
    """Return groups and their effect, where that is not what their columns or words add up to.

    They differ by right: the effect of a group is compared with another baseline. None where the
    two are written alike, or where the groups have no effect of their own among others.
    """
    target, own = explanation.target, [g.score for g in explanation.groups if g.name in names]
    assert target is not None
    if not own or target.effect(sum(own)) == target.effect(moved):
        return None
    return {"names": listed(names), "effect": target.effect(sum(own))}


def _text(words: WordScores, target: ExplanationTarget, scale: Scale) -> Context:
    """Cut a text into pieces, each a word with its colour or what stands between words.

    `near` are the pieces that the networks read, `far` those that only the linear model does.
    """
    near: list[Context] = []
    far: list[Context] = []
    last = 0
    for (start, end), score in zip(words.spans, words.scores.tolist(), strict=True):
        share, pieces = abs(score) / scale.colour, near if start < words.read else far
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
        "strongest": _bars(strongest, target, scale),
        "total": target.effect(whole),
        "method": words.method,
        "linear": words.beyond,
        "rest": f"{words.gap / abs(whole):.0%}" if words.gap > 0.01 * abs(whole) + 1e-4 else "",
    }


def _photo(photo: PhotoMaps, target: ExplanationTarget, scale: Scale) -> Context:
    maps = [
        ("Where the model looks", photo.gradients),
        ("What hiding a patch takes away", photo.hidden),
    ]
    strongest = ""
    if photo.hidden is not None:
        flat = photo.hidden.ravel()
        strongest = target.effect(float(flat[np.abs(flat).argmax()]))
    return {
        "name": file_name(photo.path),
        "group": photo.group,
        "fault": photo.fault,
        "maps": [
            {
                "name": name,
                "uri": map_uri(photo.path, scores, scale.colour),
                "alt": f"{name} in {file_name(photo.path)}: {_places(scores, scale.colour)}.",
            }
            for name, scores in maps
            if scores is not None
        ],
        "uri": "" if photo.fault else photo_uri(photo.path),
        "strongest": strongest,
        "spatial": photo.gradients is not None,
    }


def _places(scores: Floats, full: float) -> str:
    """Say in words where a map has its highest and its lowest score, of those that have colour."""
    height, width = scores.shape

    def place(index: Any) -> str:
        row, column = divmod(int(index), width)
        rows = ("top", "middle", "bottom")[min(3 * row // height, 2)]
        columns = ("left", "centre", "right")[min(3 * column // width, 2)]
        return f"{rows} {columns}"

    least, highest, lowest = LEAST * full, scores.max(), scores.min()
    raised = f"raised most at the {place(scores.argmax())}" if highest >= least else ""
    lowered = f"lowered most at the {place(scores.argmin())}" if lowest <= -least else ""
    return ", ".join(filter(None, (raised, lowered))) or "hardly any effect"


def _neighbour(near: Neighbour, root: PhotoRoot) -> Context:
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


def photo_uri(path: Photo, side: int = SIDE) -> str:
    """Return a photo as a data URI of a new JPEG, a square of `side` pixels; "" if unreadable.

    It is stretched to a square, as the model sees it.

    Example:
    >>> photo_uri("absent.jpg")
    ''
    """
    try:
        return _uri(decode(path, side))
    except DataError:
        return ""


def map_uri(path: Photo, scores: Floats, largest: float) -> str:
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
    # ITU-R BT.601, as Pillow makes a photo grey
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
