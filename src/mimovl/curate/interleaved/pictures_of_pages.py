"""Pictures a page names by address: files beside it, within the folder that was read, and ``data:`` addresses.

Nothing is fetched from other machines: such a picture is counted as ``elsewhere``.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from pathlib import PurePosixPath
from urllib.parse import unquote_to_bytes, urlsplit

from mimovl.curate.interleaved.blocks import picture
from mimovl.curate.interleaved.html_page import LoadPicture
from mimovl.errors import MediaError
from mimovl.types import Media

__all__ = ["Fetch", "picture_loader", "resolve"]

MAX_PICTURE_BYTES = 64 << 20
MAX_DOCUMENT_BYTES = 512 << 20
"""All pictures of one document together, so that one page of ten thousand photos is no reason to run out of memory."""

Fetch = Callable[[str], bytes]
"""A member of the folder or archive by its path from the root; raises ``MediaError`` (missing_picture, …)."""


def resolve(page: str, address: str) -> str:
    """The path from the root of what a page means by an address.

    Raises:
        MediaError: ``elsewhere`` (another machine), ``outside`` (above the root).
    """
    try:
        parts = urlsplit(address)
    except ValueError:
        raise MediaError(f"{page}: {address[:100]!r} is no address", reason="no_address") from None
    if parts.scheme or parts.netloc:
        raise MediaError(f"{page}: {address[:100]} lies on another machine", reason="elsewhere")
    path = unquote_to_bytes(parts.path).decode("utf-8", errors="replace")
    base = PurePosixPath() if path.startswith("/") else PurePosixPath(page).parent
    found: list[str] = []
    for part in (*base.parts, *PurePosixPath(path.lstrip("/")).parts):
        if part == "..":
            if not found:
                raise MediaError(f"{page}: {address[:100]} lies above the folder that is read", reason="outside")
            found.pop()
        elif part != ".":
            found.append(part)
    return "/".join(found)


def picture_loader(page: str, fetch: Fetch) -> LoadPicture:
    """How a document's pictures are got; keeps count of their bytes.

    Args:
        page: the page's path from the root.
        fetch: reads a member.
    """
    held = 0

    def load(address: str) -> Media:
        nonlocal held
        data = _inline(address) if address[:5].lower() == "data:" else fetch(resolve(page, address))
        if len(data) > MAX_PICTURE_BYTES or held + len(data) > MAX_DOCUMENT_BYTES:
            raise MediaError(f"{page}: a picture of {len(data)} bytes is too much", reason="picture_too_large")
        media = picture(data, name=f"{page}: {address[:100]}")
        held += len(data)
        return media

    return load


def _inline(address: str) -> bytes:
    head, _, body = address.partition(",")
    try:
        data = unquote_to_bytes(body)
        return base64.b64decode(data) if head.lower().endswith(";base64") else data
    except (binascii.Error, ValueError):
        raise MediaError("a data: address that is no base64", reason="corrupt_image") from None
