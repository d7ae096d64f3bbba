"""Photos named by addresses: fetched once, within limits, and never from private networks.

A host is resolved once, its address judged, and that very address connected to, so that a name that
resolves to another one a moment later (DNS rebinding) leads nowhere, and neither does a redirect,
which is judged alike. What comes is kept only if it is a photo, beside its checksum.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import logging
import socket
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from multimodal.core.errors import ConfigError, DataError
from multimodal.core.files import replace_file
from multimodal.data.photos.locate import PhotoFolder, PhotoRoot, place_of
from multimodal.data.photos.names import cell_photos, is_address
from multimodal.data.photos.read import fault_of, open_photo

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

MOST_PHOTOS = 10_000  # that are fetched at a time; the next call goes on
MOST_BYTES = 32 * 2**20  # of a photo
MOST_SECONDS, SECONDS_ALL = 30.0, 3600.0  # for a photo, and for all
_REDIRECTS, _THREADS, _BLOCK = 5, 8, 2**16
_MOVED = (301, 302, 303, 307, 308)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # holds addresses of the fourth version
_HEADERS = {"User-Agent": "multimodal-keras", "Accept": "image/*", "Accept-Encoding": "identity"}

logger = logging.getLogger(__name__)


class Refused(DataError):
    """Why a photo is not fetched."""


def fetch_photos(cells: Iterable[Any], root: PhotoRoot) -> None:
    """Fetch the photos that cells name by an address, where the folder has a place for them.

    A photo that is there already, and is what was fetched, is not fetched again. News and what
    could not be fetched go to the log; such photos count as absent.

    Args:
        cells: Cells of columns of photos.
        root: The photos' folder; unless it is a `PhotoFolder` with `downloads`, nothing is done.

    Raises:
        ConfigError: The package that fetches is not installed, or the folder cannot be written.
    """
    if not isinstance(root, PhotoFolder) or root.downloads is None:
        return
    named = (photo for cell in cells for photo in cell_photos(cell))
    addresses = dict.fromkeys(
        str(photo) for photo in named if is_address(photo) and str(photo).lower().startswith("http")
    )
    folder = _made(Path(root.downloads))
    wanted = [address for address in addresses if not _is_whole(place_of(address, folder))]
    if not wanted:
        return
    logger.info(f"fetching {min(len(wanted), MOST_PHOTOS):,} photos to {folder}")
    end = time.monotonic() + SECONDS_ALL
    with ThreadPoolExecutor(_THREADS) as pool:
        found = pool.map(lambda address: _keep(address, folder, end), wanted[:MOST_PHOTOS])
        faults = {address: why for address, why in zip(wanted, found, strict=False) if why}
    if faults:
        first = next(f"{address}: {why}" for address, why in faults.items())
        logger.warning(f"{len(faults):,} photos could not be fetched. First: {first:.300}")
    if len(wanted) > MOST_PHOTOS:
        logger.warning(
            f"{len(wanted) - MOST_PHOTOS:,} photos are left to fetch; at most {MOST_PHOTOS:,} are "
            "at a time. The same command goes on."
        )


def _made(folder: Path) -> Path:
    try:
        import urllib3  # noqa: F401
    except ImportError:
        raise ConfigError(
            "fetching photos needs urllib3, which is not installed: "
            "pip install 'multimodal-keras[download]'"
        ) from None
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written ({error.strerror}).") from None
    return folder


def _is_whole(place: Path) -> bool:
    """Whether a file is the one that was fetched."""
    try:
        known = json.loads(_record(place).read_text("utf-8"))
        return bool(known["sha256"] == hashlib.sha256(place.read_bytes()).hexdigest())
    except (OSError, ValueError, LookupError, TypeError):
        return False


def _record(place: Path) -> Path:
    return place.with_suffix(".json")


def _keep(address: str, folder: Path, end: float) -> str:
    """Fetch a photo and keep it with its checksum; return why not, "" where it is kept."""
    try:
        content = fetch(address, min(end, time.monotonic() + MOST_SECONDS))
        open_photo(content).close()
        place = place_of(address, folder)
        with replace_file(place) as beside:
            beside.write_bytes(content)
        record = {"address": address, "sha256": hashlib.sha256(content).hexdigest()}
        with replace_file(_record(place)) as beside:
            beside.write_text(json.dumps(record), encoding="utf-8")
    except Exception as error:  # whatever a server or a decoder does
        return str(error) if isinstance(error, Refused) else fault_of(error)
    return ""


def fetch(address: str, end: float) -> bytes:
    """Return what lies at an http(s) address.

    Args:
        address: Where to start; redirects are followed.
        end: When to give up, on the clock of `time.monotonic`.

    Raises:
        Refused: The address leads into a private network, too large, too slow, or to no file.
        urllib3.exceptions.HTTPError: The connection fails.
    """
    for _ in range(_REDIRECTS + 1):
        response = _answer(address, end)
        try:
            if response.status in _MOVED and "Location" in response.headers:
                address = urljoin(address, response.headers["Location"])
                continue
            if response.status != 200:
                raise Refused(f"the server answers {response.status}")
            return _body(response, end)
        finally:
            response.close()
    raise Refused(f"more than {_REDIRECTS} redirects")


def _answer(address: str, end: float) -> BaseHTTPResponse:
    import urllib3

    url = urllib3.util.parse_url(address)
    if url.scheme not in ("http", "https") or not url.host:
        raise Refused(f"{address:.200} is no http(s) address")
    port = url.port or (443 if url.scheme == "https" else 80)
    host = url.host.strip("[]")
    resolved = public_address(host, port)
    left = end - time.monotonic()
    if left <= 0:
        raise Refused("there was no time left")
    pool: urllib3.HTTPConnectionPool
    if url.scheme == "https":
        pool = urllib3.HTTPSConnectionPool(
            resolved, port, server_hostname=host, assert_hostname=host
        )
    else:
        pool = urllib3.HTTPConnectionPool(resolved, port)
    # no redirects by the library: where they lead is judged first
    return pool.urlopen(
        "GET",
        url.request_uri,
        headers={**_HEADERS, "Host": url.netloc or host},
        timeout=urllib3.Timeout(total=left),
        retries=False,
        redirect=False,
        preload_content=False,
    )


def _body(response: BaseHTTPResponse, end: float) -> bytes:
    parts, size = [], 0
    for part in response.stream(_BLOCK, decode_content=False):
        size += len(part)
        if size > MOST_BYTES:
            raise Refused(f"more than {MOST_BYTES:,} bytes")
        if time.monotonic() > end:
            raise Refused("it took too long")
        parts.append(part)
    return b"".join(parts)


def public_address(host: str, port: int) -> str:
    """Resolve a host to an address on the public internet.

    Raises:
        Refused: The host is unknown, or one of its addresses is of this machine or a private
            network.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Refused(f"the host {host:.100} is unknown") from None
    addresses = [str(each[4][0]) for each in found]
    for address in addresses:
        if not is_public(address):
            raise Refused(f"{host:.100} is an address of a private network ({address})")
    return addresses[0]


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet, also where it wraps another one.

    Example:
    >>> is_public("93.184.216.34"), is_public("10.0.0.1"), is_public("::ffff:127.0.0.1")
    (True, False, False)
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo and found.teredo[1])
        if found in _NAT64 or (int(found) >> 32 == 0 and int(found) > 1):
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner:
            return is_public(str(inner))
    return found.is_global and not found.is_multicast
