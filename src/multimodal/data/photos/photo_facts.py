"""What the photos of a column are like, counted: absent, damaged, double, tiny, grey, rotated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from multimodal.data.photos.read import PhotoFacts

TINY, HUGE = 32, 16_000_000


class PhotoColumn(BaseModel):
    """The photos of one column; all counts are of files but for `rows` and `duplicate`.

    Args:
        name: the column.
        rows: rows that name a photo.
        photos: different files that are named.
        missing: no such file.
        unreadable: cut off, damaged, or no photo.
        duplicate: namings of a photo whose bytes were named before, in whatever file.
        tiny: a side is shorter than 32 pixels.
        huge: more than 16 megapixels.
        not_rgb: grey, with transparency, with a palette, CMYK or 16 bits; read as RGB.
        rotated: EXIF turns it; read upright.
        first: the first file of each of these, by the name of its count.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    rows: int
    photos: int
    missing: int
    unreadable: int
    duplicate: int
    tiny: int
    huge: int
    not_rgb: int
    rotated: int
    first: dict[str, str] = {}


def photo_column(
    name: str, rows: Sequence[Sequence[str]], facts: Mapping[str, PhotoFacts]
) -> PhotoColumn:
    """Count what the photos of a column are like.

    Args:
        name: the column.
        rows: for each row, the paths that its cell names.
        facts: what is known of each path.

    Example:
    >>> known = {"a": PhotoFacts("x", width=9, height=9), "b": PhotoFacts("x", width=64, height=64)}
    >>> found = photo_column("photo", [["a"], ["b", "a"], []], known)
    >>> found.rows, found.photos, found.tiny, found.duplicate
    (2, 2, 1, 2)
    """
    paths = list(dict.fromkeys(path for row in rows for path in row))
    found: dict[str, list[str]] = {key: [] for key in _KINDS}
    for path in paths:
        for key in _kinds(facts[path]):
            found[key].append(path)
    digests = [facts[path].digest for row in rows for path in row if facts[path].digest]
    return PhotoColumn(
        name=name,
        rows=sum(bool(row) for row in rows),
        photos=len(paths),
        duplicate=len(digests) - len(set(digests)),
        first={key: each[0] for key, each in found.items() if each},
        **{key: len(each) for key, each in found.items()},
    )


_KINDS = ("missing", "unreadable", "tiny", "huge", "not_rgb", "rotated")


def _kinds(facts: PhotoFacts) -> list[str]:
    """Name what is worth a word about one photo."""
    if facts.fault:
        return ["missing" if facts.absent else "unreadable"]
    true = {
        "tiny": min(facts.width, facts.height) < TINY,
        "huge": facts.width * facts.height > HUGE,
        "not_rgb": facts.mode != "RGB",
        "rotated": facts.rotated,
    }
    return [key for key, holds in true.items() if holds]
