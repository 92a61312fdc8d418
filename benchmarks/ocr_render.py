"""Pages with word boxes, bent: ours beside a plain PIL loop that maps the corners of ``textbbox``, as SynthDoG does.

    python benchmarks/ocr_render.py --pages 40

Both draw pages of about the same number of words on paper and see them turned and in perspective, in one process, in
turn; CPU seconds. Before that, boxes are compared with the ink measured when a word is drawn and bent alone, and ours
must be it. The last line is JSON; ``ratio`` is our pages per second over the loop's (below 1: we pay for boxes that
are the ink's), ``iou`` the mean and lowest overlap of each side's boxes with the ink.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mimovl.curate.ocr.augment import quad_matrix
from mimovl.curate.ocr.backgrounds import paper
from mimovl.curate.ocr.canvas import INK, Box, Canvas, Matrix
from mimovl.curate.ocr.faces import Face, Faces
from mimovl.curate.ocr.pages import make_document
from mimovl.curate.ocr.setting import Stock

LEAST_IOU = 0.95
"""Mean overlap of our boxes with the ink below which no speed is worth telling."""
STOCK = Stock(Faces((Face("", name="Pillow"),), ()))


def corners(rng: random.Random, size: tuple[int, int]) -> Matrix:
    width, height = size
    source = [(0, 0), (width, 0), (width, height), (0, height)]
    turned = np.array(source, dtype=float) @ np.array([[0.995, 0.1], [-0.1, 0.995]])
    moved = [(x + rng.uniform(0, 20) + 70, y + rng.uniform(0, 20) + 10) for x, y in turned]
    return quad_matrix(source, moved)


def bend(image: Image.Image, matrix: Matrix, size: tuple[int, int]) -> Image.Image:
    inverse = np.linalg.inv(matrix)
    data = tuple((inverse / inverse[2, 2]).ravel()[:8])
    return image.transform(size, Image.Transform.PERSPECTIVE, data, Image.Resampling.BICUBIC)


def ours(seed: int) -> tuple[Canvas, list[Box | None]]:
    rng = random.Random(seed)
    canvas = make_document(rng, STOCK)
    matrix = corners(rng, canvas.size)
    bent = canvas.warp(matrix, (canvas.size[0] + 120, canvas.size[1] + 120))
    return bent, bent.boxes()


def loop_words(seed: int) -> Iterator[tuple[str, int, int]]:
    rng = random.Random(seed)
    font = ImageFont.load_default(16)
    for y in range(40, 820, 46):
        x = 40
        for word in STOCK.phrases(rng).paragraph(2):
            if x + font.getlength(word) > 620:
                break
            yield word, x, y
            x += round(font.getlength(word)) + 5


def loop(seed: int) -> tuple[Image.Image, list[tuple[float, ...]], Matrix]:
    rng = random.Random(seed)
    image = paper(rng, (672, 896))
    draw, font, boxes = ImageDraw.Draw(image), ImageFont.load_default(16), []
    for word, x, y in loop_words(seed):
        draw.text((x, y), word, fill=(20, 20, 20), font=font)
        boxes.append(draw.textbbox((x, y), word, font=font))
    matrix = corners(rng, image.size)
    mapped = []
    for x1, y1, x2, y2 in boxes:
        quad = np.array([[x1, y1, 1], [x2, y1, 1], [x2, y2, 1], [x1, y2, 1]]) @ matrix.T
        quad = quad[:, :2] / quad[:, 2:]
        mapped.append((*quad.min(axis=0), *quad.max(axis=0)))
    return bend(image, matrix, (792, 1016)), mapped, matrix


def overlap(first: tuple[float, ...], second: tuple[float, ...]) -> float:
    wide = min(first[2], second[2]) - max(first[0], second[0])
    tall = min(first[3], second[3]) - max(first[1], second[1])
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (first, second))
    return max(0.0, wide) * max(0.0, tall) / (areas - max(0.0, wide) * max(0.0, tall))


def ink(image: Image.Image) -> tuple[int, ...]:
    box = image.point([255 * (level >= INK) for level in range(256)]).getbbox()
    assert box is not None
    return box


def our_overlaps(seed: int) -> list[float]:
    """Words drawn alone: masks are remembered as they are put."""
    put, masks = Canvas.put, []

    def remember(canvas, mask, x, y, *rest, **named):  # type: ignore[no-untyped-def]
        masks.append((mask, x, y))
        return put(canvas, mask, x, y, *rest, **named)

    Canvas.put = remember  # type: ignore[method-assign]
    try:
        rng = random.Random(seed)
        canvas = make_document(rng, STOCK)
    finally:
        Canvas.put = put  # type: ignore[method-assign]
    matrix, size = corners(rng, canvas.size), (canvas.size[0] + 120, canvas.size[1] + 120)
    boxes, found = canvas.warp(matrix, size).boxes(), []
    for number in range(0, len(masks), max(1, len(masks) // 30)):
        box, (mask, x, y) = boxes[number], masks[number]
        if canvas.elements[number].text and box is not None:
            alone = Image.new("L", canvas.size)
            alone.paste(255, (x, y), mask)
            found.append(overlap(box, ink(bend(alone, matrix, size))))
    return found


def loop_overlaps(seed: int) -> list[float]:
    _, boxes, matrix = loop(seed)
    font, words, found = ImageFont.load_default(16), list(loop_words(seed)), []
    for number in range(0, len(words), max(1, len(words) // 30)):
        word, x, y = words[number]
        alone = Image.new("L", (672, 896))
        ImageDraw.Draw(alone).text((x, y), word, fill=255, font=font)
        found.append(overlap(boxes[number], ink(bend(alone, matrix, (792, 1016)))))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pages", type=int, default=40)
    arguments = parser.parse_args()
    iou = {}
    for name, measure in (("ours", our_overlaps), ("loop", loop_overlaps)):
        found = [value for seed in range(4) for value in measure(seed)]
        iou[name] = {"mean": round(float(np.mean(found)), 4), "least": round(float(min(found)), 4)}
    if not iou["ours"]["mean"] >= LEAST_IOU:
        raise SystemExit(f"our boxes overlap the ink by {iou['ours']['mean']} on average, less than {LEAST_IOU}")
    seconds = {"ours": 0.0, "loop": 0.0}
    num_words = {"ours": 0, "loop": 0}
    for seed in range(arguments.pages):
        start = time.process_time()
        num_words["ours"] += len(ours(seed)[1])
        middle = time.process_time()
        num_words["loop"] += len(loop(seed)[1])
        seconds["ours"] += middle - start
        seconds["loop"] += time.process_time() - middle
    rates = {name: arguments.pages / spent for name, spent in seconds.items()}
    for name in seconds:
        words = num_words[name] / arguments.pages
        print(f"{name}: {rates[name]:.1f} pages/s/core of {words:.0f} words, IoU with the ink {iou[name]}")
    print(json.dumps({"ratio": round(rates["ours"] / rates["loop"], 3), "pages_per_second": rates, "iou": iou}))


if __name__ == "__main__":
    main()
