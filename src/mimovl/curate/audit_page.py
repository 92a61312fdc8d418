"""The audit of a decontamination as one HTML file: every matched pair side by side, nothing fetched from anywhere."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from mimovl.curate.decode import decode
from mimovl.errors import MediaError

__all__ = ["Shown", "write_page"]

_SIDE = 240
_CHARACTERS = 600

_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Decontamination audit</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 1100px; padding: 0 1rem; color: #1c2330; }
pre { background: #f3f5f8; padding: .8rem 1rem; border-radius: 6px; white-space: pre-wrap; }
section.pair { border: 1px solid #d9dee6; border-radius: 6px; padding: .7rem 1rem; margin: .7rem 0; }
.sides { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; }
figure { margin: 0; } figcaption { font-size: 13px; color: #566072; overflow-wrap: anywhere; }
img { max-width: 100%; border: 1px solid #d9dee6; } p.detail { margin: .2rem 0 .5rem; }
blockquote { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
</style></head><body><h1>Decontamination audit</h1>
"""


@dataclass(frozen=True)
class Shown:
    """A training sample beside the benchmark's item it matches: their pictures, or their texts."""

    sample: str
    item: str
    detail: str
    picture: bytes | None
    item_picture: bytes | None
    text: str
    item_text: str


def write_page(path: Path, summary: str, pairs: Mapping[str, Sequence[Shown]]) -> None:
    """Write the page.

    Args:
        path: the file.
        summary: lines to begin with.
        pairs: what to show of each benchmark.
    """
    parts = [_HEAD, f"<pre>{html.escape(summary)}</pre>\n"]
    for benchmark, shown in pairs.items():
        parts.append(f"<h2>{html.escape(benchmark)}</h2>\n")
        if not shown:
            parts.append("<p>Nothing of it was found.</p>\n")
        parts += [_pair(pair) for pair in shown]
    path.write_text("".join([*parts, "</body></html>\n"]), encoding="utf-8")


def _pair(pair: Shown) -> str:
    ours = _side(f"training: {pair.sample}", pair.picture, pair.text)
    theirs = _side(f"benchmark: {pair.item}", pair.item_picture, pair.item_text)
    detail = html.escape(pair.detail)
    return f'<section class="pair"><p class="detail">{detail}</p><div class="sides">{ours}{theirs}</div></section>\n'


def _side(caption: str, picture: bytes | None, text: str) -> str:
    label = f"<figcaption>{html.escape(caption)}</figcaption>"
    if picture is None:
        return f"<figure>{label}<blockquote>{html.escape(text[:_CHARACTERS])}</blockquote></figure>"
    try:
        image = decode(picture).image
    except MediaError as error:
        return f"<figure>{label}<blockquote>{html.escape(str(error))}</blockquote></figure>"
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f'<figure>{label}<img alt="{html.escape(caption)}" src="data:image/jpeg;base64,{data}"></figure>'
