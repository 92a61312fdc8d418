import random
from unittest.mock import patch

import numpy as np
import pytest
from PIL import Image

from mimovl.curate.ocr import augment as module
from mimovl.curate.ocr.augment import Augmentation, augment, bend, occlude, quad_matrix, weather
from mimovl.curate.ocr.canvas import INK, Canvas
from mimovl.curate.ocr.faces import Face
from mimovl.curate.ocr.lettering import letter
from mimovl.curate.ocr.pages import make_document
from mimovl.curate.ocr.reader import encode
from mimovl.curate.ocr.tables import make_table
from mimovl.data.image import open_image
from tests.curate.ocr.drawing import Recorder, draw, extent, overlap

NOTHING = Augmentation(turned=0, scaled=0, covered=0, shaded=0, blurred=0, noisy=0)
WARPS = Augmentation(turned=1, degrees=12, perspective=0.08, scaled=1, covered=0, shaded=0, blurred=0, noisy=0)


def words(canvas: Canvas, count: int) -> list[int]:
    """Numbers of some words, spread over the page."""
    readable = [number for number, one in enumerate(canvas.elements) if one.text]
    return readable[:: max(1, len(readable) // count)]


@pytest.mark.parametrize("make", [make_document, make_table], ids=lambda make: make.__name__)
def test_geometry_moves_boxes_to_where_the_ink_is_measured_after(make: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each word is drawn alone, bent by the same chance, and its pixels are measured."""
    overlaps = []
    for seed in range(3):
        recorder = Recorder(monkeypatch)
        canvas = draw(make, seed)  # type: ignore[arg-type]
        chosen = words(canvas, 5)
        with patch.object(module, "backdrop", lambda rng, size, photos=(): Image.new("RGB", size)):
            after = augment(canvas, random.Random(seed), WARPS).boxes()
            # the same chance must bend the text alone: elements and ink stay, only the pixels are others
            for number in chosen:
                alone = Canvas(
                    recorder.alone(canvas.elements[number], canvas.size).convert("RGB"),
                    canvas.ink,
                    canvas.owner,
                    canvas.elements,
                )
                bent = augment(alone, random.Random(seed), WARPS)
                measured = extent(bent.image.convert("L"))
                box = after[number]
                assert box is not None and measured is not None
                overlaps.append(overlap(box, measured))
    assert min(overlaps) >= 0.95, sorted(overlaps)[:5]


@pytest.mark.parametrize("word", ["Mango", "25.90", "Hedge", "quilt"])
def test_blur_noise_and_jpeg_leave_the_ink_where_the_boxes_are(word: str) -> None:
    """In letters so large that a pixel is no twentieth of them; measured where ink is as dark as in the drawn word."""
    settings = Augmentation(turned=0, scaled=0, covered=0, shaded=1, blurred=1, noisy=1)
    overlaps = []
    for seed in range(6):
        drawn = letter(word, Face(""), 96, "plain", random.Random(0))
        assert drawn is not None
        canvas = Canvas.on(Image.new("RGB", (392, 168), (255, 255, 255)))
        canvas.put(drawn.mask, 30, 30, (0, 0, 0), word, block=canvas.block("text"), line=canvas.line())
        weather(canvas, random.Random(seed), settings)
        seen = open_image(encode(canvas.image, 60).data).convert("L")
        dark = np.asarray(seen, dtype=float)
        rim = np.concatenate([dark[:20].ravel(), dark[-20:].ravel()])  # the ground, in shade or light
        measured = extent(Image.fromarray((255 * (dark < (1 - INK / 255) * rim.min())).astype(np.uint8)))
        (box,) = canvas.boxes()
        assert box is not None and measured is not None
        overlaps.append(overlap(box, measured))
    assert min(overlaps) >= 0.95, overlaps


def test_a_bent_page_is_whole_and_has_sides_of_28() -> None:
    for seed in range(3):
        canvas = draw(make_table, seed)
        bent = bend(canvas, random.Random(seed), Augmentation(degrees=30, perspective=0.2))
        assert bent.size[0] % 28 == 0 and bent.size[1] % 28 == 0
        assert all(box is not None for box in bent.boxes())


def test_letters_are_not_made_smaller_than_they_can_be_read() -> None:
    tiny = Augmentation(turned=0, scaled=1, scales=(0.1, 0.1), covered=0, shaded=0, blurred=0, noisy=0)
    canvas = draw(make_document, 1)
    heights = [box[3] - box[1] for box in augment(canvas, random.Random(0), tiny).boxes() if box]
    assert np.median(heights) >= 7


def test_what_is_covered_is_counted_and_its_box_stays() -> None:
    hidden = []
    for seed in range(12):
        canvas = draw(make_table, 1)
        before, ink = canvas.boxes(), np.asarray(canvas.ink) >= INK
        pixels = np.asarray(canvas.image).astype(int)
        occlude(canvas, random.Random(seed))
        assert canvas.boxes() == before
        changed = np.abs(np.asarray(canvas.image).astype(int) - pixels).sum(axis=-1) > 0
        owner = np.asarray(canvas.owner)
        for number, one in enumerate(canvas.elements, 1):
            own = ink & (owner == number)
            if one.hidden > 0.5:
                assert changed[own].mean() > 0.3
            elif not changed[own].any():
                assert one.hidden < 0.1
            hidden.append(one.hidden)
    assert max(hidden) > 0.5 and 0 <= min(hidden)


def test_without_changes_a_page_stays_as_it_is() -> None:
    canvas = draw(make_table, 2)
    pixels = canvas.image.tobytes()
    assert augment(canvas, random.Random(0), NOTHING).image.tobytes() == pixels


def test_the_same_chance_makes_the_same_picture() -> None:
    first, second = (augment(draw(make_table, 2), random.Random(5), Augmentation()) for _ in range(2))
    assert first.image.tobytes() == second.image.tobytes()


def test_four_corners_go_where_they_should() -> None:
    source, target = [(0, 0), (10, 0), (10, 5), (0, 5)], [(1, 2), (30, 4), (28, 20), (3, 18)]
    matrix = quad_matrix(source, target)
    for (x, y), wanted in zip(source, target, strict=True):
        u, v, w = matrix @ (x, y, 1)
        assert (u / w, v / w) == pytest.approx(wanted)


def test_impossible_ranges_are_refused() -> None:
    with pytest.raises(ValueError, match="scales"):
        Augmentation(scales=(1.5, 0.5))
    with pytest.raises(ValueError, match="qualities"):
        Augmentation(qualities=(0, 50))
