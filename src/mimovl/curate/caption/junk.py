"""The text filter: alternative texts that are no captions (file names, addresses, placeholders, single marks)."""

from __future__ import annotations

import re

__all__ = ["junk_reason", "tidy"]

_SPACES = re.compile(r"\s+")
_TAG = re.compile(r"<[a-zA-Z/!][^<>]{0,300}>")
_FILE = re.compile(r"[\w\-. ()%]{0,120}\.(?:jpe?g|png|gif|webp|bmp|tiff?|svg|heic|pdf|mp4|html?)", re.IGNORECASE)
_CAMERA = re.compile(
    r"(?:img|dsc[nf]?|dcim|pict?|photo|image|screenshot|screen shot|微信图片|屏幕截图)?[\s_\-–.:]*[\d\s_\-.:()at]+",
    re.I,
)
_ADDRESS = re.compile(r"(?:https?://|www\.)\S+|\S+@\S+\.\w+", re.IGNORECASE)
_PLACEHOLDER = re.compile(
    "(?:image|img|photo|picture|pic|thumbnail|logo|icon|banner|avatar|untitled|null|none|undefined|placeholder|default"
    "|no (?:image|caption|description)|alt(?: text)?|loading|n/?a|click to (?:enlarge|view)|图片|照片|图|缩略图|头像"
    "|封面|无标题|暂无图片|点击查看(?:大图|原图)?|查看大图|加载中)[\\s.…。!！:：]*",
    re.IGNORECASE,
)
_LETTER = re.compile(r"[^\W\d_]")


def tidy(text: str) -> str:
    """A caption without mark-up and with single spaces."""
    if "<" in text:
        text = _TAG.sub(" ", text)
    return _SPACES.sub(" ", text).strip()


def junk_reason(text: str, *, min_characters: int = 2, max_characters: int = 8000) -> str:
    """Why a tidy text is no caption, in a word; empty if it may be one.

    Args:
        text: the caption.
        min_characters: fewest letters, a Chinese character being one.
        max_characters: most characters of the whole.
    """
    if not text:
        return "empty"
    if len(text) > max_characters:
        return "too_long"
    if len(text) < 160:
        if _FILE.fullmatch(text):
            return "file_name"
        if _PLACEHOLDER.fullmatch(text):
            return "placeholder"
        if _CAMERA.fullmatch(text):
            return "no_words"
    if "://" in text or "www." in text or "@" in text:
        rest = _ADDRESS.sub("", text)
        if len(_LETTER.findall(rest)) < min(len(text) / 4, 12):
            return "address"
    if len(_LETTER.findall(text)) < min_characters:
        return "no_words"
    return ""
