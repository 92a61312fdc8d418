"""What near-duplicate search finds and what it must not merge, beside exact equality of 64-bit hashes.

    python benchmarks/dedup_quality.py

Edits of drawn photos (re-encoded, resized, brightened, watermarked, cropped by 2 % a side) should be found. Text pages,
charts and screens of one interface, 300 of each and all different, should stay apart; their own re-encoded copies are
looked for as well. Exact equality of the hash is Data-Juicer's rule. The last line is JSON; ``ratio`` is the share of
edits found by ours over the share found by equality.
"""

from __future__ import annotations

import argparse
import io
import json
import random
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFont

from mimovl.curate.near_duplicates import matches
from mimovl.curate.signature import Signatures, sign

WORDS = "the of model image data train loss table figure signal layer token value result method paper error".split()


def photo(seed: int, side: int = 512) -> Image.Image:
    """A picture with content at all scales, as photos have it: the finer, the weaker."""
    rng = np.random.default_rng(seed)
    total = np.zeros((side, side, 3))
    for cells in (3, 6, 12, 24, 48, 96, 192):
        coarse = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        total += np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC), dtype=np.float64) / cells**0.8
    total += rng.normal(0, 0.02, total.shape) * total.std()
    low, high = np.percentile(total, (1, 99))
    return Image.fromarray(((total - low) / (high - low) * 255).clip(0, 255).astype(np.uint8))


