"""Which typefaces there are: those of the system, those of a folder of the user's, and Pillow's own.

A face is used only for a language whose letters it draws. Chinese needs a font file with Chinese glyphs (see
``world/fonts``); where there is none, Chinese pages cannot be drawn, and who asks for them is told so.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import ImageFont

from mimovl.curate.world.fonts import chinese_font_path
from mimovl.errors import DataError

__all__ = ["Face", "Faces", "find_faces", "font"]

_LATIN = "AQgjy&0179$%@"
_CHINESE = "中国文字，。"
_HAND_WORDS = ("hand", "script", "brush", "kai", "cursive", "chancery", "comic", "marker", "xing", "cao")
_UNFIT = ("symbol", "emoji", "dingbat", "icon", "math", "barcode", "braille", "light")
_SUFFIXES = (".ttf", ".otf", ".ttc")


@dataclass(frozen=True)
class Face:
    """A font file (empty: Pillow's own face) and which face in it."""

    path: str
    index: int = 0
    name: str = ""

    @property
    def hand(self) -> bool:
        """Its name says that it looks written."""
        return any(word in self.name.lower() for word in _HAND_WORDS)


@dataclass(frozen=True)
class Faces:
    """All faces by what they can write, each list in a fixed order."""

    latin: tuple[Face, ...]
    chinese: tuple[Face, ...]

    def of(self, *, chinese: bool, hand: bool = False) -> tuple[Face, ...]:
        """Faces of a language; those that look written, if there are any and they are asked for."""
        faces = self.chinese if chinese else self.latin
        return tuple(face for face in faces if face.hand) or faces if hand else faces


@lru_cache(maxsize=4)
def find_faces(folder: str = "") -> Faces:
    """Look for faces.

    Args:
        folder: more font files, searched with its subfolders; their faces alone are used for what they can write.

    Raises:
        DataError: the folder is none, or has no usable font file.
    """
    own = _of_folder(folder) if folder else ()
    system = (Face("", name="Pillow"), *_of_system())
    latin = tuple(face for face in own if _draws(face, _LATIN)) or tuple(f for f in system if _draws(f, _LATIN))
    named = chinese_font_path()
    all_chinese = own if any(_draws(face, _CHINESE) for face in own) else ()
    all_chinese = all_chinese or ((Face(named, name=Path(named).stem), *system) if named else system)
    chinese = {(face.path, face.index): face for face in all_chinese if _draws(face, _CHINESE)}
    if folder and not any(face in latin or face in chinese.values() for face in own):
        raise DataError(f"{folder}: no font file (.ttf, .otf, .ttc) with Latin or Chinese letters; leave fonts away")
    return Faces(latin, tuple(chinese.values()))


@lru_cache(maxsize=512)
def font(face: Face, size: int) -> ImageFont.FreeTypeFont:
    """A face at a size in pixels; no ligatures, so every text has the same pixels wherever it stands."""
    if face.path:
        return ImageFont.truetype(face.path, size, index=face.index, layout_engine=ImageFont.Layout.BASIC)
    loaded = ImageFont.load_default(size)
    assert isinstance(loaded, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
    return loaded


def _of_folder(folder: str) -> tuple[Face, ...]:
    if not Path(folder).is_dir():
        raise DataError(f"{folder}: no such folder; fonts names one that holds .ttf, .otf or .ttc files")
    files = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in _SUFFIXES)
    return tuple(Face(str(path), name=path.stem) for path in files)


def _of_system() -> tuple[Face, ...]:
    """What fontconfig lists, upright and slanted, without the symbol fonts; none where it is not installed."""
    if not shutil.which("fc-list"):
        return ()
    try:
        listed = subprocess.run(
            ["fc-list", "--format", "%{file}|%{index}|%{family}\n"],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ()
    faces = set()
    for line in listed.splitlines():
        path, index, family = [*line.split("|", 2), "", ""][:3]
        if Path(path).suffix.lower() in _SUFFIXES and not any(word in family.lower() for word in _UNFIT):
            faces.add(Face(path, int(index) & 0xFFFF if index.isdigit() else 0, family))
    return tuple(sorted(faces, key=lambda face: (face.path, face.index)))


def _draws(face: Face, letters: str) -> bool:
    """True if the face opens and draws every letter as something else than its missing-glyph box."""
    try:
        loaded = font(face, 16)
        missing = {bytes(loaded.getmask(char)) for char in "\U0010fffe\uffff"}
        return all(bytes(loaded.getmask(letter)) not in (*missing, b"") for letter in letters)
    except (OSError, ValueError):
        return False
