"""Where the photos that cells name lie: below one folder, under whatever spelling of their name.

A path may have come from another system: with backslashes, absolute, in another Unicode form or
another case, with a query behind it. It is looked for as it is first, and nothing outside the
folder is ever opened for it.
"""

from __future__ import annotations

import hashlib
import ntpath
import os
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias
from urllib.parse import unquote

from multimodal.core.config import Data
from multimodal.core.errors import DataError
from multimodal.data.photos.names import Photo, is_address, without_query


@dataclass(frozen=True)
class PhotoFolder:
    """The folder that photo paths start from, and what else may be opened for them.

    Args:
        path: The folder; None stands for that of the table.
        follow_links: Whether symbolic links in it may lead out of it, as those of Hugging Face's
            cache do.
        downloads: The folder to fetch photos to that are named by an address, made where it is
            missing; None fetches nothing, and they count as absent.

    Example:
        multimodal.train("t.csv", "price", out="run", images=PhotoFolder("photos", True))
    """

    path: str | Path | None = None
    follow_links: bool = False
    downloads: str | Path | None = None

    def __fspath__(self) -> str:
        return os.fspath(self.path or ".")


PhotoRoot: TypeAlias = Path | PhotoFolder
Images: TypeAlias = str | PhotoRoot | None  # what a caller names; None is the table's own folder


def photo_root(images: Images, default: Path) -> PhotoRoot:
    """Return the folder that `images` names, `default` where it names none."""
    if isinstance(images, PhotoFolder):
        return images if images.path is not None else replace(images, path=default)
    return default if images is None else Path(images)


def as_configured(root: PhotoRoot, data: Data) -> PhotoRoot:
    """Return a folder with what the config says of links and addresses, where it says anything."""
    if not data.follow_links and data.download is None:
        return root
    known = root if isinstance(root, PhotoFolder) else PhotoFolder(root)
    follow, downloads = known.follow_links or data.follow_links, known.downloads or data.download
    return replace(known, follow_links=follow, downloads=downloads)


def locate(name: Photo, root: PhotoRoot) -> Photo:
    """Return the path of the photo `name` below `root`; it need not exist.

    A photo that has no path, since the cell holds its bytes, comes back as it is, and so does an
    address that nothing was fetched from.

    Raises:
        DataError: `name` leads out of `root`, be it as an absolute path, through `..` or, unless
            its links are to be followed, through a symbolic link.

    Example:
    >>> locate("shoes/red.jpg", Path("photos"))
    'photos/shoes/red.jpg'
    """
    top = os.fspath(root)
    if isinstance(name, bytes):
        return name
    if is_address(name):
        return _fetched(str(name), root)
    if "\0" in name:  # no path, which opening it will say
        return os.path.join(top, name)
    below = _below(name, top)
    if below is None:
        raise DataError(
            f"photo '{name}' leads out of the photo folder; expected a path below {top}. "
            "Write paths relative to that folder, or name another one with --images."
        )
    place = str(Path(top, _as_it_lies(below, top)))  # "./a.jpg" is "a.jpg"
    follow = isinstance(root, PhotoFolder) and root.follow_links
    if not follow and (
        not _inside(os.path.dirname(place), top, os.getcwd())
        or (os.path.islink(place) and not _leads_inside(place, top))
    ):
        raise DataError(
            f"photo '{name}' is a link that leads out of the photo folder {top}. Copy the photo "
            "there, name the folder it lies in with --images, or follow links with --follow-links."
        )
    return place


def _fetched(address: str, root: PhotoRoot) -> str:
    """Return where the photo of an address lies, the address if it was not fetched."""
    if not isinstance(root, PhotoFolder) or root.downloads is None:
        return address
    place = place_of(address, Path(root.downloads))
    return str(place) if place.is_file() else address


def place_of(address: str, downloads: Path) -> Path:
    """Return where in a folder the photo lies that is fetched from an address."""
    return downloads / f"{hashlib.sha256(address.encode()).hexdigest()[:32]}.photo"


def _below(name: str, top: str) -> str | None:
    """Return a path relative to `top`, None if it leads out of it."""
    if ".." in re.split(r"[/\\]", name):
        return None
    if not os.path.isabs(name):
        return None if ntpath.splitdrive(name)[0] or name.startswith("\\") else name
    for inner, outer in (
        (os.path.abspath(name), os.path.abspath(top)),
        (_real_folder(name), os.path.realpath(top)),
    ):
        if inner.startswith(os.path.join(outer, "")):
            return os.path.relpath(inner, outer)
    return None


def _real_folder(name: str) -> str:
    """Follow the links of a path but for its last part."""
    return os.path.join(os.path.realpath(os.path.dirname(name)), os.path.basename(name))


def _as_it_lies(name: str, top: str) -> str:
    """Return the path below `top` under which a file is there, or the likeliest where none is."""
    tried = list(dict.fromkeys(_spellings(name)))
    for path in tried:
        if os.path.lexists(os.path.join(top, path)):
            return path
    found = (_alike(path, top) for path in tried)
    return next(filter(None, found), name)


def _spellings(name: str) -> Iterator[str]:
    """Yield a path as other systems would write it, never one that leads out."""
    yield name
    slashed = name.replace("\\", "/")
    yield slashed
    plain = without_query(slashed)
    yield plain
    decoded = unquote(plain)
    parts = re.split(r"[/\\]", decoded)
    if "\0" not in decoded and ".." not in parts and parts[0]:
        yield decoded


def _alike(path: str, top: str) -> str | None:
    """Return the one file whose path differs by Unicode form or case alone, None if not one."""
    found = ""
    for part in path.split("/"):
        here = os.path.join(top, found)
        if part in ("", ".") or os.path.lexists(os.path.join(here, part)):
            found = os.path.join(found, part)
            continue
        others = _folded_names(here, _changed(here)).get(_folded(part), ())
        same = [name for name in others if _composed(name) == _composed(part)] or others
        if len(same) != 1:  # of two files that differ by case, none is meant for sure
            return None
        found = os.path.join(found, same[0])
    return found


def _changed(folder: str) -> int:
    try:
        return os.stat(folder).st_mtime_ns
    except OSError:
        return 0


@lru_cache(maxsize=256)
def _folded_names(folder: str, _changed: int) -> dict[str, tuple[str, ...]]:
    """Return the names in a folder by how they are folded, as long as the folder is the same."""
    found: dict[str, tuple[str, ...]] = {}
    try:
        names = sorted(os.listdir(folder))
    except (OSError, ValueError):
        return found
    for name in names:
        found[_folded(name)] = (*found.get(_folded(name), ()), name)
    return found


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _folded(name: str) -> str:
    return _composed(_composed(name).casefold())


@lru_cache(maxsize=4096)
def _inside(folder: str, top: str, _here: str) -> bool:
    """Remember of a folder what `_leads_inside` says, as long as the working directory stays."""
    return _leads_inside(folder, top)


def _leads_inside(place: str, top: str) -> bool:
    """Whether `place` lies in `top` once links are followed."""
    real, folder = os.path.realpath(place), os.path.realpath(top)
    return os.path.commonpath([real, folder]) == folder