def page(seed: int) -> Image.Image:
    """A page of running text."""
    rng = random.Random(seed)
    image = Image.new("RGB", (620, 877), "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(13)
    for line in range(44):
        text = " ".join(rng.choice(WORDS) for _ in range(rng.choice((4, 11, 12, 12, 12, 13))))
        draw.text((50, 40 + 18 * line), text[:78], "black", font)
    return image


def chart(seed: int) -> Image.Image:
    """A bar chart."""
    rng = random.Random(seed)
    image = Image.new("RGB", (640, 480), "white")
    draw = ImageDraw.Draw(image)
    draw.line((60, 30, 60, 430, 610, 430), "black", 2)
    colour = tuple(rng.randrange(30, 200) for _ in range(3))
    for bar in range(8):
        draw.rectangle((80 + 65 * bar, 430 - rng.randrange(20, 380), 120 + 65 * bar, 430), colour)
    draw.text((250, 8), rng.choice(WORDS).title(), "black", ImageFont.load_default(16))
    return image


def screen(seed: int) -> Image.Image:
    """A settings page of one interface: only names, values and switches differ."""
    rng = random.Random(seed)
    image = Image.new("RGB", (800, 600), (245, 246, 248))
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(15)
    draw.rectangle((0, 0, 800, 48), (38, 60, 110))
    draw.rectangle((0, 48, 180, 600), (228, 231, 238))
    draw.text((16, 14), "Control panel", "white", font)
    for row, name in enumerate(("Home", "Users", "Network", "Storage", "Updates")):
        draw.text((24, 70 + 40 * row), name, (40, 40, 40), font)
    for row in range(10):
        top = 70 + 50 * row
        draw.rounded_rectangle((200, top, 780, top + 40), 6, "white", (205, 208, 214))
        draw.text((215, top + 11), f"{rng.choice(WORDS).title()} {rng.randrange(1000)}", (30, 30, 30), font)
        on = rng.random() < 0.5
        draw.rounded_rectangle((720, top + 10, 760, top + 30), 10, (60, 140, 90) if on else (170, 170, 170))
        draw.ellipse((741 if on else 721, top + 11, 759 if on else 739, top + 29), "white")
    return image


def jpeg(image: Image.Image, quality: int = 85) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def watermark(image: Image.Image, opacity: int = 128) -> Image.Image:
    """A line of letters on a white box in a corner, half transparent unless said otherwise."""
    layer = Image.new("RGBA", image.size)
    draw = ImageDraw.Draw(layer)
    width, height = image.size
    draw.rectangle((width * 0.67, height * 0.91, width * 0.97, height * 0.97), (255, 255, 255, opacity))
    draw.text((width * 0.68, height * 0.915), "© example.com", "black", ImageFont.load_default(height * 0.04))
    return Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB")


def cropped(image: Image.Image) -> Image.Image:
    """Two percent less a side."""
    width, height = image.size
    return image.crop((round(width * 0.02), round(height * 0.02), round(width * 0.98), round(height * 0.98)))


def brightened(image: Image.Image) -> Image.Image:
    return ImageEnhance.Contrast(ImageEnhance.Brightness(image).enhance(1.15)).enhance(1.1)


EDITS: dict[str, tuple[Callable[[Image.Image], bytes], float]] = {
    "re-encoded q75": (lambda image: jpeg(image, 75), 0.99),
    "re-encoded q30": (lambda image: jpeg(image, 30), 0.99),
    "resized": (lambda image: jpeg(image.resize((image.width * 5 // 8, image.height * 5 // 8))), 0.99),
    "brightened": (lambda image: jpeg(brightened(image)), 0.99),
    "watermarked": (lambda image: jpeg(watermark(image)), 0.94),
    "covered corner": (lambda image: jpeg(watermark(image, 255)), 0.0),
    "cropped 2 %": (lambda image: jpeg(cropped(image)), 0.98),
}
"""Edits, with the share of copies that should be found; 0 where it is only reported."""
DRAWN: dict[str, Callable[[int], Image.Image]] = {"pages": page, "charts": chart, "screens": screen}


def found(originals: Signatures, edited: Signatures) -> tuple[float, float]:
    """Share of copies found by ours, and by equal 64-bit hashes."""
    match = matches(originals, edited)
    same = {int(one) for one, two in zip(match.left, match.right, strict=True) if one == two}
    equal = (originals.hash64[:, 0] == edited.hash64[:, 0]).mean()
    return len(same) / len(originals), float(equal)


def merged(signatures: Signatures) -> tuple[int, int]:
    """Pairs of different pictures merged by ours, and by equal 64-bit hashes."""
    hashes = signatures.hash64[:, 0]
    equal = int((hashes[:, None] == hashes[None]).sum() - len(hashes)) // 2
    return len(matches(signatures).left), equal


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=1000)
    parser.add_argument("--drawn", type=int, default=300)
    arguments = parser.parse_args()
    photos, _ = sign(jpeg(photo(seed)) for seed in range(arguments.photos))
    ours, theirs, reached = {}, {}, True
    for name, (edit, aim) in EDITS.items():
        edited, _ = sign(edit(photo(seed)) for seed in range(arguments.photos))
        ours[name], theirs[name] = found(photos, edited)
        reached &= ours[name] >= aim
        print(f"  {name:16s} found: ours {ours[name]:.3f}, equal hashes {theirs[name]:.3f}; aim {aim}")
    wrong = {"photos": merged(photos)}
    kept = {}
    for name, draw in DRAWN.items():
        drawn, _ = sign(jpeg(draw(seed)) for seed in range(arguments.drawn))
        again, _ = sign(jpeg(draw(seed), 60) for seed in range(arguments.drawn))
        wrong[name] = merged(drawn)
        kept[name] = found(drawn, again)[0]
        ours_wrong, equal_wrong = wrong[name]
        print(f"  {name:8s} merged wrongly: ours {ours_wrong}, equal hashes {equal_wrong}; copies {kept[name]:.3f}")
    result = {
        "benchmark": "dedup_quality",
        "found": {name: round(share, 4) for name, share in ours.items()},
        "found_by_equality": {name: round(share, 4) for name, share in theirs.items()},
        "copies_of_drawn_found": {name: round(share, 4) for name, share in kept.items()},
        "false_merges": {name: pair[0] for name, pair in wrong.items()},
        "false_merges_by_equality": {name: pair[1] for name, pair in wrong.items()},
        "reached": reached and not any(pair[0] for pair in wrong.values()),
        "ratio": round(sum(ours.values()) / max(1e-9, sum(theirs.values())), 2),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
