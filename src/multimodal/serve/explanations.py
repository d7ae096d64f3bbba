"""Explanations as JSON: what moved a prediction, with maps of photos as pictures.

Training rows like the explained one stay out: whoever may ask for a prediction may not see those.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multimodal.explain.page import Scale
    from multimodal.explain.records import ColumnScores, Explanation, PhotoMaps, WordScores
    from multimodal.explain.targets import ExplanationTarget

Json = dict[str, Any]


def as_json(explanation: Explanation, shown: Callable[[str], str] = str) -> Json:
    """Return an explanation as plain values.

    A `score` is a part of the score that is explained, `effect` what it does to the prediction, in
    the user's units. `scale` has the scores of full colour and of a bar's full width, as on the
    pages of `multimodal explain`.

    Args:
        explanation: Why one row gets its prediction.
        shown: Remarks to what a client may read.
    """
    found: Json = {"row": explanation.row, "remarks": [*map(shown, explanation.remarks)]}
    target = explanation.target
    if target is None:
        return found
    from multimodal.explain.page import scale_of

    scale = scale_of(explanation, target)
    return found | {
        "head": target.task.name,
        "explained": target.name,
        "unit": target.unit,
        "prediction": explanation.prediction,
        "baseline_prediction": explanation.baseline_prediction,
        "scale": {"colour": scale.colour, "width": scale.width},
        "groups": [
            {
                "name": group.name,
                "modality": group.modality,
                "there": group.there,
                **_part(group.score, target),
            }
            for group in explanation.groups
        ],
        "words": [_words(each, target) for each in explanation.words],
        "columns": _columns(explanation.columns, target),
        "photos": [_photo(each, target, scale) for each in explanation.photos],
    }


def _part(score: float, target: ExplanationTarget) -> Json:
    return {"score": float(score), "effect": target.effect(float(score))}


def _words(words: WordScores, target: ExplanationTarget) -> Json:
    spans = [
        {"start": start, "end": end, **_part(score, target)}
        for (start, end), score in zip(words.spans, words.scores.tolist(), strict=True)
    ]
    return {"group": words.group, "text": words.text, "words": spans, "read": words.read}


def _columns(found: ColumnScores | None, target: ExplanationTarget) -> list[Json]:
    if found is None:
        return []
    return [
        {
            "name": each.name,
            "value": each.value,
            "typical": each.typical,
            "counts_as": each.counts_as,
            **_part(each.score, target),
        }
        for each in sorted(found.columns, key=lambda column: -abs(column.score))
    ]


def _photo(photo: PhotoMaps, target: ExplanationTarget, scale: Scale) -> Json:
    from multimodal.explain.page import map_uri, photo_uri

    if photo.fault:
        return {"group": photo.group, "fault": "the photo cannot be read"}
    maps = {"looked_at": photo.gradients, "hidden": photo.hidden}
    strongest = 0.0
    if photo.hidden is not None:
        flat = photo.hidden.ravel()
        strongest = float(flat[abs(flat).argmax()])
    return {
        "group": photo.group,
        "photo": photo_uri(photo.path),
        "largest": _part(strongest, target),
        **{
            name: map_uri(photo.path, scores, scale.colour)
            for name, scores in maps.items()
            if scores is not None
        },
    }
