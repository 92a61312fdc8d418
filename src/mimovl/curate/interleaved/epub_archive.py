"""An EPUB's archive: its chapters in reading order, every member read within limits, whatever the archive claims."""

from __future__ import annotations

import posixpath
import xml.etree.ElementTree as ElementTree
import zipfile
import zlib
from urllib.parse import unquote

from mimovl.errors import DataError, MediaError

__all__ = ["BrokenEpubError", "EpubArchive"]

_MAX_MEMBERS = 50_000
_MAX_MEMBER_BYTES = 64 << 20
_MAX_TOTAL_BYTES = 2 << 30
"""Bytes unpacked from one book, all reads together."""
_MAX_RATIO = 1000
"""How many times larger than packed a member may be once it is over a megabyte; zip's own limit is 1032."""
_FONTS = ("font", "ttf", "otf", "woff")
_PAGES = ("application/xhtml+xml", "text/html", "application/html")


class BrokenEpubError(DataError):
    """An EPUB that cannot be read; ``reason`` is a short stable word for counting drops."""

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class EpubArchive:
    """An open book.

    Args:
        path: the file.
        name: used in errors.

    Raises:
        BrokenEpubError: not_epub, damaged_epub, encrypted, zip_bomb, no_chapters.
    """

    def __init__(self, path: str, *, name: str) -> None:
        self.name = name
        self._unpacked = 0
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError) as error:
            raise BrokenEpubError(f"{name} is no zip archive: {error}", reason="not_epub") from None
        try:
            members = self._zip.infolist()
            if len(members) > _MAX_MEMBERS:
                raise BrokenEpubError(
                    f"{name} has {len(members)} members, the limit is {_MAX_MEMBERS}", reason="zip_bomb"
                )
            self._members = {member.filename: member for member in members}
            self._folder, self.title, self.chapters = self._package()
        except BaseException:
            self._zip.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._zip.close()

    def read(self, path: str) -> bytes:
        """A member's bytes.

        Raises:
            BrokenEpubError: zip_bomb, encrypted, damaged_epub, missing_member.
        """
        member = self._members.get(path)
        if member is None:
            raise BrokenEpubError(f"{self.name} has no member {path}", reason="missing_member")
        if member.flag_bits & 1:
            raise BrokenEpubError(f"{self.name}: {path} is locked by a password", reason="encrypted")
        data = bytearray()
        try:
            with self._zip.open(member) as file:
                while block := file.read(1 << 20):
                    data += block
                    self._unpacked += len(block)
                    packed = max(1, member.compress_size)
                    if (
                        len(data) > _MAX_MEMBER_BYTES
                        or self._unpacked > _MAX_TOTAL_BYTES
                        or (len(data) >= 1 << 20 and len(data) > _MAX_RATIO * packed)
                    ):
                        raise BrokenEpubError(
                            f"{self.name}: {path} grows to over {len(data)} bytes from {packed}", reason="zip_bomb"
                        )
        except BrokenEpubError:  # a ValueError too
            raise
        except (
            zipfile.BadZipFile,
            zlib.error,
            OSError,
            ValueError,
            EOFError,
            NotImplementedError,
            RuntimeError,
        ) as error:
            raise BrokenEpubError(f"{self.name}: {path} cannot be unpacked: {error}", reason="damaged_epub") from None
        return bytes(data)

    def read_picture(self, path: str) -> bytes:
        """A member as a picture.

        Raises:
            MediaError: with the reason of :meth:`read`, or missing_picture.
        """
        try:
            return self.read(path)
        except BrokenEpubError as error:
            reason = "missing_picture" if error.reason == "missing_member" else error.reason
            raise MediaError(str(error), reason=reason) from None

    def _package(self) -> tuple[str, str, list[str]]:
        """The folder of the package file, the book's title, and its chapters in the order of the spine."""
        self._refuse_encrypted()
        container = self._xml("META-INF/container.xml", missing="not_epub")
        root_file = next((node.get("full-path") for node in container.iter() if _local(node) == "rootfile"), None)
        if not root_file:
            raise BrokenEpubError(f"{self.name}: META-INF/container.xml names no package", reason="damaged_epub")
        package = self._xml(root_file, missing="damaged_epub")
        folder = posixpath.dirname(root_file)
        manifest: dict[str, str] = {}
        title = ""
        order: list[str] = []
        for node in package.iter():
            tag = _local(node)
            if (
                tag == "item"
                and node.get("media-type") in _PAGES
                and "nav" not in (node.get("properties") or "").split()
            ):
                path = posixpath.normpath(posixpath.join(folder, unquote(node.get("href") or "")))
                manifest[node.get("id") or ""] = path
            elif tag == "itemref" and node.get("linear") != "no":
                order.append(node.get("idref") or "")
            elif tag == "title" and not title:
                title = " ".join((node.text or "").split())
        chapters = list(dict.fromkeys(manifest[one] for one in order if manifest.get(one) in self._members))
        if not chapters:
            raise BrokenEpubError(f"{self.name}: its spine names no chapter that is there", reason="no_chapters")
        return folder, title, chapters

    def _refuse_encrypted(self) -> None:
        if "META-INF/encryption.xml" not in self._members:
            return
        for node in self._xml("META-INF/encryption.xml", missing="damaged_epub").iter():
            target = node.get("URI") or ""
            if _local(node) == "CipherReference" and not target.lower().endswith(_FONTS):
                raise BrokenEpubError(f"{self.name}: {target} is encrypted", reason="encrypted")

    def _xml(self, path: str, *, missing: str) -> ElementTree.Element:
        if path not in self._members:
            raise BrokenEpubError(f"{self.name} has no {path}", reason=missing)
        data = self.read(path)
        if b"<!ENTITY" in data:  # the way XML bombs are built
            raise BrokenEpubError(f"{self.name}: {path} declares entities", reason="damaged_epub")
        try:
            return ElementTree.fromstring(data)
        except (ElementTree.ParseError, ValueError, LookupError) as error:
            raise BrokenEpubError(f"{self.name}: {path} is no readable XML: {error}", reason="damaged_epub") from None


def _local(node: ElementTree.Element) -> str:
    """A tag without its namespace."""
    return str(node.tag).rpartition("}")[2]
