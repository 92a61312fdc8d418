"""A folder of pictures as records; a text file beside a picture is its caption.

``photos/7.jpg`` with ``photos/7.txt`` is a caption; without one it is a picture to be captioned. A file is a picture by
its ending; what it really is, its content says. Reasons of drops: bad_encoding, those of ``media``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from mimovl.curate.readers.files import files_of, short_name
from mimovl.curate.readers.media import MediaReader
from mimovl.curate.step import Dropped, Unit
from mimovl.errors import MediaError
from mimovl.types import Message, Part, Sample

__all__ = ["SUFFIXES", "Images"]

SUFFIXES = (
    ".jpg", ".jpeg", ".png", ".webp", ".gif", ".tif", ".tiff", ".bmp", ".avif", ".jp2", ".ppm", ".jfif",
)  # fmt: skip
_MAX_TEXT = 1 << 20


class Images(MediaReader):
    """Folders of pictures."""

    reader: Literal["images"] = "images"
    """A folder of pictures."""
    path: str
    """A folder searched through, a picture, or a pattern with ``*``."""
    source: str = "images"
    """``Sample.source``."""
    task: str = "caption"
    """``Sample.task``."""
    language: str = "en"
    """``Sample.language``."""
    unit_files: int = Field(default=64, ge=1)
    """Pictures that a worker reads at a time."""

    def units(self) -> list[Unit]:
        """So many files each, in order of their names."""
        files = files_of(self.path, SUFFIXES, "pictures")
        units = []
        for start in range(0, len(files), self.unit_files):
            some = files[start : start + self.unit_files]
            names = tuple(short_name(file, self.path) for file in some)
            units.append(Unit(names[0], tuple(zip(map(str, some), names, strict=True)), len(some)))
        return units

    def read(self, unit: Unit) -> Iterator[tuple[str, Sample | Dropped]]:
        """The pictures, each named by its path below the folder."""
        for path, name in unit.where:
            file = Path(path)
            try:
                media = self.picture(file.name, file.parent, name)
                text = _caption(file.with_suffix(".txt"))
            except MediaError as error:
                yield name, Dropped(error.reason, str(error))
                continue
            except UnicodeDecodeError as error:
                yield name, Dropped("bad_encoding", f"{file.with_suffix('.txt')}: not UTF-8 at byte {error.start}")
                continue
            parts = (Part("image", media=media.sha256), *([Part("text", text=text)] if text else []))
            yield (
                name,
                Sample(
                    id=name,
                    messages=(Message("assistant", parts),),
                    media={media.sha256: media},
                    task=self.task,
                    source=self.source,
                    language=self.language,
                ),
            )


def _caption(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_TEXT).decode("utf-8-sig").strip()
    except OSError:
        return ""
